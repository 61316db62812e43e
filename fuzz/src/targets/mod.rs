//! What is thrown at the parsers: one plain function per target. `cargo fuzz` calls them with
//! what it makes up, `tests/fuzz_corpus.rs` with the kept corpora and with seeded mutations of
//! them. A target fails by panicking; what it asserts beside "no panic" stands in its own comment.
//!
//! Where random bytes would only ever meet a checksum or a tag, a target also takes its input as
//! *changes* of something genuine ([`Feed::patched`]), so that the code behind it is reached.

mod call;
mod codec;
mod files;
mod group;
mod media;
mod seal;
mod signed;
mod terminal;
mod texts;
mod wire;

pub mod seeds;

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name; `fuzz_targets/` has a file for each.
pub const ALL: &[(&str, Target)] = &[
    ("call_member", call::member),
    ("call_stranger", call::stranger),
    ("control", wire::control),
    ("group_state", group::group_state),
    ("h264", codec::h264),
    ("handshake", wire::handshake),
    ("invite", texts::invite),
    ("key_package", group::key_package),
    ("media", media::media),
    ("mls_receive", group::mls_receive),
    ("mls_welcome", group::mls_welcome),
    ("opus", codec::opus),
    ("report", wire::report),
    ("scenario", files::scenario),
    ("sframe", seal::sframe),
    ("signed", signed::signed),
    ("stored", files::stored),
    ("terminal", terminal::terminal),
    ("texts", texts::texts),
    ("wav", media::wav),
    ("y4m", media::y4m),
];

/// Runs a target by name.
///
/// # Panics
/// If there is no such target, or if it fails.
pub fn run(name: &str, data: &[u8]) {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target {name}")).1(data);
}

/// Reads choices off the front of an input; zeros when it is used up.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'a>(pub(crate) &'a [u8]);

impl<'a> Feed<'a> {
    pub(crate) fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from(self.u8()) << 8 | u16::from(self.u8())
    }

    /// At most `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to eight changes of `genuine`, four bytes each: what, where (16 bits), with what.
    pub(crate) fn patched(&mut self, genuine: &[u8]) -> Vec<u8> {
        let mut bytes = genuine.to_vec();
        for _ in 0..8 {
            if self.is_empty() {
                break;
            }
            let (what, at, with) = (self.u8(), usize::from(self.u16()), self.u8());
            let at = at % bytes.len().max(1);
            match (what % 5, bytes.get_mut(at)) {
                (0, Some(byte)) => *byte ^= with,
                (1, Some(byte)) => *byte = with,
                (2, Some(_)) => bytes.truncate(at),
                (3, Some(_)) => drop(bytes.remove(at)),
                _ => bytes.insert(at, with),
            }
        }
        bytes
    }
}
