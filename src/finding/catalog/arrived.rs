//! Kinds of findings: LB091 to LB099.

super::kinds! {}
