//! The group state against a reference model: whatever commits and orders follow each other, the
//! state is the one said here as simply as possible, and every state that comes about can be read.

use crate::group::order::{Mark, OrderKind};
use crate::group::rules::Reason;
use crate::group::state::{
    Added, Changes, GroupState, Impossible, Lead, MAX_FORMER, MAX_LEAF, MAX_MEMBERS,
};
use crate::wire::link::MemberId;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// People and invites of the model: enough to meet again, few enough to meet often.
const PEOPLE: u8 = 20;

fn who(n: u8) -> [u8; 32] {
    [n; 32]
}

fn invite(n: u8) -> [u8; 8] {
    [n; 8]
}

/// One step.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody comes in, with an invite or without.
    Add(u8, Option<u8>),
    /// Whoever has this place in join order is out.
    Out(u8, Reason),
    /// The host orders somebody out, who goes with the same commit if seated.
    Bar(u8),
    /// … and lets them come back.
    Readmit(u8),
    HandOver,
    /// Whoever has this place in join order succeeds, without the sequencer or with it.
    Succeed(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let reason = prop_oneof![Just(Reason::Left), Just(Reason::Lost), Just(Reason::Decision)];
    prop_oneof![
        5 => (1..PEOPLE, proptest::option::of(0u8..4)).prop_map(|(n, i)| Step::Add(n, i)),
        3 => (any::<u8>(), reason).prop_map(|(n, why)| Step::Out(n, why)),
        1 => (0..PEOPLE).prop_map(Step::Bar),
        1 => (0..PEOPLE).prop_map(Step::Readmit),
        1 => Just(Step::HandOver),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, lost)| Step::Succeed(n, lost)),
    ]
}

/// A seat: number, leaf, person, invite, who added it.
type Place = (u32, u8, u8, Option<u8>, u32);

/// The same state, without structure: a list of seats and a few lists of names.
#[derive(Clone)]
struct Model {
    seats: Vec<Place>,
    next: u32,
    term: u32,
    leader: u32,
    uses: BTreeMap<u8, u8>,
    void: Vec<u8>,
    barred: Vec<u8>,
    lost: Vec<(u8, Option<u8>)>,
}

impl Model {
    fn founded() -> Self {
        Self {
            seats: vec![(0, 0, 0, None, 0)],
            next: 1,
            term: 0,
            leader: 0,
            uses: BTreeMap::new(),
            void: Vec::new(),
            barred: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn of(&self, person: u8) -> Option<Place> {
        self.seats.iter().copied().find(|seat| seat.2 == person)
    }

    fn at(&self, place: u8) -> Place {
        self.seats[usize::from(place) % self.seats.len()]
    }

    fn add(&mut self, person: u8, with: Option<u8>) {
        let free = (0..=MAX_LEAF).find(|leaf| self.seats.iter().all(|seat| seat.1 != *leaf));
        self.seats.push((self.next, free.unwrap(), person, with, self.leader));
        self.next += 1;
        self.lost.retain(|(lost, _)| *lost != person);
        if let Some(with) = with {
            *self.uses.entry(with).or_default() += 1;
        }
    }

    fn out(&mut self, seat: Place, why: Reason) {
        let held: Vec<u8> =
            self.seats.iter().filter(|s| s.4 == seat.0 && s.0 > 0).filter_map(|s| s.3).collect();
        self.seats.retain(|other| other.0 != seat.0);
        self.lost.retain(|(lost, _)| *lost != seat.2);
        match why {
            Reason::Lost => self.lost.push((seat.2, seat.3)),
            Reason::Decision => held.into_iter().chain(seat.3).for_each(|i| self.void(i)),
            _ => {}
        }
        let surplus = self.lost.len().saturating_sub(MAX_FORMER);
        self.lost.drain(..surplus);
    }

    fn void(&mut self, invite: u8) {
        if !self.void.contains(&invite) {
            self.void.push(invite);
        }
    }

    fn bar(&mut self, person: u8) {
        let invite = self.lost.iter().find(|(lost, _)| *lost == person).and_then(|(_, i)| *i);
        invite.into_iter().for_each(|i| self.void(i));
        self.lost.retain(|(lost, _)| *lost != person);
        self.barred.push(person);
    }

    fn compare(&self, state: &GroupState) {
        let seats: Vec<_> = state
            .order
            .iter()
            .map(|s| (s.id.0, s.leaf, s.invite, s.added_by.map_or(0, |by| by.0)))
            .collect();
        let ours: Vec<_> = self.seats.iter().map(|s| (s.0, s.1, s.3.map(invite), s.4)).collect();
        assert_eq!(seats, ours);
        assert_eq!(
            (state.term, state.sequencer.0, state.next_serial),
            (self.term, self.leader, self.next)
        );
        let uses: BTreeMap<_, _> = self.uses.iter().map(|(i, n)| (invite(*i), *n)).collect();
        assert_eq!(state.uses, uses);
        assert_eq!(state.voided, self.void.iter().map(|i| invite(*i)).collect());
        for person in 0..PEOPLE {
            assert_eq!(state.is_barred(&who(person)), self.barred.contains(&person), "{person}");
            let lost = self.lost.iter().any(|(lost, _)| *lost == person);
            assert_eq!(state.is_former(&who(person)), lost, "{person}");
        }
        assert_eq!(GroupState::parse(&state.encode()).as_ref(), Ok(state), "it can be read");
    }
}

/// Both at once.
struct Both {
    state: GroupState,
    model: Model,
    epoch: u64,
    serial: u32,
}

impl Both {
    fn changes(&mut self) -> Changes {
        self.epoch += 1;
        Changes {
            epoch: self.epoch,
            committer: self.state.sequencer,
            removed: BTreeMap::new(),
            added: None,
            orders: Vec::new(),
            lead: Lead::Stay,
        }
    }

    fn mark(&mut self) -> Mark {
        self.serial += 1;
        Mark { host: true, serial: self.serial }
    }

    fn play(&mut self, step: &Step) {
        let mut changes = self.changes();
        let mut expected = self.model.clone();
        let outcome = match *step {
            Step::Add(person, with) => {
                let (by, invite) = (self.state.sequencer, with.map(invite));
                let back = false;
                changes.added = Some(Added { by, invite, identity: who(person), back });
                // One seat a person, and nobody barred: that much policy sees to.
                if expected.of(person).is_some() || expected.barred.contains(&person) {
                    return;
                }
                if expected.seats.len() >= MAX_MEMBERS {
                    Err(Impossible::Full)
                } else if with.is_some_and(|with| expected.void.contains(&with)) {
                    Err(Impossible::Voided)
                } else if with.is_some_and(|with| expected.uses.get(&with) == Some(&255)) {
                    Err(Impossible::UsedUp)
                } else {
                    expected.add(person, with);
                    Ok(())
                }
            }
            Step::Out(place, why) => {
                let seat = expected.at(place);
                changes.removed.insert(seat.1, (why, who(seat.2)));
                if seat.0 == expected.leader {
                    Err(Impossible::SequencerRemoved)
                } else {
                    expected.out(seat, why);
                    Ok(())
                }
            }
            Step::Bar(person) => {
                changes.orders.push((self.mark(), OrderKind::Remove(who(person))));
                let seat = expected.of(person);
                if person == 0 {
                    Err(Impossible::HostOrderedOut)
                } else if seat.is_some_and(|seat| seat.0 == expected.leader) {
                    // The sequencer hands over first.
                    return;
                } else {
                    if let Some(seat) = seat {
                        changes.removed.insert(seat.1, (Reason::Decision, who(person)));
                        expected.out(seat, Reason::Decision);
                    }
                    expected.bar(person);
                    Ok(())
                }
            }
            Step::Readmit(person) => {
                changes.orders.push((self.mark(), OrderKind::Readmit(who(person))));
                expected.barred.retain(|barred| *barred != person);
                if person == 0 { Err(Impossible::HostOrderedOut) } else { Ok(()) }
            }
            Step::HandOver => {
                changes.lead = Lead::HandOver;
                let next = expected.seats.iter().find(|seat| seat.0 != expected.leader);
                match next.map(|seat| seat.0) {
                    Some(next) => {
                        (expected.leader, expected.term) = (next, expected.term + 1);
                        Ok(())
                    }
                    None => Err(Impossible::NobodyElse),
                }
            }
            Step::Succeed(place, lost) => {
                let (seat, leader) = (expected.at(place), expected.leader);
                if seat.0 == leader {
                    return;
                }
                let term = expected.term + 1 + u32::from(place % 3);
                changes.committer = MemberId(seat.0);
                changes.lead = Lead::Succeed { term, split: false };
                if lost {
                    let old = expected.seats.iter().copied().find(|s| s.0 == leader).unwrap();
                    changes.removed.insert(old.1, (Reason::Lost, who(old.2)));
                    expected.out(old, Reason::Lost);
                }
                (expected.leader, expected.term) = (seat.0, term);
                Ok(())
            }
        };
        let before = self.state.clone();
        match self.state.after(&changes) {
            Ok(next) => {
                assert_eq!(outcome, Ok(()), "{step:?}");
                (self.state, self.model) = (next, expected);
            }
            Err(why) => assert_eq!(Err(why), outcome, "{step:?}"),
        }
        if outcome.is_err() {
            assert_eq!(self.state, before);
        }
        self.model.compare(&self.state);
    }
}

proptest! {
    #![proptest_config(crate::wire::seeded())]

    #[test]
    fn whatever_happens_the_group_state_is_that_of_the_reference_model(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let (state, model) = (GroupState::founded_by(who(0)), Model::founded());
        let mut both = Both { state, model, epoch: 0, serial: 0 };
        both.model.compare(&both.state);
        for step in &steps {
            both.play(step);
        }
    }
}
