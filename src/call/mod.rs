//! The call as a state machine without I/O.
//!
//! [`Call`] is one participant: it says whom to dial, runs the three-message handshake, asks about
//! knocks, follows the group through its epochs, seals what the media engine coded and opens what
//! arrives. It knows no codec, no socket and no clock: [`Call::handle`] takes what happened and
//! when, [`Call::poll`] gives out what to do, until [`Output::Wait`] says when to come back.
//!
//! ```text
//!  user, screen ── Input::User, RosterShown ─┐            ┌─ Output::Event ── screen, scripts
//!  engine ──────── Input::Coded ─────────────┤    Call    ├─ Output::Media ── engine
//!  connections ─── Input::Link ──────────────┘            └─ Output::Send, Dial, Close ── connections
//! ```
//!
//! Who may do what with which key is not decided here but in `group` (roster, policy) and `seal`
//! (gate, replay); this room moves members and frames between them.
//!
//! | theme | file |
//! |---|---|
//! | connections; dialling, the three messages | `connection`, `handshake`, `admission` |
//! | members, reached or not, and out only because unheard | `membership`, `gaps`, `former` |
//! | heartbeats and the sequencer's beats | `beat` |
//! | what we want of the group; commits, acks; bundles on request | `wishes`, `changes`, `offers` |
//! | a new epoch: people, keys, roster, words | `entering` |
//! | the sequencer falls silent, or lies | `succession`, `equivocation` |
//! | branches meet, the loser comes back, and those it had let in | `branches`, `introduce` |
//! | decisions: removal, lock, admitters | `orders` |
//! | people the user knows, names and keys; calling them | `contact`, `ring` |
//! | what is written down, and what is kept for others at most | `record`, `bounds` |
//! | frames, and when none are sealed | `epochs`, `fence`, `feedback`, `talk` |

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod admission;
mod beat;
pub mod bounds;
mod branches;
mod changes;
mod connection;
mod contact;
mod copies;
mod entering;
mod epochs;
mod equivocation;
mod feedback;
mod fence;
mod former;
mod gaps;
mod handshake;
mod introduce;
mod membership;
mod offers;
mod orders;
mod record;
mod ring;
mod succession;
mod talk;
mod types;
mod view;
mod welcomes;
mod wishes;

pub use contact::{DoubtView, Namesake};
pub use epochs::SealedOut;
pub use feedback::Budget;
pub use fence::Held;
pub use record::LedgerView;
pub use types::*;
pub use view::*;

use crate::group::Group;
use crate::identity::words::CallWords;
use crate::identity::{Fingerprint, IdentityKey, LeafKey};
use crate::time::{Now, Wall};
use crate::wire::link::{LinkEvent, LinkId, MemberId, close};
use beat::{HEARTBEAT, Place, Pulse};
use branches::Returning;
use changes::Change;
use epochs::Epochs;
use fence::Woke;
use former::Formers;
use handshake::{LinkState, PhaseState};
use membership::{Peer, Peers};
use offers::Offers;
use rand::CryptoRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use succession::Ballot;
use wishes::Wishes;

/// A leaving member waits this long for its farewell to reach the others.
const FAREWELL: Duration = Duration::from_millis(400);

/// One participant of a call. See the module's header.
pub struct Call {
    config: CallConfig,
    identity: Arc<IdentityKey>,
    leaf: LeafKey,
    phase: PhaseState,
    group: Option<Group>,
    links: BTreeMap<LinkId, LinkState>,
    next_link: u64,
    peers: Peers,
    contacts: contact::Contacts,
    calling: Option<ring::Calling>,
    record: record::Record,
    epochs: Epochs,
    invites: Vec<OpenInvite>,
    knocks: BTreeMap<KnockId, admission::Knocking>,
    next_knock: u32,
    words: Option<(u64, CallWords)>,
    /// The epoch whose words are valid now: the last one with other members than before.
    words_for: u64,
    tracks: Tracks,
    out: VecDeque<Output>,
    next_heartbeat: Instant,
    /// When the current epoch was entered.
    entered: Instant,
    /// The same by the wall clock, which goes on while the machine sleeps.
    entered_wall: Wall,
    /// Who led in it.
    leader: Option<MemberId>,
    /// Whoever led before somebody took over, until heard in this branch.
    without: Option<succession::Predecessor>,
    pulse: Pulse,
    ballot: Ballot,
    offers: Offers,
    welcomes: welcomes::Welcomes,
    wishes: Wishes,
    former: Formers,
    gaps: gaps::Gaps,
    returning: Option<Returning>,
    /// Who did not take us back, and until when they are not asked again.
    closed_door: Option<([u8; 32], Instant)>,
    woke: Option<Woke>,
    /// Leaf keys of proved equivocators, with the proofs.
    liars: BTreeMap<[u8; 32], Vec<u8>>,
    /// Somebody in this epoch is ordered out of it.
    removal_known: bool,
    fence_shown: Option<Held>,
    leaving: Option<(Instant, EndReason)>,
    /// On leaving, the lead was given away once; it is not given away again.
    gave_lead_away: bool,
    ended: bool,
    counters: Counters,
    suspended: bool,
}

impl Call {
    /// Founds a call: makes the group with this participant alone in it, and a first invite.
    pub fn host(
        config: CallConfig,
        identity: Arc<IdentityKey>,
        addresses: Vec<SocketAddr>,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, CallError> {
        let mut call = Self::bare(config, identity, PhaseState::Waiting, now, rng);
        let group_id = call.new_invite(addresses, now, rng);
        call.found(group_id, now)?;
        Ok(call)
    }

    /// Prepares to join by an invite; the first [`Call::poll`]s say whom to dial.
    pub fn join(
        config: CallConfig,
        identity: Arc<IdentityKey>,
        invite: crate::invite::Invite,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, CallError> {
        if invite.is_expired(now.wall) {
            return Err(CallError::InviteExpired);
        }
        let host = invite.host;
        if host == identity.public() {
            return Err(CallError::OwnInvite);
        }
        if config.expect.is_some_and(|wanted| !wanted.matches(&host)) {
            return Err(CallError::WrongIdentity { met: Fingerprint::of(&host) });
        }
        let mut call = Self::bare(config, identity, PhaseState::Waiting, now, rng);
        call.begin_joining(handshake::Door::Invite(invite));
        Ok(call)
    }

    fn bare(
        config: CallConfig,
        identity: Arc<IdentityKey>,
        phase: PhaseState,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Self {
        let tracks = config.tracks;
        let contacts = contact::Contacts::new(&config, &identity.public());
        Self {
            config,
            identity,
            leaf: LeafKey::generate(rng),
            phase,
            group: None,
            links: BTreeMap::new(),
            next_link: 0,
            peers: Peers::default(),
            contacts,
            calling: None,
            record: record::Record { now: now.wall, chain: Default::default() },
            epochs: Epochs::default(),
            invites: Vec::new(),
            knocks: BTreeMap::new(),
            next_knock: 0,
            words: None,
            words_for: 0,
            tracks,
            out: VecDeque::new(),
            next_heartbeat: now.mono + HEARTBEAT,
            entered: now.mono,
            entered_wall: now.wall,
            leader: None,
            without: None,
            pulse: Pulse::new(now),
            ballot: Ballot::default(),
            offers: Offers::default(),
            welcomes: welcomes::Welcomes::default(),
            wishes: Wishes::new(now.mono),
            former: Formers::default(),
            gaps: gaps::Gaps::default(),
            returning: None,
            closed_door: None,
            woke: None,
            liars: BTreeMap::new(),
            removal_known: false,
            fence_shown: None,
            leaving: None,
            gave_lead_away: false,
            ended: false,
            counters: Counters::default(),
            suspended: false,
        }
    }

    /// The seed of this call's leaf key, for TLS: one key proves the connection and the leaf.
    pub fn leaf_key(&self) -> &LeafKey {
        &self.leaf
    }

    /// Takes in what happened. Errors are this participant's own (a bug, or a command that makes
    /// no sense now): what a peer does wrong is counted, attributed and never an error here.
    pub fn handle(
        &mut self,
        now: Now,
        rng: &mut dyn CryptoRng,
        input: Input,
    ) -> Result<(), CallError> {
        if self.ended {
            return Ok(());
        }
        self.record.now = now.wall;
        self.look_at_fence(now);
        let result = self.handle_input(now, rng, input);
        self.look_at_fence(now);
        result
    }

    fn handle_input(
        &mut self,
        now: Now,
        rng: &mut dyn CryptoRng,
        input: Input,
    ) -> Result<(), CallError> {
        match input {
            Input::Tick => self.tick(now),
            Input::Woke => {
                self.woke_up(now, rng);
                Ok(())
            }
            Input::User(command) => self.command(command, now, rng),
            Input::Path(link, seen) => {
                self.note_path(link, seen, now);
                Ok(())
            }
            Input::Accepted(link) => {
                self.links.insert(link, LinkState::accepted(now.mono));
                self.next_link = self.next_link.max(link.0 + 1);
                Ok(())
            }
            Input::DialFailed(link, why) => self.dial_failed(link, why, now),
            Input::Link(link, event) => self.link_event(link, event, now),
            Input::Moved { link, ours, remote } => {
                self.moved(link, ours, remote, now);
                Ok(())
            }
            Input::Coded(to, coded) => {
                self.send_media(&to, &coded, now);
                Ok(())
            }
            Input::Want(member, want) => {
                self.set_want(member, want);
                Ok(())
            }
            Input::NeedKeyframe(member) => {
                self.ask_keyframe(member, now);
                Ok(())
            }
            Input::RosterShown(receipt) => {
                self.roster_shown(receipt);
                Ok(())
            }
            Input::Words(epoch, words) => {
                self.take_words(epoch, words);
                Ok(())
            }
        }
    }

    /// The next thing to do; [`Output::Wait`] when there is nothing before that moment.
    pub fn poll(&mut self, now: Now) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        Output::Wait(self.wake_at(now.mono))
    }

    fn wake_at(&self, now: Instant) -> Instant {
        if self.ended {
            return now + Duration::from_secs(3600);
        }
        let mut at = self.next_heartbeat;
        let mut earlier = |t: Option<Instant>| {
            if let Some(t) = t {
                at = at.min(t);
            }
        };
        earlier(self.leaving.as_ref().map(|(t, _)| *t));
        earlier(self.epochs.wake_at());
        earlier(self.peers.wake_at());
        earlier(self.ring_wake_at());
        earlier(self.links.values().filter_map(LinkState::wake_at).min());
        earlier(self.knocks.values().map(|k| k.deadline).min());
        earlier(self.offers.wake_at());
        earlier(self.welcomes.wake_at());
        earlier(self.former.wake_at());
        earlier(self.returning_wake());
        earlier(self.fence_wake());
        earlier(self.wishes_wake());
        earlier(self.succession_wake(now));
        at
    }

    fn tick(&mut self, now: Now) -> Result<(), CallError> {
        if let Some((at, reason)) = self.leaving.clone()
            && at <= now.mono
        {
            self.finish(reason);
            return Ok(());
        }
        self.expire_links(now);
        self.ask_strangers(now);
        self.expire_knocks(now);
        self.ring_tick(now)?;
        self.check_peers(now)?;
        self.epochs_tick(now);
        self.reports_tick(now);
        if self.next_heartbeat <= now.mono {
            self.next_heartbeat = now.mono + HEARTBEAT;
            self.heartbeat(now);
            self.mend_gaps(now)?;
            self.retell(now);
        }
        self.offers_tick(now);
        self.welcomes_tick(now);
        self.returning_tick(now);
        self.fence_tick(now);
        self.heal_if_due(now);
        self.succession_tick(now)?;
        self.pursue(now)
    }

    fn command(
        &mut self,
        command: Command,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), CallError> {
        match command {
            Command::Admit(id) => self.admit(id, now),
            Command::Decline(id) => {
                self.decline(id);
                Ok(())
            }
            Command::NewInvite(addresses) => {
                self.new_invite(addresses, now, rng);
                Ok(())
            }
            Command::Rekey => self.rekey(now),
            Command::Tracks(tracks) => {
                self.tracks = tracks;
                self.announce_tracks();
                Ok(())
            }
            Command::Suspend(on) => {
                self.suspended = on;
                Ok(())
            }
            Command::WordsCompared(read) => {
                // What was read may have been replaced while the key was on its way.
                let of = self.valid_words().map(|(epoch, _)| epoch);
                if of.is_some() && read.is_none_or(|read| of == Some(read)) {
                    self.record_words();
                    self.peers.words_compared(of, |member| self.contacts.holds(member));
                }
                Ok(())
            }
            Command::Believe(identity) => self.decide_doubt(identity, true, now),
            Command::Disbelieve(identity) => self.decide_doubt(identity, false, now),
            Command::Remove(member) => self.remove(member, now),
            Command::Lock => self.lock(now),
            Command::Unlock => self.unlock(now),
            Command::Readmit(identity) => self.readmit(identity, now),
            Command::Admitter(member, may) => self.admitter(member, may, now),
            Command::VoidInvite(number) => self.void_invite(number, now),
            Command::Leave => self.leave(now),
        }
    }

    fn link_event(&mut self, id: LinkId, event: LinkEvent, now: Now) -> Result<(), CallError> {
        // What it says on the control stream may say that it isn't one of us.
        let speaks = matches!(event, LinkEvent::Datagram(_) | LinkEvent::Frame(_));
        let member = self.links.get(&id).and_then(LinkState::member).filter(|_| speaks);
        if member.is_some_and(|member| self.peers.heard(member, now.mono)) {
            self.event(Event::Budgets);
        }
        match event {
            LinkEvent::Up(up) => self.link_up(id, up, now),
            LinkEvent::Control(bytes) => self.control(id, bytes, now)?,
            LinkEvent::Datagram(bytes) => self.open_datagram(id, &bytes, now),
            LinkEvent::Frame(bytes) => self.open_frame(id, &bytes, now),
            LinkEvent::Down(why) => self.link_down(id, why, now)?,
        }
        Ok(())
    }

    /// The call words, once those of the present members are computed.
    fn valid_words(&self) -> Option<(u64, CallWords)> {
        self.words.filter(|(of, _)| *of == self.words_for)
    }

    fn take_words(&mut self, epoch: u64, words: CallWords) {
        // Only the newest membership counts: an older computation may end after a newer began.
        if self.words.as_ref().is_none_or(|(e, _)| *e <= epoch) {
            self.words = Some((epoch, words));
            self.event(Event::Words { epoch, words });
        }
    }

    fn event(&mut self, event: Event) {
        self.record(&event);
        self.out.push_back(Output::Event(event));
    }

    /// Ends this participant's part: closes every connection and says why.
    fn finish(&mut self, reason: EndReason) {
        if self.ended {
            return;
        }
        // Whatever the reason: this participant goes. `REMOVED` would tell the others that they do.
        for id in std::mem::take(&mut self.links).into_keys() {
            self.out.push_back(Output::Close(id, close::LEFT));
        }
        self.epochs.erase();
        self.group = None;
        self.invites.clear();
        self.ended = true;
        self.event(Event::Ended(reason));
    }

    fn leave(&mut self, now: Now) -> Result<(), CallError> {
        if self.leaving.is_some() {
            return Ok(());
        }
        let reason = EndReason::Left;
        let others = self.peers.present().next().is_some();
        if !others || self.group.is_none() {
            self.finish(reason);
            return Ok(());
        }
        self.leaving = Some((now.mono + FAREWELL, reason));
        self.say_farewell(now)
    }

    /// This participant's number in the group, once it is in it.
    pub fn me(&self) -> Option<MemberId> {
        self.group.as_ref().map(Group::me)
    }
}

#[cfg(test)]
mod tests;
