//! One participant, whole: the loop that joins call, connections and media engine.
//!
//! ```text
//!            commands, receipts                     events, view
//!   owner ────────────────────────▶  Node loop  ────────────────────▶ owner (screen, script, simulation)
//!                                   Call ⇄ Link
//!                                    │      ▲
//!              coded, wants, mute    ▼      │ coded, keyframe wishes
//!                          [video out] [video in] [audio]     media sides
//! ```
//!
//! The three media sides are plain state machines (`side::Side`). In the product each runs on a
//! thread of its own; in a simulation the loop calls them inline, so that a paused clock rules
//! them too. Nothing else differs between the two.

mod audio;
mod driver;
mod moves;
mod side;
mod video;
mod view;

pub use driver::{Node, NodeConfig, NodeHandle};
pub use view::{LinkReport, MediaView, NodeView, PeerMedia};

use crate::call::{Command, Event};
use crate::media::apm::ApmConfig;
use crate::media::frame::{Coded, RawFrame};
use crate::media::seams::{FrameSink, FrameSource, PcmSink, PcmSource};
use crate::seal::Receipt;
use crate::time::{Now, Wall};
use crate::wire::link::{LinkEvent, LinkId, MemberId};
use std::time::{Duration, Instant};

/// How the media sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// A thread each (the product).
    Threads,
    /// Inside the loop (virtual time: a paused clock would jump past threads).
    Inline,
}

/// Where time comes from: the runtime's clock (paused in simulations) and a wall clock beside it.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// Real time.
    Real,
    /// Wall time counted from a fixed start along the runtime's clock.
    Virtual {
        /// Wall time at `start`.
        wall: Wall,
        /// The runtime's clock at the beginning.
        start: Instant,
    },
}

impl Clock {
    /// The present moment.
    pub fn now(self) -> Now {
        let mono = tokio::time::Instant::now().into_std();
        let wall = match self {
            Self::Real => wall_time(),
            Self::Virtual { wall, start } => {
                let since = mono.saturating_duration_since(start);
                Wall(wall.0 + u64::try_from(since.as_millis()).unwrap_or(0))
            }
        };
        Now { mono, wall }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall_time() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Wall(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0)))
}

/// The media ends of one participant.
pub struct MediaEnds {
    /// Pictures in; `None`: no camera at all.
    pub video: Option<Box<dyn FrameSource>>,
    /// Pictures out.
    pub view: Box<dyn FrameSink>,
    /// Sound in; `None`: no microphone, no audio track (`--audio none`).
    pub mic: Option<Box<dyn PcmSource>>,
    /// Sound out; `None`: nobody listens.
    pub speaker: Option<Box<dyn PcmSink>>,
    /// What is done to captured sound before it is coded.
    pub apm: ApmConfig,
    /// Origin of this participant's media clock.
    pub origin: Instant,
    /// Highest frame rate of the own pictures, in tenths of fps.
    pub decifps: u16,
}

/// What the owner tells a node.
#[derive(Debug)]
pub enum NodeCommand {
    /// For the call.
    Call(Command),
    /// The roster was shown.
    RosterShown(Receipt),
    /// Microphone on or off.
    Mic(bool),
    /// Camera on or off.
    Camera(bool),
    /// About to be stopped (Ctrl-Z), or back: mutes, stops the camera, seals nothing. Answered
    /// when that is done, so that the process isn't stopped before.
    Suspend(bool, std::sync::mpsc::SyncSender<()>),
    /// Tells the witness this participant's keys for the frames of this member: only a
    /// simulation has a witness (see [`Witness::keys`]).
    TellWitness(MemberId),
}

/// What a node tells its owner.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// From the call.
    Call(Event),
    /// A media end was lost; the call goes on.
    MediaLost {
        /// Which.
        what: String,
        /// Why.
        why: String,
    },
    /// A command could not be carried out; why.
    Trouble(String),
    /// The first picture of a member was handed to the sink.
    FirstPicture(MemberId),
}

/// Somebody who may watch a node from inside: the demonstration's Eve and the measuring probes.
/// Every method sees bytes or pictures as they pass; none can change them.
pub trait Witness: Send + Sync {
    /// A picture as captured, before anything else.
    fn captured(&self, _frame: &RawFrame, _now: Now) {}
    /// The keys of a member's frames, handed over on request.
    fn keys(&self, _keys: crate::seal::Surrendered, _now: Now) {}
    /// The keys of a new epoch, to be searched for on the line.
    fn new_keys(&self, _keys: &crate::seal::Surrendered) {}
    /// A coded frame before it is sealed.
    fn before_seal(&self, _coded: &Coded, _now: Now) {}
    /// A coded picture on its way to these members: what they should get to see.
    fn coded_for(&self, _to: &[MemberId], _frame: &crate::media::frame::CodedVideo, _now: Now) {}
    /// What QUIC delivered: all that a broken TLS would show.
    fn delivered(&self, _link: LinkId, _from: Option<MemberId>, _event: &LinkEvent, _now: Now) {}
    /// Received audio as played, mixed, with the time of playing.
    fn played(&self, _block: &crate::media::seams::Pcm, _now: Now) {}
    /// When this member's sound of media time zero is heard, as of the block just played, and how
    /// much of its sound was made up so far, in ms; called for every block and every member whose
    /// sound is playing.
    fn heard(&self, _from: MemberId, _zero: Instant, _concealed_ms: u64, _now: Now) {}
}

/// Under this number a sink is shown the own picture; no member ever has it.
pub const OWN: MemberId = MemberId(u32::MAX);

/// How often the view is made anew when nothing happens.
const VIEW_EVERY: Duration = Duration::from_millis(100);
