//! Calls with each other, without network or runtime: messages travel through a queue with a
//! virtual clock. Keys, group and seals are the real ones.

mod contacts;
mod ledgers;
mod rings;

use super::*;
use crate::identity::DisplayName;
use crate::invite::Invite;
use crate::media::frame::{Coded, CodedAudio};
use crate::seal::Receipt;
use crate::secret::Secret;
use crate::time::{MediaTime, Wall};
use crate::wire::link::{LinkDown, LinkUp, Send};
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// One-way delay of the queue.
const DELAY: Duration = Duration::from_millis(20);

struct Party {
    call: Call,
    address: SocketAddr,
    shows: bool,
    events: Vec<Event>,
    media: Vec<(MemberId, Coded)>,
    wait: Instant,
}

enum Deliver {
    Input(Input),
}

/// Everything and everybody.
struct World {
    now: Now,
    rng: StdRng,
    parties: Vec<Party>,
    /// (at, order, to, what), delivered in this order.
    queue: Vec<(Instant, u64, usize, Deliver)>,
    order: u64,
    /// (party, link) ↔ (party, link)
    pairs: Vec<((usize, LinkId), (usize, LinkId))>,
    /// What every connection carried, for Eve.
    carried: Vec<Bytes>,
    cut: Vec<usize>,
}

fn config(name: &str, admit: Admit) -> CallConfig {
    CallConfig {
        name: DisplayName::parse(name).unwrap(),
        admit,
        expect: None,
        invite_uses: 8,
        invite_life: Duration::from_secs(3600),
        tracks: Tracks { mic: true, camera: true },
        known: Vec::new(),
        addresses: Vec::new(),
        knock_life: Duration::from_secs(120),
    }
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 7000))
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin for the virtual clock")]
    fn new() -> Self {
        let now = Now { mono: Instant::now(), wall: Wall(1_800_000_000_000) };
        Self {
            now,
            rng: StdRng::seed_from_u64(7),
            parties: Vec::new(),
            queue: Vec::new(),
            order: 0,
            pairs: Vec::new(),
            carried: Vec::new(),
            cut: Vec::new(),
        }
    }

    fn identity(&mut self) -> Arc<IdentityKey> {
        Arc::new(IdentityKey::generate(&mut self.rng))
    }

    fn add(&mut self, call: Call) -> usize {
        let n = self.parties.len();
        self.parties.push(Party {
            call,
            address: address(n),
            shows: true,
            events: Vec::new(),
            media: Vec::new(),
            wait: self.now.mono,
        });
        self.drain(n);
        n
    }

    fn host(&mut self, admit: Admit) -> usize {
        let identity = self.identity();
        let to = address(self.parties.len());
        let mut config = config("Ada Byron", admit);
        config.addresses = vec![to];
        let call = Call::host(config, identity, vec![to], self.now, &mut self.rng).unwrap();
        self.add(call)
    }

    fn invite(&self, party: usize) -> Invite {
        let view = self.parties[party].call.view();
        Invite::parse(&view.invites.last().unwrap().text).unwrap()
    }

    fn join(&mut self, name: &str, invite: Invite) -> usize {
        let mut config = config(name, Admit::Nobody);
        config.addresses = vec![address(self.parties.len())];
        self.join_with(config, invite)
    }

    fn join_with(&mut self, config: CallConfig, invite: Invite) -> usize {
        let identity = self.identity();
        let call = Call::join(config, identity, invite, self.now, &mut self.rng).unwrap();
        self.add(call)
    }

    fn input(&mut self, party: usize, input: Input) {
        let p = &mut self.parties[party];
        p.call.handle(self.now, &mut self.rng, input).unwrap();
        self.drain(party);
    }

    fn user(&mut self, party: usize, command: Command) {
        self.input(party, Input::User(command));
    }

    fn later(&mut self, to: usize, what: Deliver) {
        self.order += 1;
        self.queue.push((self.now.mono + DELAY, self.order, to, what));
    }

    fn other_end(&self, party: usize, link: LinkId) -> Option<(usize, LinkId)> {
        self.pairs.iter().find_map(|(a, b)| match () {
            () if *a == (party, link) => Some(*b),
            () if *b == (party, link) => Some(*a),
            () => None,
        })
    }

    fn drain(&mut self, party: usize) {
        loop {
            let output = self.parties[party].call.poll(self.now);
            match output {
                Output::Wait(at) => {
                    self.parties[party].wait = at;
                    return;
                }
                Output::Dial(link, to) => self.dial(party, link, to),
                Output::Close(link, code) => {
                    if let Some((other, there)) = self.other_end(party, link) {
                        self.pairs.retain(|(a, b)| *a != (party, link) && *b != (party, link));
                        let down = LinkEvent::Down(LinkDown::ClosedByPeer(code));
                        self.later(other, Deliver::Input(Input::Link(there, down)));
                    }
                }
                Output::Send(link, send) => {
                    let event = match send {
                        Send::Control(b) => LinkEvent::Control(b),
                        Send::Datagram(b) => LinkEvent::Datagram(b),
                        Send::Frame { bytes, .. } => LinkEvent::Frame(bytes),
                    };
                    if let LinkEvent::Control(b) | LinkEvent::Datagram(b) | LinkEvent::Frame(b) =
                        &event
                    {
                        self.carried.push(b.clone());
                    }
                    if let Some((other, there)) = self.other_end(party, link)
                        && !self.cut.contains(&party)
                        && !self.cut.contains(&other)
                    {
                        self.later(other, Deliver::Input(Input::Link(there, event)));
                    }
                }
                Output::Media(from, coded) => self.parties[party].media.push((from, coded)),
                Output::Event(event) => self.event(party, event),
                Output::Authenticated(_) | Output::Rate(..) => {}
            }
        }
    }

    fn event(&mut self, party: usize, event: Event) {
        match &event {
            Event::Epoch { epoch, roster, .. } if self.parties[party].shows => {
                let receipt = Receipt::shown(*epoch, *roster);
                let p = &mut self.parties[party];
                p.call.handle(self.now, &mut self.rng, Input::RosterShown(receipt)).unwrap();
            }
            Event::WordsNeeded { epoch, input } => {
                let words = crate::identity::words::call_words(input);
                let p = &mut self.parties[party];
                p.call.handle(self.now, &mut self.rng, Input::Words(*epoch, words)).unwrap();
            }
            _ => {}
        }
        self.parties[party].events.push(event);
    }

    fn dial(&mut self, party: usize, link: LinkId, to: SocketAddr) {
        let other = self.parties.iter().position(|p| p.address == to);
        let Some(other) = other.filter(|o| !self.cut.contains(o)) else {
            let failed = Input::DialFailed(link, DialFailure::TimedOut);
            self.later(party, Deliver::Input(failed));
            return;
        };
        let there = self.parties[other].call.accept_link();
        self.parties[other].call.handle(self.now, &mut self.rng, Input::Accepted(there)).unwrap();
        self.pairs.push(((party, link), (other, there)));
        let mut exporter = [0; 32];
        rand::RngCore::fill_bytes(&mut self.rng, &mut exporter);
        let up = |peer: &Call, remote, dialled| {
            LinkEvent::Up(LinkUp { peer_key: peer.leaf_key().public(), exporter, remote, dialled })
        };
        let here_up = up(&self.parties[other].call, to, true);
        let there_up = up(&self.parties[party].call, self.parties[party].address, false);
        self.later(party, Deliver::Input(Input::Link(link, here_up)));
        self.later(other, Deliver::Input(Input::Link(there, there_up)));
    }

    /// Runs the world for this long.
    fn run(&mut self, time: Duration) {
        let end = self.now.mono + time;
        loop {
            let message = self.queue.iter().map(|(at, order, ..)| (*at, *order)).min();
            let tick = self.parties.iter().enumerate().map(|(i, p)| (p.wait, i)).min();
            let next = [message.map(|m| m.0), tick.map(|t| t.0)].into_iter().flatten().min();
            let Some(next) = next.filter(|t| *t <= end) else { break };
            self.advance(next.max(self.now.mono));
            if message.is_some_and(|m| m.0 <= next) {
                let i = self
                    .queue
                    .iter()
                    .position(|(at, order, ..)| Some((*at, *order)) == message)
                    .unwrap();
                let (_, _, to, Deliver::Input(input)) = self.queue.swap_remove(i);
                self.input(to, input);
            } else if let Some((_, party)) = tick {
                self.input(party, Input::Tick);
                if self.parties[party].wait <= self.now.mono {
                    self.parties[party].wait = self.now.mono + Duration::from_millis(1);
                }
            }
        }
        self.advance(end);
    }

    fn advance(&mut self, to: Instant) {
        let by = to.saturating_duration_since(self.now.mono);
        self.now.mono += by;
        self.now.wall.0 += by.as_millis() as u64;
    }

    fn audio(&mut self, party: usize, byte: u8) {
        let packet = CodedAudio {
            seq: 0,
            at: MediaTime(0),
            millis: 20,
            level: 10,
            bytes: Bytes::from(vec![byte; 60]),
            previous: None,
        };
        self.input(party, Input::Coded(Vec::new(), Coded::Audio(packet)));
    }

    fn heard(&self, party: usize, byte: u8) -> usize {
        let of = |c: &Coded| matches!(c, Coded::Audio(a) if a.bytes.first() == Some(&byte));
        self.parties[party].media.iter().filter(|(_, c)| of(c)).count()
    }

    fn ended(&self, party: usize) -> Option<&EndReason> {
        self.parties[party].events.iter().find_map(|e| match e {
            Event::Ended(reason) => Some(reason),
            _ => None,
        })
    }

    fn words(&self, party: usize) -> String {
        self.parties[party].call.view().words.map(|(_, w)| w.to_string()).unwrap_or_default()
    }

    fn names(&self, party: usize) -> Vec<String> {
        self.parties[party].call.view().members.iter().map(|m| m.name.clone()).collect()
    }

    fn three() -> Self {
        let mut world = Self::new();
        let ada = world.host(Admit::Any);
        let invite = world.invite(ada);
        world.join("Ben Nevis", invite);
        world.run(Duration::from_secs(1));
        let invite = world.invite(ada);
        world.join("Cleo Stone", invite);
        world.run(Duration::from_secs(2));
        world
    }
}

#[test]
fn two_meet_and_hear_each_other() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    assert_eq!(world.names(ada), ["Ada Byron", "Ben Nevis"]);
    assert_eq!(world.names(ben), world.names(ada));
    assert_eq!(world.words(ada), world.words(ben));
    assert!(!world.words(ada).is_empty());
    world.audio(ada, 1);
    world.audio(ben, 2);
    world.run(Duration::from_millis(100));
    assert_eq!((world.heard(ben, 1), world.heard(ada, 2)), (1, 1));
}

#[test]
fn three_members_hear_each_other_and_share_words() {
    let mut world = World::three();
    for party in 0..3 {
        assert_eq!(world.names(party), ["Ada Byron", "Ben Nevis", "Cleo Stone"]);
        assert_eq!(world.words(party), world.words(0));
        world.audio(party, party as u8 + 1);
    }
    world.run(Duration::from_millis(100));
    for hearer in 0..3 {
        for speaker in 0..3 {
            let expected = usize::from(hearer != speaker);
            assert_eq!(world.heard(hearer, speaker as u8 + 1), expected, "{hearer} of {speaker}");
        }
    }
}

#[test]
fn the_host_may_leave_and_the_call_goes_on() {
    let mut world = World::three();
    world.user(0, Command::Leave);
    world.run(Duration::from_secs(2));
    assert_eq!(world.ended(0), Some(&EndReason::Left));
    for party in 1..3 {
        assert_eq!(world.names(party), ["Ben Nevis", "Cleo Stone"]);
        assert_eq!(world.words(party), world.words(1));
        assert_eq!(world.ended(party), None);
    }
    world.audio(1, 77);
    world.run(Duration::from_millis(100));
    assert_eq!(world.heard(2, 77), 1);
    // And the new one in charge can let somebody in.
    world.user(1, Command::NewInvite(vec![address(1)]));
    world.parties[1].call.config.admit = Admit::Any;
    let invite = world.invite(1);
    let dora = world.join("Dora Lind", invite);
    world.run(Duration::from_secs(2));
    assert_eq!(world.ended(dora), None);
    assert_eq!(world.names(dora), ["Ben Nevis", "Cleo Stone", "Dora Lind"]);
}

#[test]
fn a_leaver_cannot_open_what_follows() {
    let mut world = World::three();
    world.user(2, Command::Leave);
    world.run(Duration::from_secs(2));
    assert_eq!(world.names(0), ["Ada Byron", "Ben Nevis"]);
    world.audio(0, 9);
    world.run(Duration::from_secs(1));
    assert_eq!((world.heard(1, 9), world.heard(2, 9)), (1, 0));
}

#[test]
fn nothing_is_sealed_before_the_roster_is_shown() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.parties[ada].shows = false;
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    world.audio(ada, 5);
    world.run(Duration::from_secs(1));
    assert_eq!(world.heard(ben, 5), 0);
    assert!(world.parties[ada].call.view().waiting_for_screen);
    assert!(world.parties[ada].call.view().counters.gated > 0);
}

#[test]
fn headless_without_admit_refuses_at_once() {
    let mut world = World::new();
    let ada = world.host(Admit::Nobody);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    assert_eq!(world.ended(ben), Some(&EndReason::Refused(RefusedWhy::Declined)));
    assert_eq!(world.names(ada), ["Ada Byron"]);
}

#[test]
fn an_unanswered_knock_ends_after_two_minutes() {
    let mut world = World::new();
    let ada = world.host(Admit::Ask);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(119));
    assert_eq!(world.ended(ben), None);
    assert_eq!(world.parties[ada].call.view().knocks.len(), 1);
    world.run(Duration::from_secs(3));
    assert_eq!(world.ended(ben), Some(&EndReason::Refused(RefusedWhy::Declined)));
    assert!(world.parties[ada].call.view().knocks.is_empty());
}

#[test]
fn a_used_up_or_unknown_invite_says_so() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.parties[ada].call.config.invite_uses = 1;
    world.user(ada, Command::NewInvite(vec![address(0)]));
    let invite = world.invite(ada).to_text();
    world.join("Ben Nevis", Invite::parse(&invite).unwrap());
    world.run(Duration::from_secs(1));
    let cleo = world.join("Cleo Stone", Invite::parse(&invite).unwrap());
    world.run(Duration::from_secs(1));
    assert_eq!(world.ended(cleo), Some(&EndReason::Refused(RefusedWhy::UsedUp)));

    // A secret of Eve's own under the host's name.
    let real = Invite::parse(&invite).unwrap();
    let now = world.now.wall;
    let expires = Wall(now.0 + 3_600_000);
    let forged = Invite::new(real.host, Secret::build(|b| b.fill(7)), expires, 1, vec![address(0)]);
    let eve = world.join("Eve Tapper", forged);
    world.run(Duration::from_secs(1));
    assert_eq!(world.ended(eve), Some(&EndReason::Refused(RefusedWhy::UnknownInvite)));
}

#[test]
fn somebody_else_at_the_hosts_address_is_noticed() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let mallory = world.host(Admit::Any);
    // Mallory knows the invite's secret (it was copied) but not Ada's key.
    let text = world.invite(ada).to_text();
    let copied = Invite::parse(&text).unwrap();
    let expires = copied.expires;
    world.parties[mallory].call.invites.push(OpenInvite { invite: copied, text, left: 1, expires });
    let mut invite = world.invite(ada);
    invite.addresses = vec![address(mallory)];
    let ben = world.join("Ben Nevis", invite);
    world.run(Duration::from_secs(1));
    assert!(
        matches!(world.ended(ben), Some(EndReason::WrongIdentity(_))),
        "{:?}",
        world.ended(ben)
    );
}

#[test]
fn unreachable_lists_every_address_tried() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let mut invite = world.invite(ada);
    invite.addresses = vec![address(50), address(51)];
    let ben = world.join("Ben Nevis", invite);
    world.run(Duration::from_secs(1));
    let Some(EndReason::Unreachable(list)) = world.ended(ben) else { panic!("still there") };
    assert_eq!(list.len(), 2);
}

#[test]
fn new_keys_do_not_interrupt_the_sound() {
    let mut world = World::three();
    let epoch = world.parties[0].call.view().epoch;
    let mut sent = 0;
    for i in 0..60 {
        if i == 20 {
            world.user(1, Command::Rekey);
        }
        world.audio(0, 42);
        sent += 1;
        world.run(Duration::from_millis(20));
    }
    world.run(Duration::from_millis(200));
    assert!(world.parties[2].call.view().epoch > epoch);
    assert_eq!((world.heard(1, 42), world.heard(2, 42)), (sent, sent));
}

#[test]
fn a_lost_member_is_shown_then_removed_and_may_come_back() {
    let mut world = World::three();
    world.cut.push(2);
    world.run(Duration::from_secs(5));
    let view = world.parties[0].call.view();
    assert!(matches!(view.members[2].link, LinkView::Lost(_)));
    world.run(Duration::from_secs(20));
    assert_eq!(world.names(0), ["Ada Byron", "Ben Nevis"]);
    assert_eq!(world.names(1), world.names(0));
}

#[test]
fn names_and_secrets_are_not_on_the_line_even_without_tls() {
    let mut world = World::three();
    let text = world.invite(0);
    let secret: &[u8] = text.secret.expose();
    world.audio(0, 1);
    world.run(Duration::from_secs(1));
    let all: Vec<u8> = world.carried.iter().flat_map(|b| b.to_vec()).collect();
    let contains = |needle: &[u8]| all.windows(needle.len()).any(|w| w == needle);
    for needle in [b"Ada Byron".as_slice(), b"Ben Nevis", b"Cleo Stone", secret, &[1u8; 40]] {
        assert!(!contains(needle));
    }
    for party in &world.parties {
        assert!(!contains(&party.call.identity.public().0), "an identity key in clear");
    }
}

#[test]
fn garbage_on_every_channel_is_dropped_and_the_call_goes_on() {
    let mut world = World::three();
    let links: Vec<_> = world.parties[0].call.view_links();
    for (_, link) in &links {
        for len in [0usize, 1, 7, 40, 300] {
            let noise: Vec<u8> = (0..len).map(|i| (i * 37 + len) as u8).collect();
            world.input(0, Input::Link(*link, LinkEvent::Datagram(noise.clone().into())));
            world.input(0, Input::Link(*link, LinkEvent::Frame(noise.into())));
        }
    }
    world.audio(0, 6);
    world.run(Duration::from_millis(100));
    assert_eq!((world.heard(1, 6), world.heard(2, 6)), (1, 1));
}

#[test]
fn a_member_cannot_speak_as_another() {
    let mut world = World::three();
    world.carried.clear();
    world.audio(1, 3);
    world.run(Duration::from_millis(100));
    let heard = world.heard(0, 3);
    // Cleo repeats Ben's frame on her own connection.
    let frame = world.carried.iter().find(|b| b.len() > 60 && b.len() < 120).unwrap().clone();
    let (_, link) =
        *world.parties[0].call.view_links().iter().find(|(m, _)| *m == MemberId(2)).unwrap();
    world.input(0, Input::Link(link, LinkEvent::Datagram(frame)));
    assert_eq!(world.heard(0, 3), heard);
    let view = world.parties[0].call.view();
    assert_eq!(view.counters.forged, 1);
    assert_eq!(view.members.iter().find(|m| m.id == MemberId(2)).unwrap().forged, 1);
}
