//! What a call takes of one core: whole participants in virtual time, each with camera, encoder,
//! seal, connection, decoders, microphone, echo cancelling and loudspeaker – without a terminal, and
//! with what the simulated network and the drawn face and voice take told apart.
//! `cargo bench --bench call [-- SECONDS]`.

use facetty::call::{Admit, Call, CallConfig, Event, Tracks};
use facetty::config::{PatternKind, VideoSpec};
use facetty::identity::{DisplayName, IdentityKey};
use facetty::invite::Invite;
use facetty::media::apm::ApmConfig;
use facetty::media::device::card::CardSpeaker;
use facetty::media::frame::{Size, Want};
use facetty::media::seams::{PcmSink, PcmSource};
use facetty::media::sink::null::Null;
use facetty::media::source::voice::{Speech, Voice};
use facetty::media::source::{VideoOptions, open_video};
use facetty::node::{
    Clock, MediaEnds, Node, NodeCommand, NodeConfig, NodeEvent, NodeHandle, Runner,
};
use facetty::seal::Receipt;
use facetty::sim::model::LinkModel;
use facetty::sim::net::Network;
use facetty::time::Wall;
use facetty::transport::{Endpoint, EndpointOptions, Socket};
use rand::SeedableRng as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What a participant does.
#[derive(Clone, Copy)]
struct Does {
    video: bool,
    sound: bool,
    apm: ApmConfig,
}

const ALL: Does = Does { video: true, sound: true, apm: ApmConfig::SPEAKERS };
const TILE: Size = Size::new(160, 96);
const DECIFPS: u16 = 150;

fn host(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 7000))
}

fn video_of(n: usize, origin: Instant) -> VideoOptions {
    VideoOptions {
        identity: vec![n as u8; 32],
        seed: n as u64,
        decifps: DECIFPS,
        size: TILE,
        ..VideoOptions::new(origin)
    }
}

fn start(n: usize, call: Call, does: Does, net: &Network, clock: Clock, origin: Instant) {
    let tracks = Tracks { mic: does.sound, camera: does.video };
    let socket = Socket::Custom(net.socket(host(n)).expect("free address"));
    let options = EndpointOptions { rng_seed: Some([n as u8; 32]), ..EndpointOptions::default() };
    let leaf = call.leaf_key().seed_for_tls_or_mls();
    let endpoint = Endpoint::bind(socket, leaf, options).expect("endpoint");
    let video = does.video.then(|| {
        open_video(&VideoSpec::Pattern(PatternKind::Face), video_of(n, origin)).expect("a face")
    });
    let voice = || Box::new(Voice::new(Speech::new(n as u64, 0, 1), origin)) as Box<dyn PcmSource>;
    let speaker = || Box::new(CardSpeaker::new(0.0, origin)) as Box<dyn PcmSink>;
    let want =
        Want { size: TILE, decifps: DECIFPS, max_kbps: 0, paused: !does.video, focus: false };
    let ends = MediaEnds {
        apm: does.apm,
        video,
        view: Box::new(Null::new(want)),
        mic: does.sound.then(voice),
        speaker: does.sound.then(speaker),
        origin,
        decifps: DECIFPS,
    };
    let config = NodeConfig {
        runner: Runner::Inline,
        clock,
        witness: None,
        rng: Box::new(rand::rngs::StdRng::from_os_rng()),
    };
    let (node, handle) = Node::new(call, endpoint, ends, tracks, config).expect("node");
    tokio::task::spawn_local(node.run());
    let NodeHandle { commands, mut events, view } = handle;
    tokio::task::spawn_local(async move {
        let _view = view;
        while let Some(event) = events.recv().await {
            if let NodeEvent::Call(Event::Epoch { epoch, roster, .. }) = event {
                let shown = NodeCommand::RosterShown(Receipt::shown(epoch, roster));
                commands.send(shown).await.expect("the node is there");
            }
        }
    });
}

/// CPU seconds that each of so many participants takes for a second of the call.
fn share(people: usize, does: Does, seconds: u64) -> f64 {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let net = Network::new(1);
        net.set_default_path(LinkModel::delayed(Duration::from_millis(20)));
        let origin = tokio::time::Instant::now().into_std();
        let clock = Clock::Virtual { wall: Wall(1_767_225_600_000), start: origin };
        let mut invite: Option<String> = None;
        for n in 0..people {
            let mut rng = rand::rng();
            let config = CallConfig {
                name: DisplayName::sanitise(&format!("Person {n}")),
                admit: Admit::Any,
                expect: None,
                invite_uses: people as u8,
                invite_life: Duration::from_secs(86_400),
                tracks: Tracks { mic: does.sound, camera: does.video },
                known: Vec::new(),
                addresses: vec![host(n)],
                knock_life: Duration::from_secs(120),
                constant_rate: false,
            };
            let identity = Arc::new(IdentityKey::generate(&mut rng));
            let now = clock.now();
            let call = match &invite {
                None => Call::host(config, identity, vec![host(n)], now, &mut rng),
                Some(text) => {
                    let invite = Invite::parse(text).expect("an invite");
                    Call::join(config, identity, invite, now, &mut rng)
                }
            };
            let call = call.expect("a call");
            if invite.is_none() {
                invite = call.view().invites.last().map(|open| open.text.clone());
            }
            start(n, call, does, &net, clock, origin);
            sleep(Duration::from_millis(500)).await;
        }
        // Rates settle.
        sleep(Duration::from_secs(8)).await;
        let before = spent();
        sleep(Duration::from_secs(seconds)).await;
        (spent() - before).as_secs_f64() / seconds as f64 / people as f64
    })
}

/// The same of a face and a voice alone.
fn sources(does: Does, seconds: u64) -> f64 {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let origin = tokio::time::Instant::now().into_std();
        let clock = Clock::Virtual { wall: Wall(0), start: origin };
        let pattern = VideoSpec::Pattern(PatternKind::Face);
        let mut face = open_video(&pattern, video_of(0, origin)).expect("a face");
        face.hint(TILE, DECIFPS);
        let mut voice = Voice::new(Speech::new(0, 0, 1), origin);
        let before = spent();
        for _ in 0..seconds * 100 {
            sleep(Duration::from_millis(10)).await;
            if does.video {
                face.next(clock.now()).expect("a picture, when it is due");
            }
            if does.sound {
                voice.read(clock.now()).expect("sound");
            }
        }
        (spent() - before).as_secs_f64() / seconds as f64
    })
}

/// CPU time of this process so far.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[expect(clippy::disallowed_macros, reason = "the figures")]
fn main() {
    let length = std::env::args().filter_map(|arg| arg.parse().ok()).next();
    let seconds: u64 = length.unwrap_or(30);
    let drawn = sources(ALL, seconds);
    println!("a drawn face and voice: {:.2} % of a core", 100.0 * drawn);
    let off = Does { apm: ApmConfig::OFF, ..ALL };
    let cases = [
        ("two, everything", 2, ALL),
        ("two, sound as it comes", 2, off),
        ("two, headset", 2, Does { apm: ApmConfig::HEADSET, ..ALL }),
        ("two, sound only, as it comes", 2, Does { video: false, ..off }),
        ("two, pictures only", 2, Does { sound: false, ..off }),
        ("two, neither", 2, Does { sound: false, video: false, ..off }),
        ("four, everything", 4, ALL),
        ("eight, everything", 8, ALL),
        ("eight, sound only, as it comes", 8, Does { video: false, ..off }),
        ("eight, pictures only", 8, Does { sound: false, ..off }),
    ];
    for (what, people, does) in cases {
        let all = share(people, does, seconds);
        let sources = sources(does, seconds);
        println!(
            "{what}: {:.2} % of a core each, {:.2} % of it drawing face and voice",
            100.0 * all,
            100.0 * sources
        );
    }
}
