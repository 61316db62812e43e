//! Messages on the control stream (one per connection, reliable and ordered), and the messages
//! between members that travel inside a seal. Framing by length is the transport's.

use crate::media::frame::{Size, Want};
use crate::wire::handshake::{Answer, Knock, Proof};
use crate::wire::link::MemberId;
use crate::wire::report::Report;
use crate::wire::varint::{ParseError, Reader, Writer};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// Longest control message before the peer is authenticated, in bytes.
pub const STRANGER_CAP: usize = 8 * 1024;
/// Longest control message of an authenticated peer, in bytes.
pub const PEER_CAP: usize = 600 * 1024;
/// Longest commit bundle (PSK message, proposals, commit), in bytes.
pub const BUNDLE_CAP: usize = 256 * 1024;
/// Longest proposal, in bytes.
pub const PROPOSAL_CAP: usize = 16 * 1024;
/// Longest welcome, in bytes.
pub const WELCOME_CAP: usize = 512 * 1024;
/// Longest sealed message between members, in bytes.
pub const SEALED_CAP: usize = 64 * 1024;
/// Longest signed statement about a commit, in bytes.
pub const STATEMENT_CAP: usize = 256;
/// Most members a message may list; more than a group can hold.
pub const MEMBERS_CAP: usize = 64;
/// Most addresses of one member.
pub const ADDRESSES_CAP: usize = 16;

/// One message on the control stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// A stranger holds an invite.
    Knock(Knock),
    /// Who answered the knock, sealed.
    Answer(Answer),
    /// Who knocked, sealed.
    Proof(Proof),
    /// MLS Welcome (RFC 9420 §12.4.3.1), opaque here.
    Welcome(Bytes),
    /// A commit with everything needed to process it, as the group lays it out; opaque here.
    Bundle(Bytes),
    /// An MLS proposal to the sequencer, opaque here.
    Proposal(Bytes),
    /// "I merged this commit": what equivocation is proved and switching is timed with.
    Ack(Ack),
    /// From the sequencer, every second.
    Heartbeat {
        /// Epoch the sequencer is in.
        epoch: u64,
        /// Its confirmation hash: a different one at the same epoch is a split.
        confirmation_hash: [u8; 32],
    },
    /// "I have the control message with this SHA-256."
    Offer {
        /// SHA-256 of the encoded message.
        hash: [u8; 32],
    },
    /// "Send me the offered message."
    Fetch {
        /// SHA-256 from the offer.
        hash: [u8; 32],
    },
    /// A member opens a connection to another member. TLS has proved which leaf key it holds, and
    /// the roster says whose that is.
    Hello {
        /// The sender's epoch; a lagging side is caught up.
        epoch: u64,
    },
    /// An MLS application message (RFC 9420 §15), opaque here: what newcomers must learn before
    /// media keys are in use.
    GroupMessage(Bytes),
    /// A frame of stream `Data` holding a [`MemberMessage`]: reliable, for members only.
    Sealed(Bytes),
    /// Leaving, on purpose.
    Bye,
}

/// A member's signed statement about the commit it merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The epoch the commit led to.
    pub epoch: u64,
    /// SHA-256 of the commit.
    pub commit_hash: [u8; 32],
    /// SHA-256 of the new epoch's authenticator.
    pub auth_hash: [u8; 32],
    /// Leaf key's signature.
    pub signature: [u8; 64],
    /// The committer's signed statement about that commit; empty from a founder or joiner. The
    /// group's layout, opaque here.
    pub statement: Bytes,
}

const KNOCK: u8 = 1;
const ANSWER: u8 = 2;
const PROOF: u8 = 3;
const WELCOME: u8 = 4;
const BUNDLE: u8 = 5;
const PROPOSAL: u8 = 6;
const ACK: u8 = 7;
const HEARTBEAT: u8 = 8;
const OFFER: u8 = 9;
const FETCH: u8 = 10;
const HELLO: u8 = 11;
const SEALED: u8 = 12;
const BYE: u8 = 13;
const GROUP_MESSAGE: u8 = 14;

impl Control {
    /// Encodes: one byte of kind, then the body to the end of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Knock(k) => w.u8(KNOCK).raw(&k.encode()),
            Self::Answer(a) => w.u8(ANSWER).raw(&a.sealed),
            Self::Proof(p) => w.u8(PROOF).raw(&p.sealed),
            Self::Welcome(b) => w.u8(WELCOME).raw(b),
            Self::Bundle(b) => w.u8(BUNDLE).raw(b),
            Self::Proposal(b) => w.u8(PROPOSAL).raw(b),
            Self::Ack(a) => w
                .u8(ACK)
                .varint(a.epoch)
                .raw(&a.commit_hash)
                .raw(&a.auth_hash)
                .raw(&a.signature)
                .raw(&a.statement),
            Self::Heartbeat { epoch, confirmation_hash } => {
                w.u8(HEARTBEAT).varint(*epoch).raw(confirmation_hash)
            }
            Self::Offer { hash } => w.u8(OFFER).raw(hash),
            Self::Fetch { hash } => w.u8(FETCH).raw(hash),
            Self::Hello { epoch } => w.u8(HELLO).varint(*epoch),
            Self::GroupMessage(b) => w.u8(GROUP_MESSAGE).raw(b),
            Self::Sealed(b) => w.u8(SEALED).raw(b),
            Self::Bye => w.u8(BYE),
        };
        w.finish()
    }

    /// Decodes one whole message; every kind has its own cap.
    pub fn decode(message: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(message);
        let own = Bytes::copy_from_slice;
        let control = match r.u8()? {
            KNOCK => Self::Knock(Knock::decode(r.rest("knock", 40)?)?),
            ANSWER => Self::Answer(Answer { sealed: own(r.rest("answer", STRANGER_CAP)?) }),
            PROOF => Self::Proof(Proof { sealed: own(r.rest("proof", STRANGER_CAP)?) }),
            WELCOME => Self::Welcome(own(r.rest("welcome", WELCOME_CAP)?)),
            BUNDLE => Self::Bundle(own(r.rest("bundle", BUNDLE_CAP)?)),
            PROPOSAL => Self::Proposal(own(r.rest("proposal", PROPOSAL_CAP)?)),
            ACK => Self::Ack(Ack {
                epoch: r.varint()?,
                commit_hash: r.array()?,
                auth_hash: r.array()?,
                signature: r.array()?,
                statement: own(r.rest("statement", STATEMENT_CAP)?),
            }),
            HEARTBEAT => Self::Heartbeat { epoch: r.varint()?, confirmation_hash: r.array()? },
            OFFER => Self::Offer { hash: r.array()? },
            FETCH => Self::Fetch { hash: r.array()? },
            HELLO => Self::Hello { epoch: r.varint()? },
            GROUP_MESSAGE => Self::GroupMessage(own(r.rest("group message", SEALED_CAP)?)),
            SEALED => Self::Sealed(own(r.rest("sealed message", SEALED_CAP)?)),
            BYE => Self::Bye,
            kind => return Err(ParseError::UnknownKind(u64::from(kind))),
        };
        r.finish()?;
        Ok(control)
    }
}

/// What members tell each other inside a seal of stream `Data`, on the control stream (reliable)
/// or in a datagram (reports).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberMessage {
    /// The picture I can use from you.
    Want(Want),
    /// I can't go on without a keyframe.
    KeyframePlease,
    /// What I send: so that a muted microphone or a closed camera is shown as such.
    Tracks {
        /// Microphone on.
        mic: bool,
        /// Camera on.
        camera: bool,
    },
    /// Where members can be reached, for those who just joined.
    Addresses(Vec<(MemberId, Vec<SocketAddr>)>),
    /// What of yours arrived here, and when.
    Report(Report),
}

const WANT: u8 = 1;
const KEYFRAME: u8 = 2;
const TRACKS: u8 = 3;
const ADDRESSES: u8 = 4;
const REPORT: u8 = 5;

impl MemberMessage {
    /// Encodes: one byte of kind, then the body. Lists beyond [`MEMBERS_CAP`] and
    /// [`ADDRESSES_CAP`] are cut there.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Want(want) => {
                w.u8(WANT)
                    .u16(want.size.width)
                    .u16(want.size.height)
                    .u16(want.decifps)
                    .u16(want.max_kbps)
                    .u8(u8::from(want.paused) | u8::from(want.focus) << 1);
            }
            Self::KeyframePlease => {
                w.u8(KEYFRAME);
            }
            Self::Tracks { mic, camera } => {
                w.u8(TRACKS).u8(u8::from(*mic) | u8::from(*camera) << 1);
            }
            Self::Addresses(list) => {
                w.u8(ADDRESSES).varint(list.len().min(MEMBERS_CAP) as u64);
                for (member, addresses) in list.iter().take(MEMBERS_CAP) {
                    w.varint(u64::from(member.0));
                    w.varint(addresses.len().min(ADDRESSES_CAP) as u64);
                    for address in addresses.iter().take(ADDRESSES_CAP) {
                        put_address(&mut w, address);
                    }
                }
            }
            Self::Report(report) => {
                w.u8(REPORT).raw(&report.encode());
            }
        }
        w.finish()
    }

    /// Decodes one whole message.
    pub fn decode(message: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(message);
        let decoded = match r.u8()? {
            WANT => {
                let (width, height) = (r.u16()?, r.u16()?);
                if width % 2 != 0 || height % 2 != 0 {
                    return Err(ParseError::Invalid("picture size"));
                }
                let (decifps, max_kbps) = (r.u16()?, r.u16()?);
                let [paused, focus] = two_flags(&mut r)?;
                Self::Want(Want { size: Size { width, height }, decifps, max_kbps, paused, focus })
            }
            KEYFRAME => Self::KeyframePlease,
            TRACKS => {
                let [mic, camera] = two_flags(&mut r)?;
                Self::Tracks { mic, camera }
            }
            ADDRESSES => {
                let members = r.varint_max("list of members", MEMBERS_CAP)?;
                let mut list = Vec::with_capacity(members);
                for _ in 0..members {
                    let member = MemberId(r.varint_u32("member number")?);
                    let count = r.varint_max("list of addresses", ADDRESSES_CAP)?;
                    let addresses =
                        (0..count).map(|_| address(&mut r)).collect::<Result<_, _>>()?;
                    list.push((member, addresses));
                }
                Self::Addresses(list)
            }
            REPORT => Self::Report(Report::decode(r.rest("report", crate::wire::report::CAP)?)?),
            kind => return Err(ParseError::UnknownKind(u64::from(kind))),
        };
        r.finish()?;
        Ok(decoded)
    }
}

fn two_flags(r: &mut Reader<'_>) -> Result<[bool; 2], ParseError> {
    match r.u8()? {
        flags @ 0..=3 => Ok([flags & 1 != 0, flags & 2 != 0]),
        _ => Err(ParseError::Invalid("flags")),
    }
}

/// Family byte (4 or 6), address, port. Flow labels and scopes mean nothing to others.
fn put_address(w: &mut Writer, address: &SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => w.u8(4).raw(&ip.octets()),
        IpAddr::V6(ip) => w.u8(6).raw(&ip.octets()),
    };
    w.u16(address.port());
}

fn address(r: &mut Reader<'_>) -> Result<SocketAddr, ParseError> {
    let ip: IpAddr = match r.u8()? {
        4 => r.array::<4>()?.into(),
        6 => r.array::<16>()?.into(),
        _ => return Err(ParseError::Invalid("address family")),
    };
    Ok(SocketAddr::new(ip, r.u16()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::report::Arrival;
    use proptest::collection::vec;
    use proptest::prelude::*;

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
            (epoch(), hash(), a, b).prop_map(|(epoch, commit_hash, auth_hash, s)| {
                let mut signature = [7; 64];
                signature[..32].copy_from_slice(&s);
                let statement = Bytes::from(vec![9; usize::from(s[0])]);
                Control::Ack(Ack { epoch, commit_hash, auth_hash, signature, statement })
            }),
            (epoch(), hash()).prop_map(|(epoch, confirmation_hash)| Control::Heartbeat {
                epoch,
                confirmation_hash
            }),
            hash().prop_map(|hash| Control::Offer { hash }),
            hash().prop_map(|hash| Control::Fetch { hash }),
            epoch().prop_map(|epoch| Control::Hello { epoch }),
            payload().prop_map(Control::GroupMessage),
            payload().prop_map(Control::Sealed),
            Just(Control::Bye),
        ]
    }

    fn member_message() -> impl Strategy<Value = MemberMessage> {
        let socket = prop_oneof![
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, p)| SocketAddr::from((ip, p))),
            (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, p)| SocketAddr::from((ip, p))),
        ];
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
            vec((any::<u32>().prop_map(MemberId), vec(socket, 0..=ADDRESSES_CAP)), 0..8)
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
        fn what_is_accepted_has_one_encoding(bytes in vec(any::<u8>(), 0..200), kind in 0u8..20) {
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
        let m = Control::Heartbeat { epoch: 3, confirmation_hash: [1; 32] };
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
}
