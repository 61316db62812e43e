//! What runs want done, and what travels between them.

use super::network::{Given, Happen, Network};
use super::pair::Message;
use super::run::Been;
use super::seen::{Branch, Epoch, Granted, Opened, Sealed, What};
use crate::call::{EndReason, EpochState, EpochWhy, Event, LeftHow, Output};
use crate::group::Succession;
use crate::media::frame::Coded;
use crate::wire::control::Control;
use crate::wire::link::{LinkDown, LinkEvent, LinkId, MemberId, Send};
use crate::wire::sframe::{Header, Kid, StreamKind};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Network {
    /// Does what a run's call wants done, until it waits.
    pub(super) fn drain(&mut self, run: usize) {
        loop {
            let state = &mut self.runs[run];
            let now = state.now(self.base, self.now);
            let slept = state.slept;
            let Some(call) = &mut state.call else { return };
            match call.poll(now) {
                Output::Wait(at) => {
                    state.timer += 1;
                    let timer = state.timer;
                    let at = at.saturating_duration_since(self.base) + slept;
                    // A timer that is due again at once would stop the clock.
                    let at = at.max(self.now + Duration::from_millis(1));
                    self.at(at, Happen::Timer(run, timer));
                    return;
                }
                Output::Dial(link, to) => {
                    let person = self.runs[run].person as u64;
                    self.trace.note(self.now, "dials", &[person, link.0], || to.to_string());
                    self.dial(run, link, to);
                }
                Output::Close(link, code) => self.close(run, link, code),
                Output::Send(link, send) => self.send(run, link, send),
                Output::Media(from, coded) => self.media(run, from, &coded),
                Output::Event(event) => self.event(run, event),
                Output::Authenticated(_) | Output::Rate(..) => {}
            }
        }
    }

    fn event(&mut self, run: usize, event: Event) {
        let person = self.runs[run].person as u64;
        match event {
            Event::Epoch { epoch, roster, why, state } => {
                self.entered(run, epoch, roster, why, &state);
            }
            Event::Ended(reason) => {
                self.runs[run].ended = true;
                let why = match reason {
                    // Names are fixed; addresses and fingerprints are not worth a line.
                    EndReason::WrongIdentity(_) => "wrong identity".to_string(),
                    other => format!("{other:?}"),
                };
                self.see(run, What::Ended { why });
            }
            Event::Left { member, how, .. } => {
                let lost = u64::from(how == LeftHow::Lost);
                self.trace.note(self.now, "out", &[person, u64::from(member.0), lost], || {
                    format!("{how:?}")
                });
            }
            Event::Lost(member, lost) => {
                let values = [person, u64::from(member.0), u64::from(lost)];
                self.trace.note(self.now, "unheard", &values, String::new);
            }
            Event::BadGroupMessage { from, why } => {
                let values = [person, u64::from(from.0)];
                self.trace.note(self.now, "refused", &values, || why);
            }
            Event::Equivocation { by, .. } => {
                if let Some(about) = self.runs[run].person_of.get(&by).copied() {
                    self.runs[run].alarms.insert(about);
                    self.see(run, What::Alarm(about));
                }
            }
            Event::Succession { split } => {
                let values = [person, u64::from(split)];
                self.trace.note(self.now, "succession", &values, String::new);
            }
            Event::Returning(on) => {
                self.trace.note(self.now, "returning", &[person, u64::from(on)], String::new);
            }
            Event::SequencerSilent(on) => {
                self.trace.note(self.now, "silent", &[person, u64::from(on)], String::new);
            }
            Event::Held(why) => {
                let values = [person, u64::from(why.is_some())];
                self.trace.note(self.now, "held", &values, || format!("{why:?}"));
            }
            Event::LostContradicted { member, by, .. } => {
                let values = [person, u64::from(member.0), u64::from(by.0)];
                self.trace.note(self.now, "contradicts", &values, String::new);
            }
            Event::Split(member) => {
                self.trace.note(self.now, "split", &[person, u64::from(member.0)], String::new);
            }
            _ => {}
        }
    }

    /// A run is in a new epoch.
    fn entered(
        &mut self,
        run: usize,
        epoch: u64,
        roster: [u8; 32],
        why: EpochWhy,
        new: &EpochState,
    ) {
        let next = Branch::try_from(self.epochs.len()).unwrap_or(Branch::MAX);
        let person_of = |(id, identity)| Some((id, *self.by_identity.get(&identity)?));
        let people: BTreeMap<_, _> = new.members.iter().copied().filter_map(person_of).collect();
        let members = people.values().copied().collect::<BTreeSet<_>>();
        let sequencer = people.get(&new.sequencer).copied().unwrap_or(usize::MAX);
        let branch = *self.branches.entry(new.authenticator).or_insert(next);
        self.runs[run].person_of = people;
        let state = &self.runs[run];
        let begun = matches!(why, EpochWhy::Begun | EpochWhy::Returned);
        let dropped = !begun && !state.members.is_subset(&members);
        let before = state.newest().filter(|b| !begun && b.epoch + 1 == epoch);
        let parent = before.map(|b| b.branch);
        let led_before = before.map(|b| b.sequencer).filter(|led| *led != sequencer);
        let handed = led_before
            .filter(|_| new.succession.is_none())
            .and_then(|led| state.heard_at.get(led).copied())
            .unwrap_or_default();
        let (term, split) = (u64::from(new.term), new.split);
        let granted = new.succession == Some(Succession::Majority);
        let entered =
            Epoch { epoch, branch, parent, members, sequencer, term, split, granted, dropped };
        if branch == next {
            self.epochs.push(entered.clone());
            self.entries.push(Vec::new());
        }
        self.entries[branch as usize].push((self.now, run));
        if why == EpochWhy::Returned {
            self.healings += 1;
        }
        let state = &mut self.runs[run];
        state.members.clone_from(&entered.members);
        state.entered(Been { epoch, roster, branch, sequencer, handed });
        self.see(run, What::Entered(entered));
        let screen = self.runs[run].screen;
        if screen.is_zero() {
            self.show(run, epoch, roster);
        } else {
            self.after(screen, Happen::Give(run, Given::Shown(epoch, roster)));
        }
    }

    fn media(&mut self, run: usize, from: MemberId, coded: &Coded) {
        let Coded::Audio(audio) = coded else { return };
        let Ok(serial) = audio.bytes.as_ref().try_into().map(u64::from_be_bytes) else { return };
        let Some((by, branch)) = self.spoken.get(serial as usize).copied() else { return };
        let from = self.runs[run].person_of.get(&from).copied();
        self.opened += 1;
        self.last_heard.insert((self.runs[run].person, by), self.now);
        self.see(run, What::Opened(Opened { from, by, branch }));
    }

    fn send(&mut self, run: usize, link: LinkId, send: Send) {
        let event = match send {
            Send::Control(bytes) | Send::Urgent(bytes) => {
                return self.send_control(run, link, bytes);
            }
            Send::Datagram(bytes) => LinkEvent::Datagram(bytes),
            Send::Frame { bytes, .. } => LinkEvent::Frame(bytes),
        };
        if let LinkEvent::Datagram(bytes) | LinkEvent::Frame(bytes) = &event {
            self.note_sealed(run, bytes);
        }
        let Some((pair, side, path)) = self.way(run, link) else { return };
        let heard = self.runs[run].tells(self.people.len(), self.now);
        if let Some(time) = path.packet(&mut self.dice) {
            self.after(time, Happen::Packet { pair, side: 1 - side, event, heard });
        }
    }

    /// The connection, our end, and the path out of it.
    fn way(&self, run: usize, link: LinkId) -> Option<(usize, usize, super::path::Path)> {
        let pair = *self.runs[run].links.get(&link)?;
        let side = self.pairs[pair].side(run, link)?;
        if !self.pairs[pair].0[side].up {
            return None;
        }
        let there = self.pairs[pair].0[1 - side].run;
        let path = self.paths.get(self.runs[run].person, self.runs[there].person);
        Some((pair, side, path))
    }

    fn send_control(&mut self, run: usize, link: LinkId, bytes: Bytes) {
        let Some((pair, side, _)) = self.way(run, link) else { return };
        let there = self.pairs[pair].0[1 - side].run;
        let to = self.runs[there].person;
        let Ok(message) = Control::decode(&bytes) else { return };
        if let Control::Sealed(sealed) = &message {
            self.note_sealed(run, sealed);
        } else {
            self.runs[run].handshake_bytes += bytes.len() as u64;
            let led = self.runs[run].newest().is_some_and(|b| b.sequencer == self.runs[run].person);
            if led {
                self.runs[run].led.1 += bytes.len() as u64;
            }
        }
        let bytes = match &self.runs[run].cheat {
            Some(cheat) => match cheat.sends(to, &message) {
                Some(bytes) => bytes,
                None => return,
            },
            None => bytes,
        };
        if matches!(message, Control::Bundle(_))
            && let Some(left) = &mut self.runs[run].dies_after
        {
            if *left == 0 {
                let person = self.runs[run].person;
                self.crash(person);
                return;
            }
            *left -= 1;
        }
        self.note_vote(run, &message);
        let heard = self.runs[run].tells(self.people.len(), self.now);
        let end = &mut self.pairs[pair].0[side];
        let number = end.next;
        end.next += 1;
        end.sent.insert(number, Message::new(bytes, heard));
        self.attempt(pair, side, number);
    }

    /// Notes a grant that is sent.
    fn note_vote(&mut self, run: usize, message: &Control) {
        let state = &self.runs[run];
        let Control::Grant(bytes) = message else { return };
        let Ok(grant) = crate::group::Grant::parse(bytes) else { return };
        let (term, epoch) = (grant.term, grant.epoch);
        let candidate = state.person_of.get(&grant.candidate).copied();
        let Some(been) = state.newest().filter(|b| b.epoch == epoch) else { return };
        let Some(candidate) = candidate else { return };
        let (term, branch) = (u64::from(term), been.branch);
        self.trace.note(self.now, "grants", &[run as u64, term, candidate as u64], String::new);
        self.see(run, What::Granted(Granted { branch, term, candidate }));
    }

    /// What is missing of a control message is sent.
    pub(super) fn attempt(&mut self, pair: usize, side: usize, number: u64) {
        let [a, b] = &self.pairs[pair].0;
        let (here, there) = if side == 0 { (a, b) } else { (b, a) };
        let (from, to) = (self.runs[here.run].person, self.runs[there.run].person);
        let awake = self.runs[here.run].is_awake();
        // What did not get through before the end is never sent again.
        if !here.up {
            return;
        }
        let path = self.paths.get(from, to);
        let round_trip = path.delay + self.paths.get(to, from).delay;
        let Some(message) = self.pairs[pair].0[side].sent.get_mut(&number) else { return };
        let mut lost = message.missing;
        let mut time = Duration::ZERO;
        if awake {
            lost = 0;
            for _ in 0..message.missing {
                match path.packet(&mut self.dice) {
                    Some(took) => time = time.max(took),
                    None => lost += 1,
                }
            }
        }
        if lost == 0 {
            self.after(time, Happen::Arrive { pair, side: 1 - side, number });
        } else {
            message.missing = lost;
            let wait = message.wait(round_trip);
            self.after(wait, Happen::Attempt { pair, side, number });
        }
    }

    /// The last packet of a control message is there; what is in order is taken.
    pub(super) fn arrive(&mut self, pair: usize, side: usize, number: u64) {
        if let Some(message) = self.pairs[pair].0[1 - side].sent.get_mut(&number) {
            message.missing = 0;
        }
        if !self.pairs[pair].0[side].up {
            // Nobody there knows this connection any more, or not yet.
            let waits = self.pairs[pair].0[side].id == LinkId(u64::MAX);
            let run = self.pairs[pair].0[side].run;
            if waits && self.runs[run].is_on() {
                self.after(Duration::from_millis(50), Happen::Arrive { pair, side, number });
            } else if self.runs[run].call.is_some() {
                let why = LinkDown::Network;
                self.news_of_close(pair, 1 - side, why);
            }
            return;
        }
        while self.pairs[pair].0[side].up {
            let Some(message) = self.pairs[pair].take(side) else { break };
            let end = &self.pairs[pair].0[side];
            let (run, id) = (end.run, end.id);
            let from = self.pairs[pair].0[1 - side].run;
            if let Some(cheat) = &self.runs[from].cheat
                && matches!(Control::decode(&message.bytes), Ok(Control::Bundle(_)))
                && cheat.other.is_some()
                && cheat.base == self.runs[run].newest().map(|been| been.branch)
            {
                let to = self.runs[run].person;
                self.runs[from].cheat.as_mut().map(|c| c.fooled.insert(to % 2 == 1));
            }
            let event = LinkEvent::Control(message.bytes);
            self.give(run, Given::Link(id, event, Some(message.heard)));
        }
    }

    /// Looks at what is delivered; false if it is not taken in.
    pub(super) fn note_delivery(&mut self, run: usize, link: LinkId, event: &LinkEvent) -> bool {
        match event {
            LinkEvent::Control(bytes) => {
                let kind = bytes.first().copied().unwrap_or(0);
                let person = self.runs[run].person as u64;
                self.trace.note(self.now, "gets", &[person, link.0, u64::from(kind)], || {
                    format!("{} bytes", bytes.len())
                });
                let Some(cheat) = &self.runs[run].cheat else { return true };
                Control::decode(bytes).map_or(true, |message| cheat.takes(&message))
            }
            LinkEvent::Down(why) => {
                let person = self.runs[run].person as u64;
                let text = || format!("{why:?}");
                self.trace.note(self.now, "down", &[person, link.0], text);
                true
            }
            _ => true,
        }
    }

    fn close(&mut self, run: usize, link: LinkId, code: u32) {
        let person = self.runs[run].person as u64;
        self.trace.note(self.now, "closes", &[person, link.0, u64::from(code)], String::new);
        let Some((pair, side, _)) = self.way(run, link) else { return };
        self.pairs[pair].0[side].up = false;
        self.runs[run].links.remove(&link);
        self.news_of_close(pair, 1 - side, LinkDown::ClosedByPeer(code));
    }

    /// The packet that tells `side` that the other end is closed; may get lost.
    fn news_of_close(&mut self, pair: usize, side: usize, why: LinkDown) {
        let [a, b] = &self.pairs[pair].0;
        let (here, there) = if side == 0 { (a, b) } else { (b, a) };
        let (to, from) = (self.runs[here.run].person, self.runs[there.run].person);
        if let Some(time) = self.paths.get(from, to).packet(&mut self.dice) {
            self.after(time, Happen::Down { pair, side, why });
        }
    }

    /// An end learns that its connection is gone.
    pub(super) fn down(&mut self, pair: usize, side: usize, why: LinkDown) {
        let end = &mut self.pairs[pair].0[side];
        if !end.up {
            return;
        }
        end.up = false;
        let (run, id) = (end.run, end.id);
        self.runs[run].links.remove(&id);
        self.give(run, Given::Link(id, LinkEvent::Down(why), None));
    }

    /// Notes a sealed object on its way out.
    fn note_sealed(&mut self, run: usize, bytes: &Bytes) {
        let Ok((header, _)) = Header::decode(bytes) else { return };
        let Ok(kid) = Kid::from_u64(header.kid) else { return };
        let state = &self.runs[run];
        let been = state.of_kid(|epoch| kid.is_of_epoch(epoch));
        let mut unheard = None;
        let mut drowsy = false;
        if let Some(been) = been
            && been.sequencer != state.person
        {
            let since = state.heard_at.get(been.sequencer).copied().unwrap_or_default();
            // A joiner has heard its sequencer, or somebody who had, when it came in.
            unheard = Some(self.now - since.max(been.handed).max(state.began));
            drowsy = state.woke.is_some_and(|woke| !state.asked(been.sequencer, woke));
        }
        let branch = been.map(|b| b.branch);
        if kid.stream == StreamKind::Audio
            && let Some(serial) = state.speaks
            && let Some(spoken) = self.spoken.get_mut(serial as usize)
        {
            spoken.1 = branch;
        }
        let digest = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let (kid, ctr) = (header.kid, header.ctr);
        self.see(run, What::Sealed(Sealed { branch, kid, ctr, digest, unheard, drowsy }));
    }
}
