//! A whole call as its peers reach it: strangers at its door, and a member that holds keys.
//! Whatever they send is no error of the call's own, and what it holds for them is bounded.

use super::Feed;
use bytes::Bytes;
use facetty::call::bounds::{Holdings, KEEP_BUNDLES, MAX_AHEAD, MAX_HELD, MAX_PENDING};
use facetty::call::{Admit, Call, CallConfig, Command, DialFailure, Event, Input, Output, Tracks};
use facetty::group::{self, CheckedCredential, CredentialRefused, LocalMember};
use facetty::identity::handshake::{self, Transcript};
use facetty::identity::{Credential, DisplayName, IdentityKey, LeafKey};
use facetty::invite::Invite;
use facetty::media::frame::{Coded, CodedAudio};
use facetty::seal::{Receipt, Sealers};
use facetty::time::{MediaTime, Now, Wall};
use facetty::wire::control::Control;
use facetty::wire::handshake::ProofBody;
use facetty::wire::link::{LinkDown, LinkEvent, LinkId, LinkUp, Send};
use facetty::wire::sframe::StreamKind;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const EXPORTER: [u8; 32] = [9; 32];

fn config(name: &str, admit: Admit) -> CallConfig {
    CallConfig {
        name: DisplayName::sanitise(name),
        admit,
        expect: None,
        invite_uses: 8,
        invite_life: Duration::from_secs(10_000_000),
        tracks: Tracks { mic: true, camera: true },
        known: Vec::new(),
        addresses: vec![address(1)],
        knock_life: Duration::from_secs(120),
        constant_rate: false,
    }
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7000))
}

#[expect(clippy::disallowed_methods, reason = "an origin for the virtual clock")]
fn origin() -> Now {
    Now { mono: Instant::now(), wall: Wall(1_800_000_000_000) }
}

fn pass(now: &mut Now, by: Duration) {
    now.mono += by;
    now.wall.0 += by.as_millis() as u64;
}

fn founded(now: Now, admit: Admit) -> (Call, Invite) {
    let mut rng = rand::rng();
    let identity = Arc::new(IdentityKey::generate(&mut rng));
    let config = config("Ada Byron", admit);
    let call = Call::host(config, identity, vec![address(1)], now, &mut rng).expect("founded");
    let text = call.view().invites.last().expect("an invite").text.clone();
    (call, Invite::parse(&text).expect("its own invite"))
}

/// What a peer does is never an error of the call.
fn take(call: &mut Call, now: Now, input: Input) {
    call.handle(now, &mut rand::rng(), input).expect("no error of our own");
}

/// A host, and everything a knocker needs that holds its invite.
struct Door {
    host: Call,
    now: Now,
    leaf: LeafKey,
    knock: Vec<u8>,
    proof: Vec<u8>,
}

impl Door {
    fn new() -> Self {
        let now = origin();
        let (host, invite) = founded(now, Admit::Ask);
        let mut rng = rand::rng();
        let leaf = LeafKey::generate(&mut rng);
        let identity = IdentityKey::generate(&mut rng);
        let (own, id) = (leaf.public(), invite.group_id());
        let until = Wall(now.wall.0 + 86_400_000);
        let name = DisplayName::sanitise("Ben");
        let credential = Credential::issue(&identity, name, own, id, until).expect("issued");
        let local = LocalMember {
            credential: credential.encode(),
            leaf_seed: leaf.seed_for_tls_or_mls(),
            leaf_key: own,
        };
        let check = |bytes: &[u8]| match Credential::decode(bytes) {
            Ok(c) => Ok(CheckedCredential { identity: c.identity.0, leaf_key: c.leaf_key }),
            Err(e) => Err(CredentialRefused(e.to_string())),
        };
        let (package, _) = group::key_package(local, id, &check).expect("key package");
        let transcript = Transcript::new(&EXPORTER, &own, &host.leaf_key().public());
        let k_proof = invite.k_proof();
        let knock = handshake::knock(&k_proof, invite.id(), &transcript);
        let body = ProofBody { key_package: package.into() };
        let proof = handshake::proof(&k_proof, &transcript, &body);
        let (knock, proof) = (Control::Knock(knock).encode(), Control::Proof(proof).encode());
        Self { host, now, leaf, knock, proof }
    }
}

/// Strangers at the door, with and without the invite. Nobody gets in, and when the connection is
/// gone nothing of it is left.
pub(super) fn stranger(data: &[u8]) {
    thread_local!(static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) });
    DOOR.with_borrow_mut(|slot| {
        let door = slot.get_or_insert_with(Door::new);
        pass(&mut door.now, Duration::from_millis(10));
        let link = door.host.accept_link();
        take(&mut door.host, door.now, Input::Accepted(link));
        let up = LinkUp {
            peer_key: door.leaf.public(),
            exporter: EXPORTER,
            remote: address(2),
            dialled: false,
        };
        take(&mut door.host, door.now, Input::Link(link, LinkEvent::Up(up)));
        let mut feed = Feed(data);
        for _ in 0..32 {
            if feed.is_empty() {
                break;
            }
            let input = door.input(link, &mut feed);
            take(&mut door.host, door.now, input);
            let held = door.host.holdings();
            assert!(held.links <= 1 && held.knocks <= 1 && held.held <= MAX_HELD, "{held:?}");
        }
        let down = LinkEvent::Down(LinkDown::ClosedByPeer(0));
        take(&mut door.host, door.now, Input::Link(link, down));
        while !matches!(door.host.poll(door.now), Output::Wait(_)) {}
        assert_eq!(door.host.holdings(), Holdings::default());
        let view = door.host.view();
        assert_eq!((view.epoch, view.members.len()), (0, 1));
        if door.now.wall.0 > 1_800_080_000_000 {
            // Its credential and its invite have an end.
            *slot = None;
        }
    });
}

impl Door {
    fn input(&mut self, link: LinkId, feed: &mut Feed<'_>) -> Input {
        let what = feed.u8();
        let length = usize::from(feed.u8());
        let own = feed.take(length);
        let event = match what % 8 {
            0 | 1 => LinkEvent::Control(Bytes::copy_from_slice(own)),
            2 | 3 => LinkEvent::Control(Feed(own).patched(&self.knock).into()),
            4 => LinkEvent::Control(Feed(own).patched(&self.proof).into()),
            5 => LinkEvent::Datagram(Bytes::copy_from_slice(own)),
            6 => LinkEvent::Frame(Bytes::copy_from_slice(own)),
            _ => {
                pass(&mut self.now, Duration::from_millis(25 * length as u64));
                return Input::Tick;
            }
        };
        Input::Link(link, event)
    }
}

/// Two in a call; the second one's keys are in the hands of the input.
struct Pair {
    host: Call,
    now: Now,
    link: LinkId,
    /// The member's leaf key, for its next connection.
    key: [u8; 32],
    sealers: Sealers,
    left: u32,
}

impl Pair {
    fn new() -> Self {
        let mut now = origin();
        let (mut host, invite) = founded(now, Admit::Any);
        let mut rng = rand::rng();
        let identity = Arc::new(IdentityKey::generate(&mut rng));
        let guest = Call::join(config("Ben", Admit::Nobody), identity, invite, now, &mut rng);
        let mut guest = guest.expect("joining");
        let link = host.accept_link();
        take(&mut host, now, Input::Accepted(link));
        let Output::Dial(there, _) = guest.poll(now) else { panic!("a guest dials first") };
        let keys = (guest.leaf_key().public(), host.leaf_key().public());
        let up = |peer_key, remote, dialled| {
            LinkEvent::Up(LinkUp { peer_key, exporter: EXPORTER, remote, dialled })
        };
        take(&mut host, now, Input::Link(link, up(keys.0, address(2), false)));
        take(&mut guest, now, Input::Link(there, up(keys.1, address(1), true)));
        // Changes of the group keep a distance: a founder's first one waits a little.
        for _ in 0..60 {
            pass(&mut now, Duration::from_millis(20));
            take(&mut host, now, Input::Tick);
            take(&mut guest, now, Input::Tick);
            for event in outputs(&mut host, now) {
                take(&mut guest, now, Input::Link(there, event));
            }
            for event in outputs(&mut guest, now) {
                take(&mut host, now, Input::Link(link, event));
            }
        }
        assert_eq!(host.view().members.len(), 2);
        let member = host.view().members[1].id;
        let (epoch, leaf) = (host.view().epoch, 1);
        let keys = host.surrender_opener(member).expect("the host opens the guest's frames");
        let receipt = Receipt::shown(epoch, [0; 32]);
        let sealers = Sealers::new(keys.base().duplicate(), epoch, leaf, &receipt, &[0; 32]);
        let (key, sealers) = (guest.leaf_key().public(), sealers.expect("shown"));
        Self { host, now, link, key, sealers, left: 256 }
    }

    /// A member that was thrown out dials again, as far as it still is one.
    fn connect(&mut self) {
        if self.host.view_links().iter().any(|(_, link)| *link == self.link) {
            return;
        }
        self.link = self.host.accept_link();
        take(&mut self.host, self.now, Input::Accepted(self.link));
        let up =
            LinkUp { peer_key: self.key, exporter: EXPORTER, remote: address(2), dialled: false };
        take(&mut self.host, self.now, Input::Link(self.link, LinkEvent::Up(up)));
        let _ = outputs(&mut self.host, self.now);
    }
}

/// What a call sends, as its peer gets it. Its rosters count as shown.
fn outputs(call: &mut Call, now: Now) -> VecDeque<LinkEvent> {
    let mut sent = VecDeque::new();
    loop {
        match call.poll(now) {
            Output::Wait(_) => return sent,
            Output::Send(_, Send::Control(bytes) | Send::Urgent(bytes)) => {
                sent.push_back(LinkEvent::Control(bytes))
            }
            Output::Send(_, Send::Datagram(bytes)) => sent.push_back(LinkEvent::Datagram(bytes)),
            Output::Send(_, Send::Frame { bytes, .. }) => sent.push_back(LinkEvent::Frame(bytes)),
            Output::Event(Event::Epoch { epoch, roster, .. }) => {
                take(call, now, Input::RosterShown(Receipt::shown(epoch, roster)));
            }
            // Nobody is reached: a dialling without an end would stay.
            Output::Dial(link, _) => {
                take(call, now, Input::DialFailed(link, DialFailure::TimedOut));
            }
            _ => {}
        }
    }
}

/// A member that says anything at all, sealed rightly or not. Nobody is added or removed by it,
/// figures stay figures, and what is held stays bounded.
pub(super) fn member(data: &[u8]) {
    thread_local!(static PAIR: RefCell<Option<Pair>> = const { RefCell::new(None) });
    PAIR.with_borrow_mut(|slot| {
        let mut pair = slot.take().unwrap_or_else(Pair::new);
        pair.left -= 1;
        pair.connect();
        let mut feed = Feed(data);
        for _ in 0..32 {
            if feed.is_empty() {
                break;
            }
            let input = pair.input(&mut feed);
            take(&mut pair.host, pair.now, input);
            let held = pair.host.holdings();
            assert!(held.ahead <= MAX_AHEAD && held.pending <= MAX_PENDING, "{held:?}");
            assert!(held.links <= 2 && held.bundles <= KEEP_BUNDLES, "{held:?}");
            assert_eq!((held.knocks, held.held), (0, 0));
            let _ = outputs(&mut pair.host, pair.now);
        }
        for budget in pair.host.budgets(pair.now.mono).values() {
            assert!((0.0..=1.0).contains(&budget.loss), "{budget:?}");
            assert!(budget.rate_bps > 0 && budget.rate_bps < 10_000_000_000, "{budget:?}");
        }
        if pair.left > 0 && pair.host.view().epoch == 1 {
            *slot = Some(pair);
        }
    });
}

impl Pair {
    fn input(&mut self, feed: &mut Feed<'_>) -> Input {
        let what = feed.u8();
        let length = usize::from(feed.u8());
        let own = feed.take(length);
        let bytes = Bytes::copy_from_slice(own);
        let event = match what % 10 {
            0 => LinkEvent::Control(bytes),
            1 => LinkEvent::Datagram(bytes),
            2 => LinkEvent::Frame(bytes),
            3 => {
                let sealed = self.sealed(StreamKind::Data, own);
                LinkEvent::Control(Control::Sealed(sealed).encode().into())
            }
            4 => LinkEvent::Datagram(self.sealed(StreamKind::Data, own)),
            5 => LinkEvent::Datagram(self.sealed(StreamKind::Audio, own)),
            6 => LinkEvent::Frame(self.sealed(StreamKind::Video, own)),
            7 => LinkEvent::Frame(self.sealed(StreamKind::Screen, own)),
            8 => {
                let audio = CodedAudio {
                    seq: 0,
                    at: MediaTime(0),
                    millis: 20,
                    level: 9,
                    bytes: Bytes::from_static(&[1; 60]),
                };
                return Input::Coded(Vec::new(), Coded::Audio(audio));
            }
            _ => {
                pass(&mut self.now, Duration::from_millis(5 * length as u64));
                return if what < 128 { Input::Tick } else { Input::User(Command::Suspend(false)) };
            }
        };
        Input::Link(self.link, event)
    }

    fn sealed(&mut self, stream: StreamKind, plain: &[u8]) -> Bytes {
        self.sealers.of(stream).seal(plain).expect("below the limit").bytes
    }
}
