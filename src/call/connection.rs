//! One connection of the call: whose it is, as far as that is known, and what it waits for.

use super::beat::Place;
use super::*;
use crate::group::Branch;
use crate::wire::link::LinkUp;

/// A stranger has this long for the whole handshake.
pub(super) const STRANGER: Duration = Duration::from_secs(5);
/// The commit that names a stranger's key may take this long, before we ask it who it is.
const WONDER: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct LinkState {
    pub(super) stage: Stage,
    pub(super) up: Option<LinkUp>,
    /// When it came up.
    pub(super) since: Option<Instant>,
    pub(super) deadline: Option<Instant>,
    /// When a stranger that speaks as a member is asked who it is.
    ask_at: Option<Instant>,
    /// The branch we told on it, and when.
    pub(super) told: Option<(Place, Instant)>,
    /// What we answered about our branch, as it was sent.
    pub(super) answered: Option<Branch>,
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// We dial the host at this address.
    DiallingHost(SocketAddr),
    /// We dial a member.
    DiallingMember(MemberId),
    /// It came in and has said nothing yet.
    Stranger,
    /// We knocked.
    KnockSent,
    /// We answered a valid knock with this invite.
    AnswerSent([u8; 8]),
    /// We proved who we are and wait for the host.
    ProofSent,
    /// Somebody waits for our decision.
    Knocking(KnockId),
    /// It belongs to a member.
    Member(MemberId),
    /// We dial a former member, by leaf key.
    DiallingFormer([u8; 32]),
    /// It belongs to a former member, by leaf key.
    Former([u8; 32]),
    /// Over: the last words are on their way, then it is closed with this code.
    Parting(u32),
}

impl LinkState {
    pub(super) fn new(stage: Stage, deadline: Option<Instant>) -> Self {
        Self { stage, up: None, since: None, deadline, ask_at: None, told: None, answered: None }
    }

    pub(super) fn accepted(now: Instant) -> Self {
        let mut state = Self::new(Stage::Stranger, None);
        state.estrange(now, WONDER);
        state
    }

    pub(super) fn dialling_member(member: MemberId) -> Self {
        Self::new(Stage::DiallingMember(member), None)
    }

    pub(super) fn dialling_former(key: [u8; 32]) -> Self {
        Self::new(Stage::DiallingFormer(key), None)
    }

    pub(super) fn member(&self) -> Option<MemberId> {
        match self.stage {
            Stage::Member(member) => Some(member),
            _ => None,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let ask_at = self.ask_at.filter(|_| self.stage == Stage::Stranger);
        self.deadline.into_iter().chain(ask_at).min()
    }

    /// Nobody we know: it has some time to say who it is, and is asked after `wonder`.
    pub(super) fn estrange(&mut self, now: Instant, wonder: Duration) {
        self.stage = Stage::Stranger;
        self.deadline = Some(now + STRANGER);
        self.ask_at = Some(now + wonder);
    }

    /// Whether it is time to ask a stranger who it is; then again after a while.
    pub(super) fn wonders(&mut self, now: Instant) -> bool {
        let due = self.stage == Stage::Stranger && self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.ask_at = Some(now + WONDER);
        }
        due
    }

    /// The other side's TLS key, once the connection is up.
    pub(super) fn key(&self) -> Option<[u8; 32]> {
        self.up.as_ref().map(|up| up.peer_key)
    }

    pub(super) fn settle(&mut self, stage: Stage) {
        self.stage = stage;
        self.deadline = None;
    }
}
