//! Plays a scenario: real participants – identities, keys, QUIC, codecs – over a network that does
//! what the scenario says, and a report of what came out.
//!
//! In virtual time everything runs on one thread under a paused clock: a minute of a call takes
//! seconds, and equal seeds give equal reports. In real time the same participants run on threads
//! and talk through UDP sockets, with the same link models between them. Only source, sink, socket
//! and clock differ from the product; keys are never seeded.

mod flows;
mod network;
mod participant;
mod soak;
mod summary;

use super::eve::Eve;
use super::measure::{Asked, Bench, Leak};
use super::report::Report;
use super::scenario::{Action, Change, FlowSpec, Scenario};
use crate::call::{CallError, Command};
use crate::media::codec::CodecError;
use crate::media::source::OpenError;
use crate::node::{Clock, NodeCommand};
use crate::secret::Secret;
use crate::time::Wall;
use crate::transport::BindError;
use flows::Flows;
use network::Net;
pub use network::check_real;
pub use soak::Memory;

use participant::{Cast, Participant};
use rand::{RngCore as _, TryRngCore as _};
use soak::Quarters;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Wall time at the beginning of every virtual call: 2026-01-01 00:00 UTC.
const BEGINNING: Wall = Wall(1_767_225_600_000);

/// How a scenario is played.
#[derive(Default)]
pub struct Options {
    /// Seed of network, sources and QUIC's own choices. `None`: the scenario's.
    pub seed: Option<u64>,
    /// Real sockets and clock instead of virtual ones.
    pub real_time: bool,
    /// Everything that goes over the line is kept here (pcapng).
    pub tap: Option<Box<dyn Write + Send>>,
    /// Every coded frame also goes over the line as it is, beside its sealed self – what a sealer
    /// that copies would do. Proves that the search finds what is there; virtual time only.
    pub copying_sealer: bool,
    /// Counts what is in use, for a long call's report; `None`: what is resident.
    pub memory: Option<Memory>,
}

/// Why a scenario could not be played. What happens *in* the call is in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The scenario asks for something that can't be done.
    #[error("{0}")]
    Scenario(String),
    /// A source can't be opened.
    #[error("participant {name:?}: {why}")]
    Source {
        /// Whose.
        name: String,
        /// Why.
        why: OpenError,
    },
    /// A socket can't be opened.
    #[error("no socket: {0}")]
    Socket(#[from] io::Error),
    /// QUIC can't be set up.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A participant can't be made.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A codec can't be set up.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The capture can't be written.
    #[error("the capture can't be written: {0}")]
    Tap(io::Error),
}

/// Plays `scenario` to its end and reports.
pub fn play(scenario: &Scenario, options: Options) -> Result<Report, LoopbackError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(!options.real_time).build()?;
    let all = tokio::task::LocalSet::new();
    let report = all.block_on(&runtime, stage(scenario, options));
    drop(all);
    // Real sockets' tasks end with the runtime; nothing is worth waiting for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    report
}

async fn stage(scenario: &Scenario, options: Options) -> Result<Report, LoopbackError> {
    let seed = options.seed.unwrap_or(scenario.seed);
    let origin = tokio::time::Instant::now().into_std();
    let clock = match options.real_time {
        true => Clock::Real,
        false => Clock::Virtual { wall: BEGINNING, start: origin },
    };
    let cpu = summary::cpu_time();
    let mut guess = [0; 32];
    rand::rngs::OsRng.unwrap_err().fill_bytes(&mut guess);
    let bench = Bench::new(origin, Eve::new(Secret::take(&mut guess))?);
    let mut net = Net::new(scenario, seed, options.real_time, clock.now().wall)?;
    let capture = net.tap(bench.clone(), options.tap).map_err(LoopbackError::Tap)?;
    let leak = (options.copying_sealer && !options.real_time).then(|| net.leak()).flatten();

    let mut flows = Flows::default();
    let mut quarters = Quarters::new(options.memory);
    let mut cast = Cast::new(bench.clone(), clock, seed, options.real_time, leak);
    for moment in programme(scenario) {
        tokio::time::sleep_until((origin + moment.at).into()).await;
        match moment.what {
            What::Join(index) => cast.join(scenario, index, origin, &mut net)?,
            What::QuarterEnds => quarters.end(scenario, &bench, &cast, false),
            What::FlowBegins(number, flow) => flows.begin(number, net.flow(number, flow)?),
            What::FlowEnds(number) => flows.end(number),
            What::Change(Change::Link(pair, spec)) => net.change(pair, spec),
            What::Change(Change::Access(index, spec)) => net.change_access(index, spec),
            What::Change(Change::Remove { by, who }) => {
                let now = tokio::time::Instant::now().into_std();
                if let (Some(member), Some(by)) = (cast.number(scenario, who, by), cast.get(by)) {
                    bench.asks(Asked::Remove, now);
                    bench.leaves(who, now);
                    let remove = NodeCommand::Call(Command::Remove(member));
                    // Whoever has left already decides nothing more.
                    let _ = by.commands.send(remove).await;
                }
            }
            What::Change(Change::Act(index, action)) => match action {
                Action::ChangeAddress | Action::NatRebind => {
                    if let Some(address) = net.move_to(index, action)? {
                        bench.address(index, address);
                    }
                }
                Action::Return => {
                    bench.returns(index);
                    cast.join(scenario, index, origin, &mut net)?;
                }
                _ => {
                    if let Some(participant) = cast.get(index) {
                        act(participant, action, &bench, index).await;
                    }
                }
            },
        }
    }
    let end = origin + Duration::from_secs_f64(scenario.seconds);
    tokio::time::sleep_until(end.into()).await;
    cast.look(&bench);
    let spent = summary::cpu_time().saturating_sub(cpu);
    if let Some(lost) = capture.and_then(|c| c.finish()) {
        return Err(LoopbackError::Tap(lost));
    }
    let clock = if options.real_time { "real" } else { "virtual" };
    let mut report = summary::report(scenario, seed, clock, &bench, spent);
    report.flows = flows.report(scenario);
    if scenario.soak {
        quarters.end(scenario, &bench, &cast, true);
        report.soak = Some(quarters.report(&bench));
    }
    report.judge(scenario);
    cast.dismiss();
    Ok(report)
}

/// One line of the programme.
struct Line {
    at: Duration,
    what: What,
}

enum What {
    Join(usize),
    FlowBegins(usize, FlowSpec),
    FlowEnds(usize),
    QuarterEnds,
    Change(Change),
}

/// Everything that happens, in order; who joins at a time is there before anything else happens
/// at it.
fn programme(scenario: &Scenario) -> Vec<Line> {
    let joins = scenario.participants.iter().enumerate().map(|(index, p)| Line {
        at: Duration::from_secs_f64(p.join_at.clamp(0.0, scenario.seconds)),
        what: What::Join(index),
    });
    let times = scenario.repeat.map_or(1, |every| (scenario.seconds / every).ceil() as u32);
    let changes = (0..times).flat_map(|time| {
        let later = Duration::from_secs_f64(scenario.repeat.unwrap_or(0.0)) * time;
        scenario.timeline.iter().map(move |moment| Line {
            at: Duration::from_secs_f64(moment.s.max(0.0)) + later,
            what: What::Change(moment.change.clone()),
        })
    });
    let quarters = Quarters::ends(scenario).map(|at| Line { at, what: What::QuarterEnds });
    let flows = scenario.flows.iter().enumerate().flat_map(|(number, flow)| {
        let at = Duration::from_secs_f64;
        let begins = Line { at: at(flow.at), what: What::FlowBegins(number, *flow) };
        [begins, Line { at: at(flow.until), what: What::FlowEnds(number) }]
    });
    let mut lines: Vec<_> = joins.chain(changes).chain(flows).chain(quarters).collect();
    lines.sort_by_key(|line| line.at);
    lines.retain(|line| line.at.as_secs_f64() <= scenario.seconds);
    lines
}

async fn act(participant: &Participant, action: Action, bench: &Bench, index: usize) {
    let now: Instant = tokio::time::Instant::now().into_std();
    let command = match action {
        Action::Leave => {
            bench.leaves(index, now);
            bench.asks(Asked::Leave, now);
            NodeCommand::Call(Command::Leave)
        }
        Action::Mute | Action::Unmute => {
            let muted = action == Action::Mute;
            participant.muted.store(muted, Ordering::Relaxed);
            NodeCommand::Mic(!muted)
        }
        Action::CameraOff | Action::CameraOn => {
            let on = action == Action::CameraOn;
            bench.camera(index, on, now);
            NodeCommand::Camera(on)
        }
        Action::Suspend => return participant.gate.close(),
        Action::Resume => return participant.gate.open(),
        // The network's business; and the stage's.
        Action::ChangeAddress | Action::NatRebind | Action::Return => return,
        Action::Rekey => {
            bench.asks(Asked::Rekey, now);
            NodeCommand::Call(Command::Rekey)
        }
    };
    // Whoever has left already does nothing more.
    let _ = participant.commands.send(command).await;
}

/// The leak of a copying sealer, or none.
type MaybeLeak = Option<Leak>;

/// A seed of its own for everything that needs one.
fn derived(seed: u64, what: &str, index: usize) -> u64 {
    let text = format!("{seed} {what} {index}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A shared flag.
type Flag = Arc<std::sync::atomic::AtomicBool>;
