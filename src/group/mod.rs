//! The group that holds keys: MLS (RFC 9420), order of commits, policy, roster.
