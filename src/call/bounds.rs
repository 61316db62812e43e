//! What a call holds on behalf of others, and the most it ever does. What a connection itself holds
//! has its bounds in `transport/limits.rs`: about 0.4 MB for each of at most 32 strangers, 12 MB for
//! each of at most 15 others, while they fill every buffer there is.
//!
//! | what | bound | when full |
//! |---|---|---|
//! | connections of strangers | the transport's 32 (16 of a host), 5 s each | not accepted |
//! | messages of a connection whose key the roster does not name | [`MAX_HELD`] of ≤ 8 kB | not kept |
//! | knocks that wait for an answer | [`MAX_KNOCKS`], 2 min each, 15 s once let in | declined |
//! | frames that came before their epoch's commit | [`MAX_AHEAD`], 1 s each | not kept |
//! | acknowledgements of epochs to come | [`EARLY_ACKS`] a member | the oldest goes |
//! | messages for a member until they can be sealed | [`MAX_PENDING`] a member | not kept |
//! | commits for members that missed them | [`KEEP_BUNDLES`] of ≤ 256 kB | the oldest goes |
//! | offers of commits | [`MAX_OFFERS`] of 40 B | the oldest goes |
//! | Welcomes of newcomers that others brought, until they are heard | 16, one a seat | the oldest goes |
//! | former members that may come back | [`MAX_FORMER`] | one goes |
//! | people that members introduced | [`MAX_INTRODUCED`] of those | not kept |
//! | what is wanted of the group, others' key packages included | [`MAX_WISHES`] of ≤ 7 kB | not kept |

use super::Call;
pub use super::admission::MAX_KNOCKS;
pub use super::changes::EARLY_ACKS;
pub use super::epochs::MAX_AHEAD;
pub use super::former::MAX_FORMER;
pub use super::introduce::MAX_INTRODUCED;
pub use super::membership::{MAX_HELD, MAX_PENDING};
pub use super::offers::{KEEP_BUNDLES, MAX_OFFERS};
pub use super::wishes::MAX_WISHES;

/// How much of each a call holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Connections, those of members included.
    pub links: usize,
    /// Knocks that wait.
    pub knocks: usize,
    /// Messages of connections that belong to nobody yet.
    pub held: usize,
    /// Frames ahead of their epoch.
    pub ahead: usize,
    /// Messages that wait to be sealed, of all members.
    pub pending: usize,
    /// Commits kept.
    pub bundles: usize,
    /// Offers of commits.
    pub offers: usize,
    /// Former members that may come back.
    pub former: usize,
    /// Things to do that nobody has polled.
    pub outputs: usize,
}

impl Call {
    /// What this call holds now, for tests of its bounds.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            links: self.links.len(),
            knocks: self.knocks.len(),
            held: self.peers.held.values().map(Vec::len).sum(),
            ahead: self.epochs.ahead_len(),
            pending: self.peers.members.values().map(|peer| peer.pending.len()).sum(),
            bundles: self.offers.len().0,
            offers: self.offers.len().1,
            former: self.former.list.len(),
            outputs: self.out.len(),
        }
    }
}
