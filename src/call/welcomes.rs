//! Welcomes of newcomers that somebody else brought: kept until the newcomer is there.
//!
//! The sequencer commits, but the newcomer's connection is the proposer's. When the way there breaks
//! just then, the newcomer has a seat and no keys, and can't be added again with a used key package.

use super::admission::DECIDED;
use super::*;
use crate::group::MAX_MEMBERS;
use crate::wire::control::Control;
use bytes::Bytes;

/// A way that may have broken is looked for anew this often.
const AGAIN: Duration = Duration::from_secs(1);

/// At most one for each seat, in order of their coming.
#[derive(Default)]
pub(super) struct Welcomes(VecDeque<Undelivered>);

struct Undelivered {
    newcomer: MemberId,
    /// Leaf keys: of the newcomer, and of whoever brought it, who may sit elsewhere meanwhile.
    key: [u8; 32],
    by: [u8; 32],
    welcome: Bytes,
    /// The connection it went out on.
    sent: Option<LinkId>,
    next: Instant,
    /// Nobody waits for it any longer than the one that let them in.
    until: Instant,
}

impl Welcomes {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.0.iter().map(|kept| kept.next).min()
    }
}

impl Call {
    /// A Welcome for the newcomer with this leaf key goes to the member that asked for it.
    pub(super) fn keep_welcome(
        &mut self,
        proposer: MemberId,
        key: [u8; 32],
        welcome: Bytes,
        now: Now,
    ) {
        let by = self.peers.members.get(&proposer).map(|peer| peer.credential.leaf_key);
        let (Some(by), Some(newcomer)) = (by, self.member_with_key(&key)) else { return };
        if self.welcomes.0.len() >= MAX_MEMBERS {
            self.welcomes.0.pop_front();
        }
        let (next, until) = (now.mono, now.mono + DECIDED);
        let kept = Undelivered { newcomer, key, by, welcome, sent: None, next, until };
        self.welcomes.0.push_back(kept);
        self.welcomes_tick(now);
    }

    /// Sends what is due, on another connection than before; forgets who has come or gone, and whose
    /// knock is over.
    pub(super) fn welcomes_tick(&mut self, now: Now) {
        let mut all = std::mem::take(&mut self.welcomes.0);
        all.retain(|kept| {
            let awaited = self.peers.members.get(&kept.newcomer).is_some_and(|peer| peer.fresh);
            awaited && now.mono < kept.until
        });
        for kept in all.iter_mut().filter(|kept| kept.next <= now.mono) {
            kept.next = now.mono + AGAIN;
            let Some(proposer) = self.member_with_key(&kept.by) else { continue };
            let link = self.way_to(proposer, None, now.mono);
            if link.is_some() && link != kept.sent {
                kept.sent = link;
                let (key, welcome) = (kept.key, kept.welcome.clone());
                let message = Control::WelcomeFor { proposer, key, welcome };
                link.into_iter().for_each(|link| self.send_control(link, &message));
            }
        }
        self.welcomes.0 = all;
    }

    /// The connection to a member; while it is not heard, that to one that hears it, and not back to
    /// where the message came from.
    fn way_to(&self, member: MemberId, from: Option<LinkId>, now: Instant) -> Option<LinkId> {
        let peer = self.peers.members.get(&member)?;
        let direct = peer.link;
        if peer.is_heard(now) {
            return direct;
        }
        let heard = self.peers.members.values().filter(|peer| peer.is_heard(now));
        let mut hearing = heard.filter(|peer| peer.hears.contains(&member));
        hearing.find_map(|peer| peer.link.filter(|link| Some(*link) != from)).or(direct)
    }

    /// A Welcome for somebody at a member's door: ours, or passed on to whose it is.
    pub(super) fn take_welcome_for(
        &mut self,
        from: LinkId,
        proposer: MemberId,
        key: [u8; 32],
        welcome: Bytes,
        now: Now,
    ) -> Result<(), CallError> {
        if self.me() == Some(proposer) {
            return self.deliver_welcome(key, welcome, now);
        }
        if let Some(link) = self.way_to(proposer, Some(from), now.mono) {
            self.send_control(link, &Control::WelcomeFor { proposer, key, welcome });
        }
        Ok(())
    }
}
