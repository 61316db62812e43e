//! From a node's view to what the screen shows.

use crate::app::headless::dial_failure;
use crate::app::history::History;
use crate::app::stage::Pictures;
use crate::call::{
    BarredView, CallView, InviteView, KnockView, LinkView, MemberView, Namesake, Phase,
};
use crate::media::apm::ApmReport;
use crate::node::NodeView;
use crate::transport::{Reach, only_private, reach};
use crate::tui::model::{
    AddressRow, AddressState, BarredInfo, CallScreen, DoubtInfo, InviteInfo, KnockInfo, PeerStats,
    PersonInfo, SecurityInfo, StatsInfo, Status, TileInfo, TileRole, Track, Trust, WaitingScreen,
    WordsState,
};
use crate::wire::link::MemberId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The suite, in words.
pub const SUITE: &str = "MLS X-Wing (X25519 + ML-KEM-768), ChaCha20-Poly1305, SHA-256, Ed25519";

/// What stays the same while a call is shown.
pub struct Showing {
    /// Since the first other member.
    pub since: Option<Instant>,
    /// The knock's life.
    pub knock_life: Duration,
    /// Addresses of this participant.
    pub addresses: Vec<SocketAddr>,
    /// Identity the invite is from (joiner).
    pub expects: Option<String>,
    /// The contact this participant calls.
    pub calling: Option<String>,
    /// They were not reached: every address and why.
    pub not_reached: Option<String>,
    /// The file the ledger goes to.
    pub ledger: Option<String>,
    /// Contacts may call; there is no invite.
    pub listening: bool,
    /// The epoch whose words were compared.
    pub compared: Option<u64>,
    /// Why the words changed last.
    pub changed: Option<String>,
    /// Rates of the wire, kbit/s up and down.
    pub rates: Rates,
    /// How the others' figures went.
    pub history: History,
    /// A camera that was lost, in words.
    pub camera_lost: Option<String>,
}

/// Wire rates from the growing totals.
#[derive(Default)]
pub struct Rates {
    last: Option<(Instant, u64, u64)>,
    /// kbit/s sent.
    pub up: u32,
    /// kbit/s received.
    pub down: u32,
}

impl Rates {
    /// Takes the totals of a view; averages over about a second.
    pub fn take(&mut self, view: &NodeView) {
        let tx: u64 = view.links.values().map(|l| l.tx_bytes).sum();
        let rx: u64 = view.links.values().map(|l| l.rx_bytes).sum();
        let Some((at, old_tx, old_rx)) = self.last else {
            self.last = Some((view.at, tx, rx));
            return;
        };
        let since = view.at.saturating_duration_since(at).as_secs_f64();
        if since < 0.9 {
            return;
        }
        let rate = |now: u64, before: u64| {
            (now.saturating_sub(before) as f64 * 8.0 / 1000.0 / since) as u32
        };
        self.up = rate(tx, old_tx);
        self.down = rate(rx, old_rx);
        self.last = Some((view.at, tx, rx));
    }
}

/// The waiting screen: nobody else is there yet.
pub fn waiting(
    view: &NodeView,
    showing: &Showing,
    pictures: &Pictures,
    now: Instant,
) -> WaitingScreen {
    let call = &view.call;
    let host = call.dials.is_empty();
    let progress = match (call.phase, &showing.calling) {
        (Phase::Dialling, None) => "calling the invite's addresses".to_owned(),
        (Phase::Dialling, Some(who)) => format!("calling {who}"),
        (Phase::Knocking, None) => "knocked: waiting for the host to let you in".to_owned(),
        (Phase::Knocking, Some(who)) => format!("it rings at {who}'s: waiting for an answer"),
        (Phase::Alone, _) if showing.listening => {
            "listening: your contacts can call you".to_owned()
        }
        (Phase::Alone, Some(who)) => match showing.not_reached.as_deref() {
            Some("") => format!("no address of {who} is known: send them this invite"),
            Some(tried) => format!("{who} was not reached at {tried}: send them this invite"),
            None => String::new(),
        },
        (Phase::Alone, None) => String::new(),
        (Phase::InCall | Phase::Ended, _) => "connecting".to_owned(),
    };
    let invite = call.invites.last();
    let private = invite.map_or_else(
        || call.dials.iter().map(|d| d.to).collect::<Vec<_>>(),
        |i| i.addresses.clone(),
    );
    WaitingScreen {
        invite: invite.map(|i| invite_info(i, now, call)),
        progress,
        expects: showing.expects.clone().filter(|_| !call.dials.is_empty()),
        addresses: if host { listening(&showing.addresses) } else { dialled(call) },
        private_only: only_private(&private),
        own: own_tile(view, showing, pictures, now),
        mic_level: view.media.mic_on.then(|| -(view.media.audio.mic_level.min(127) as i8)),
        fingerprint: call.my_fingerprint.to_string(),
    }
}

fn listening(addresses: &[SocketAddr]) -> Vec<AddressRow> {
    addresses
        .iter()
        .map(|a| AddressRow {
            address: a.to_string(),
            kind: kind(*a),
            state: AddressState::Listening,
        })
        .collect()
}

fn dialled(call: &CallView) -> Vec<AddressRow> {
    call.dials
        .iter()
        .map(|d| AddressRow {
            address: d.to.to_string(),
            kind: kind(d.to),
            state: match &d.result {
                None => AddressState::Trying,
                Some(Ok(())) => AddressState::Connected,
                Some(Err(why)) => AddressState::Failed(dial_failure(why)),
            },
        })
        .collect()
}

fn kind(address: SocketAddr) -> String {
    match reach(address.ip()) {
        Reach::Loopback => "this machine",
        Reach::Private => "LAN or VPN",
        Reach::Global => "internet",
        _ => "other",
    }
    .to_owned()
}

fn invite_info(invite: &InviteView, _now: Instant, _call: &CallView) -> InviteInfo {
    let now = crate::node::Clock::Real.now().wall;
    InviteInfo {
        text: invite.text.clone(),
        qr_text: invite.qr.clone(),
        uses: invite.left,
        expires_in: Duration::from_millis(invite.expires.0.saturating_sub(now.0)),
    }
}

fn own_tile(view: &NodeView, showing: &Showing, pictures: &Pictures, now: Instant) -> TileInfo {
    let me = view.call.members.iter().find(|m| m.is_me);
    let name = me.map_or_else(|| "you".to_owned(), |m| m.name.clone());
    let picture = pictures.get(TileRole::Own);
    TileInfo {
        trust: Trust::Own,
        mic: track(view.media.mic_on, view.media.audio.devices.0 == "none"),
        camera: track(view.media.camera_on, view.media.sent.source == "no camera"),
        picture_age: picture.map(|p| now.saturating_duration_since(p.at)),
        waiting_for_screen: view.call.waiting_for_screen && view.call.phase == Phase::InCall,
        message: showing.camera_lost.clone(),
        ..TileInfo::new(TileRole::Own, name)
    }
}

fn track(on: bool, absent: bool) -> Track {
    match (on, absent) {
        (_, true) => Track::Absent,
        (true, _) => Track::On,
        (false, _) => Track::Off,
    }
}

/// The call screen.
pub fn call(
    view: &NodeView,
    showing: &mut Showing,
    pictures: &Pictures,
    graphics: &'static str,
    now: Instant,
) -> CallScreen {
    showing.rates.take(view);
    showing.history.take(view);
    let others: Vec<&MemberView> = view.call.members.iter().filter(|m| !m.is_me).collect();
    let mut tiles: Vec<TileInfo> = others.iter().map(|m| tile(view, m, pictures, now)).collect();
    tiles.push(own_tile(view, showing, pictures, now));
    let newest: Vec<_> =
        others.iter().filter_map(|m| pictures.get(TileRole::Member(m.id))).collect();
    let fresh =
        newest.iter().filter(|p| now.saturating_duration_since(p.at) < Duration::from_secs(1));
    let fps = fresh.map(|p| p.fps).fold(0.0, f32::max);
    let loss = view.budgets.values().map(|b| b.loss).fold(0.0, f64::max);
    let words = words_state(view, showing);
    CallScreen {
        tiles,
        status: Status {
            epoch: view.call.epoch,
            words: words.clone(),
            fps,
            latency_ms: latency(view),
            loss_pct: (loss * 100.0) as f32,
            up_kbps: showing.rates.up,
            down_kbps: showing.rates.down,
            graphics,
        },
        security: security(view, showing, words),
        stats: stats(view, &showing.history, pictures, now),
        invite: view
            .call
            .invites
            .last()
            .filter(|i| i.left > 0)
            .map(|i| invite_info(i, now, &view.call)),
        since: showing.since.map_or(Duration::ZERO, |s| now.saturating_duration_since(s)),
    }
}

/// The worst one-way delay as far as it can be known without common clocks: half the round trip
/// and what the sound waits for.
fn latency(view: &NodeView) -> Option<u32> {
    view.links
        .iter()
        .map(|(id, link)| {
            let playout = view.media.audio.members.get(id).map_or(0.0, |a| a.playout_ms);
            (link.rtt.as_secs_f32() * 500.0 + playout) as u32
        })
        .max()
}

fn tile(view: &NodeView, member: &MemberView, pictures: &Pictures, now: Instant) -> TileInfo {
    let role = TileRole::Member(member.id);
    let picture = pictures.get(role);
    let lost = match member.link {
        LinkView::Lost(since) => Some(now.saturating_duration_since(since)),
        _ => None,
    };
    TileInfo {
        trust: trust(member),
        mic: track(member.tracks.mic, false),
        camera: track(member.tracks.camera, false),
        speaking: view.media.audio.members.get(&member.id).is_some_and(|a| a.speaking),
        picture_age: picture.map(|p| now.saturating_duration_since(p.at)),
        lost,
        message: match member.link {
            _ if member.held => Some("key in doubt: nothing sent, nothing shown".to_owned()),
            LinkView::Connecting => Some("connecting".to_owned()),
            _ => None,
        },
        ..TileInfo::new(role, member.name.clone())
    }
}

fn trust(member: &MemberView) -> Trust {
    if member.is_me {
        return Trust::Own;
    }
    if let Some(known) = member.looks_like.as_ref().filter(|l| l.same_name) {
        return Trust::Changed(looks_like(known));
    }
    if member.compared {
        return Trust::Verified("verified today, by call words".to_owned());
    }
    match &member.known {
        Some(note) if note.starts_with("verified") => Trust::Verified(note.clone()),
        Some(note) => Trust::Known(note.clone()),
        None => Trust::New,
    }
}

fn words_state(view: &NodeView, showing: &Showing) -> WordsState {
    match (&view.call.words, showing.compared, &showing.changed) {
        (None, ..) => WordsState::Computing,
        (Some((epoch, _)), Some(compared), _) if *epoch == compared => WordsState::Compared,
        (Some(_), Some(_), Some(why)) => WordsState::Changed(why.clone()),
        _ => WordsState::NotCompared,
    }
}

/// What is wrong with the group now.
fn trouble(call: &CallView) -> Option<String> {
    // What nobody can know here stands here as long as it is so.
    let unknown = |who: &str| format!("whom {who} removed last may not be known here");
    match (&call.without, call.split) {
        (Some(name), true) => {
            let unknown = unknown("they");
            return Some(format!("split from {name} and others, no majority: {unknown}"));
        }
        (None, true) => return Some("split: this branch has no majority of the group".to_owned()),
        (Some(name), false) => {
            return Some(format!("{name} led and is not heard: {}", unknown(name)));
        }
        (None, false) => {}
    }
    let silent = call.sequencer_silent.filter(|s| *s >= Duration::from_secs(3))?;
    Some(format!("who orders the group was last heard {} s ago", silent.as_secs()))
}

/// "31 lines, ends 77c1 0b5e 9d20 4af3", and the file's name.
fn ledger(call: &CallView, showing: &Showing) -> String {
    let head: Vec<String> = call
        .ledger
        .head
        .chunks(2)
        .take(4)
        .map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect())
        .collect();
    let kept = showing.ledger.as_ref().map(|file| format!(", in {file}")).unwrap_or_default();
    format!("{} lines, ends {}{kept}", call.ledger.lines, head.join(" "))
}

/// The same in a word or two.
fn apart(call: &CallView) -> Option<String> {
    let without = call.without.as_ref().map(|name| format!("without {name}"));
    let split = call.split.then(|| "split".to_owned());
    let parts: Vec<_> = split.into_iter().chain(without).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn security(view: &NodeView, showing: &Showing, words_state: WordsState) -> SecurityInfo {
    let call = &view.call;
    let name = |id: MemberId| call.members.iter().find(|m| m.id == id).map(|m| m.name.clone());
    SecurityInfo {
        epoch: call.epoch,
        suite: SUITE.to_owned(),
        words: call.words.as_ref().map(|(_, w)| w.words.map(str::to_owned)),
        words_state,
        words_epoch: call.words.map_or(0, |(epoch, _)| epoch),
        authenticator: call.authenticator.iter().take(8).map(|b| format!("{b:02x}")).collect(),
        locked: call.locked,
        barred: call.barred.iter().map(barred).collect(),
        may_decide: call.may_decide,
        trouble: trouble(call),
        apart: apart(call),
        ledger: ledger(call, showing),
        people: call
            .members
            .iter()
            .map(|m| PersonInfo {
                member: m.id.0,
                name: m.name.clone(),
                fingerprint: m.fingerprint.to_string(),
                trust: trust(m),
                looks_like: m.looks_like.as_ref().filter(|l| !l.same_name).map(looks_like),
                since_epoch: m.since_epoch,
                added_by: m.added_by.map(|by| name(by).unwrap_or_else(|| format!("member {by}"))),
                host: call.sequencer == Some(m.id),
                may_admit: m.may_admit,
                path: match m.link {
                    LinkView::Direct(_, at) => format!("direct, {at}"),
                    LinkView::Lost(_) => "lost".to_owned(),
                    LinkView::Connecting => "connecting".to_owned(),
                    LinkView::Me => String::new(),
                },
            })
            .collect(),
        line_shows: [
            "that facetty is used (ALPN), addresses of both ends",
            "sizes and times of packets; sound is as large when it is muted",
            "it never shows sound, pictures, names, identities, keys",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

fn barred(who: &BarredView) -> BarredInfo {
    BarredInfo {
        identity: who.identity.0,
        fingerprint: who.fingerprint.to_string(),
        name: who.name.clone(),
    }
}

fn stats(view: &NodeView, history: &History, pictures: &Pictures, now: Instant) -> StatsInfo {
    let peers = view
        .call
        .members
        .iter()
        .filter(|m| !m.is_me)
        .map(|m| {
            let video = view.media.received.get(&m.id);
            let audio = view.media.audio.members.get(&m.id).copied().unwrap_or_default();
            let played = (audio.jitter.received * 20).max(1) as f32;
            let picture = pictures.get(TileRole::Member(m.id));
            let live =
                picture.filter(|p| now.saturating_duration_since(p.at) < Duration::from_secs(1));
            PeerStats {
                name: m.name.clone(),
                size: video.and_then(|v| v.size).map_or("-".into(), |s| s.to_string()),
                fps: live.map_or(0.0, |p| p.fps),
                video_kbps: video.map_or(0, |v| v.kbps),
                audio_kbps: audio.kbps,
                latency_ms: Some((audio.playout_ms) as u32),
                rtt_ms: view.links.get(&m.id).map(|l| l.rtt.as_millis() as u32),
                loss_pct: view.budgets.get(&m.id).map_or(0.0, |b| (b.loss * 100.0) as f32),
                concealed_pct: audio.jitter.concealed_ms as f32 * 100.0 / played,
                freezes: video.map_or(0, |v| v.freezes as u32),
                path_kbps: view.budgets.get(&m.id).map_or(0, |b| (b.rate_bps / 1000) as u32),
                copies: view.budgets.get(&m.id).map_or(0, |b| b.copies as u32),
                plots: history.plots(m.id),
            }
        })
        .collect();
    let sent = &view.media.sent;
    let size = sent.size.map_or("nothing".into(), |s| s.to_string());
    let mut own = vec![
        ("camera".to_owned(), sent.source.clone()),
        ("encoding".to_owned(), size),
        ("microphone".to_owned(), view.media.audio.devices.0.clone()),
        ("speaker".to_owned(), view.media.audio.devices.1.clone()),
    ];
    own.extend(view.media.audio.apm.map(|apm| ("cleaned".to_owned(), cleaned(&apm))));
    StatsInfo { peers, own }
}

/// "echo −31 dB (84 ms behind), noise −11 dB, gain +4 dB": what has been measured so far.
fn cleaned(apm: &ApmReport) -> String {
    let behind = apm.align.lag_ms.map_or(String::new(), |ms| format!(" ({ms:.0} ms behind)"));
    let parts = [
        apm.erle_db.map(|db| format!("echo −{:.0} dB{behind}", db.max(0.0))),
        apm.noise_db.map(|db| format!("noise −{:.0} dB", db.max(0.0))),
        apm.gain_db.map(|db| format!("gain {db:+.0} dB")),
    ];
    let told: Vec<String> = parts.into_iter().flatten().collect();
    if told.is_empty() { "nothing heard yet".into() } else { told.join(", ") }
}

/// "Ben, abcd-efgh-ijkl-mnop, met 2026-08-29, not verified".
fn looks_like(known: &Namesake) -> String {
    format!("{}, {}, {}", known.name, known.fingerprint, known.note)
}

/// Questions about changed keys for the screen.
pub fn doubts(view: &CallView) -> Vec<DoubtInfo> {
    view.doubts
        .iter()
        .map(|d| DoubtInfo {
            identity: d.identity.0,
            fingerprint: d.fingerprint.to_string(),
            name: d.name.clone(),
            known_fingerprint: d.known.fingerprint.to_string(),
            known: d.known.note.clone(),
            member: d.member.is_some(),
        })
        .collect()
}

/// Knocks for the screen.
pub fn knocks(view: &CallView, life: Duration, now: Instant) -> Vec<KnockInfo> {
    view.knocks.iter().map(|k| knock(k, life, now)).collect()
}

fn knock(knock: &KnockView, life: Duration, now: Instant) -> KnockInfo {
    KnockInfo {
        id: knock.id.0,
        fingerprint: knock.fingerprint.to_string(),
        claimed: knock.name.clone(),
        trust: match &knock.known {
            _ if knock.looks_like.as_ref().is_some_and(|l| l.same_name) => {
                Trust::Changed(knock.looks_like.as_ref().map(looks_like).unwrap_or_default())
            }
            Some(note) if note.starts_with("verified") => Trust::Verified(note.clone()),
            Some(note) => Trust::Known(note.clone()),
            None => Trust::New,
        },
        ring: knock.ring,
        looks_like: knock.looks_like.as_ref().filter(|l| !l.same_name).map(looks_like),
        invite: if knock.ring {
            "none: a contact calls you".into()
        } else if knock.introduced {
            "let in while the call was in two parts".into()
        } else {
            knock.invite.map_or("an invite no longer listed".into(), |n| format!("invite {n}"))
        },
        time_left: life.saturating_sub(now.saturating_duration_since(knock.since)),
    }
}
