//! When nothing is sealed, although there are keys and the roster was shown.
//!
//! A participant that was cut off, or whose machine slept, may be in an epoch that is over for
//! everybody else: somebody may have been removed since. So nothing is sealed in an epoch whose
//! sequencer was unheard for ten seconds, nor after waking until it has answered a fresh nonce;
//! and nothing while this participant knows of a removal that isn't in its epoch yet.

use super::*;
use crate::wire::control::Control;

/// Nothing is sealed in an epoch whose sequencer was unheard for this long.
const CUT_OFF: Duration = Duration::from_secs(10);
/// Between two questions after waking.
const ASK: Duration = Duration::from_secs(1);

/// Why nothing is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The roster is not on the screen yet.
    Screen,
    /// The sequencer was not heard for ten seconds.
    CutOff,
    /// This machine slept, and the sequencer has not answered since.
    Woke,
    /// On the way back into the call's other branch.
    Returning,
    /// Somebody was removed by decision, and there is no epoch without them yet.
    Removal,
    /// The program is being stopped.
    Suspended,
}

/// After waking: the question, and who has answered it.
pub(super) struct Woke {
    nonce: u64,
    ask_at: Instant,
    /// Who answered, and whether it slept, too.
    answers: BTreeMap<MemberId, bool>,
}

/// What somebody answered.
pub(super) struct Answer {
    pub(super) place: Place,
    /// It slept, too.
    pub(super) woke: bool,
}

impl Call {
    /// Why nothing is sealed now, if nothing is.
    pub(super) fn held(&self, now: Now) -> Option<Held> {
        if self.suspended {
            Some(Held::Suspended)
        } else if self.is_returning() {
            Some(Held::Returning)
        } else if self.woke.is_some() {
            Some(Held::Woke)
        } else if self.removal_pending() {
            Some(Held::Removal)
        } else if self.word_age(now) >= CUT_OFF {
            Some(Held::CutOff)
        } else if self.epochs.gated() {
            Some(Held::Screen)
        } else {
            None
        }
    }

    /// Tells when sealing stops or goes on.
    pub(super) fn look_at_fence(&mut self, now: Now) {
        let held = self.held(now);
        if held != self.fence_shown && !self.ended {
            self.fence_shown = held;
            self.event(Event::Held(held));
        }
    }

    /// Nothing may be sealed, under whichever of the living epochs.
    pub(super) fn fenced(&self, now: Now) -> bool {
        self.held(now).is_some_and(|held| held != Held::Screen)
    }

    /// The machine slept: everything that was true before is in doubt.
    pub(super) fn woke_up(&mut self, now: Now, rng: &mut dyn CryptoRng) {
        self.woke = None;
        if self.group.is_none() || self.peers.members.is_empty() {
            return;
        }
        let nonce = rng.next_u64();
        self.woke = Some(Woke { nonce, ask_at: now.mono, answers: BTreeMap::new() });
        self.event(Event::Woke(true));
        self.fence_tick(now);
    }

    pub(super) fn fence_wake(&self) -> Option<Instant> {
        self.woke.as_ref().map(|woke| woke.ask_at)
    }

    pub(super) fn fence_tick(&mut self, now: Now) {
        if self.woke.is_some() && self.peers.members.is_empty() {
            self.woke = None;
            self.event(Event::Woke(false));
        }
        let Some(woke) = &mut self.woke else { return };
        if woke.ask_at <= now.mono {
            woke.ask_at = now.mono + ASK;
            let ping = Control::Ping { nonce: woke.nonce };
            self.broadcast(&ping);
        }
    }

    pub(super) fn take_ping(&mut self, link: LinkId, nonce: u64) {
        let Some(Place { epoch, confirmation }) = self.place() else { return };
        let woke = self.woke.is_some();
        if !self.is_returning() {
            self.send_control(link, &Control::Pong { nonce, epoch, confirmation, woke });
        }
    }

    /// Opens the fence when nobody can have gone on without us, all answers being from our epoch:
    /// the sequencer answered on its own connection, or a majority that knows. Those who slept
    /// themselves know nothing; but when the sequencer is among them and they are a majority, then
    /// neither it nor a successor has led anybody on.
    pub(super) fn take_pong(&mut self, from: MemberId, nonce: u64, answer: Answer, now: Now) {
        let here = self.place() == Some(answer.place);
        let members = self.join_order().len();
        let (me, sequencer) = (self.me(), self.sequencer());
        // A majority can't speak for it as long as it can speak itself: one of them may be out.
        let reachable = sequencer
            .and_then(|leads| self.peers.members.get(&leads))
            .is_some_and(|peer| peer.link.is_some());
        let Some(woke) = self.woke.as_mut().filter(|w| w.nonce == nonce) else { return };
        if !here {
            return;
        }
        woke.answers.insert(from, answer.woke);
        let majority = |others: usize| (others + 1) * 2 > members;
        let awake = |id: &MemberId| woke.answers.get(id) == Some(&false);
        let knowing = woke.answers.keys().filter(|id| awake(id)).count();
        let by_sequencer = sequencer.is_some_and(|id| woke.answers.contains_key(&id));
        let leads = me == sequencer || by_sequencer;
        let sure = sequencer.is_some_and(|id| awake(&id))
            || (!reachable && majority(knowing))
            || (leads && majority(woke.answers.len()));
        if sure {
            self.woke = None;
            self.answered(by_sequencer, now);
            self.event(Event::Woke(false));
        }
    }

    /// A new epoch: answers from before it say nothing about it.
    pub(super) fn fence_epoch(&mut self) {
        if let Some(woke) = &mut self.woke {
            woke.answers.clear();
        }
    }
}
