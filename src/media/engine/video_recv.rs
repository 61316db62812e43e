//! Receiving: which pictures of a member to decode, and when to show them.
