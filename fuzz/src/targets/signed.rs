//! What members sign beside MLS: acks with their statements, branches, grants, signs of life,
//! orders, and proofs of equivocation.

use super::Feed;
use super::group::{GROUP, Two};
use facetty::group::{Ack, Beat, Branch, Equivocation, Grant, Group, OrderKind, Statement};
use std::cell::RefCell;

/// Two groups, and something genuine of each kind.
struct Signed {
    host: Group,
    member: Group,
    ack: Vec<u8>,
    statement: Vec<u8>,
    branch: Vec<u8>,
    grant: Vec<u8>,
    beat: Vec<u8>,
    order: Vec<u8>,
}

impl Signed {
    fn new() -> Self {
        let Two { host, mut member, .. } = Two::new();
        let ack = host.sign_ack();
        let statement = ack.statement.expect("the host has committed").encode();
        let branch = host.branch_for(&member.branch(true), true).expect("one group").encode();
        let grant = member.grant(1, member.me()).expect("the first of its term").encode();
        let beat = host.sign_beat(7).expect("the sequencer's").encode();
        let order = host.draft_order(OrderKind::Lock([[7; 32], [8; 32]].into())).expect("drafted");
        // Signed by nobody: what follows the parser refuses it.
        let order = order.signed([0; 32], [1; 64]);
        Self { host, member, ack: ack.encode(), statement, branch, grant, beat, order }
    }
}

/// Each kind as it comes, or a genuine one changed. It has one encoding, and whatever was changed
/// is not believed.
pub(super) fn signed(data: &[u8]) {
    thread_local!(static SIGNED: RefCell<Option<Signed>> = const { RefCell::new(None) });
    SIGNED.with_borrow_mut(|slot| judge(slot.get_or_insert_with(Signed::new), Feed(data)));
}

fn judge(now: &mut Signed, mut feed: Feed<'_>) {
    let kind = feed.u8();
    let all = [&now.ack, &now.statement, &now.branch, &now.grant, &now.beat, &now.order];
    let which = usize::from(kind >> 1) % 7;
    let genuine = all.get(which).map_or(&[][..], |bytes| bytes);
    let bytes = if kind & 1 == 0 { feed.0.to_vec() } else { feed.patched(genuine) };
    let same = bytes == genuine;
    let host = now.host.me();
    match which {
        0 => {
            let Ok(ack) = Ack::parse(&bytes) else { return };
            assert_eq!(ack.encode(), bytes);
            assert_eq!(now.member.take_ack(host, &ack).is_ok(), same);
        }
        1 => {
            let Ok(statement) = Statement::parse(&bytes) else { return };
            assert_eq!(statement.encode(), bytes);
            assert_eq!(statement.verify(&GROUP), same);
        }
        2 => {
            let Ok(branch) = Branch::parse(&bytes) else { return };
            assert_eq!(branch.encode(), bytes);
            let ours = now.member.branch_for(&branch, false);
            let ours = ours.unwrap_or_else(|| now.member.branch(true));
            let _ = now.member.compare(&ours, &branch);
        }
        3 => {
            let Ok(grant) = Grant::parse(&bytes) else { return };
            assert_eq!(grant.encode(), bytes);
            assert_eq!(now.host.verify_grant(&grant).is_ok(), same);
        }
        4 => {
            let Ok(beat) = Beat::parse(&bytes) else { return };
            assert_eq!(beat.encode(), bytes);
            assert_eq!(now.member.verify_beat(&beat).is_ok(), same);
        }
        5 => assert!(now.member.take_order(&bytes).is_err()),
        _ => {
            assert!(Equivocation::parse(&GROUP, &bytes).is_err());
            assert!(now.member.take_equivocation(&bytes).is_err());
        }
    }
    assert!(now.member.orders_held().is_empty());
}
