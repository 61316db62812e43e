//! Two people call each other over a network in memory, in virtual time: everything a call is made
//! of, put together by hand. `cargo run --example two_peers_in_memory`
#![expect(clippy::disallowed_macros, reason = "an example prints")]

use facetty::call::{Admit, Call, CallConfig, Event, Tracks};
use facetty::config::{PatternKind, VideoSpec};
use facetty::identity::{DisplayName, IdentityKey};
use facetty::invite::Invite;
use facetty::media::apm::ApmConfig;
use facetty::media::frame::{Size, Want};
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
use rand::TryRngCore as _;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const TRACKS: Tracks = Tracks { mic: true, camera: true };
const TILE: Want =
    Want { size: Size::new(160, 96), decifps: 150, max_kbps: 0, paused: false, focus: false };

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build()?;
    tokio::task::LocalSet::new().block_on(&runtime, call())
}

async fn call() -> Result<(), Box<dyn Error>> {
    let start = tokio::time::Instant::now().into_std();
    let clock = Clock::Virtual { wall: Wall(1_767_225_600_000), start };
    let network = Network::new(1);
    network.set_default_path(LinkModel::delayed(Duration::from_millis(20)));
    let (ada_at, ben_at) = ("10.0.0.1:4433".parse()?, "10.0.0.2:4433".parse()?);
    let mut rng = rand::rngs::OsRng.unwrap_err();

    // Ada founds the call and lets in whoever has the invite; Ben has it.
    let identity = Arc::new(IdentityKey::generate(&mut rng));
    let config = config("Ada Byron", ada_at)?;
    let ada = Call::host(config, identity, vec![ada_at], clock.now(), &mut rng)?;
    let invite = Invite::parse(&ada.view().invites[0].text)?;
    let identity = Arc::new(IdentityKey::generate(&mut rng));
    let ben =
        Call::join(self::config("Ben Nevis", ben_at)?, identity, invite, clock.now(), &mut rng)?;

    let mut views = Vec::new();
    for (number, (call, at)) in [(ada, ada_at), (ben, ben_at)].into_iter().enumerate() {
        let seed = call.leaf_key().seed_for_tls_or_mls();
        let socket = Socket::Custom(network.socket(at)?);
        let endpoint = Endpoint::bind(socket, seed, EndpointOptions::default())?;
        let speech = Speech::new(1, number as u32, 2);
        let options = VideoOptions {
            identity: vec![number as u8 * 77; 32],
            decifps: TILE.decifps,
            mouth: Voice::mouth(speech),
            ..VideoOptions::new(start)
        };
        let ends = MediaEnds {
            apm: ApmConfig::OFF,
            video: Some(open_video(&VideoSpec::Pattern(PatternKind::Face), options)?),
            view: Box::new(Null::new(TILE)),
            mic: Some(Box::new(Voice::new(speech, start))),
            speaker: None,
            origin: start,
            decifps: TILE.decifps,
        };
        let rng = Box::new(rand::rngs::OsRng.unwrap_err());
        let config = NodeConfig { runner: Runner::Inline, clock, witness: None, rng };
        let (node, handle) = Node::new(call, endpoint, ends, TRACKS, config)?;
        views.push(handle.view.clone());
        tokio::task::spawn_local(node.run());
        tokio::task::spawn_local(watch(["ada", "ben"][number], handle, clock, start));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    for view in views {
        let view = view.borrow();
        for (member, video) in &view.media.received {
            println!("after 10 s: {} pictures of member {member} shown", video.shown);
        }
    }
    Ok(())
}

fn config(name: &str, at: SocketAddr) -> Result<CallConfig, Box<dyn Error>> {
    Ok(CallConfig {
        name: DisplayName::parse(name)?,
        admit: Admit::Any,
        expect: None,
        invite_uses: 1,
        invite_life: Duration::from_secs(3600),
        tracks: TRACKS,
        known: Vec::new(),
        addresses: vec![at],
        knock_life: Duration::from_secs(120),
        constant_rate: false,
    })
}

/// Whoever owns a node puts its roster before its user; only then is anything sealed.
async fn watch(name: &str, handle: NodeHandle, clock: Clock, start: std::time::Instant) {
    let NodeHandle { commands, mut events, .. } = handle;
    while let Some(event) = events.recv().await {
        let at = clock.now().mono - start;
        match event {
            NodeEvent::Call(Event::Epoch { epoch, roster, why, .. }) => {
                println!("{at:>9.1?} {name}: epoch {epoch} ({why:?})");
                let shown = NodeCommand::RosterShown(Receipt::shown(epoch, roster));
                if commands.send(shown).await.is_err() {
                    return;
                }
            }
            NodeEvent::Call(Event::Words { words, .. }) => println!("{at:>9.1?} {name}: {words}"),
            NodeEvent::FirstPicture(of) => println!("{at:>9.1?} {name}: sees member {of}"),
            _ => {}
        }
    }
}
