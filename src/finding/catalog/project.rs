//! Kinds of findings: LB045 to LB062.

super::kinds! {}
