//! Where the corpora begin: one or more genuine inputs for each target. Written to `fuzz/corpus/`
//! by `cargo test --test fuzz_corpus -- --ignored`; the same for every run.

use super::codec::{clip, packets};
use super::files::place;
use super::group::Two;
use bytes::Bytes;
use facetty::identity::sealed::{Cost, SealedSeed};
use facetty::identity::{Credential, DisplayName, IdentityKey};
use facetty::invite::Invite;
use facetty::keys::IdentityPublic;
use facetty::media::frame::{CodedAudio, CodedVideo, Size, Want};
use facetty::media::wav as wav_file;
use facetty::secret::Secret;
use facetty::store::contacts::{Contacts, How};
use facetty::store::identity::{self, Stored};
use facetty::time::{MediaTime, Wall};
use facetty::wire::control::{Ack, Control, Heartbeat, MemberMessage};
use facetty::wire::handshake::{AnswerBody, Knock, ProofBody};
use facetty::wire::link::MemberId;
use facetty::wire::media::{Padding, encode_audio, encode_video};
use facetty::wire::report::{Arrival, Report};
use facetty::wire::sframe::Header;
use std::net::SocketAddr;

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "call_member" => call_member(),
        "call_stranger" => call_stranger(),
        "control" => control(),
        "group_state" => group_states(),
        "h264" => h264(),
        "handshake" => handshake(),
        "invite" => invites(),
        "key_package" | "mls_welcome" => changes(&[0, 1]),
        "media" => media(),
        "mls_receive" => changes(&[0, 1, 2, 3, 4]),
        "opus" => opus(),
        "report" => vec![report().encode(), Report::default().encode()],
        "scenario" => scenarios(),
        "sframe" => sframe(),
        "signed" => changes(&[1, 3, 5, 7, 9, 11, 0, 4]),
        "stored" => stored(),
        "terminal" => terminal(),
        "texts" => texts(),
        "wav" => wavs(),
        "y4m" => y4ms(),
        _ => Vec::new(),
    }
}

/// Kind byte, then changes: none, a bit, a cut, an insertion.
fn changes(kinds: &[u8]) -> Vec<Vec<u8>> {
    let patches: [&[u8]; 4] =
        [&[], &[0, 0, 40, 1], &[2, 1, 0, 0, 4, 0, 9, 0], &[4, 0, 2, 7, 1, 0, 200, 255]];
    let each = kinds.iter().flat_map(|kind| patches.map(|patch| [&[*kind], patch].concat()));
    each.collect()
}

/// One step of a script: kind, length, bytes.
fn step(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[kind, length], bytes.get(..usize::from(length)).unwrap_or(bytes)].concat()
}

fn report() -> Report {
    let entry = |i: u64| Arrival {
        kid: if i.is_multiple_of(3) { 0x410 } else { 0x010 },
        ctr: 100 + i,
        arrival_us: 1_000_000 + i * 10_000,
    };
    Report { entries: (0..12).map(entry).collect(), lost: 2, late: 1 }
}

fn want() -> Want {
    Want { size: Size::new(160, 96), decifps: 300, max_kbps: 800, paused: false, focus: true }
}

fn messages() -> Vec<MemberMessage> {
    let addresses = vec![
        SocketAddr::from(([192, 0, 2, 1], 443)),
        SocketAddr::from(([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 444)),
    ];
    vec![
        MemberMessage::Want(want()),
        MemberMessage::KeyframePlease,
        MemberMessage::Tracks { mic: true, camera: false },
        MemberMessage::Addresses(vec![(MemberId(0), addresses), (MemberId(1), Vec::new())]),
        MemberMessage::Report(report()),
    ]
}

fn control() -> Vec<Vec<u8>> {
    let hash = [3; 32];
    let controls = [
        Control::Knock(Knock { invite_id: [1; 8], mac: [2; 32] }),
        Control::Ack(Ack {
            epoch: 70,
            auth_hash: hash,
            signature: [4; 64],
            statement: Bytes::from_static(&[5; 90]),
        }),
        Control::Heartbeat(Heartbeat {
            epoch: 3,
            confirmation: [6; 8],
            heard: 0b1011,
            beat: Bytes::from_static(&[7; 112]),
        }),
        Control::Offer { epoch: 3, hash },
        Control::Fetch { epoch: 3, hash },
        Control::GrantRequest { epoch: 3, confirmation: [6; 8], term: 2 },
        Control::WelcomeFor {
            proposer: MemberId(1),
            key: hash,
            welcome: Bytes::from_static(&[8; 60]),
        },
        Control::Pong { nonce: 9, epoch: 3, confirmation: [6; 8], woke: true },
        Control::BranchAnswer(Bytes::from_static(&[1, 1, 0, 0])),
        Control::Hello { epoch: 20_000 },
        Control::Bundle(Bytes::from_static(&[0xb1, 0, 0, 0, 0, 0, 1, 9])),
        Control::Sealed(Bytes::from_static(&[0x89, 12, 17, 1, 2, 3])),
        Control::Bye,
    ];
    let members = messages();
    let members = members.iter().map(MemberMessage::encode);
    controls.iter().map(Control::encode).chain(members).collect()
}

fn handshake() -> Vec<Vec<u8>> {
    let host = IdentityKey::from_seed(Secret::build(|b| b.fill(5)));
    let name = DisplayName::sanitise("Ada Byron");
    let until = Wall(1_800_000_000_000);
    let credential = Credential::issue(&host, name, [6; 32], [7; 16], until);
    let credential = credential.map(|c| c.encode()).unwrap_or_default();
    let answer = AnswerBody { group_id: [7; 16], credential: credential.clone().into() };
    let proof = ProofBody { key_package: Bytes::from_static(&[8; 300]) };
    let knock = Knock { invite_id: [1; 8], mac: [2; 32] };
    let bodies = [knock.encode(), answer.encode(), proof.encode(), credential];
    let bodies = bodies.iter().map(|body| [&[0], &body[..]].concat());
    bodies.chain(changes(&[2, 3])).collect()
}

fn invites() -> Vec<Vec<u8>> {
    let invite = |addresses: Vec<SocketAddr>| {
        let secret = Secret::take(&mut [9; 16]);
        Invite::new(IdentityPublic([7; 32]), secret, Wall(1_800_000_000_000), 1, addresses)
    };
    let four = SocketAddr::from(([192, 168, 1, 20], 4433));
    let six = SocketAddr::from(([0x20; 16], 4433));
    let texts = [
        invite(Vec::new()).to_text(),
        invite(vec![four, six]).to_text(),
        invite(vec![four]).for_group([1; 16]).to_qr_text(),
        "facetty2abc".to_owned(),
        "facetty1 abc0".to_owned(),
    ];
    // What stands before the checksum, for the way round it.
    let payload = [&[1, 1][..], &[7; 32], &[9; 16], &[0x6b; 4], &[1, 0, 10, 0, 0, 1, 1, 187]];
    texts.into_iter().map(String::into_bytes).chain([payload.concat()]).collect()
}

fn media() -> Vec<Vec<u8>> {
    let packet = CodedAudio {
        seq: 500,
        at: MediaTime(10_300_000),
        millis: 20,
        level: 30,
        bytes: Bytes::from_static(&[0x48; 60]),
    };
    let long = CodedAudio { millis: 40, ..packet.clone() };
    let picture = CodedVideo {
        number: 200,
        at: MediaTime(10_000_000),
        keyframe: true,
        size: Size::new(160, 96),
        bytes: Bytes::from_static(&[0, 0, 0, 1, 0x67, 1, 2, 3]),
        room: 0,
    };
    let odd = CodedVideo { size: Size::new(78, 44), keyframe: false, ..picture.clone() };
    vec![
        encode_audio(&packet, 0),
        encode_audio(&packet, 90),
        encode_audio(&long, 0),
        encode_video(&picture, Padding::None),
        encode_video(&picture, Padding::Multiple(64)),
        encode_video(&odd, Padding::None),
    ]
}

fn sframe() -> Vec<Vec<u8>> {
    let headers = [(0, 0), (0x453, 9), (0xfff, 1 << 40), (u64::MAX, u64::MAX)];
    let headers = headers.map(|(kid, ctr)| Header { kid, ctr }.encode());
    // Seal twice; deliver, repeat, change.
    let script = vec![0, 20, 4, 3, 1, 0, 1, 0, 2, 1, 0, 0, 5, 1, 1, 1];
    headers.into_iter().chain([script]).collect()
}

/// A state of two, by itself and as the ground of changes.
fn group_states() -> Vec<Vec<u8>> {
    [vec![Two::new().host.state().encode()], changes(&[0])].concat()
}

fn h264() -> Vec<Vec<u8>> {
    let raw: Vec<u8> = clip()
        .iter()
        .take(2)
        .flat_map(|unit| [&(unit.len() as u16).to_be_bytes(), &unit[..]].concat())
        .collect();
    let empty_slices = [&[0][..], &[0, 9, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0, 0x10]].concat();
    vec![
        [&[0], &raw[..]].concat(),
        vec![1, 0, 0, 0, 0],
        vec![1, 4, 0, 0, 30, 8, 4, 0, 0, 9, 1, 0],
        vec![1, 8, 0, 0, 60, 255, 1, 0, 80, 0, 0, 4, 0, 0, 12, 128, 0],
        empty_slices,
    ]
}

fn opus() -> Vec<Vec<u8>> {
    let own = packets().first().cloned().unwrap_or_default();
    vec![
        [step(0, &own), step(3, &[]), step(0, &own)].concat(),
        [step(2, &[]), step(6, &[]), step(1, &[0, 0, 0, 3]), step(2 | 2 << 5, &[])].concat(),
        [step(0, &[0]), step(0, &[0xfc, 0xff, 0xfe]), step(4, &[0x4b, 0x83])].concat(),
    ]
}

fn call_stranger() -> Vec<Vec<u8>> {
    vec![
        [step(2, &[]), step(4, &[])].concat(),
        [step(2, &[]), step(4, &[0, 0, 50, 1])].concat(),
        [step(2, &[0, 0, 20, 1])].concat(),
        [step(0, &[9; 33]), step(0, &[11, 1]), step(0, &[13]), step(7, &[0; 255])].concat(),
        [step(2, &[]), step(2, &[]), step(5, &[1, 2]), step(6, &[3])].concat(),
        [step(0, &[99])].concat(),
    ]
}

fn call_member() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        messages().iter().map(|m| [step(3, &m.encode()), step(4, &m.encode())].concat()).collect();
    let media = media();
    seeds.push(media.iter().take(3).flat_map(|m| step(5, m)).collect());
    seeds.push(media.iter().skip(3).flat_map(|m| step(6, m)).collect());
    let hears = |ctr| {
        let entries = vec![Arrival { kid: 0, ctr, arrival_us: 20_000 * ctr }];
        let told = MemberMessage::Report(Report { entries, lost: 0, late: 0 }).encode();
        [step(8, &[]), step(9, &[0; 4]), step(4, &told)].concat()
    };
    seeds.push((0..6).flat_map(hears).collect());
    seeds.push(step(0, &[13]));
    seeds.push([step(0, &[6, 1, 2]), step(0, &[5, 0xb1, 0]), step(0, &[10; 33])].concat());
    seeds
}

fn scenarios() -> Vec<Vec<u8>> {
    let two = "name='x'\nseconds=4\n[[participant]]\nname='ada'\n[[participant]]\nname='ben'\n";
    let more = "tile='80x48'\nfps=12.5\njoin_at=1\nvideo='pattern:noise'\naudio='tone'\n\
        [link]\ndelay_ms=50\nloss_pct=5\nburst_pct=1\nrate_kbps=300\n\
        [[path]]\nfrom='ben'\nto='ada'\nloss_pct=20\n\
        [[at]]\ns=3\nlink={down=true}\nfrom='ada'\n[[at]]\ns=1\nwho='ben'\naction='mute'\n\
        [[window]]\nname='w'\nfrom=1\nto=2\n\
        [expect]\nall=['audio.concealed_pct <= 0.3']\n\
        [[short]]\nexpect='video.ssim >= 0.9'\nwhy='thin'\n";
    vec![two.into(), [two, more].concat().into_bytes()]
}

/// Files as the program itself writes them.
fn stored() -> Vec<Vec<u8>> {
    let dir = place();
    let file = |kind: u8, name: &str| {
        let bytes = std::fs::read(dir.join(name)).unwrap_or_default();
        [&[kind], &bytes[..]].concat()
    };
    let contacts = dir.join("contacts.toml");
    let at = [SocketAddr::from(([192, 0, 2, 7], 4433))];
    let made = Contacts::update(&contacts, |contacts| {
        contacts.meet([1; 32], &DisplayName::sanitise("Ada"), &at, "2026-08-29");
        contacts.meet([2; 32], &DisplayName::sanitise("Ben"), &[], "2026-08-30");
        contacts.verify(&[2; 32], How::CallWords, "2026-08-31");
    });
    let key = dir.join("identity");
    let plain = identity::load_or_create(&key, || Secret::build(|seed| seed.fill(7)));
    let plain = plain.expect("a new file").stored;
    let mut seeds = vec![file(0, "contacts.toml"), file(2, "identity")];
    let sealed = SealedSeed {
        public: plain.public(),
        cost: Cost { memory: 64, passes: 1, lanes: 1 },
        salt: [1; 16],
        nonce: [2; 24],
        sealed: [3; 48],
    };
    identity::replace(&key, &Stored::Sealed(sealed)).expect("the same identity");
    made.expect("a new file");
    seeds.push(file(2, "identity"));
    let settings = "name = \"Ada\"\nvideo = \"pattern\"\nlisten = \"0.0.0.0:0\"\n";
    seeds.push([&[1], settings.as_bytes()].concat());
    // Leaves nothing behind; a failure to clean up harms nobody.
    let _ = std::fs::remove_dir_all(&dir);
    seeds
}

fn terminal() -> Vec<Vec<u8>> {
    let answers =
        "\x1bP>|kitty(0.32.2)\x1b\\\x1b[?2026;2$y\x1b[6;20;10t\x1b[4;480;800t\x1b[2;2R\x1b[?62;4c";
    let keys =
        "a\x1b[A\x1bOB\x1b[1;5C\x1b[200~two\r\nlines\x1b[201~\x1b[I\x1b[<0;3;4M\x1b[15~ü\x1b";
    vec![[&[0], answers.as_bytes()].concat(), [&[2], keys.as_bytes()].concat()]
}

fn texts() -> Vec<Vec<u8>> {
    let texts = [
        "Ada Byron",
        "Zoë\u{301}\u{301}\u{301} \u{202e}nrub",
        "rr4c-syvb-ibyr-qd7r",
        "rr4csyvbibyrqd7rqmzckxlvicsau7ffmd7ebal5jrvqazn73zfa",
        "camera:3",
        "pattern:card",
        "y4m:a b.y4m",
        "wav:x.wav",
        "240x144",
        "12.5",
        "90m",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn wavs() -> Vec<Vec<u8>> {
    let own = wav_file::write(&[0.5, -0.5, 0.25]);
    let mut float = own.clone();
    // 32-bit float, two channels.
    for (at, byte) in [(20, 3), (22, 2), (34, 32)] {
        float.splice(at..=at, [byte]);
    }
    let mut odd = own.clone();
    odd.splice(12..12, *b"LIST\x03\0\0\0abc\0");
    vec![own, float, odd]
}

fn y4ms() -> Vec<Vec<u8>> {
    let small = b"YUV4MPEG2 W4 H2 F30000:1001 Ip A1:1 C420jpeg\nFRAME\n............".to_vec();
    let odd = b"YUV4MPEG2 W5 H3 F25:1 C422 XCOLORRANGE=FULL\n".to_vec();
    let mono = b"YUV4MPEG2 W16 H16 F0:0 Cmono XYSCSS=400\n1234".to_vec();
    vec![small, odd, mono, b"YUV4MPEG2 W6 H6 C444\n".to_vec(), b"FRAME Ixyz\n".to_vec()]
}
