//! Members' ledgers of one call.

use super::*;
use crate::ledger::{Comparison, Happened, Ledger, compare, read};

impl World {
    fn ledger(&self, party: usize) -> Ledger {
        let mut text = String::new();
        for event in &self.parties[party].events {
            if let Event::Ledger { line } = event {
                text.push_str(line);
                text.push('\n');
            }
        }
        let ledger = read(&text).unwrap();
        let view = self.parties[party].call.view().ledger;
        assert_eq!((ledger.entries.len() as u64, ledger.head), (view.lines, view.head));
        ledger
    }
}

#[test]
fn members_ledgers_agree_from_the_first_epoch_they_share() {
    let mut world = World::three();
    world.user(0, Command::Rekey);
    world.run(Duration::from_secs(1));
    world.user(0, Command::WordsCompared(None));
    let [ada, ben, cleo] = [0, 1, 2].map(|party| world.ledger(party));
    let last = world.parties[0].call.view().epoch;
    for (a, b, first) in [(&ada, &ben, 1), (&ben, &ada, 1), (&ada, &cleo, 2), (&ben, &cleo, 2)] {
        let Comparison::Same { first: f, last: l, epochs } = compare(a, b) else { panic!("same") };
        assert_eq!((f, l), (first, last));
        assert!(epochs as u64 == last - first + 1);
    }
    assert!(ada.entries.iter().any(|e| e.happened == Happened::WordsMatch));
    let acks = |l: &Ledger| {
        let ack =
            |e: &&crate::ledger::Entry| matches!(e.happened, Happened::Ack { agrees: true, .. });
        l.entries.iter().filter(ack).count()
    };
    assert!(acks(&ada) >= 3, "who acknowledged is on record");
}

#[test]
fn a_ledger_names_everybody_who_held_keys_and_who_added_them() {
    let mut world = World::three();
    world.user(2, Command::Leave);
    world.run(Duration::from_secs(2));
    let ledger = world.ledger(1);
    let rosters: Vec<_> = ledger
        .entries
        .iter()
        .filter_map(|e| match &e.happened {
            Happened::Epoch { roster, why, .. } => Some((why.as_str(), roster)),
            _ => None,
        })
        .collect();
    assert_eq!((rosters[0].0, rosters[0].1.len()), ("begun", 2));
    let three = rosters.iter().find(|(_, roster)| roster.len() == 3).expect("three were here").1;
    assert_eq!((three[2].name.as_str(), three[2].by), ("Cleo Stone", Some(0)));
    assert_eq!(rosters.last().map(|(_, roster)| roster.len()), Some(2));
    let out = |e: &crate::ledger::Entry| matches!(&e.happened, Happened::Out { member: 2, how } if how == "left");
    assert!(ledger.entries.iter().any(out));
}
