//! Kinds of findings: LB063 to LB074.

super::kinds! {}
