//! What the screen shows, as plain data. Whoever runs the call fills these from its snapshots; the
//! views read them and nothing else.

use crate::tui::theme::Theme;
use crate::wire::link::MemberId;
use std::time::{Duration, Instant};

/// Whose picture a rectangle of the screen is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileRole {
    /// Our own camera.
    Own,
    /// Another member.
    Member(MemberId),
    /// In the demonstration: what Ada sees.
    Ada,
    /// In the demonstration: what Eve makes of the line.
    Eve,
    /// In the demonstration: what Ben sees.
    Ben,
}

/// The whole screen's state.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the screen is about now.
    pub screen: Screen,
    /// The pane beside the tiles.
    pub pane: Option<Pane>,
    /// "Leave the call?" stands on the screen.
    pub asking_to_leave: bool,
    /// "Remove …?" stands on the screen: number and name.
    pub removing: Option<(u32, String)>,
    /// Who is chosen in the people pane; `None`: the first.
    pub chosen: Option<Chosen>,
    /// How tiles share the room.
    pub layout: LayoutKind,
    /// Who is shown large whoever speaks.
    pub pinned: Option<TileRole>,
    /// Size of a cell of the terminal in pixels; only the ratio counts.
    pub cell_px: (u16, u16),
    /// Colours.
    pub theme: Theme,
    /// The microphone as the user set it (without hold-to-talk).
    pub mic: bool,
    /// The camera as the user set it.
    pub camera: bool,
    /// One passing line ("invite copied").
    pub note: Option<Note>,
    /// What the terminal has shown.
    pub(super) seen: Seen,
    pub(super) doubts: Vec<DoubtInfo>,
    pub(super) doubt_since: Option<([u8; 32], Instant)>,
    pub(super) knocks: Vec<KnockInfo>,
    pub(super) knock_since: Option<(u32, Instant)>,
    pub(super) talk_until: Option<Instant>,
    /// Who spoke last, for longer than a moment.
    pub(super) speaker: Option<TileRole>,
    /// Somebody else speaks, since then.
    pub(super) heard: Option<(TileRole, Instant)>,
}

impl Model {
    /// A model showing `screen`, with microphone and camera as given.
    pub fn new(screen: Screen, theme: Theme, mic: bool, camera: bool) -> Self {
        Self {
            screen,
            pane: None,
            asking_to_leave: false,
            removing: None,
            chosen: None,
            layout: LayoutKind::default(),
            pinned: None,
            cell_px: (1, 2),
            theme,
            mic,
            camera,
            note: None,
            seen: Seen::default(),
            doubts: Vec::new(),
            doubt_since: None,
            knocks: Vec::new(),
            knock_since: None,
            talk_until: None,
            speaker: None,
            heard: None,
        }
    }

    /// Takes over the knocks that wait for an answer, oldest first. The first one is shown; its
    /// keys work [`crate::tui::update::KNOCK_GUARD`] after it came to the front.
    pub fn set_knocks(&mut self, knocks: Vec<KnockInfo>, now: Instant) {
        self.knocks = knocks;
        let front = self.knocks.first().map(|k| k.id);
        if front != self.knock_since.map(|(id, _)| id) {
            self.knock_since = front.map(|id| (id, now));
        }
    }

    /// The knock on the screen, and since when.
    pub fn knock(&self) -> Option<(&KnockInfo, Instant)> {
        let (id, since) = self.knock_since?;
        self.knocks.iter().find(|k| k.id == id).map(|k| (k, since))
    }

    /// The question that stands now: about a changed key, else a knock.
    pub fn asked(&self) -> Option<Asked> {
        let doubt = self.doubt().map(|(doubt, _)| Asked::Doubt(doubt.identity));
        doubt.or(self.knock().map(|(knock, _)| Asked::Knock(knock.id)))
    }

    /// The terminal has shown this by `now`. A question that has not been there before, or not whole,
    /// can be read from now on: its guard begins.
    pub fn saw(&mut self, seen: Seen, now: Instant) {
        if seen.question != self.seen.question {
            match seen.question {
                Some(Asked::Doubt(shown)) => {
                    let since =
                        self.doubt_since.as_mut().filter(|(identity, _)| *identity == shown);
                    since.into_iter().for_each(|(_, since)| *since = now);
                }
                Some(Asked::Knock(shown)) => {
                    let since = self.knock_since.as_mut().filter(|(id, _)| *id == shown);
                    since.into_iter().for_each(|(_, since)| *since = now);
                }
                None => {}
            }
        }
        self.seen = seen;
    }

    /// Takes over the questions about changed keys. They come before knocks.
    pub fn set_doubts(&mut self, doubts: Vec<DoubtInfo>, now: Instant) {
        self.doubts = doubts;
        let front = self.doubts.first().map(|d| d.identity);
        if front != self.doubt_since.map(|(identity, _)| identity) {
            self.doubt_since = front.map(|identity| (identity, now));
        }
    }

    /// The question about a changed key on the screen, and since when.
    pub fn doubt(&self) -> Option<(&DoubtInfo, Instant)> {
        let (identity, since) = self.doubt_since?;
        self.doubts.iter().find(|d| d.identity == identity).map(|d| (d, since))
    }

    /// How many questions about changed keys wait.
    pub fn doubts_waiting(&self) -> usize {
        self.doubts.len()
    }

    /// How many knocks wait.
    pub fn knocks_waiting(&self) -> usize {
        self.knocks.len()
    }

    /// Shows one passing line for four seconds.
    pub fn tell(&mut self, text: impl Into<String>, now: Instant) {
        self.note = Some(Note { text: text.into(), until: now + Duration::from_secs(4) });
    }

    /// Whether hold-to-talk is on.
    pub fn talking(&self) -> bool {
        self.talk_until.is_some()
    }
}

/// Whom the keys of the people pane are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A member, by its number in the group.
    Member(u32),
    /// Somebody who was removed, by identity key.
    Barred([u8; 32]),
}

/// A question that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A knock, by its number.
    Knock(u32),
    /// Whether a changed key is whom it says, by its identity.
    Doubt([u8; 32]),
}

/// What stands on the screen to be read, as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The question.
    pub question: Option<Asked>,
    /// The call words in the keys pane, by their epoch.
    pub words: Option<u64>,
}

/// One passing line.
#[derive(Clone, Debug)]
pub struct Note {
    /// The line.
    pub text: String,
    /// Shown until then.
    pub until: Instant,
}

/// What the screen is about.
#[derive(Clone, Debug)]
pub enum Screen {
    /// Nobody else is there yet: the host's invite, or the joiner's knocking.
    Waiting(Box<WaitingScreen>),
    /// A call.
    Call(Box<CallScreen>),
    /// The demonstration.
    Demo(Box<DemoScreen>),
}

/// What stands beside the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// Who is here; inviting.
    People,
    /// Who holds keys, words, what the line shows.
    Security,
    /// Figures.
    Stats,
    /// Keys.
    Help,
    /// The demonstration explained.
    Explain,
}

/// How tiles share the room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutKind {
    /// The others large, the own picture small.
    #[default]
    Focus,
    /// Who speaks (or is pinned) large, everybody else small.
    Speaker,
    /// All the same size.
    Grid,
    /// Without the own picture.
    Others,
}

impl LayoutKind {
    /// All, in the order of the key.
    pub const ALL: [Self; 4] = [Self::Focus, Self::Speaker, Self::Grid, Self::Others];

    /// The next one, for the key.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// A participant's microphone or camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// Captured and sent.
    On,
    /// Switched off by its owner.
    Off,
    /// There is none.
    Absent,
}

/// How well an identity is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Ourselves.
    Own,
    /// Keys compared: how and when ("verified 2026-08-29, call words").
    Verified(String),
    /// In contacts, never compared ("met 2026-08-29").
    Known(String),
    /// Never seen before.
    New,
    /// The name is a contact's, the key is not: who it looks like ("met 2026-08-29").
    Changed(String),
}

/// One participant's tile.
#[derive(Clone, Debug)]
pub struct TileInfo {
    /// Whose.
    pub role: TileRole,
    /// Name to show.
    pub name: String,
    /// How well known.
    pub trust: Trust,
    /// Microphone.
    pub mic: Track,
    /// Camera.
    pub camera: Track,
    /// Speaking now.
    pub speaking: bool,
    /// Age of the newest picture; `None`: no picture yet.
    pub picture_age: Option<Duration>,
    /// The connection is lost since then.
    pub lost: Option<Duration>,
    /// Nothing is sealed for or by this member until the roster has been on the screen.
    pub waiting_for_screen: bool,
    /// Something to say inside the tile instead of a picture (a source that stopped).
    pub message: Option<String>,
}

impl TileInfo {
    /// A tile with nothing special about it.
    pub fn new(role: TileRole, name: impl Into<String>) -> Self {
        Self {
            role,
            name: name.into(),
            trust: Trust::New,
            mic: Track::On,
            camera: Track::On,
            speaking: false,
            picture_age: None,
            lost: None,
            waiting_for_screen: false,
            message: None,
        }
    }
}

/// What became of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// We listen there.
    Listening,
    /// Being tried.
    Trying,
    /// Reached.
    Connected,
    /// Tried without success, in words.
    Failed(String),
}

/// One address and what became of it.
#[derive(Clone, Debug)]
pub struct AddressRow {
    /// As text, with port.
    pub address: String,
    /// What kind ("LAN", "IPv6", "advertised").
    pub kind: String,
    /// What became of it.
    pub state: AddressState,
}

/// Before the call: the host waits for a knock, the joiner to be let in.
#[derive(Clone, Debug)]
pub struct WaitingScreen {
    /// The invite to pass on (host).
    pub invite: Option<InviteInfo>,
    /// Where the joining stands, one line ("knocked, waiting to be let in"); host: empty.
    pub progress: String,
    /// Fingerprint the other side has to have (joiner: from the invite).
    pub expects: Option<String>,
    /// Addresses with their results.
    pub addresses: Vec<AddressRow>,
    /// Only private addresses: works on the same LAN or VPN.
    pub private_only: bool,
    /// Own picture.
    pub own: TileInfo,
    /// Microphone level in dBov (0 loudest, −127 silence); `None`: no microphone.
    pub mic_level: Option<i8>,
    /// Own fingerprint, short.
    pub fingerprint: String,
}

/// An invite to show.
#[derive(Clone, Debug)]
pub struct InviteInfo {
    /// Text to copy.
    pub text: String,
    /// The same for a QR code (upper case).
    pub qr_text: String,
    /// Uses left.
    pub uses: u8,
    /// Time left.
    pub expires_in: Duration,
}

/// A call.
#[derive(Clone, Debug)]
pub struct CallScreen {
    /// Other members first, in the order of joining; the own tile last.
    pub tiles: Vec<TileInfo>,
    /// Status line.
    pub status: Status,
    /// Everyone who holds keys.
    pub security: SecurityInfo,
    /// Figures.
    pub stats: StatsInfo,
    /// A further invite, if one is open.
    pub invite: Option<InviteInfo>,
    /// Time since the call began.
    pub since: Duration,
}

/// What has become of the call words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordsState {
    /// Being computed.
    Computing,
    /// Not compared yet.
    NotCompared,
    /// Compared and equal.
    Compared,
    /// They changed after a comparison, and why ("Ben joined").
    Changed(String),
}

/// The status line.
#[derive(Clone, Debug)]
pub struct Status {
    /// MLS epoch.
    pub epoch: u64,
    /// Call words.
    pub words: WordsState,
    /// Pictures painted per second.
    pub fps: f32,
    /// Capture to paint, in milliseconds; `None`: not measured yet.
    pub latency_ms: Option<u32>,
    /// Lost packets in percent.
    pub loss_pct: f32,
    /// Sent, kbit/s, everything counted.
    pub up_kbps: u32,
    /// Received, kbit/s, everything counted.
    pub down_kbps: u32,
    /// Graphics mode in a word.
    pub graphics: &'static str,
}

/// A knock waiting for an answer.
#[derive(Clone, Debug)]
pub struct KnockInfo {
    /// Number of the knock in this call.
    pub id: u32,
    /// Fingerprint, short form.
    pub fingerprint: String,
    /// The name it claims.
    pub claimed: String,
    /// How well known.
    pub trust: Trust,
    /// A contact who calls without an invite.
    pub ring: bool,
    /// The contact whose name looks like the claimed one.
    pub looks_like: Option<String>,
    /// Which invite ("this call's first invite, 1 use left").
    pub invite: String,
    /// Unanswered, it is refused after this time.
    pub time_left: Duration,
}

/// Somebody has a contact's name and another key: the question that blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtInfo {
    /// Their key.
    pub identity: [u8; 32],
    /// Its fingerprint, short form.
    pub fingerprint: String,
    /// The name they claim.
    pub name: String,
    /// Fingerprint of the contact of that name.
    pub known_fingerprint: String,
    /// How well that contact is known.
    pub known: String,
    /// They are in the call already, let in by somebody else; else the host to be joined.
    pub member: bool,
}

/// Somebody who holds keys.
#[derive(Clone, Debug)]
pub struct PersonInfo {
    /// Number in the group.
    pub member: u32,
    /// Name to show.
    pub name: String,
    /// Fingerprint, short form.
    pub fingerprint: String,
    /// How well known.
    pub trust: Trust,
    /// The contact whose name looks like theirs.
    pub looks_like: Option<String>,
    /// Holds keys since this epoch.
    pub since_epoch: u64,
    /// Who added them; `None`: founded the call.
    pub added_by: Option<String>,
    /// Orders the group's changes now.
    pub host: bool,
    /// May let people in: founder or named by the founder.
    pub may_admit: bool,
    /// How reached ("direct, 192.0.2.7:4433"); empty for ourselves.
    pub path: String,
}

/// Somebody who was removed and may not come back.
#[derive(Clone, Debug)]
pub struct BarredInfo {
    /// Their key.
    pub identity: [u8; 32],
    /// Its fingerprint, short form.
    pub fingerprint: String,
    /// Name to show, if they are a contact.
    pub name: Option<String>,
}

/// Who holds keys, and what to compare.
#[derive(Clone, Debug)]
pub struct SecurityInfo {
    /// MLS epoch.
    pub epoch: u64,
    /// Suite in words.
    pub suite: String,
    /// The eight call words.
    pub words: Option<[String; 8]>,
    /// What has become of them.
    pub words_state: WordsState,
    /// Their epoch.
    pub words_epoch: u64,
    /// Beginning of the epoch authenticator, hexadecimal.
    pub authenticator: String,
    /// Nobody new may come in.
    pub locked: bool,
    /// Removed for good.
    pub barred: Vec<BarredInfo>,
    /// This participant may decide: remove, bring back, lock, name who lets in, void invites.
    pub may_decide: bool,
    /// What is wrong with the group now, in words ("split: some members are not reached").
    pub trouble: Option<String>,
    /// The same in a word or two, beside the roster ("split, without Ada").
    pub apart: Option<String>,
    /// The ledger's end ("12 lines, ends 4f2a91c0"), and where it is kept.
    pub ledger: String,
    /// Everyone who holds keys; ourselves among them.
    pub people: Vec<PersonInfo>,
    /// What somebody on the line learns ("sizes and times of packets", …).
    pub line_shows: Vec<String>,
}

/// How a figure went, for a small plot: oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// One value a second.
    pub values: Vec<f32>,
    /// A plot whose values are all lower is drawn as if its top were this: a little noise is no
    /// mountain.
    pub least_top: f32,
}

/// Figures of one member.
#[derive(Clone, Debug, Default)]
pub struct PeerStats {
    /// Name.
    pub name: String,
    /// Picture size received.
    pub size: String,
    /// Pictures painted per second.
    pub fps: f32,
    /// Video, kbit/s received.
    pub video_kbps: u32,
    /// Sound, kbit/s received.
    pub audio_kbps: u32,
    /// Capture to paint, in milliseconds.
    pub latency_ms: Option<u32>,
    /// Round trip in milliseconds.
    pub rtt_ms: Option<u32>,
    /// Lost packets in percent.
    pub loss_pct: f32,
    /// Sound that had to be invented, in percent.
    pub concealed_pct: f32,
    /// Freezes so far.
    pub freezes: u32,
    /// What the path to them is thought to carry, in kbit/s.
    pub path_kbps: u32,
    /// Copies sent of each packet of sound.
    pub copies: u32,
    /// How some of these went.
    pub plots: PeerPlots,
}

/// The small plots of one member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerPlots {
    /// Pictures a second.
    pub fps: Plot,
    /// Received, kbit/s.
    pub kbps: Plot,
    /// How long sound waits, ms.
    pub wait_ms: Plot,
    /// Round trip, ms.
    pub rtt_ms: Plot,
    /// Lost on the way, %.
    pub loss_pct: Plot,
    /// Sound made up in that second, %.
    pub concealed: Plot,
}

/// Figures.
#[derive(Clone, Debug, Default)]
pub struct StatsInfo {
    /// One row per other member.
    pub peers: Vec<PeerStats>,
    /// What we do ourselves: label and value ("encoding", "240x144 at 30 fps").
    pub own: Vec<(String, String)>,
}

/// What Eve looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EveSees {
    /// The UDP payloads.
    #[default]
    Udp,
    /// What QUIC delivers, as if TLS were broken.
    Quic,
}

/// One thing searched for on the line.
#[derive(Clone, Debug)]
pub struct SearchRow {
    /// What.
    pub what: &'static str,
    /// Found on the line.
    pub hits: u64,
    /// Found by the same code before sealing, or in a planted buffer: the search works.
    pub control: u64,
}

/// One direction of the demonstration's call.
#[derive(Clone, Debug, Default)]
pub struct DemoFlow {
    /// Pictures painted per second.
    pub fps: f32,
    /// Capture to paint, in milliseconds.
    pub latency_ms: Option<u32>,
    /// Lost packets in percent.
    pub loss_pct: f32,
    /// kbit/s on the wire.
    pub kbps: u32,
}

/// The demonstration: three tiles and the facts under them.
#[derive(Clone, Debug)]
pub struct DemoScreen {
    /// What Ada sees (Ben).
    pub ada: TileInfo,
    /// What Eve makes of the line.
    pub eve: TileInfo,
    /// What Ben sees (Ada).
    pub ben: TileInfo,
    /// Which bytes Eve has.
    pub eve_sees: EveSees,
    /// Eve was handed Ben's frame keys.
    pub handed_over: bool,
    /// UDP ports: Ada, Eve towards Ada, Eve towards Ben, Ben.
    pub ports: [u16; 4],
    /// Epoch as Ada and as Ben see it.
    pub epoch: [u64; 2],
    /// Suite in words.
    pub suite: String,
    /// Call words as Ada's and as Ben's machine computed them, in one string.
    pub words: [Option<String>; 2],
    /// Who holds keys.
    pub roster: Vec<String>,
    /// Ada → Ben, Ben → Ada.
    pub flows: [DemoFlow; 2],
    /// Searches.
    pub searches: Vec<SearchRow>,
    /// Entropy in bits per byte: before sealing, on the line.
    pub entropy: [f32; 2],
    /// Packets and bytes Eve has seen.
    pub seen: [u64; 2],
    /// Frames Eve tried to open, and opened without handed-over keys.
    pub tried: [u64; 2],
    /// What Eve is up to, if anything.
    pub attack: Option<AttackInfo>,
    /// Media keys of this demonstration are being written to this file.
    pub exporting: Option<String>,
}

/// An attack of the demonstration, in words.
#[derive(Clone, Debug, Default)]
pub struct AttackInfo {
    /// Its key.
    pub key: u8,
    /// What Eve does.
    pub eve: String,
    /// What the members' machines say.
    pub members: String,
    /// It is over.
    pub over: bool,
}

impl DemoScreen {
    /// All hits and all controls added up.
    pub fn totals(&self) -> (u64, u64) {
        self.searches.iter().fold((0, 0), |(h, c), row| (h + row.hits, c + row.control))
    }

    /// Both sides computed the same words.
    pub fn words_agree(&self) -> bool {
        matches!(&self.words, [Some(a), Some(b)] if a == b)
    }
}
