//! What a simulation sees, as plain values: the checkers of invariants are fed with these and with
//! nothing else, so that a test can feed them a planted violation.

use super::path::Person;
use std::collections::BTreeSet;
use std::time::Duration;

/// One run of somebody's program; a restart is another one.
pub type Run = usize;

/// One epoch of one branch: epoch authenticators, numbered as they first appear.
pub type Branch = u32;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Time since the start of the simulation.
    pub at: Duration,
    /// In which run.
    pub run: Run,
    /// Whose run.
    pub person: Person,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A run began.
    Began,
    /// A run is in a new epoch.
    Entered(Epoch),
    /// The roster of this epoch was shown to the user.
    Shown(Branch),
    /// Something was sealed.
    Sealed(Sealed),
    /// A frame was opened.
    Opened(Opened),
    /// A grant was signed and sent.
    Granted(Granted),
    /// This run says that a person made two commits for one epoch.
    Alarm(Person),
    /// The user of this run decided that a person must leave.
    Decided(Person),
    /// A user let a person in (again).
    Admitted(Person),
    /// A person starts to cheat.
    Cheats(Vice),
    /// The program slept and is awake again.
    Woke,
    /// This run is over: the person left, or was told to.
    Ended {
        /// Why, for people.
        why: String,
    },
    /// This run is over without a word.
    Crashed,
}

/// An epoch, as one run entered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub epoch: u64,
    /// Which one of that number.
    pub branch: Branch,
    /// The epoch before, when this run came from there by a commit.
    pub parent: Option<Branch>,
    /// Who holds keys.
    pub members: BTreeSet<Person>,
    /// Whose commits count.
    pub sequencer: Person,
    /// Sequencers so far.
    pub term: u64,
    /// Led by somebody without a majority.
    pub split: bool,
    /// Begun by a commit with the grants of a majority.
    pub granted: bool,
    /// Somebody held keys before and does not now.
    pub dropped: bool,
}

/// A sealed object on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The epoch whose key was used; `None` when this run was never in such an epoch.
    pub branch: Option<Branch>,
    /// Key identifier.
    pub kid: u64,
    /// Counter.
    pub ctr: u64,
    /// Digest of the whole object: sending one object to many is no repetition.
    pub digest: u64,
    /// How long nothing that this epoch's sequencer said had reached this run, by any way; `None`
    /// in the sequencer's own run.
    pub unheard: Option<Duration>,
    /// Nothing that the sequencer, or a majority, said since this run woke up has reached it.
    pub drowsy: bool,
}

/// An opened frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who was said to have spoken.
    pub from: Option<Person>,
    /// Who sealed it.
    pub by: Person,
    /// Under which epoch, when that was.
    pub branch: Option<Branch>,
}

/// A grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// In this epoch.
    pub branch: Branch,
    /// For this term.
    pub term: u64,
    /// To whom.
    pub candidate: Person,
}

/// What a cheating person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vice {
    /// Sends nothing on the control stream any more, but keeps its connections.
    Silent,
    /// Takes no proposals.
    Censor,
    /// Makes two commits for one epoch and shows each to half of the others.
    Equivocate,
    /// Acknowledges what it did not merge.
    FalseAck,
    /// Proposes what may not be proposed.
    Poison,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Duration,
    /// Whose run showed it.
    pub person: Person,
    /// Which invariant.
    pub rule: &'static str,
    /// What happened.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, person, rule, what } = self;
        write!(f, "{:.3} s, person {person}: {rule}: {what}", at.as_secs_f64())
    }
}
