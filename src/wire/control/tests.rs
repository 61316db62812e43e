//! Every message parses back, and nothing else does.

use super::*;
use crate::media::frame::{Size, Want};
use crate::wire::report::{Arrival, Report};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::SocketAddr;

fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn hash() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn epoch() -> impl Strategy<Value = u64> {
    0..=crate::wire::varint::MAX
}

fn control() -> impl Strategy<Value = Control> {
    let (a, b) = (any::<[u8; 32]>(), any::<[u8; 32]>());
    prop_oneof![
        (any::<[u8; 8]>(), hash())
            .prop_map(|(invite_id, mac)| Control::Knock(Knock { invite_id, mac })),
        payload().prop_map(|sealed| Control::Answer(Answer { sealed })),
        payload().prop_map(|sealed| Control::Proof(Proof { sealed })),
        payload().prop_map(Control::Welcome),
        payload().prop_map(Control::Bundle),
        payload().prop_map(Control::Proposal),
        (epoch(), a, b, payload()).prop_map(|(epoch, auth_hash, s, statement)| {
            let mut signature = [7; 64];
            signature[..32].copy_from_slice(&s);
            Control::Ack(Ack { epoch, auth_hash, signature, statement })
        }),
        (epoch(), any::<[u8; 8]>(), any::<u16>(), payload()).prop_map(
            |(epoch, confirmation, heard, beat)| {
                Control::Heartbeat(Heartbeat { epoch, confirmation, heard, beat })
            }
        ),
        (epoch(), hash()).prop_map(|(epoch, hash)| Control::Offer { epoch, hash }),
        (epoch(), hash()).prop_map(|(epoch, hash)| Control::Fetch { epoch, hash }),
        order_of_the_call(),
        epoch().prop_map(|epoch| Control::Hello { epoch }),
        payload().prop_map(Control::GroupMessage),
        payload().prop_map(Control::Sealed),
        Just(Control::Bye),
    ]
}

/// Succession, branches, orders.
fn order_of_the_call() -> impl Strategy<Value = Control> {
    prop_oneof![
        (epoch(), any::<[u8; 8]>(), any::<u32>()).prop_map(|(epoch, confirmation, term)| {
            Control::GrantRequest { epoch, confirmation, term }
        }),
        payload().prop_map(Control::Grant),
        payload().prop_map(Control::Branch),
        payload().prop_map(Control::BranchAnswer),
        payload().prop_map(Control::Used),
        payload().prop_map(Control::Back),
        hash().prop_map(|tag| Control::Who { tag }),
        (hash(), hash()).prop_map(|(identity, half)| {
            let mut signature = [9; 64];
            signature[..32].copy_from_slice(&half);
            Control::Me { identity, signature }
        }),
        vec((hash(), hash(), vec(socket(), 0..=ADDRESSES_CAP)), 0..4).prop_map(|people| {
            let person = |(key, identity, addresses)| Acquaintance { key, identity, addresses };
            Control::Introduce(people.into_iter().map(person).collect())
        }),
        (any::<u32>(), hash(), payload()).prop_map(|(proposer, key, welcome)| {
            Control::WelcomeFor { proposer: MemberId(proposer), key, welcome }
        }),
        any::<u64>().prop_map(|nonce| Control::Ping { nonce }),
        (any::<u64>(), epoch(), any::<[u8; 8]>(), any::<bool>()).prop_map(
            |(nonce, epoch, confirmation, woke)| Control::Pong { nonce, epoch, confirmation, woke }
        ),
        payload().prop_map(Control::Order),
        payload().prop_map(Control::Equivocation),
    ]
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, p)| SocketAddr::from((ip, p))),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, p)| SocketAddr::from((ip, p))),
    ]
}

fn member_message() -> impl Strategy<Value = MemberMessage> {
    prop_oneof![
        (any::<[u16; 4]>(), any::<bool>(), any::<bool>()).prop_map(|(n, paused, focus)| {
            MemberMessage::Want(Want {
                size: Size { width: n[0] & !1, height: n[1] & !1 },
                decifps: n[2],
                max_kbps: n[3],
                paused,
                focus,
            })
        }),
        Just(MemberMessage::KeyframePlease),
        (any::<bool>(), any::<bool>())
            .prop_map(|(mic, camera)| MemberMessage::Tracks { mic, camera }),
        vec((any::<u32>().prop_map(MemberId), vec(socket(), 0..=ADDRESSES_CAP)), 0..8)
            .prop_map(MemberMessage::Addresses),
        any::<u16>().prop_map(|kid| {
            let entries = vec![Arrival { kid: kid & 0xfff, ctr: 9, arrival_us: 1000 }];
            MemberMessage::Report(Report { entries, lost: 1, late: 2 })
        }),
    ]
}

proptest! {
    #![proptest_config(crate::wire::seeded())]

    #[test]
    fn control_messages_round_trip(m in control()) {
        prop_assert_eq!(Control::decode(&m.encode()), Ok(m));
    }

    #[test]
    fn member_messages_round_trip_and_truncated_ones_are_refused(m in member_message()) {
        let bytes = m.encode();
        prop_assert_eq!(MemberMessage::decode(&bytes), Ok(m.clone()));
        for cut in 0..bytes.len() {
            prop_assert!(MemberMessage::decode(&bytes[..cut]).is_err());
        }
        let mut more = bytes;
        more.push(0);
        prop_assert!(MemberMessage::decode(&more).is_err());
    }

    #[test]
    fn what_is_accepted_has_one_encoding(bytes in vec(any::<u8>(), 0..200), kind in 0u8..32) {
        let mut bytes = bytes;
        bytes.insert(0, kind);
        if let Ok(m) = Control::decode(&bytes) {
            prop_assert_eq!(m.encode(), bytes.clone());
        }
        if let Ok(m) = MemberMessage::decode(&bytes)
            && !matches!(m, MemberMessage::Report(_))
        {
            prop_assert_eq!(m.encode(), bytes);
        }
    }
}

#[test]
fn messages_of_fixed_size_are_refused_when_cut_or_longer() {
    let m = Control::Offer { epoch: 3, hash: [1; 32] };
    let mut bytes = m.encode();
    for cut in 0..bytes.len() {
        assert_eq!(Control::decode(&bytes[..cut]), Err(ParseError::Truncated));
    }
    bytes.push(0);
    assert_eq!(Control::decode(&bytes), Err(ParseError::Trailing));
}

#[test]
fn every_kind_keeps_to_its_cap() {
    for (kind, cap) in [
        (KNOCK, 40),
        (ANSWER, STRANGER_CAP),
        (PROOF, STRANGER_CAP),
        (WELCOME, WELCOME_CAP),
        (BUNDLE, BUNDLE_CAP),
        (PROPOSAL, PROPOSAL_CAP),
        (SEALED, SEALED_CAP),
        (GRANT, WORD_CAP),
        (BRANCH, BRANCH_CAP),
        (BACK, BACK_CAP),
        (ORDER, ORDER_CAP),
        (EQUIVOCATION, WORD_CAP),
    ] {
        let mut message = vec![0; cap + 2];
        message[0] = kind;
        assert!(matches!(
            Control::decode(&message),
            Err(ParseError::TooLarge { cap: c, .. }) if c == cap
        ));
    }
}

#[test]
fn an_unknown_kind_is_named() {
    assert_eq!(Control::decode(&[99]), Err(ParseError::UnknownKind(99)));
    assert_eq!(MemberMessage::decode(&[0]), Err(ParseError::UnknownKind(0)));
}
