//! When the sequencer falls silent: who takes over.
//!
//! Every member that misses the sequencer's beats for three seconds looks for the best candidate
//! it hears: whoever hears most members, ties by join order. (The first in join order alone would
//! split the vote where members don't all reach each other.) The candidate asks for signed grants;
//! a member gives one per term, if it misses the sequencer itself and knows nobody better. A
//! strict majority makes the successor; without one, whoever is left goes on as a marked split
//! branch after eight seconds, with those whose grants it has.

use super::beat::{Place, UNHEARD};
use super::*;
use crate::group::{Grant, Succession};
use crate::wire::control::Control;
use std::collections::BTreeSet;

/// A round without result ends after this time.
const ROUND: Duration = Duration::from_secs(2);
/// A request that isn't the best candidate's waits this long for a better one.
const BETTER: Duration = Duration::from_millis(800);
/// Without a majority, a branch of its own begins after this silence …
const SPLIT: Duration = Duration::from_secs(8);
/// … and this much later for each member before in join order.
const STAGGER: Duration = Duration::from_millis(500);
/// A change asked for and not committed for this long counts as silence, too.
const WITHHELD: Duration = Duration::from_secs(5);

/// The votes of one epoch.
#[derive(Default)]
pub(super) struct Ballot {
    /// Requests heard: term and when.
    requests: BTreeMap<MemberId, (u32, Instant)>,
    /// Highest term granted or asked for so far.
    term: u32,
    campaign: Option<Campaign>,
    /// Since when the sequencer counts as silent.
    silent: Option<Instant>,
    /// When that was looked at last.
    seen: Option<Instant>,
    /// Since when a valid proposal waits for the sequencer.
    pub(super) waiting: Option<Instant>,
}

struct Campaign {
    term: u32,
    since: Instant,
    grants: BTreeMap<MemberId, Grant>,
}

/// Who led until somebody took over. What they decided before they fell silent may not have
/// arrived, a removal for instance: a branch that began without them may have somebody in it who
/// is out elsewhere, and nobody in it can know.
pub(super) struct Predecessor {
    pub(super) identity: crate::identity::IdentityPublic,
    pub(super) name: String,
}

/// Who hears whom, as one member knows it.
pub(super) struct Sight<'a> {
    /// Members in join order.
    pub(super) order: &'a [MemberId],
    /// Not to be counted or chosen: the silent sequencer, proved equivocators.
    pub(super) without: &'a BTreeSet<MemberId>,
    /// For ourselves and each member we hear: whom they hear.
    pub(super) hears: &'a BTreeMap<MemberId, BTreeSet<MemberId>>,
}

impl Sight<'_> {
    /// How many members a candidate would lead at once, itself included.
    fn reach(&self, candidate: MemberId) -> usize {
        let heard = |id: &&MemberId| {
            **id == candidate || self.hears.get(&candidate).is_some_and(|h| h.contains(*id))
        };
        self.order.iter().filter(|id| !self.without.contains(id)).filter(heard).count()
    }

    /// The best of these candidates: most reach, then first in join order.
    fn best_of(&self, candidates: impl Iterator<Item = MemberId>) -> Option<MemberId> {
        let rank = |id: &MemberId| self.order.iter().position(|o| o == id).unwrap_or(usize::MAX);
        candidates
            .filter(|id| self.order.contains(id) && !self.without.contains(id))
            .max_by_key(|id| (self.reach(*id), std::cmp::Reverse(rank(id))))
    }

    /// The best candidate among all that are heard.
    pub(super) fn best(&self) -> Option<MemberId> {
        self.best_of(self.hears.keys().copied())
    }
}

impl Ballot {
    /// A new epoch: votes are for one epoch.
    pub(super) fn entered(&mut self, waiting: Option<Instant>) {
        *self = Self { silent: self.silent, seen: self.seen, waiting, ..Self::default() };
    }

    /// Whom to grant now: the best candidate as soon as it asks, else after a while the best of
    /// those who asked. Each term at most once.
    fn choose(&self, sight: &Sight<'_>, now: Instant) -> Option<(MemberId, u32)> {
        let best = sight.best();
        let fresh = |at: Instant| now.saturating_duration_since(at) < ROUND;
        let due = |id: MemberId, at: Instant| {
            best == Some(id) || now.saturating_duration_since(at) >= BETTER
        };
        let open = self.requests.iter().filter(|(_, (term, at))| *term > self.term && fresh(*at));
        let open: BTreeMap<_, _> = open.map(|(id, (term, at))| (*id, (*term, *at))).collect();
        let chosen = sight.best_of(open.keys().copied())?;
        let (term, at) = *open.get(&chosen)?;
        due(chosen, at).then_some((chosen, term))
    }

    fn wake_at(&self, now: Instant) -> Option<Instant> {
        // A silent sequencer: votes are looked at often, they last a moment.
        self.silent.map(|_| now + Duration::from_millis(100))
    }
}

impl Call {
    /// Does the sequencer count as silent, and since when?
    fn silence(&self, now: Instant) -> Option<Instant> {
        let group = self.group.as_ref()?;
        if group.is_sequencer() || group.is_evicted() {
            return None;
        }
        let sequencer = group.state().sequencer;
        if self.shut_out().contains(&sequencer) {
            return Some(self.ballot.silent.unwrap_or(now));
        }
        let withheld = self.ballot.waiting.filter(|at| *at + WITHHELD <= now);
        let unheard = Some(self.pulse.heard).filter(|at| *at + UNHEARD <= now);
        // The time of silence counts from the last sign of life.
        [withheld, unheard].into_iter().flatten().min()
    }

    /// Everybody's hearing, as we know it.
    fn sight(&self, now: Instant) -> BTreeMap<MemberId, BTreeSet<MemberId>> {
        let heard = self.heard_now(now);
        let place = self.place();
        let mut hears: BTreeMap<_, _> = self
            .peers
            .members
            .iter()
            .filter(|(id, p)| heard.contains(id) && p.place == place)
            .map(|(id, p)| (*id, p.hears.clone()))
            .collect();
        if let Some(me) = self.me() {
            hears.insert(me, heard);
        }
        hears
    }

    /// For how long the sequencer has been silent, if it is.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        let (since, seen) = (self.ballot.silent?, self.ballot.seen?);
        Some(seen.saturating_duration_since(since))
    }

    pub(super) fn succession_wake(&self, now: Instant) -> Option<Instant> {
        self.ballot.wake_at(now).or_else(|| {
            let group = self.group.as_ref().filter(|g| !g.is_sequencer())?;
            let alone = group.roster().members.len() < 2;
            (!alone).then_some((self.pulse.heard + UNHEARD).max(now))
        })
    }

    /// Looks whether the sequencer is still there, votes, stands for election.
    pub(super) fn succession_tick(&mut self, now: Now) -> Result<(), CallError> {
        if self.leaving.is_some() || self.is_returning() {
            return Ok(());
        }
        let Some(since) = self.silence(now.mono) else {
            if self.ballot.silent.take().is_some() {
                self.ballot.campaign = None;
                self.event(Event::SequencerSilent(false));
                self.ask_for_renewal();
            }
            return self.renew(now);
        };
        if self.ballot.silent.is_none() {
            self.event(Event::SequencerSilent(true));
        }
        self.ballot.silent = Some(since);
        self.ballot.seen = Some(now.mono);
        let (Some(me), Some(sequencer)) = (self.me(), self.sequencer()) else { return Ok(()) };
        let order = self.join_order();
        let mut without = self.shut_out();
        without.insert(sequencer);
        let hears = self.sight(now.mono);
        let sight = Sight { order: &order, without: &without, hears: &hears };
        let best = sight.best();
        let choice = self.ballot.choose(&sight, now.mono);
        let before = order.iter().take_while(|id| **id != me).count();
        let stagger = STAGGER * u32::try_from(before).unwrap_or(16);
        if let Some((candidate, term)) = choice {
            self.give_grant(candidate, term);
        }
        let silent_for = now.mono.saturating_duration_since(since);
        let group_majority = self.group.as_ref().map_or(usize::MAX, Group::majority);
        // A grant binds: without a majority in sight it is given only when it is about a branch
        // of our own, so that a short outage between two people costs nothing.
        let hopeful = sight.reach(me) >= group_majority;
        let alone = hears.len() <= 1;
        let due = match (hopeful, alone) {
            (true, _) => UNHEARD,
            (false, false) => SPLIT.saturating_sub(ROUND),
            (false, true) => SPLIT,
        };
        // Whoever isn't the best stands, too, if the best one doesn't: it may see it differently.
        let overdue = silent_for >= due + ROUND + stagger
            && !self.ballot.requests.values().any(|(_, at)| *at + ROUND > now.mono);
        let stands = (best == Some(me) && silent_for >= due) || overdue;
        let round_over = self.ballot.campaign.as_ref().is_none_or(|c| c.since + ROUND <= now.mono);
        let last = silent_for >= SPLIT + stagger && best == Some(me);
        if round_over && stands && !(last && self.ballot.campaign.is_some()) {
            self.stand(now);
        }
        // Grants of the last round have had time to arrive.
        let counted = |c: &Campaign| alone || c.since + BETTER <= now.mono;
        let split = last && self.ballot.campaign.as_ref().is_some_and(counted);
        self.count_votes(split, now)
    }

    /// The sequencer is heard again, but a grant of ours binds us to refuse its commits: it hears
    /// of that by the term we granted.
    fn ask_for_renewal(&mut self) {
        let granted = self.group.as_ref().and_then(Group::granted);
        let link = self.sequencer().and_then(|s| self.peers.link(s));
        let (Some((term, _)), Some(link), Some(place)) = (granted, link, self.place()) else {
            return;
        };
        let Place { epoch, confirmation } = place;
        self.send_control(link, &Control::GrantRequest { epoch, confirmation, term });
    }

    /// The sequencer asked for a later term of its own is granted it, if we hear it; as the
    /// sequencer, we ask for one when somebody granted or asks for another.
    fn renew(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Ok(()) };
        let sequencer = group.state().sequencer;
        let fresh = |at: Instant| at + ROUND > now.mono;
        if !group.is_sequencer() {
            let asked = self.ballot.requests.get(&sequencer).copied();
            if let Some((term, at)) = asked.filter(|(term, _)| *term > self.ballot.term)
                && fresh(at)
            {
                self.give_grant(sequencer, term);
            }
            return Ok(());
        }
        let doubted = self.ballot.requests.values().any(|(_, at)| fresh(*at));
        let open = self.ballot.campaign.as_ref().is_some_and(|c| fresh(c.since));
        if doubted && !open {
            self.stand(now);
        }
        // Our own grant binds us as well: we lead on in the new term, with whoever granted it.
        let waited = self.ballot.campaign.as_ref().is_some_and(|c| c.since + BETTER <= now.mono);
        self.count_votes(waited, now)
    }

    /// Remembers without whom an epoch begins. To be called with the people of before.
    pub(super) fn note_predecessor(&mut self, change: &Change) {
        if change.by_welcome() {
            self.without = None;
        }
        let took_over = matches!(change.succession, Some(Succession::Majority | Succession::Split));
        let peer = self.leader.filter(|_| took_over).and_then(|id| self.peers.members.get(&id));
        if let Some(peer) = peer {
            let identity = peer.credential.identity;
            self.without = Some(Predecessor { identity, name: peer.credential.name.to_string() });
        }
    }

    /// Somebody is heard in our branch: now they know of it, and we of what they decided.
    pub(super) fn meet_predecessor(&mut self, member: MemberId) {
        let identity = self.peers.members.get(&member).map(|peer| peer.credential.identity);
        if self.without.as_ref().is_some_and(|before| Some(before.identity) == identity) {
            self.without = None;
        }
    }

    /// Asks everybody for grants in a new term.
    fn stand(&mut self, now: Now) {
        let (Some(place), Some(me)) = (self.place(), self.me()) else { return };
        let Some(group) = &mut self.group else { return };
        let asked = self.ballot.requests.values().map(|(term, _)| *term).max().unwrap_or(0);
        let term = group.state().term.max(self.ballot.term).max(asked).saturating_add(1);
        let Ok(own) = group.grant(term, me) else { return };
        self.ballot.term = term;
        let grants = [(me, own)].into();
        self.ballot.campaign = Some(Campaign { term, since: now.mono, grants });
        let Place { epoch, confirmation } = place;
        self.broadcast(&Control::GrantRequest { epoch, confirmation, term });
    }

    pub(super) fn take_grant_request(
        &mut self,
        link: LinkId,
        from: MemberId,
        theirs: Place,
        term: u32,
        now: Now,
    ) -> Result<(), CallError> {
        if self.place() != Some(theirs) {
            // A candidate behind us is caught up first.
            self.help_laggard(link, theirs);
            return Ok(());
        }
        self.ballot.requests.insert(from, (term, now.mono));
        self.succession_tick(now)
    }

    fn give_grant(&mut self, candidate: MemberId, term: u32) {
        let (Some(link), Some(group)) = (self.peers.link(candidate), &mut self.group) else {
            return;
        };
        let Ok(grant) = group.grant(term, candidate) else { return };
        self.ballot.term = term;
        self.ballot.campaign = None;
        self.send_control(link, &Control::Grant(grant.encode().into()));
    }

    pub(super) fn take_grant(
        &mut self,
        from: MemberId,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let (Some(group), Some(campaign)) = (&self.group, &mut self.ballot.campaign) else {
            return Ok(());
        };
        let Ok(grant) = Grant::parse(bytes) else {
            self.counters.malformed += 1;
            return Ok(());
        };
        let ours = grant.candidate == group.me() && grant.term == campaign.term;
        if !ours || grant.voter != from || group.verify_grant(&grant).is_err() {
            self.counters.bad_group += 1;
            return Ok(());
        }
        campaign.grants.insert(from, grant);
        self.count_votes(false, now)
    }

    /// Takes over with a majority; without one only when it is time for a branch of our own.
    fn count_votes(&mut self, split: bool, now: Now) -> Result<(), CallError> {
        let lost = self.shut_out();
        let (Some(group), Some(campaign)) = (&mut self.group, &self.ballot.campaign) else {
            return Ok(());
        };
        let majority = campaign.grants.len() >= group.majority();
        if !majority && !split {
            return Ok(());
        }
        let grants: Vec<_> = campaign.grants.values().cloned().collect();
        let term = campaign.term;
        let lost: Vec<_> = lost.into_iter().collect();
        let check = changes::Checker { group_id: group.id(), now: now.wall };
        let pending = group.succeed(term, &grants, &lost, &check);
        self.ballot.campaign = None;
        match pending {
            Ok(pending) => {
                let renewed = self.group.as_ref().is_some_and(Group::is_sequencer);
                self.commit(pending, now)?;
                if !renewed {
                    self.event(Event::Succession { split: !majority });
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>(ids: [u32; N]) -> BTreeSet<MemberId> {
        ids.map(MemberId).into()
    }

    /// Each line: a member and whom it hears.
    fn hears(lines: &[(u32, &[u32])]) -> BTreeMap<MemberId, BTreeSet<MemberId>> {
        let line = |(id, heard): &(u32, &[u32])| {
            (MemberId(*id), heard.iter().copied().map(MemberId).collect())
        };
        lines.iter().map(line).collect()
    }

    fn best(order: &[u32], without: &BTreeSet<MemberId>, lines: &[(u32, &[u32])]) -> Option<u32> {
        let order: Vec<_> = order.iter().copied().map(MemberId).collect();
        let hears = hears(lines);
        Sight { order: &order, without, hears: &hears }.best().map(|id| id.0)
    }

    #[test]
    fn in_a_full_mesh_the_first_in_join_order_leads() {
        let lines: &[(u32, &[u32])] = &[(1, &[0, 2, 3]), (2, &[0, 1, 3]), (3, &[0, 1, 2])];
        assert_eq!(best(&[0, 1, 2, 3], &ids([0]), lines), Some(1));
    }

    #[test]
    fn whoever_hears_more_members_leads_before_an_earlier_one() {
        let lines: &[(u32, &[u32])] = &[(1, &[3]), (2, &[3, 4]), (3, &[1, 2, 4]), (4, &[2, 3])];
        assert_eq!(best(&[0, 1, 2, 3, 4], &ids([0]), lines), Some(3));
    }

    #[test]
    fn neither_the_silent_sequencer_nor_an_equivocator_leads_or_counts() {
        // 2 hears the sequencer and an equivocator: that gives it no lead over 1.
        let lines: &[(u32, &[u32])] = &[(1, &[2, 3]), (2, &[0, 1, 3, 4]), (3, &[1, 2]), (4, &[2])];
        assert_eq!(best(&[0, 1, 2, 3, 4], &ids([0, 4]), lines), Some(1));
        assert_eq!(best(&[0, 1], &ids([0, 1]), &[(1, &[0])]), None);
    }

    #[test]
    fn a_lone_member_leads_itself() {
        assert_eq!(best(&[0, 1], &ids([0]), &[(1, &[])]), Some(1));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_worse_candidate_waits_for_a_better_one_but_not_for_ever() {
        let start = Instant::now();
        let order: Vec<_> = [0, 1, 2, 3].map(MemberId).into();
        let hears = hears(&[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]);
        let without = ids([0]);
        let sight = Sight { order: &order, without: &without, hears: &hears };
        let mut ballot = Ballot::default();
        ballot.requests.insert(MemberId(2), (1, start));
        assert_eq!(ballot.choose(&sight, start), None);
        assert_eq!(ballot.choose(&sight, start + BETTER), Some((MemberId(2), 1)));
        ballot.requests.insert(MemberId(1), (1, start));
        assert_eq!(ballot.choose(&sight, start), Some((MemberId(1), 1)));
        assert_eq!(ballot.choose(&sight, start + ROUND), None, "the round is over");
        ballot.term = 1;
        assert_eq!(ballot.choose(&sight, start), None, "one grant a term");
    }
}
