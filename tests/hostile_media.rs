//! A member with valid keys who lies and sends nonsense, in a call of three: what the other two see
//! and hear of each other stays as it is with an honest third, what is kept because of the liar is
//! bounded, and whatever can be blamed on somebody is blamed on it.
//!
//! The liar's call and connections are our own, for without them it would be no member. Everything
//! inside the seal of its frames is made up here, with its own key, which every member holds.

mod call_stage;
mod counted;

use bytes::Bytes;
use call_stage::{Figures, Person, SECOND, Stage, figures, until};
use facetty::call::{Call, Event, Input, Output};
use facetty::media::codec::VideoEncoder as _;
use facetty::media::codec::h264::H264Encoder;
use facetty::media::codec::opus::OpusEncoder;
use facetty::media::frame::{CodedAudio, CodedVideo, RawFrame, Size, Want};
use facetty::media::rate::estimator::START_BPS;
use facetty::node::NodeView;
use facetty::seal::{Receipt, Sealers};
use facetty::sim::model::Dice;
use facetty::time::MediaTime;
use facetty::transport::{Endpoint, Link};
use facetty::wire::control::{Control, MemberMessage};
use facetty::wire::link::{LinkEvent, LinkId, MemberId, Send};
use facetty::wire::media::{Padding, encode_audio, encode_video};
use facetty::wire::report::{Arrival, Report};
use facetty::wire::sframe::{Header, Kid, StreamKind};
use rand::SeedableRng as _;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

const ADA: MemberId = MemberId(0);
const BEN: MemberId = MemberId(1);
const EVE: MemberId = MemberId(2);
/// The liar's turn comes so often.
const TURN: Duration = Duration::from_millis(10);
/// Before the liar begins, everybody settles in; then it goes on for so long.
const SETTLED: Duration = Duration::from_secs(3);
const LASTS: Duration = Duration::from_secs(8);
/// Bytes that may be alive at the end and weren't half-way: what this test notes of sound and
/// pictures, and tables that grow.
const SLACK: isize = 400 * 1024;
/// The most bytes that a liar may make alive at once, on both sides, its own buffers among them.
const MOST: isize = 24 << 20;

/// What a liar says, one turn after the other.
type Lie = fn(&mut Liar, u64);

/// A member that sends what it likes under its own seal.
struct Liar {
    call: Call,
    endpoint: Endpoint,
    links: BTreeMap<LinkId, Link>,
    clock: facetty::node::Clock,
    ada: Arc<call_stage::Seen>,
    sealers: Option<Sealers>,
    /// Key identifiers and counters of what came last.
    got: VecDeque<(u64, u64)>,
    dice: Dice,
    opus: OpusEncoder,
    picture: H264Encoder,
    pictures: u64,
    /// One picture of the largest size.
    large: Option<Bytes>,
}

enum Happened {
    Link(LinkId, LinkEvent),
    Up(LinkId, Link),
    Accepted(Link),
}

impl Liar {
    fn enter(stage: &Stage, invite: &str, ada: &Person) -> Self {
        let (call, _) = stage.call(3, "Eve", Some(invite));
        let endpoint = stage.endpoint(3, &call);
        Self {
            call,
            endpoint,
            links: BTreeMap::new(),
            clock: stage.clock,
            ada: ada.seen.clone(),
            sealers: None,
            got: VecDeque::new(),
            dice: Dice::new(1, 9),
            opus: OpusEncoder::new(24_000, 20).expect("Opus"),
            picture: H264Encoder::new(Size::new(80, 48), 150, 60_000).expect("H.264"),
            pictures: 0,
            large: None,
        }
    }

    fn input(&mut self, input: Input) {
        let mut rng = rand::rngs::StdRng::from_os_rng();
        self.call.handle(self.clock.now(), &mut rng, input).expect("a member as any other");
    }

    /// An honest member that sends nothing, until `lies` begins; then `lie` at every turn.
    async fn run(mut self, lies: Instant, lie: Lie) {
        let (tx, mut happened) = mpsc::channel(256);
        let (listening, accepted) = (self.endpoint.clone(), tx.clone());
        tokio::task::spawn_local(async move {
            while let Some(link) = listening.accept().await {
                let _ = accepted.send(Happened::Accepted(link)).await;
            }
        });
        let mut turn = lies;
        loop {
            let wake = self.drain(&tx);
            tokio::select! {
                biased;
                Some(what) = happened.recv() => self.happened(what, &tx),
                () = sleep_until(turn.min(wake)) => {}
            }
            let now = Instant::now();
            if wake <= now {
                self.input(Input::Tick);
            }
            if turn <= now && self.ready() {
                lie(&mut self, now.duration_since(lies).as_millis() as u64);
            }
            if turn <= now {
                turn += TURN;
            }
        }
    }

    fn drain(&mut self, tx: &mpsc::Sender<Happened>) -> Instant {
        loop {
            match self.call.poll(self.clock.now()) {
                Output::Wait(at) => return at.into(),
                Output::Dial(id, to) => {
                    let (endpoint, tx) = (self.endpoint.clone(), tx.clone());
                    tokio::task::spawn_local(async move {
                        let link = endpoint.dial(to).await.expect("reached");
                        let _ = tx.send(Happened::Up(id, link)).await;
                    });
                }
                Output::Close(id, code) => {
                    self.links.remove(&id).inspect(|link| link.close(code));
                }
                Output::Authenticated(id) => self.links[&id].authenticated(),
                // What its own call would seal is not what it says.
                Output::Send(_, Send::Datagram(_) | Send::Frame { .. }) => {}
                Output::Send(_, Send::Control(bytes))
                    if matches!(Control::decode(&bytes), Ok(Control::Sealed(_))) => {}
                Output::Send(id, send) => {
                    let _ = self.links.get(&id).map(|link| link.send(send));
                }
                Output::Event(Event::Epoch { epoch, roster, .. }) => {
                    self.sealers = None;
                    self.input(Input::RosterShown(Receipt::shown(epoch, roster)));
                }
                _ => {}
            }
        }
    }

    fn happened(&mut self, what: Happened, tx: &mpsc::Sender<Happened>) {
        match what {
            Happened::Accepted(link) => {
                let id = self.call.accept_link();
                self.input(Input::Accepted(id));
                self.pump(id, link, tx);
            }
            Happened::Up(id, link) => self.pump(id, link, tx),
            Happened::Link(id, event) => {
                if let LinkEvent::Datagram(bytes) | LinkEvent::Frame(bytes) = &event
                    && let Ok((header, _)) = Header::decode(bytes)
                {
                    self.got.push_back((header.kid, header.ctr));
                    while self.got.len() > 64 {
                        self.got.pop_front();
                    }
                }
                self.input(Input::Link(id, event));
            }
        }
    }

    fn pump(&mut self, id: LinkId, link: Link, tx: &mpsc::Sender<Happened>) {
        self.links.insert(id, link.clone());
        let tx = tx.clone();
        tokio::task::spawn_local(async move {
            loop {
                let event = link.event().await;
                let down = matches!(event, LinkEvent::Down(_));
                if tx.send(Happened::Link(id, event)).await.is_err() || down {
                    return;
                }
            }
        });
    }

    /// Whether it can seal by now.
    fn ready(&mut self) -> bool {
        if self.sealers.is_none() {
            let Some(me) = self.call.me() else { return false };
            let (epoch, leaf) = (self.call.view().epoch, me.0 as u8);
            let keys = self.ada.keys.lock().expect("keys");
            let Some(base) = keys.get(&(epoch, leaf)) else { return false };
            let receipt = Receipt::shown(epoch, [0; 32]);
            let mut sealers =
                Sealers::new(base.duplicate(), epoch, leaf, &receipt, &[0; 32]).expect("sealers");
            // Beyond what its own call has sealed.
            for _ in 0..2000 {
                sealers.of(StreamKind::Data).seal(b"").expect("sealed");
            }
            self.sealers = Some(sealers);
        }
        !self.call.view_links().is_empty()
    }

    fn sealed(&mut self, stream: StreamKind, inside: &[u8]) -> Bytes {
        self.sealers.as_mut().expect("ready").of(stream).seal(inside).expect("sealed").bytes
    }

    fn send_all(&mut self, send: &Send) {
        for (_, id) in self.call.view_links() {
            // A full connection takes no more.
            let _ = self.links.get(&id).map(|link| link.send(send.clone()));
        }
    }

    fn sound(&mut self, packet: &CodedAudio) {
        let sealed = self.sealed(StreamKind::Audio, &encode_audio(packet, 0));
        self.send_all(&Send::Datagram(sealed));
    }

    fn frame(&mut self, frame: &CodedVideo, lasts: Duration) {
        let bytes = self.sealed(StreamKind::Video, &encode_video(frame, Padding::None));
        let deadline = (Instant::now() + lasts).into_std();
        self.send_all(&Send::Frame { bytes, priority: 0, deadline, supersedes: false });
    }

    fn tell(&mut self, message: &MemberMessage) {
        let sealed = self.sealed(StreamKind::Data, &message.encode());
        self.send_all(&Send::Control(Control::Sealed(sealed).encode().into()));
    }

    fn report(&mut self, report: Report) {
        let message = MemberMessage::Report(report).encode();
        let sealed = self.sealed(StreamKind::Data, &message);
        self.send_all(&Send::Datagram(sealed));
    }

    /// A packet of good Opus.
    fn opus(&mut self) -> Bytes {
        let phase = self.dice.roll() % 100;
        let hum: Vec<f32> = (0..960).map(|n| 0.1 * ((n + phase) as f32 * 0.05).sin()).collect();
        self.opus.step(&hum).expect("coded")
    }

    /// A good picture, and whether it is a keyframe.
    fn h264(&mut self) -> (Bytes, bool) {
        self.pictures += 1;
        let mut picture = RawFrame::black(Size::new(80, 48), MediaTime(self.pictures * 66_000));
        let shade = (self.pictures * 7 % 200) as u8;
        picture.y.iter_mut().step_by(3).for_each(|luma| *luma = shade);
        let coded = self.picture.step(&picture, self.pictures % 30 == 1).expect("coded");
        coded.map_or((Bytes::from_static(b"x"), false), |coded| (coded.bytes, coded.keyframe))
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.dice.roll() as u8).collect()
    }
}

/// What came of a call in which the third lied (or said nothing): of Ada at Ben's and of Ben at
/// Ada's.
struct Outcome {
    directions: [Figures; 2],
    /// At Ada's, before the lies and at the end.
    views: [Arc<NodeView>; 2],
    /// Bytes alive that were not half-way through; the most at once beyond what was there before.
    grown: isize,
    most: isize,
}

async fn call_with(lie: Option<Lie>) -> Outcome {
    let stage = Stage::new(11);
    let (mut ada, invite) = stage.enter(1, "Ada Byron", None);
    let (mut ben, _) = stage.enter(2, "Ben Nevis", Some(&invite));
    until(&mut ada.view, |v| v.call.members.len() == 2).await;
    let begin = Instant::now() + SETTLED;
    let honest = match lie {
        Some(lie) => {
            let liar = Liar::enter(&stage, &invite, &ada);
            tokio::task::spawn_local(liar.run(begin, lie));
            None
        }
        None => Some(stage.enter(3, "Cleo Stone", Some(&invite))),
    };
    until(&mut ada.view, |v| v.call.members.len() == 3).await;
    until(&mut ben.view, |v| v.call.members.len() == 3).await;
    sleep_until(begin).await;
    let (from, before) = (stage.micros(), ada.view.borrow().clone());
    let empty = counted::live();
    counted::most();
    sleep(LASTS / 2).await;
    let half = counted::live();
    sleep(LASTS / 2).await;
    let grown = counted::live() - half;
    let most = counted::most() - empty;
    let to = stage.micros();
    // What was sent at the end has time to come.
    sleep(SECOND).await;
    let after = ada.view.borrow().clone();
    assert_eq!(after.call.epoch, 2, "nobody left");
    drop(honest);
    let directions =
        [figures((&ada, ADA), (&ben, BEN), from..to), figures((&ben, BEN), (&ada, ADA), from..to)];
    Outcome { directions, views: [before, after], grown, most }
}

/// Plays a call with this lie, and holds what Ada and Ben have of each other against a call with an
/// honest third. `worse_ms`: by how much later sound and pictures may be, and how much sound made
/// up.
#[expect(clippy::disallowed_macros, reason = "the figures, with --no-capture")]
async fn unharmed_by(lie: Lie, worse_ms: u64) -> Outcome {
    let honest = tokio::task::LocalSet::new().run_until(call_with(None)).await;
    let lied = tokio::task::LocalSet::new().run_until(call_with(Some(lie))).await;
    println!("{} bytes more at most, {} at the end", lied.most, lied.grown);
    for (one, other) in lied.directions.iter().zip(&honest.directions) {
        println!("{one:?}\nhonest {other:?}");
        assert!(other.coded >= 14 * LASTS.as_secs() as usize, "{other:?}");
        assert_eq!(one.missing, 0, "{one:?}");
        assert!(one.coded * 20 >= other.coded * 19, "{one:?}, honestly {other:?}");
        assert!(one.picture_ms <= other.picture_ms + worse_ms, "{one:?}, honestly {other:?}");
        assert!(one.sound_ms <= other.sound_ms + worse_ms, "{one:?}, honestly {other:?}");
        assert!(one.played_ms + 20 >= LASTS.as_millis() as u64, "{one:?}");
        assert!(one.made_up_ms <= other.made_up_ms + worse_ms / 2, "{one:?}, honestly {other:?}");
    }
    assert!(lied.grown < SLACK, "{} bytes", lied.grown);
    assert!(lied.most < MOST, "{} bytes", lied.most);
    lied
}

/// Packets of sound one after the other, `at` µs.
fn packet(seq: u64, at: u64, millis: u8, bytes: Bytes) -> CodedAudio {
    CodedAudio { seq: seq as u32, at: MediaTime(at), millis, level: 30, bytes }
}

/// So late on the wire as times go.
const END_OF_TIME: u64 = (1 << 56) * 125;

fn absurd_times(liar: &mut Liar, ms: u64) {
    let opus = liar.opus();
    let at = match ms / 500 % 8 {
        0 => ms * 1000,
        // An hour ahead, a day back, at the beginning and the end of time.
        1 => 3_600_000_000 + ms * 1000,
        2 => 1,
        3 => END_OF_TIME,
        // Standing still; running backwards; jumping about.
        4 => 5_000_000,
        5 => 1_000_000_000 - ms * 1000,
        6 => liar.dice.roll() >> 8,
        _ => (ms % 20) * 3_600_000_000,
    };
    // Numbers that wrap, jump and repeat.
    let seq = match ms / 700 % 4 {
        0 => ms / 20,
        1 => u64::from(u32::MAX) - 20 + ms / 20 % 40,
        2 => liar.dice.roll(),
        _ => 7,
    };
    if ms.is_multiple_of(20) {
        liar.sound(&packet(seq, at, 20, opus));
    }
    if ms.is_multiple_of(60) {
        let (bytes, keyframe) = liar.h264();
        let size = Size::new(80, 48);
        let number = seq as u32;
        let frame = CodedVideo { number, at: MediaTime(at), keyframe, size, bytes, room: 0 };
        liar.frame(&frame, SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_clock_jumps_by_hours_disturbs_nobody_else() {
    let outcome = unharmed_by(absurd_times, 0).await;
    let [_, after] = &outcome.views;
    // It is heard and seen as far as that makes sense, and no longer held than anybody.
    let of_eve = &after.media.audio.members[&EVE];
    assert!(of_eve.jitter.received > 50, "{of_eve:?}");
    assert!(of_eve.jitter.depth_ms <= 600, "{of_eve:?}");
}

fn lying_reports(liar: &mut Liar, ms: u64) {
    // A thousand reports a second.
    for nth in 0..10 {
        let got: Vec<_> = liar.got.iter().copied().collect();
        let kid = Kid::new(StreamKind::Audio, 0, liar.call.view().epoch).expect("a key");
        let roll = liar.dice.roll();
        let entries = match (ms / 10 + nth) % 6 {
            // Everything arrived in the year 290 000, and a moment later at the beginning of time.
            0 | 1 => {
                let arrival_us = if (ms / 20).is_multiple_of(2) { i64::MAX as u64 - 7 } else { 0 };
                let one = |&(kid, ctr): &(u64, u64)| Arrival { kid: kid as u16, ctr, arrival_us };
                got.iter().map(one).collect()
            }
            // Much was never sent.
            2 => (0..64)
                .map(|n| Arrival { kid: kid.to_u64() as u16, ctr: roll >> (n % 60), arrival_us: n })
                .collect(),
            3 => (0..64).map(|n| Arrival { kid: n, ctr: roll, arrival_us: roll }).collect(),
            // True arrivals at random times.
            4 if (ms / 100).is_multiple_of(2) => {
                let one = |&(kid, ctr): &(u64, u64)| {
                    let arrival_us = roll >> (ctr % 40);
                    Arrival { kid: kid as u16, ctr, arrival_us }
                };
                got.iter().map(one).collect()
            }
            _ => Vec::new(),
        };
        let lost = if (ms / 1000).is_multiple_of(2) { 0 } else { roll as u32 };
        liar.report(Report { entries, lost, late: u32::MAX });
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_lying_reports_a_second_tear_no_hole_between_the_others() {
    // Sound is coded once for all: a member whose reports say now that its path is thin, and now that
    // it is wide, makes packets longer and shorter again for everybody. That is all it can do.
    let outcome = unharmed_by(lying_reports, 60).await;
    let [_, after] = &outcome.views;
    let after = &after.budgets[&BEN];
    assert_eq!(after.loss, 0.0, "what one member says counts for its own path");
    assert!(after.rate_bps >= START_BPS, "{after:?}");
}

fn absurd_wants(liar: &mut Liar, ms: u64) {
    for nth in 0..3 {
        let even = |v: u64| (v as u16) & !1;
        let (width, height, decifps) = match (ms / 10 + nth) % 7 {
            0 => (65534, 65534, 65535),
            1 => (0, 0, 65535),
            2 => (2, 65534, 1),
            3 => (65534, 2, 0),
            4 => (80, 48, 150),
            5 => (16, 16, 65535),
            _ => (even(liar.dice.roll()), even(liar.dice.roll()), liar.dice.roll() as u16),
        };
        let want = Want {
            size: Size::new(width, height),
            decifps,
            max_kbps: if liar.dice.chance(0.5) { 0 } else { liar.dice.roll() as u16 },
            paused: liar.dice.chance(0.3),
            focus: liar.dice.chance(0.5),
        };
        liar.tell(&MemberMessage::Want(want));
    }
    liar.tell(&MemberMessage::KeyframePlease);
    let camera = (ms / 10).is_multiple_of(2);
    liar.tell(&MemberMessage::Tracks { mic: !camera, camera });
}

#[tokio::test(start_paused = true)]
async fn absurd_wants_and_a_hundred_keyframe_wishes_a_second_cost_the_others_no_picture() {
    let outcome = unharmed_by(absurd_wants, 0).await;
    let [before, after] = &outcome.views;
    let coded = after.media.sent.coded - before.media.sent.coded;
    // One encoding for Ben, one for Eve; never one for each wish.
    let most = 3 * 15 * (LASTS + SECOND).as_secs();
    assert!(coded <= most, "{coded} pictures coded");
}

fn garbage(liar: &mut Liar, ms: u64) {
    let length = (liar.dice.roll() % 1276) as usize;
    let mut bytes = liar.noise(length);
    if liar.dice.chance(0.5) && !bytes.is_empty() {
        // Every configuration, one frame or many.
        bytes[0] = (ms / 10) as u8;
    }
    let millis = [10, 20, 40, 60][(ms / 10 % 4) as usize];
    liar.sound(&packet(ms / 10, ms * 1000, millis, bytes.into()));
    // Good Opus of another length than it says.
    let opus = liar.opus();
    liar.sound(&packet(ms / 10 + 1_000_000, ms * 1000, 60, opus));

    let number = (ms / 10) as u32;
    let (good, key) = liar.h264();
    let bytes = match ms / 10 % 5 {
        0 => good.clone(),
        // A good picture with a bit that is not.
        1 | 2 => {
            let mut broken = good.to_vec();
            let at = liar.dice.roll() as usize % broken.len();
            broken[at] ^= 1 << (liar.dice.roll() % 8);
            broken.into()
        }
        3 => good.slice(..good.len() / 2),
        _ => {
            let mut noise =
                vec![0, 0, 0, 1, [0x65, 0x67, 0x68, 0x41, 0x01][(ms / 50 % 5) as usize]];
            noise.extend(liar.noise(900));
            noise.into()
        }
    };
    let sizes = [(80, 48), (1920, 1088), (2, 2), (640, 480)];
    let (width, height) =
        if liar.dice.chance(0.7) { (80, 48) } else { sizes[(ms / 10 % 4) as usize] };
    let frame = CodedVideo {
        number,
        at: MediaTime(ms * 1000),
        keyframe: key || liar.dice.chance(0.2),
        size: Size::new(width, height),
        bytes,
        room: 0,
    };
    liar.frame(&frame, SECOND);
    // And what isn't even a frame.
    let length = (liar.dice.roll() % 60) as usize;
    let noise = liar.noise(length);
    for stream in [StreamKind::Audio, StreamKind::Data, StreamKind::Screen] {
        let sealed = liar.sealed(stream, &noise);
        liar.send_all(&Send::Datagram(sealed));
    }
}

#[tokio::test(start_paused = true)]
async fn decoders_fed_garbage_under_a_valid_seal_count_it_for_its_sender_alone() {
    let outcome = unharmed_by(garbage, 0).await;
    let [_, after] = &outcome.views;
    let (sound, pictures) = (&after.media.audio.members, &after.media.received);
    assert!(sound[&EVE].broken > 50, "{:?}", sound[&EVE]);
    assert!(pictures[&EVE].broken > 20, "{:?}", pictures[&EVE]);
    assert_eq!((sound[&BEN].broken, pictures[&BEN].broken), (0, 0));
    assert!(after.call.counters.malformed > 100, "{:?}", after.call.counters);
    // It asks the liar for a keyframe once for each it got, and once a second, however much is broken.
    let of_eve = &pictures[&EVE];
    assert!(of_eve.asked <= of_eve.keyframes + 2 + (LASTS + SECOND).as_secs(), "{of_eve:?}");
}

/// Pictures as large as can be, in keyframes without end: what takes longest to decode.
fn large_pictures(liar: &mut Liar, ms: u64) {
    let size = Size::new(1920, 1088);
    let coded = liar.large.get_or_insert_with(|| {
        let mut encoder = H264Encoder::new(size, 150, 3_000_000).expect("H.264");
        let picture = RawFrame::black(size, MediaTime(0));
        encoder.step(&picture, true).expect("coded").expect("a keyframe").bytes
    });
    let bytes = coded.clone();
    for nth in 0..2 {
        let at = MediaTime(ms * 1000 + nth * 1000);
        let number = (ms + nth) as u32;
        let frame = CodedVideo { number, at, keyframe: true, size, bytes: bytes.clone(), room: 0 };
        liar.frame(&frame, SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_huge_pictures_a_second_are_decoded_as_far_as_anybody_could_want_them() {
    let outcome = unharmed_by(large_pictures, 0).await;
    let [_, after] = &outcome.views;
    let of_eve = &after.media.received[&EVE];
    // As many as 1280x720 at 45 fps: 20 a second.
    assert!(of_eve.received > 1000, "{of_eve:?}");
    assert!(of_eve.decoded <= 23 * (LASTS + SECOND).as_secs(), "{of_eve:?}");
}

fn flood(liar: &mut Liar, ms: u64) {
    // A thousand packets of sound a second, each for 60 ms.
    let opus = liar.opus();
    for nth in 0..10 {
        let seq = ms + nth;
        liar.sound(&packet(seq, seq * 60_000, 60, opus.clone()));
    }
    // Frames that are given up half-way, a hundred streams at a time; some as long as can be.
    for nth in 0..10 {
        let length = if nth == 0 && ms.is_multiple_of(500) { 512 * 1024 } else { 4000 };
        let frame = CodedVideo {
            number: (ms + nth) as u32,
            at: MediaTime((ms + nth) * 1000),
            keyframe: true,
            size: Size::new(1920, 1088),
            bytes: vec![1; length].into(),
            room: 0,
        };
        liar.frame(&frame, Duration::from_millis(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_half_finished_streams_and_packets_a_second_stay_within_bounds() {
    let outcome = unharmed_by(flood, 0).await;
    let [_, after] = &outcome.views;
    assert!(after.media.audio.members[&EVE].jitter.depth_ms <= 600);
}
