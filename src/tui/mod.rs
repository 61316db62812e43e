//! The screen of a call: what it knows ([`model`]), what keys do to it ([`update`], [`keymap`]),
//! how it is drawn ([`view`]), every word of it ([`strings`]) and its colours ([`theme`]).
//!
//! Nothing is ever drawn over a picture: panes stand beside the tiles, questions below them, so the
//! painter's rectangles are its own. Views draw words into a ratatui buffer and return where the
//! pictures go; what they tell in colour they also tell in words.

pub mod keymap;
pub mod model;
pub mod plain;
pub mod strings;
pub mod summary;
pub mod theme;
pub mod update;
pub mod view;
