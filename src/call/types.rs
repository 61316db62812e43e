//! What goes into a call and what comes out of it.

use super::fence::Held;
use crate::group::{self, Succession};
use crate::identity::words::{CallWords, WordsInput};
use crate::identity::{DisplayName, Fingerprint, IdentityPublic, IssueError};
use crate::invite::Invite;
use crate::media::frame::{Coded, Want};
use crate::media::rate::path::PathSeen;
use crate::seal::Receipt;
use crate::time::Wall;
use crate::wire::link::{LinkDown, LinkEvent, LinkId, MemberId, Send};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A knock waiting for an answer; numbered per call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KnockId(pub u32);

/// Which of the own tracks are being captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracks {
    /// The microphone is on (not muted).
    pub mic: bool,
    /// The camera is on.
    pub camera: bool,
}

/// Who is let in without asking the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Ask on the screen.
    Ask,
    /// Everybody with a valid invite (`--admit=any`).
    Any,
    /// Only these identities (`--admit=FINGERPRINT`).
    Only(Vec<Fingerprint>),
    /// Nobody: there is no screen to ask on.
    Nobody,
}

/// A person in the contacts file, as far as a call needs to know.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whose key.
    pub identity: IdentityPublic,
    /// The user's own name for them, if given.
    pub petname: Option<String>,
    /// Names they have claimed.
    pub names: Vec<String>,
    /// "met 2026-11-03" or "verified 2026-11-03, words".
    pub note: String,
}

/// The fixed settings of one participant.
#[derive(Clone, Debug)]
pub struct CallConfig {
    /// The name shown to others; a claim, never an identity.
    pub name: DisplayName,
    /// Who is let in without asking.
    pub admit: Admit,
    /// The identity that the other side must have (`--expect`).
    pub expect: Option<Fingerprint>,
    /// Uses of each invite made.
    pub invite_uses: u8,
    /// Lifetime of each invite made.
    pub invite_life: Duration,
    /// Tracks at the start.
    pub tracks: Tracks,
    /// Contacts.
    pub known: Vec<Known>,
    /// Where this participant can be reached by members that join later.
    pub addresses: Vec<SocketAddr>,
    /// Unanswered knocks are refused after this time (2 min).
    pub knock_life: Duration,
    /// What the line sees of the picture follows the network alone: every picture takes a multiple
    /// of one length, a camera that is off is covered, thin paths get no exception.
    pub constant_rate: bool,
}

/// What happened.
pub enum Input {
    /// Time has come (see [`Output::Wait`]).
    Tick,
    /// The machine slept: the wall clock went on without the monotonic one.
    Woke,
    /// The user, or a script, wants something.
    User(Command),
    /// What a connection shows of its path.
    Path(LinkId, PathSeen),
    /// A connection came in; its events follow under this number.
    Accepted(LinkId),
    /// A dialling ended without a connection.
    DialFailed(LinkId, DialFailure),
    /// Something happened on a connection.
    Link(LinkId, LinkEvent),
    /// A connection's path is another one: a machine has moved to another network.
    Moved {
        /// The connection.
        link: LinkId,
        /// It is our machine that moved.
        ours: bool,
        /// Where the peer is now.
        remote: SocketAddr,
    },
    /// The engine coded a frame for these members.
    Coded(Vec<MemberId>, Coded),
    /// The own screen's wish for a member's picture changed.
    Want(MemberId, Want),
    /// The engine cannot go on with a member's video without a keyframe.
    NeedKeyframe(MemberId),
    /// The roster of an epoch was put before the user.
    RosterShown(Receipt),
    /// The call words asked for by [`Event::WordsNeeded`].
    Words(u64, CallWords),
}

/// Why a dialling gave no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// Nothing answered in time.
    TimedOut,
    /// The network said no (no route, refused).
    Network(String),
    /// Something answered that does not speak facetty/1.
    Incompatible,
}

/// What a user or a script can ask for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Let the knocker in.
    Admit(KnockId),
    /// Refuse the knocker.
    Decline(KnockId),
    /// Make a further invite with these addresses.
    NewInvite(Vec<SocketAddr>),
    /// New keys for everybody now.
    Rekey,
    /// The own tracks changed.
    Tracks(Tracks),
    /// The program is about to be stopped (Ctrl-Z): nothing is sealed until it is back.
    Suspend(bool),
    /// The user says that the call words matched: those of this epoch ([`Event::Words`]), of which
    /// others in the meantime don't count; or the newest.
    WordsCompared(Option<u64>),
    /// The user is sure of somebody who has a contact's name and another key
    /// ([`Event::Doubt`]).
    Believe(IdentityPublic),
    /// The user is not.
    Disbelieve(IdentityPublic),
    /// Remove a member for good: a decision of the host's, or, without the founder, of whoever
    /// orders the group's changes. So are the following.
    Remove(MemberId),
    /// Nobody new may come in; who is here, or was lost, may come back.
    Lock,
    /// Anybody with an invite may come in again.
    Unlock,
    /// Somebody who was removed may come in again.
    Readmit(IdentityPublic),
    /// Let this member let people in, or no longer.
    Admitter(MemberId, bool),
    /// Nobody may use this invite any more (number as listed, from 1).
    VoidInvite(usize),
    /// Leave the call.
    Leave,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Nothing before this moment: come back then with [`Input::Tick`].
    Wait(Instant),
    /// Dial this address; its events come back under this number.
    Dial(LinkId, SocketAddr),
    /// Close this connection with this application code.
    Close(LinkId, u32),
    /// The peer has shown who it is: lift the connection's limits for strangers.
    Authenticated(LinkId),
    /// Send on this connection.
    Send(LinkId, Send),
    /// The sending rate this connection can bear now, in bit/s.
    Rate(LinkId, u64),
    /// An opened frame of a member, with its arrival time.
    Media(MemberId, Coded),
    /// Something to show or to act on.
    Event(Event),
}

/// Something the screen, a script or the engine should know.
#[derive(Clone, Debug)]
pub enum Event {
    /// An invite was made.
    Invite {
        /// Its text.
        text: String,
    },
    /// Somebody knocks.
    Knock {
        /// To answer it.
        id: KnockId,
        /// Who: proven.
        fingerprint: Fingerprint,
        /// What they call themselves: claimed.
        name: String,
        /// A contact who calls without an invite.
        ring: bool,
        /// Let in by people of another branch, while the call had fallen apart.
        introduced: bool,
    },
    /// The contact we call was not reached; from here on we wait, with an invite for them.
    NotReached {
        /// Every address and what became of it.
        tried: Vec<(SocketAddr, DialFailure)>,
    },
    /// A knock is over.
    KnockGone {
        /// Which.
        id: KnockId,
        /// How it ended.
        end: KnockEnd,
    },
    /// A handshake with a stranger failed; how.
    Refused {
        /// Where from.
        from: Option<SocketAddr>,
        /// Why.
        why: Refusal,
    },
    /// A dialling of a member or of the host ended.
    Dialled {
        /// Where to.
        to: SocketAddr,
        /// `None`: connected.
        failure: Option<DialFailure>,
    },
    /// The host's door was reached; now it is for the host to answer.
    Knocked,
    /// The group has a new epoch: its roster must be shown ([`Input::RosterShown`]).
    Epoch {
        /// The epoch.
        epoch: u64,
        /// The roster to show.
        roster: [u8; 32],
        /// Why there is a new one.
        why: EpochWhy,
        /// What its members agree on. (The view may be an epoch further already.)
        state: Box<EpochState>,
    },
    /// The first frame was sealed in this epoch: its keys are in use.
    Sealing {
        /// The epoch.
        epoch: u64,
    },
    /// A member is in.
    Joined {
        /// Who.
        member: MemberId,
        /// Let in by.
        by: Option<MemberId>,
        /// Since this epoch.
        epoch: u64,
    },
    /// A member is out.
    Left {
        /// Who.
        member: MemberId,
        /// Their name, for the summary.
        name: String,
        /// How.
        how: LeftHow,
    },
    /// Somebody has a contact's name and another key: who knocks, the host we are about to join, or
    /// a member whom somebody else let in. Nothing is sent to them, nothing of them shown, until
    /// [`Command::Admit`] or [`Command::Believe`].
    Doubt {
        /// Their key: proven.
        identity: IdentityPublic,
        /// The name they claim.
        name: String,
        /// The contact of that name.
        known: super::Namesake,
    },
    /// Call words must be computed (slowly, on purpose) and given back.
    WordsNeeded {
        /// For this epoch.
        epoch: u64,
        /// From this.
        input: WordsInput,
    },
    /// New call words.
    Words {
        /// Since this epoch.
        epoch: u64,
        /// The words.
        words: CallWords,
    },
    /// A member acknowledged the epoch.
    Acked {
        /// Who.
        member: MemberId,
        /// It is in the same state as we are.
        agrees: bool,
    },
    /// A line of the ledger, to be kept.
    Ledger {
        /// The line, without line break.
        line: Arc<str>,
    },
    /// A member wants this picture of us.
    Want(MemberId, Want),
    /// A member cannot go on without a keyframe.
    KeyframeWanted(MemberId),
    /// A member's tracks changed.
    Tracks(MemberId, Tracks),
    /// What may be sent to each member changed.
    Budgets,
    /// A member cannot be heard any more, or can again.
    Lost(MemberId, bool),
    /// The path to a member became so thin that the lengths of pictures are no longer hidden, or is
    /// wide enough again. Whoever carries the packets can cause it by throttling.
    Thin(MemberId, bool),
    /// A message for the group was refused.
    BadGroupMessage {
        /// Who sent it.
        from: MemberId,
        /// Why.
        why: String,
    },
    /// A member's acknowledgement differs from our state.
    Split(MemberId),
    /// Whoever orders the group's changes can't be heard, or doesn't do it; or does again.
    SequencerSilent(bool),
    /// Somebody else orders the group's changes from now on.
    Succession {
        /// Without a majority: a branch of the call that may have to give way.
        split: bool,
    },
    /// The call fell apart and this side gives way: on the way back into the other branch (true),
    /// or no longer.
    Returning(bool),
    /// This member was in before: back, same identity.
    Back(MemberId),
    /// The sequencer removed a member as lost that was heard here a moment ago.
    LostContradicted {
        /// Who was removed.
        member: MemberId,
        /// Their name.
        name: String,
        /// Who said that they were lost.
        by: MemberId,
    },
    /// A member told different members different things, proved by its own signatures. Nothing is
    /// sent to it or taken from it any more.
    Equivocation {
        /// Who.
        by: MemberId,
        /// Their name.
        name: String,
    },
    /// This machine slept and seals nothing until the sequencer has answered (true); it has.
    Woke(bool),
    /// Nothing is sealed, and why; or again.
    Held(Option<Held>),
    /// This participant's call is over.
    Ended(EndReason),
}

/// What the members of an epoch agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochState {
    /// Equal for all members of the same epoch, and only for them (RFC 9420 §8.7).
    pub authenticator: [u8; 32],
    /// Whose commits count.
    pub sequencer: MemberId,
    /// Sequencers so far.
    pub term: u32,
    /// Begun by a minority, and nobody is back yet.
    pub split: bool,
    /// How the sequencer took over, when it did so with this epoch.
    pub succession: Option<Succession>,
    /// Who holds keys.
    pub members: Vec<(MemberId, IdentityPublic)>,
}

/// Why there is a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochWhy {
    /// The call began (or we joined).
    Begun,
    /// Somebody joined.
    Joined,
    /// Somebody left or was removed.
    Left,
    /// New keys for the same people.
    Keys,
    /// Somebody who was lost is back.
    Back,
    /// This participant came back from a branch that gave way.
    Returned,
}

/// How a knock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnockEnd {
    /// They are in.
    Admitted,
    /// Refused by the user or by the settings.
    Declined,
    /// Nobody answered in time.
    Unanswered,
    /// They gave up.
    Withdrawn,
}

/// How a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftHow {
    /// On their own.
    Left,
    /// Could not be heard any more.
    Lost,
    /// Removed by a member.
    Removed(MemberId),
}

/// Why somebody was turned away before they could knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such invite, or a wrong proof.
    BadProof,
    /// The invite has expired.
    Expired,
    /// The invite is used up; by whom last.
    UsedUp(Option<Fingerprint>),
    /// They broke the protocol.
    Misbehaved,
    /// Too slow.
    TooSlow,
    /// Their credential does not hold.
    BadCredential,
    /// Not the identity that was expected.
    WrongIdentity,
}

/// Why this participant's call is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// We left.
    Left,
    /// We were removed.
    Removed {
        /// By whom.
        by: String,
    },
    /// None of the addresses answered.
    Unreachable(Vec<(SocketAddr, DialFailure)>),
    /// The host refused, declined or did not answer.
    Refused(RefusedWhy),
    /// The other side is not who the invite or `--expect` says.
    WrongIdentity(String),
    /// The connection to the host was lost before we were in.
    LostHost(LinkDown),
}

/// How a host turned us away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedWhy {
    /// The invite is not known there (or was copied wrongly).
    UnknownInvite,
    /// It has expired.
    Expired,
    /// It was used already; by whom last, if the host said so.
    UsedUp(Option<Fingerprint>),
    /// The host said no, or nobody answered.
    Declined,
    /// Nobody answered the ring.
    Unanswered,
    /// The call is full or locked.
    Locked,
}

/// An invite that is still open.
pub struct OpenInvite {
    /// The invite itself (secret inside).
    pub invite: Invite,
    /// Its text, shown to the user.
    pub text: String,
    /// Admissions left.
    pub left: u8,
    /// Who came in with it last.
    pub used_by: Option<Fingerprint>,
    /// Valid until.
    pub expires: Wall,
}

/// Bytes from the network that were not taken, by reason; each is dropped, never answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Not parseable.
    pub malformed: u64,
    /// A frame whose key we don't have (yet, or any more).
    pub unknown_key: u64,
    /// A frame under another leaf's key than the connection's.
    pub forged: u64,
    /// Failed authentication.
    pub bad_seal: u64,
    /// Seen before, or older than the replay window; large pictures, which go twice on lossy paths,
    /// are among them (marked copies are not).
    pub replayed: u64,
    /// Handshakes refused.
    pub refused: u64,
    /// Group messages refused.
    pub bad_group: u64,
    /// Frames not sealed because the roster was not on screen yet.
    pub gated: u64,
}

/// A mistake on this participant's own side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The invite has expired.
    #[error("this invite has expired: ask for a new one")]
    InviteExpired,
    /// The invite is our own: made with the very identity that wants to join.
    #[error("this invite is your own: it was made with the same identity key")]
    OwnInvite,
    /// The invite's host is not the expected identity.
    #[error("this invite is from {met}, not from the identity you expect")]
    WrongIdentity {
        /// Whose invite it is.
        met: Fingerprint,
    },
    /// The credential could not be made.
    #[error("cannot make the credential: {0}")]
    Credential(#[from] IssueError),
    /// The group could not be made.
    #[error("cannot make the group: {0}")]
    Create(#[from] group::CreateError),
    /// The group refused a commit of ours.
    #[error("the group refused: {0}")]
    Commit(#[from] group::CommitError),
    /// The group refused a proposal of ours.
    #[error("the group refused: {0}")]
    Propose(#[from] group::ProposeError),
    /// The group refused an order of ours.
    #[error("the group refused: {0}")]
    Order(#[from] group::OrderError),
    /// The group could not enter its next epoch.
    #[error("the group cannot go on: {0}")]
    Merge(#[from] group::MergeError),
    /// There are no media keys.
    #[error("no media keys: {0}")]
    Bases(#[from] group::BasesError),
    /// A message could not be sealed for the group.
    #[error("cannot seal for the group: {0}")]
    Message(#[from] group::MessageError),
    /// Only the host can do this; without the founder, whoever orders the group's changes.
    #[error("only the host can do this in this call")]
    NotHost,
    /// No such knock, member or phase.
    #[error("{0} is not there any more")]
    Gone(&'static str),
}
