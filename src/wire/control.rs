//! Messages on the control stream (one per connection, reliable and ordered), and the messages
//! between members that travel inside a seal. Framing by length is the transport's.

mod member;

pub use member::MemberMessage;

use crate::wire::handshake::{Answer, KEY_PACKAGE_CAP, Knock, Proof};
use crate::wire::link::MemberId;
use crate::wire::varint::{ParseError, Reader, Writer};
use bytes::Bytes;
use std::net::SocketAddr;

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
/// Longest signed word of a member (beat, grant, statement, order), in bytes.
pub const WORD_CAP: usize = 2 * 1024;
/// Longest order, in bytes: it may list keys.
pub const ORDER_CAP: usize = 8 * 1024;
/// Longest description of a branch, in bytes.
pub const BRANCH_CAP: usize = 8 * 1024;
/// Most members a message may list; more than a group can hold.
pub const MEMBERS_CAP: usize = 64;
/// Most addresses of one member.
pub const ADDRESSES_CAP: usize = 16;

/// Most bytes of a sealed key package: salt and tag take 16 each.
const BACK_CAP: usize = KEY_PACKAGE_CAP + 32;

/// One message on the control stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// A stranger holds an invite.
    Knock(Knock),
    /// Who answered the knock, sealed.
    Answer(Answer),
    /// Who knocked, sealed.
    Proof(Proof),
    /// By whom the invite was used already, sealed like an answer.
    Used(Bytes),
    /// MLS Welcome (RFC 9420 §12.4.3.1), opaque here.
    Welcome(Bytes),
    /// A commit with everything needed to process it, as the group lays it out; opaque here.
    Bundle(Bytes),
    /// An MLS proposal to the sequencer, opaque here.
    Proposal(Bytes),
    /// "I merged this commit": what equivocation is proved and switching is timed with.
    Ack(Ack),
    /// "I am there": every second, from everybody.
    Heartbeat(Heartbeat),
    /// "I have the bundle that ends this epoch." Its bytes go only to those who ask.
    Offer {
        /// The epoch the bundle starts from.
        epoch: u64,
        /// SHA-256 of the bundle.
        hash: [u8; 32],
    },
    /// "Send me the offered bundle."
    Fetch {
        /// The epoch the bundle starts from.
        epoch: u64,
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
    /// The sequencer is silent: "let me lead".
    GrantRequest {
        /// The epoch both are in.
        epoch: u64,
        /// First bytes of its confirmation hash.
        confirmation: [u8; 8],
        /// The term asked for.
        term: u32,
    },
    /// A signed grant for the candidate it goes to; the group's layout, opaque here.
    Grant(Bytes),
    /// Which branch of the call's history the sender is in; opaque here.
    Branch(Bytes),
    /// The same in answer to the other side's, with proofs: both decide by the two answers.
    BranchAnswer(Bytes),
    /// "My branch lost: take me back." An MLS key package of the same leaf key and credential, sealed
    /// for the two at this connection's ends, for it names its owner.
    Back(Bytes),
    /// People whose connections to expect: members of a branch that gave way, or those who may let
    /// them in. To somebody who asked to be taken back it also means: not here.
    Introduce(Vec<Acquaintance>),
    /// "You speak as one of us, and I don't know your key."
    Who {
        /// Shows that the sender knows the group's id: of it and the connection.
        tag: [u8; 32],
    },
    /// The answer: an identity, and its signature for this connection's leaf key.
    Me {
        /// Identity key.
        identity: [u8; 32],
        /// Over the group's id, the leaf key and the connection.
        signature: [u8; 64],
    },
    /// The sequencer's Welcome for somebody whom another member asked to add, on its way there.
    WelcomeFor {
        /// The member that asked.
        proposer: MemberId,
        /// The newcomer's leaf key.
        key: [u8; 32],
        /// MLS Welcome, opaque here.
        welcome: Bytes,
    },
    /// "Are you there now?"
    Ping {
        /// Fresh randomness.
        nonce: u64,
    },
    /// "Yes, and in this epoch."
    Pong {
        /// From the ping.
        nonce: u64,
        /// The sender's epoch.
        epoch: u64,
        /// First bytes of its confirmation hash.
        confirmation: [u8; 8],
        /// The sender slept itself, and asks, too.
        woke: bool,
    },
    /// A decision of whoever may decide, signed with an identity key; opaque here.
    Order(Bytes),
    /// Two statements of one member that exclude each other; opaque here.
    Equivocation(Bytes),
}

/// Somebody who is introduced to somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    /// Leaf key: what TLS will prove.
    pub key: [u8; 32],
    /// Identity key.
    pub identity: [u8; 32],
    /// Where to be reached, if that is known.
    pub addresses: Vec<SocketAddr>,
}

/// Says that the sender is there, where it is, and whom it hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Epoch the sender is in.
    pub epoch: u64,
    /// First bytes of its confirmation hash: others at the same epoch are a split.
    pub confirmation: [u8; 8],
    /// Bit i: the sender hears the i-th member of that epoch in join order, directly.
    pub heard: u16,
    /// The sequencer's newest signed beat, from itself or passed on; empty: none. The group's
    /// layout, opaque here.
    pub beat: Bytes,
}

/// A member's signed statement about the commit it merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The epoch the commit led to.
    pub epoch: u64,
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
const GRANT_REQUEST: u8 = 20;
const GRANT: u8 = 21;
const BRANCH: u8 = 22;
const BACK: u8 = 23;
const WELCOME_FOR: u8 = 24;
const PING: u8 = 25;
const PONG: u8 = 26;
const ORDER: u8 = 27;
const EQUIVOCATION: u8 = 28;
const BRANCH_ANSWER: u8 = 29;
const USED: u8 = 30;
const INTRODUCE: u8 = 31;
const WHO: u8 = 32;
const ME: u8 = 33;

impl Control {
    /// Encodes: one byte of kind, then the body to the end of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Knock(k) => w.u8(KNOCK).raw(&k.encode()),
            Self::Answer(a) => w.u8(ANSWER).raw(&a.sealed),
            Self::Proof(p) => w.u8(PROOF).raw(&p.sealed),
            Self::Used(b) => w.u8(USED).raw(b),
            Self::Welcome(b) => w.u8(WELCOME).raw(b),
            Self::Bundle(b) => w.u8(BUNDLE).raw(b),
            Self::Proposal(b) => w.u8(PROPOSAL).raw(b),
            Self::Ack(a) => {
                w.u8(ACK).varint(a.epoch).raw(&a.auth_hash).raw(&a.signature).raw(&a.statement)
            }
            Self::Heartbeat(h) => {
                w.u8(HEARTBEAT).varint(h.epoch).raw(&h.confirmation).u16(h.heard).raw(&h.beat)
            }
            Self::Offer { epoch, hash } => w.u8(OFFER).varint(*epoch).raw(hash),
            Self::Fetch { epoch, hash } => w.u8(FETCH).varint(*epoch).raw(hash),
            Self::Hello { epoch } => w.u8(HELLO).varint(*epoch),
            Self::GroupMessage(b) => w.u8(GROUP_MESSAGE).raw(b),
            Self::Sealed(b) => w.u8(SEALED).raw(b),
            Self::Bye => w.u8(BYE),
            Self::GrantRequest { epoch, confirmation, term } => {
                w.u8(GRANT_REQUEST).varint(*epoch).raw(confirmation).u32(*term)
            }
            Self::Grant(b) => w.u8(GRANT).raw(b),
            Self::Branch(b) => w.u8(BRANCH).raw(b),
            Self::BranchAnswer(b) => w.u8(BRANCH_ANSWER).raw(b),
            Self::Back(b) => w.u8(BACK).raw(b),
            Self::Introduce(people) => {
                w.u8(INTRODUCE).varint(people.len().min(MEMBERS_CAP) as u64);
                for person in people.iter().take(MEMBERS_CAP) {
                    w.raw(&person.key).raw(&person.identity);
                    member::put_addresses(&mut w, &person.addresses);
                }
                &mut w
            }
            Self::Who { tag } => w.u8(WHO).raw(tag),
            Self::Me { identity, signature } => w.u8(ME).raw(identity).raw(signature),
            Self::WelcomeFor { proposer, key, welcome } => {
                w.u8(WELCOME_FOR).u32(proposer.0).raw(key).raw(welcome)
            }
            Self::Ping { nonce } => w.u8(PING).u64(*nonce),
            Self::Pong { nonce, epoch, confirmation, woke } => {
                w.u8(PONG).u64(*nonce).varint(*epoch).raw(confirmation).u8(u8::from(*woke))
            }
            Self::Order(b) => w.u8(ORDER).raw(b),
            Self::Equivocation(b) => w.u8(EQUIVOCATION).raw(b),
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
            USED => Self::Used(own(r.rest("used", WORD_CAP)?)),
            WELCOME => Self::Welcome(own(r.rest("welcome", WELCOME_CAP)?)),
            BUNDLE => Self::Bundle(own(r.rest("bundle", BUNDLE_CAP)?)),
            PROPOSAL => Self::Proposal(own(r.rest("proposal", PROPOSAL_CAP)?)),
            ACK => Self::Ack(Ack {
                epoch: r.varint()?,
                auth_hash: r.array()?,
                signature: r.array()?,
                statement: own(r.rest("statement", WORD_CAP)?),
            }),
            HEARTBEAT => Self::Heartbeat(Heartbeat {
                epoch: r.varint()?,
                confirmation: r.array()?,
                heard: r.u16()?,
                beat: own(r.rest("beat", WORD_CAP)?),
            }),
            OFFER => Self::Offer { epoch: r.varint()?, hash: r.array()? },
            FETCH => Self::Fetch { epoch: r.varint()?, hash: r.array()? },
            HELLO => Self::Hello { epoch: r.varint()? },
            GROUP_MESSAGE => Self::GroupMessage(own(r.rest("group message", SEALED_CAP)?)),
            SEALED => Self::Sealed(own(r.rest("sealed message", SEALED_CAP)?)),
            BYE => Self::Bye,
            GRANT_REQUEST => {
                Self::GrantRequest { epoch: r.varint()?, confirmation: r.array()?, term: r.u32()? }
            }
            GRANT => Self::Grant(own(r.rest("grant", WORD_CAP)?)),
            BRANCH => Self::Branch(own(r.rest("branch", BRANCH_CAP)?)),
            BRANCH_ANSWER => Self::BranchAnswer(own(r.rest("branch", BRANCH_CAP)?)),
            BACK => Self::Back(own(r.rest("sealed key package", BACK_CAP)?)),
            INTRODUCE => {
                let people = r.varint_max("list of people", MEMBERS_CAP)?;
                let mut person = || {
                    let (key, identity) = (r.array()?, r.array()?);
                    Ok(Acquaintance { key, identity, addresses: member::addresses(&mut r)? })
                };
                Self::Introduce((0..people).map(|_| person()).collect::<Result<_, _>>()?)
            }
            WHO => Self::Who { tag: r.array()? },
            ME => Self::Me { identity: r.array()?, signature: r.array()? },
            WELCOME_FOR => Self::WelcomeFor {
                proposer: MemberId(r.u32()?),
                key: r.array()?,
                welcome: own(r.rest("welcome", WELCOME_CAP)?),
            },
            PING => Self::Ping { nonce: r.u64()? },
            PONG => Self::Pong {
                nonce: r.u64()?,
                epoch: r.varint()?,
                confirmation: r.array()?,
                woke: r.flag()?,
            },
            ORDER => Self::Order(own(r.rest("order", ORDER_CAP)?)),
            EQUIVOCATION => Self::Equivocation(own(r.rest("proof", WORD_CAP)?)),
            kind => return Err(ParseError::UnknownKind(u64::from(kind))),
        };
        r.finish()?;
        Ok(control)
    }
}

#[cfg(test)]
mod tests;
