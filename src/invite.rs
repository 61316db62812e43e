//! The invite: what a host hands to somebody who may knock.
