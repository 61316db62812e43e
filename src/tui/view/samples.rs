//! Models for tests.

use crate::tui::model::*;
use crate::tui::theme::Theme;
use crate::wire::link::MemberId;
use std::time::{Duration, Instant};

/// A moment to count from.
#[expect(clippy::disallowed_methods, reason = "std has no other way to make an Instant")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn words() -> [String; 8] {
    ["amber", "otter", "lemon", "quiet", "walnut", "river", "candle", "marble"].map(String::from)
}

pub(crate) fn tile(role: TileRole, name: &str) -> TileInfo {
    TileInfo { picture_age: Some(Duration::from_millis(40)), ..TileInfo::new(role, name) }
}

pub(crate) fn knock(id: u32) -> KnockInfo {
    KnockInfo {
        id,
        fingerprint: "k7qd-2mzr-x4vb-hn5t".into(),
        claimed: "Cleo".into(),
        trust: Trust::New,
        ring: false,
        looks_like: None,
        invite: "the first invite of this call, last use".into(),
        time_left: Duration::from_secs(97),
    }
}

pub(crate) fn doubt(member: bool) -> DoubtInfo {
    DoubtInfo {
        identity: [7; 32],
        fingerprint: "k7qd-2mzr-x4vb-hn5t".into(),
        name: "Ben".into(),
        known_fingerprint: "qrst-uvwx-yz23-4567".into(),
        known: "verified 2026-08-29, call words".into(),
        member,
    }
}

fn person(name: &str, fingerprint: &str, trust: Trust, since: u64) -> PersonInfo {
    PersonInfo {
        member: since as u32,
        name: name.into(),
        fingerprint: fingerprint.into(),
        trust,
        looks_like: None,
        since_epoch: since,
        added_by: (since > 0).then(|| "Ada".into()),
        host: since == 0,
        may_admit: since == 0,
        path: if since == 2 { String::new() } else { "direct, 192.0.2.7:4433".into() },
    }
}

pub(crate) fn call_screen() -> CallScreen {
    let people = vec![
        person(
            "Ada",
            "abcd-efgh-ijkl-mnop",
            Trust::Verified("verified 2026-08-29, words".into()),
            0,
        ),
        person("Ben", "qrst-uvwx-yz23-4567", Trust::New, 1),
        person("Dora", "dddd-eeee-ffff-gggg", Trust::Own, 2),
    ];
    let mut ada = tile(TileRole::Member(MemberId(0)), "Ada");
    ada.trust = people[0].trust.clone();
    ada.speaking = true;
    let mut ben = tile(TileRole::Member(MemberId(1)), "Ben");
    ben.mic = Track::Off;
    let mut own = tile(TileRole::Own, "Dora");
    own.trust = Trust::Own;
    let peer = |name: &str| PeerStats {
        name: name.into(),
        size: "240x144".into(),
        fps: 29.8,
        video_kbps: 182,
        audio_kbps: 24,
        latency_ms: Some(41),
        rtt_ms: Some(12),
        loss_pct: 0.4,
        concealed_pct: 0.1,
        freezes: 0,
        path_kbps: 840,
        copies: 0,
        plots: PeerPlots {
            kbps: Plot { values: (0..30).map(|n| 150.0 + n as f32).collect(), least_top: 64.0 },
            ..PeerPlots::default()
        },
    };
    CallScreen {
        tiles: vec![ada, ben, own],
        status: Status {
            epoch: 2,
            words: WordsState::NotCompared,
            fps: 29.8,
            latency_ms: Some(41),
            loss_pct: 0.4,
            up_kbps: 206,
            down_kbps: 412,
            graphics: "sextant",
        },
        security: SecurityInfo {
            epoch: 2,
            suite: "MLS 0x004D, ML-KEM-768 + X25519, ChaCha20-Poly1305".into(),
            words: Some(words()),
            words_state: WordsState::NotCompared,
            words_epoch: 2,
            authenticator: "4f2a 91c0 7d3e 55b1".into(),
            locked: false,
            barred: vec![BarredInfo {
                identity: [9; 32],
                fingerprint: "wxyz-2345-abcd-7654".into(),
                name: None,
            }],
            may_decide: true,
            trouble: None,
            apart: None,
            ledger: "31 lines, ends 77c1 0b5e 9d20 4af3".into(),
            people,
            line_shows: vec!["addresses".into(), "sizes and times of packets".into()],
        },
        stats: StatsInfo {
            peers: vec![peer("Ada"), peer("Ben")],
            own: vec![("encoding".into(), "240x144 at 30 fps".into())],
        },
        invite: None,
        since: Duration::from_secs(724),
    }
}

/// A call of so many people whose words are compared.
pub(crate) fn compared(people: u32) -> Model {
    let mut screen = call_screen();
    screen.status.words = WordsState::Compared;
    screen.security.words_state = WordsState::Compared;
    let names = ["Ada", "Ben", "Cleo", "Emil", "Fay", "Gus", "Hana", "Ivo"];
    let member = |n: u32| {
        let name = format!("{} {}", names[n as usize % 8], n / 8 + 1);
        let mut tile = tile(TileRole::Member(MemberId(n)), &name);
        tile.speaking = n == 1;
        tile
    };
    let own = screen.tiles.pop();
    screen.tiles = (0..people - 1).map(member).chain(own).collect();
    screen.security.people = (0..people - 1)
        .map(|n| {
            person(&screen.tiles[n as usize].name, "qrst-uvwx-yz23-4567", Trust::New, n.into())
        })
        .chain([person("Dora", "dddd-eeee-ffff-gggg", Trust::Own, 15)])
        .collect();
    Model::new(Screen::Call(Box::new(screen)), Theme::colour(), true, true)
}

pub(crate) fn call() -> Model {
    Model::new(Screen::Call(Box::new(call_screen())), Theme::colour(), true, true)
}

pub(crate) fn invite() -> InviteInfo {
    // The longest an invite gets with two IPv4 addresses: 150 characters.
    let text = format!("facetty1{}", "q7zr".repeat(36).get(..142).unwrap_or_default());
    let expires_in = Duration::from_secs(3540);
    InviteInfo { qr_text: text.to_uppercase(), text, uses: 1, expires_in }
}

pub(crate) fn waiting() -> Model {
    let mut own = tile(TileRole::Own, "Dora");
    own.trust = Trust::Own;
    let row = |address: &str, kind: &str| AddressRow {
        address: address.into(),
        kind: kind.into(),
        state: AddressState::Listening,
    };
    let screen = WaitingScreen {
        invite: Some(invite()),
        progress: String::new(),
        expects: None,
        addresses: vec![row("192.168.1.23:41932", "LAN"), row("10.8.0.2:41932", "VPN")],
        private_only: true,
        own,
        mic_level: Some(-27),
        fingerprint: "you are dddd-eeee-ffff-gggg".into(),
    };
    Model::new(Screen::Waiting(Box::new(screen)), Theme::colour(), true, true)
}

pub(crate) fn joining() -> Model {
    let mut model = waiting();
    if let Screen::Waiting(screen) = &mut model.screen {
        screen.invite = None;
        screen.progress = "Knocked. Waiting to be let in.".into();
        screen.expects = Some("abcd-efgh-ijkl-mnop".into());
        screen.private_only = false;
        screen.addresses[0].state = AddressState::Connected;
        screen.addresses[1].state = AddressState::Failed("no answer in 5 s".into());
    }
    model
}

pub(crate) fn demo() -> Model {
    let flow = DemoFlow { fps: 24.6, latency_ms: Some(38), loss_pct: 0.0, kbps: 204 };
    let row = |what, control| SearchRow { what, hits: 0, control };
    let spoken = words().chunks(4).map(|four| four.join(" ")).collect::<Vec<_>>().join(" · ");
    let demo = DemoScreen {
        ada: tile(TileRole::Ada, "Ben"),
        eve: tile(TileRole::Eve, "Eve"),
        ben: tile(TileRole::Ben, "Ada"),
        eve_sees: EveSees::Udp,
        handed_over: false,
        ports: [41001, 41002, 41003, 41004],
        epoch: [3, 3],
        suite: "MLS X-Wing (X25519 + ML-KEM-768), ChaCha20-Poly1305, SHA-256, Ed25519".into(),
        words: [Some(spoken.clone()), Some(spoken)],
        roster: vec!["Ada Byron".into(), "Ben Nevis".into()],
        flows: [flow.clone(), flow],
        searches: vec![
            row("pictures", 814),
            row("sound", 402),
            row("names", 32),
            row("invite secret", 4),
            row("keys", 8),
        ],
        entropy: [7.21, 8.0],
        seen: [12_345, 4_812_000],
        tried: [3_210, 0],
        attack: None,
        exporting: None,
    };
    Model::new(Screen::Demo(Box::new(demo)), Theme::colour(), true, true)
}
