//! Honest members with everything going wrong around them: commits, grants and orders arrive late,
//! in any order, at some and not at others. Schedules are seeded; keys never are.

use super::*;
use crate::group::branch::Standing;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};

struct World {
    groups: Vec<Group>,
    bundles: Vec<Vec<u8>>,
    grants: Vec<Grant>,
    orders: Vec<Vec<u8>>,
    acks: Vec<(MemberId, Ack)>,
    /// Who went along with which commit.
    merged: BTreeMap<[u8; 32], BTreeSet<usize>>,
    successions: usize,
    /// Meetings of a majority with somebody who went another way.
    decided: usize,
    rng: StdRng,
}

impl World {
    fn new(seed: u64, n: u8) -> Self {
        Self {
            groups: call(n),
            bundles: Vec::new(),
            grants: Vec::new(),
            orders: Vec::new(),
            acks: Vec::new(),
            merged: BTreeMap::new(),
            successions: 0,
            decided: 0,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Everybody is asked once, everybody may commit or take over, much is delivered: in any order.
    fn round(&mut self) {
        let n = self.groups.len();
        let mut acts: Vec<(u8, usize)> = Vec::new();
        for i in 0..n {
            acts.extend([(0, i), (1, i), (2, i)]);
            acts.extend([(3, i); 3]);
        }
        acts.push((4, self.rng.random_range(0..n)));
        acts.shuffle(&mut self.rng);
        acts.into_iter().for_each(|(act, i)| self.step(act, i));
    }

    fn step(&mut self, act: u8, i: usize) {
        if self.groups[i].is_evicted() {
            return;
        }
        match act {
            0 => self.commit(i),
            1 => self.grant(i),
            2 => self.succeed(i),
            3 => self.receive(i),
            _ => self.order(i),
        }
        let group = &self.groups[i];
        if !group.is_evicted() {
            let barred = |row: &RosterRow| group.state.is_barred(&row.identity);
            assert!(
                !group.roster().members.iter().any(barred),
                "nobody barred holds keys or leads"
            );
        }
    }

    fn commit(&mut self, i: usize) {
        let group = &mut self.groups[i];
        let pending = match self.rng.random_range(0..8) {
            0 => group.hand_over(&[], &check),
            _ => group.update(&check),
        };
        if let Ok(pending) = pending {
            self.merge_own(i, pending);
        }
    }

    /// What is sent is merged, and what can't be merged isn't sent.
    fn merge_own(&mut self, i: usize, pending: Pending) {
        let (bundle, hash) = (pending.bundle.clone(), pending.statement.commit_hash);
        if self.groups[i].merge_pending(pending).is_ok() {
            self.bundles.push(bundle);
            self.note(i, hash);
        }
    }

    fn note(&mut self, i: usize, hash: [u8; 32]) {
        let went = self.merged.entry(hash).or_default();
        // Whom it removes has no word to give on it.
        if !self.groups[i].is_evicted() {
            went.insert(i);
            self.acks.push((self.groups[i].me(), self.groups[i].sign_ack()));
        }
    }

    fn grant(&mut self, i: usize) {
        // Few candidates and terms, so that some get majorities.
        let candidate = MemberId(self.rng.random_range(1..3));
        let term = self.groups[i].state.term + 1 + u32::from(self.rng.random_bool(0.2));
        self.grants.extend(self.groups[i].grant(term, candidate));
    }

    fn succeed(&mut self, i: usize) {
        let group = &mut self.groups[i];
        let term = group.state.term + 1 + u32::from(self.rng.random_bool(0.2));
        let me = group.me();
        let usable = |grant: &&Grant| {
            (grant.term, grant.candidate) == (term, me) && group.verify_grant(grant).is_ok()
        };
        let given: Vec<Grant> = self.grants.iter().filter(usable).copied().collect();
        let votes: BTreeSet<_> = given.iter().map(|grant| grant.voter).chain([me]).collect();
        // Splitting off is the last resort.
        if votes.len() < group.majority() && self.rng.random_range(0..20) > 0 {
            return;
        }
        if let Ok(pending) = group.succeed(term, &given, &[], &check) {
            self.merge_own(i, pending);
            self.successions += 1;
        }
    }

    fn receive(&mut self, i: usize) {
        if self.bundles.is_empty() {
            return;
        }
        // Mostly something new.
        let oldest = self.bundles.len().saturating_sub(4) * usize::from(self.rng.random_bool(0.8));
        let bundle = &self.bundles[self.rng.random_range(oldest..self.bundles.len())];
        let group = &mut self.groups[i];
        let before = snapshot(group);
        match group.receive(bundle, &check) {
            Ok(Received::Commit(staged)) => {
                if staged.succession == Some(Succession::Split) {
                    let consent = group.granted().map(|(_, to)| to);
                    assert_eq!(consent, Some(staged.by), "nobody is taken along unasked");
                }
                let hash = staged.statement.commit_hash;
                group.merge(*staged).unwrap();
                self.note(i, hash);
            }
            Err(ReceiveError::Equivocation(_)) => panic!("an honest member was convicted"),
            Err(_) => assert_eq!(before, snapshot(group)),
            Ok(_) => {}
        }
    }

    fn order(&mut self, i: usize) {
        if self.orders.len() < 2 && !self.groups[0].is_evicted() {
            let who = self.rng.random_range(1..self.groups.len() as u8);
            let order = ordered(&self.groups[0], 0, OrderKind::Remove(identity(who)));
            self.groups[0].take_order(&order).unwrap();
            self.orders.push(order);
        }
        for order in &self.orders {
            let _ = self.groups[i].take_order(order);
        }
    }

    /// In the end everybody hears every ack, and everybody meets everybody.
    fn meet_all(&mut self) {
        for (member, ack) in &self.acks {
            for group in self.groups.iter_mut().filter(|group| !group.is_evicted()) {
                match group.take_ack(*member, ack) {
                    Ok(taken) => assert_eq!(taken.equivocation, None),
                    // Removed here, and going on elsewhere.
                    Err(why) => assert_eq!(why, AckError::NotAMember),
                }
            }
        }
        let mut decided = 0;
        let alive = || self.groups.iter().filter(|group| !group.is_evicted());
        for a in alive() {
            for b in alive() {
                let led = [0, 1].map(|_| self.rng.random());
                let (ours, theirs) = branches::meet(a, b, led);
                assert_eq!(ours, theirs.reversed());
                assert_ne!(ours, Standing::Unproven);
                if self.majority_went(a, b) {
                    assert_eq!(ours, Standing::Ours, "a majority never gives way");
                    decided += 1;
                }
            }
        }
        self.decided = decided;
    }

    /// More than half of the last common epoch's members went `a`'s way and not `b`'s.
    fn majority_went(&self, a: &Group, b: &Group) -> bool {
        let shared = |epoch: &u64| {
            let theirs = b.history.at(*epoch).map(|entry| entry.confirmation);
            theirs.is_some() && theirs == a.history.at(*epoch).map(|entry| entry.confirmation)
        };
        let Some(common) = a.history.entries().rev().map(|e| e.epoch).find(shared) else {
            return false;
        };
        let members = a.history.at(common).unwrap().people.len();
        let next = |group: &Group| Some(group.history.at(common + 1)?.statement?.commit_hash);
        next(a).is_some_and(|hash| self.merged[&hash].len() * 2 > members)
    }
}

#[test]
fn whatever_arrives_when_honest_members_are_not_convicted_and_a_majority_never_gives_way() {
    let [mut commits, mut successions, mut decided] = [0; 3];
    for seed in 0..30 {
        let mut world = World::new(seed, 4 + (seed % 3) as u8);
        (0..5).for_each(|_| world.round());
        world.meet_all();
        commits += world.merged.len();
        successions += world.successions;
        decided += world.decided;
    }
    // The schedules are hard enough to mean something.
    let hard = commits > 60 && successions > 20 && decided > 20;
    assert!(hard, "{commits} {successions} {decided}");
}
