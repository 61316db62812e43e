//! facetty: end-to-end encrypted video calls in the terminal.
//!
//! ```text
//!  camera ─ media/source ─┐                                                  ┌─ paint ─ term ─ the terminal
//!                         ├─ media/codec encode        decode media/codec ───┤
//!  mic ──── media/source ─┘          │                        ▲              └─ media/sink ─ the speaker
//!                                    ▼                        │  media/playout (jitter buffer, clock, sync)
//!                                  seal                     seal (open, replay window)
//!                                    ▼                        ▲
//!                                  wire (headers)           wire (parse)
//!                                    ▼                        ▲
//!                                 transport ── QUIC: sound in DATAGRAM, one picture per stream ──
//!       control:  tui ⇄ call (state machine) ⇄ group (MLS) ⇄ wire ⇄ transport (one stream per peer)
//! ```
//!
//! # Rooms
//!
//! A room imports from lower layers only, never from another room of its own layer; `tests/layers.rs`
//! holds the table and fails with the two names.
//!
//! | layer | rooms |
//! |---|---|
//! | 0 values | [`wire`], [`invite`], [`secret`], [`keys`], [`time`], [`media::frame`], [`media::seams`], [`config`] |
//! | 1 pure engines | [`identity`], [`group`], [`seal`], [`media::codec`], [`media::dsp`], [`media::playout`], [`media::rate`], [`paint`] |
//! | 2 sessions | [`call`], [`media::engine`] |
//! | 3 drivers | [`transport`], [`media::source`], [`media::sink`], [`media::device`], [`term`], [`store`] |
//! | 4 node | [`node`]: the one loop call ⇄ links ⇄ engine, on threads or inline |
//! | 5 | [`tui`], [`sim`] |
//! | 6, 7 | [`app`], [`cli`] |
//!
//! # One clock, passed in
//!
//! Layers 0–2 take [`time::Now`] as an argument and have no I/O, threads or randomness of their own.
//! Drivers read tokio's clock, so that under a paused runtime the real stack – QUIC included, over
//! an in-memory socket – runs in virtual time, the same each time for the same seed. Keys are never
//! seeded, so nothing derived from them may steer sizes or order.
//!
//! # Guarantees, by construction
//!
//! - Nothing is sealed for a group whose roster was not shown: [`seal::Sealers`] are made from a
//!   [`seal::Receipt`] only.
//! - No (key, nonce) twice: a sealer is neither `Clone` nor stored, and counts.
//! - Who speaks is decided by the connection, not by the key: see [`call`].
//! - Whoever is removed holds no key that anything is sealed under from that moment on.
//! - Only [`sim`] can build an eavesdropper from a member's keys, through
//!   [`seal::Opener::surrender`].

pub mod app;
pub mod call;
pub mod cli;
pub mod config;
pub mod group;
pub mod identity;
pub mod invite;
pub mod keys;
pub mod ledger;
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
