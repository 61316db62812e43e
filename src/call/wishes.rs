//! What this participant wants of the group, kept until it is done.
//!
//! The sequencer commits; everybody else proposes, and proposes anew when an epoch ended without
//! the wish coming true: proposals die with their epoch, wishes don't.

use super::changes::Checker;
use super::membership::HEALING;
use super::*;
use crate::group::{Ask, InvitePsk, RosterRow};
use crate::wire::control::Control;

/// Between two commits of ours that can wait: more would drop epochs whose frames are under way.
const PACE: Duration = Duration::from_millis(500);
/// Wishes kept at once.
pub const MAX_WISHES: usize = 32;
/// Members propose their own new keys within this time before the healing commit.
const HEAL_WINDOW: Duration = Duration::from_secs(16);

/// One wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Let in who knocked.
    Admit(KnockId),
    /// Take back who was a member before: leaf key and key package.
    Back { key: [u8; 32], package: Vec<u8> },
    /// New keys of our own.
    Update,
    /// New keys for everybody: the sequencer's commit.
    Heal,
    /// Remove somebody who can't be heard any more.
    Lost(MemberId),
}

struct Wanted {
    wish: Wish,
    /// The epoch in which it was proposed last.
    asked: Option<u64>,
    /// From then on it is of no use to anybody.
    until: Option<Instant>,
}

/// All wishes, and when the next commit may be.
pub(super) struct Wishes {
    list: Vec<Wanted>,
    /// Proposals of others wait for a commit; `true`: at once.
    pub(super) proposals: Option<bool>,
    next_commit: Instant,
    pub(super) next_healing: Instant,
    updated: bool,
}

impl Wishes {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            list: Vec::new(),
            proposals: None,
            next_commit: now,
            next_healing: now + HEALING,
            updated: false,
        }
    }

    pub(super) fn add(&mut self, wish: Wish) {
        self.add_until(wish, None);
    }

    /// A wish that is over at some time.
    pub(super) fn add_until(&mut self, wish: Wish, until: Option<Instant>) {
        let same = |other: &Wanted| match (&other.wish, &wish) {
            (Wish::Back { key: a, .. }, Wish::Back { key: b, .. }) => a == b,
            (a, b) => a == b,
        };
        self.list.retain(|w| !same(w));
        if self.list.len() < MAX_WISHES {
            self.list.push(Wanted { wish, asked: None, until });
        }
    }

    pub(super) fn done(&mut self, wish: &Wish) {
        self.list.retain(|other| other.wish != *wish);
    }

    fn expire(&mut self, now: Instant) {
        self.list.retain(|wanted| wanted.until.is_none_or(|until| now < until));
    }

    /// Another branch: everything is asked anew. Who wanted to come back wanted to come into the
    /// branch that is over, and hears from us that it is.
    pub(super) fn changed_branch(&mut self) -> Vec<[u8; 32]> {
        let back = |wanted: &Wanted| match &wanted.wish {
            Wish::Back { key, .. } => Some(*key),
            _ => None,
        };
        let waiting = self.list.iter().filter_map(back).collect();
        self.list.retain(|wanted| back(wanted).is_none());
        self.list.iter_mut().for_each(|wanted| wanted.asked = None);
        self.proposals = None;
        waiting
    }

    /// Whoever wanted to come back doesn't, or not now: it is somewhere else, or unreachable. Added
    /// all the same, it would be a seat with nobody on it.
    pub(super) fn stays_away(&mut self, key: &[u8; 32]) {
        self.list.retain(|w| !matches!(&w.wish, Wish::Back { key: other, .. } if other == key));
    }

    /// Whoever has just been added needs no wish to come back any more.
    pub(super) fn seated(&mut self, rows: &[RosterRow], epoch: u64) {
        let just = |key: &[u8; 32]| {
            rows.iter().any(|row| row.leaf_key == *key && row.since_epoch == epoch)
        };
        self.list.retain(|w| !matches!(&w.wish, Wish::Back { key, .. } if just(key)));
    }

    fn first(&self) -> Option<Wish> {
        self.list.first().map(|wanted| wanted.wish.clone())
    }

    /// A commit took effect, ours or another's.
    pub(super) fn entered(&mut self, healed: bool, now: Instant) {
        self.proposals = None;
        self.next_commit = now + PACE;
        if healed {
            self.next_healing = now + HEALING;
            self.updated = false;
        }
    }
}

impl Call {
    /// When there is something to do about wishes without anything happening before.
    pub(super) fn wishes_wake(&self) -> Option<Instant> {
        let sequencer = self.group.as_ref()?.is_sequencer();
        let idle = self.is_returning() || self.leaving.is_some();
        let waiting = !self.wishes.list.is_empty() || self.wishes.proposals.is_some();
        (sequencer && waiting && !idle).then_some(self.wishes.next_commit)
    }

    /// Does what can be done now about all wishes.
    pub(super) fn pursue(&mut self, now: Now) -> Result<(), CallError> {
        if self.is_returning() || self.leaving.is_some() {
            return Ok(());
        }
        self.wishes.expire(now.mono);
        let Some(group) = &self.group else { return Ok(()) };
        if group.is_sequencer() { self.serve(now) } else { self.propose_all(now) }
    }

    /// Sequencer: one commit at a time, removals at once, the rest in its pace.
    fn serve(&mut self, now: Now) -> Result<(), CallError> {
        let renewing = |g: &Group| g.granted().is_some_and(|(term, _)| term > g.state().term);
        if self.group.as_ref().is_some_and(renewing) {
            // A grant – our own counts – binds us to commit nothing in the present term: when the
            // next has begun.
            self.wishes.next_commit = self.wishes.next_commit.max(now.mono + PACE);
            return Ok(());
        }
        loop {
            let urgent = self.wishes.proposals == Some(true) || self.order_due();
            if !urgent && self.wishes.next_commit > now.mono {
                return Ok(());
            }
            let wish = if urgent { None } else { self.wishes.first() };
            match wish {
                None if urgent || self.wishes.proposals.is_some() => {
                    self.wishes.proposals = None;
                    self.paced(now, |call| call.commit_pool(now))?;
                }
                None => return Ok(()),
                Some(wish) => {
                    self.wishes.done(&wish);
                    self.paced(now, |call| call.fulfil(wish, now))?;
                }
            }
            if !self.group.as_ref().is_some_and(Group::is_sequencer) {
                return Ok(());
            }
        }
    }

    /// What fails is not followed by the next at once.
    fn paced(
        &mut self,
        now: Now,
        attempt: impl FnOnce(&mut Self) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let result = attempt(self);
        if result.is_err() {
            self.wishes.next_commit = now.mono + PACE;
        }
        result
    }

    fn fulfil(&mut self, wish: Wish, now: Now) -> Result<(), CallError> {
        match wish {
            Wish::Admit(knock) => self.admit_now(knock, now),
            Wish::Back { key, package } => self.take_back_now(key, &package, now),
            Wish::Heal | Wish::Update => self.commit_pool(now),
            Wish::Lost(member) => self.remove_lost_now(member, now),
        }
    }

    /// Others: one proposal per wish and epoch.
    fn propose_all(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let epoch = group.epoch();
        // What only a sequencer does, and what was asked for in this epoch, is left alone.
        self.wishes.list.retain(|w| !matches!(w.wish, Wish::Heal | Wish::Lost(_)));
        let open = self.wishes.list.iter_mut().filter(|wanted| wanted.asked != Some(epoch));
        let open: Vec<_> = open
            .map(|wanted| {
                wanted.asked = Some(epoch);
                wanted.wish.clone()
            })
            .collect();
        for wish in open {
            self.propose(&wish, now)?;
        }
        Ok(())
    }

    fn propose(&mut self, wish: &Wish, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        let proposal = match wish {
            Wish::Update => group.propose_update()?,
            Wish::Back { key, package } => match group.propose_back(package, &check) {
                Ok(proposal) => proposal,
                Err(_) => {
                    // Locked out, barred, or back already: theirs to ask again.
                    self.counters.bad_group += 1;
                    self.wishes.done(wish);
                    self.send_away(&[*key]);
                    return Ok(());
                }
            },
            Wish::Admit(knock) => {
                let Some(knocking) = self.knocks.get(knock) else {
                    self.wishes.done(wish);
                    return Ok(());
                };
                let Ok(psk) = self.psk_of(knocking) else {
                    self.wishes.done(wish);
                    self.turn_away(*knock);
                    return Ok(());
                };
                let psk = psk.as_ref().map(|secret| InvitePsk { invite: knocking.invite, secret });
                let Some(group) = &mut self.group else { return Ok(()) };
                match group.propose_add(&knocking.key_package, psk, &check) {
                    Ok(proposal) => proposal,
                    Err(error) => {
                        self.wishes.done(wish);
                        self.turn_away(*knock);
                        return Err(error.into());
                    }
                }
            }
            Wish::Heal | Wish::Lost(_) => return Ok(()),
        };
        let message = Control::Proposal(proposal.into());
        match self.sequencer().and_then(|s| self.peers.link(s)) {
            // New keys can wait; everything else all members should know of, so that a sequencer
            // can't hold it back unnoticed.
            Some(link) if *wish == Wish::Update => self.send_control(link, &message),
            _ => {
                self.ballot.waiting.get_or_insert(now.mono);
                self.broadcast(&message);
            }
        }
        Ok(())
    }

    /// A proposal of somebody else's is in the pool.
    pub(super) fn proposal_pooled(&mut self, ask: Ask, now: Now) {
        let waits = match ask {
            // Its time comes soon, or it was asked for on purpose.
            Ask::Update if self.wishes.next_healing <= now.mono + HEAL_WINDOW => None,
            Ask::Update => Some(false),
            Ask::Leave => Some(true),
            Ask::Add { .. } => Some(false),
        };
        let Some(at_once) = waits else { return };
        if self.group.as_ref().is_some_and(Group::is_sequencer) {
            self.wishes.proposals = Some(self.wishes.proposals.unwrap_or(false) || at_once);
        } else if !matches!(ask, Ask::Update) {
            self.ballot.waiting.get_or_insert(now.mono);
        }
    }

    /// New keys in time: everybody proposes its own, one commit takes all.
    pub(super) fn heal_if_due(&mut self, now: Now) {
        let Some(group) = &self.group else { return };
        if self.peers.members.is_empty() {
            self.wishes.next_healing = now.mono + HEALING;
            return;
        }
        if group.is_sequencer() {
            if self.wishes.next_healing <= now.mono {
                self.wishes.next_healing = now.mono + HEALING;
                self.wishes.add(Wish::Heal);
            }
            return;
        }
        // Spread by join order: not all at once, and all before the commit.
        let order = self.join_order();
        let rank = order.iter().position(|id| Some(*id) == self.me()).unwrap_or(0);
        let early = HEAL_WINDOW - Duration::from_millis(900) * u32::try_from(rank).unwrap_or(0);
        if !self.wishes.updated && self.wishes.next_healing - early <= now.mono {
            self.wishes.updated = true;
            self.wishes.add(Wish::Update);
        }
        if self.wishes.next_healing + HEAL_WINDOW <= now.mono {
            // The commit didn't come; the next one takes our proposal along.
            self.wishes.next_healing = now.mono + HEALING;
            self.wishes.updated = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn who_stays_away_is_not_taken_back_and_everybody_else_is() {
        let mut wishes = Wishes::new(Instant::now());
        let back = |n: u8| Wish::Back { key: [n; 32], package: vec![n] };
        [back(1), Wish::Update, back(2)].into_iter().for_each(|wish| wishes.add(wish));
        wishes.stays_away(&[1; 32]);
        wishes.stays_away(&[3; 32]);
        let left: Vec<_> = wishes.list.iter().map(|wanted| wanted.wish.clone()).collect();
        assert_eq!(left, [Wish::Update, back(2)]);
    }
}
