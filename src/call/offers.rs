//! Commits on their way through the mesh.
//!
//! The sequencer sends a commit's bundle whole to everybody it reaches. All others only say that
//! they have it (an offer: epoch and hash) to those who may not, and send its bytes on request: a
//! bundle is three orders of magnitude larger than an offer, and in a full mesh nobody asks.

use super::*;
use crate::wire::control::Control;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Commits kept for members that missed them.
pub const KEEP_BUNDLES: usize = 16;
/// Offers remembered.
pub const MAX_OFFERS: usize = 64;
/// A fetch without an answer: then the next offer is tried.
const FETCH: Duration = Duration::from_secs(1);
/// After a merge, members that hear the committer themselves get this long before they are offered
/// what they most likely have.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bundles kept, offered and asked for.
#[derive(Default)]
pub(super) struct Offers {
    kept: VecDeque<Kept>,
    offered: VecDeque<Offered>,
    fetching: Option<(Offered, Instant)>,
    remind: Option<Instant>,
}

struct Kept {
    /// The epoch it starts from, and its name.
    place: Place,
    hash: [u8; 32],
    bytes: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Offered {
    epoch: u64,
    hash: [u8; 32],
    link: LinkId,
}

impl Offers {
    /// Keeps the bundle that ended an epoch.
    pub(super) fn keep(&mut self, place: Place, bytes: Bytes) {
        let hash = Sha256::digest(&bytes).into();
        self.kept.push_back(Kept { place, hash, bytes });
        while self.kept.len() > KEEP_BUNDLES {
            self.kept.pop_front();
        }
    }

    /// Bundles and offers held.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.kept.len(), self.offered.len())
    }

    /// Another branch: what was kept leads nowhere any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Was this place on our way, and can we lead on from it?
    pub(super) fn leads_on_from(&self, place: Place) -> bool {
        self.kept.iter().any(|k| k.place == place)
    }

    fn since(&self, epoch: u64) -> Vec<Control> {
        let since = self.kept.iter().filter(|k| k.place.epoch >= epoch);
        since.map(|k| Control::Offer { epoch: k.place.epoch, hash: k.hash }).collect()
    }

    fn forget_until(&mut self, epoch: u64) {
        self.offered.retain(|o| o.epoch >= epoch);
        if self.fetching.is_some_and(|(o, _)| o.epoch < epoch) {
            self.fetching = None;
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        [self.fetching.map(|(_, until)| until), self.remind].into_iter().flatten().min()
    }
}

impl Call {
    /// A commit was merged: those who don't hear its committer are told at once, the others later
    /// if they are still behind.
    pub(super) fn offer_merged(&mut self, by: MemberId, now: Now) {
        let Some(place) = self.place() else { return };
        self.offers.forget_until(place.epoch);
        self.offers.remind = Some(now.mono + PATIENCE);
        let cut_off = |p: &Peer| !p.hears.contains(&by) && p.is_behind(place);
        let links: Vec<_> = self.peers.links_where(cut_off);
        self.offer_to(&links, place.epoch.saturating_sub(1));
        self.fetch_next(now);
    }

    fn offer_to(&mut self, links: &[LinkId], since: u64) {
        let offers = self.offers.since(since);
        for link in links {
            for offer in &offers {
                self.send_control(*link, offer);
            }
        }
    }

    /// A member said where it is: if it is behind on our own way, it hears what it misses.
    pub(super) fn help_laggard(&mut self, link: LinkId, theirs: Place) {
        if self.offers.leads_on_from(theirs) {
            self.offer_to(&[link], theirs.epoch);
        }
    }

    pub(super) fn take_offer(&mut self, link: LinkId, epoch: u64, hash: [u8; 32], now: Now) {
        let Some(place) = self.place() else { return };
        let offered = Offered { epoch, hash, link };
        let near = epoch >= place.epoch && epoch - place.epoch < KEEP_BUNDLES as u64;
        if near && !self.offers.offered.contains(&offered) {
            if self.offers.offered.len() >= MAX_OFFERS {
                self.offers.offered.pop_front();
            }
            self.offers.offered.push_back(offered);
        }
        self.fetch_next(now);
    }

    /// Asks for the bundle that ends our epoch: whoever offered it first.
    fn fetch_next(&mut self, now: Now) {
        let Some(place) = self.place() else { return };
        if self.offers.fetching.is_some() {
            return;
        }
        let links = &self.links;
        self.offers.offered.retain(|o| links.contains_key(&o.link));
        let Some(i) = self.offers.offered.iter().position(|o| o.epoch == place.epoch) else {
            return;
        };
        let Some(offered) = self.offers.offered.remove(i) else { return };
        self.offers.fetching = Some((offered, now.mono + FETCH));
        let fetch = Control::Fetch { epoch: offered.epoch, hash: offered.hash };
        self.send_control(offered.link, &fetch);
    }

    pub(super) fn take_fetch(&mut self, link: LinkId, epoch: u64, hash: [u8; 32]) {
        let kept = self.offers.kept.iter().find(|k| k.place.epoch == epoch && k.hash == hash);
        if let Some(bytes) = kept.map(|k| k.bytes.clone()) {
            self.send_control(link, &Control::Bundle(bytes));
        }
    }

    pub(super) fn offers_tick(&mut self, now: Now) {
        if self.offers.fetching.is_some_and(|(_, until)| until <= now.mono) {
            self.offers.fetching = None;
            self.fetch_next(now);
        }
        if self.offers.remind.is_some_and(|at| at <= now.mono) {
            self.offers.remind = None;
            let Some(place) = self.place() else { return };
            let links = self.peers.links_where(|p| p.is_behind(place));
            self.offer_to(&links, place.epoch.saturating_sub(1));
        }
    }
}
