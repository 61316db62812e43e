//! facetty: end-to-end encrypted video calls in the terminal.

pub mod app;
pub mod call;
pub mod cli;
pub mod config;
pub mod group;
pub mod identity;
pub mod invite;
pub mod keys;
pub mod media;
pub mod node;
pub mod paint;
pub mod seal;
pub mod secret;
pub mod sim;
pub mod store;
pub mod term;
pub mod time;
pub mod transport;
pub mod tui;
pub mod wire;
