//! Real calls between processes, over real sockets on loopback, as a script would make them.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A facetty process whose JSON lines are read one by one.
struct Party {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// Read, and not asked for yet.
    passed: Vec<Value>,
}

impl Party {
    fn start(home: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_facetty"))
            .args(args)
            .arg("--json")
            .env("FACETTY_HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("its output is piped");
        Self { child, lines: BufReader::new(stdout).lines(), passed: Vec::new() }
    }

    /// The first event of this name that was not asked for before.
    fn event(&mut self, name: &str) -> Value {
        if let Some(at) = self.passed.iter().position(|e| e["event"] == name) {
            return self.passed.remove(at);
        }
        for line in &mut self.lines {
            let value: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            assert!(value["t_ms"].is_u64(), "every line has a time: {value}");
            if value["event"] == name {
                return value;
            }
            self.passed.push(value);
        }
        panic!("ended without {name}");
    }

    fn exit(mut self) -> i32 {
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        // Ended already, in the good case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HOST: [&str; 12] = [
    "call",
    "--name",
    "Ada",
    "--video",
    "pattern",
    "--audio",
    "voice",
    "--speaker",
    "none",
    "--listen",
    "127.0.0.1:0",
    "--view=none",
];

fn host(home: &Path, more: &[&str]) -> (Party, String) {
    let args: Vec<&str> = HOST.iter().copied().chain(more.iter().copied()).collect();
    let mut party = Party::start(home, &args);
    let invite = party.event("invite")["invite"].as_str().expect("text").to_owned();
    (party, invite)
}

#[test]
fn two_processes_see_and_hear_each_other_and_share_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let (mut ada, invite) = host(&at("ada"), &["--admit=any", "--seconds", "60"]);
    let (y4m, wav) = (at("seen.y4m"), at("heard.wav"));
    let (view, speaker) = (format!("y4m:{}", y4m.display()), format!("wav:{}", wav.display()));
    let mut ben = Party::start(
        &at("ben"),
        &[
            "join",
            "-",
            "--name",
            "Ben",
            "--video",
            "pattern",
            "--audio",
            "voice",
            "--view",
            &view,
            "--speaker",
            &speaker,
            "--tile",
            "80x48",
            "--fps",
            "12.5",
            "--seconds",
            "4",
        ],
    );
    // By standard input: the invite need not stand in a shell's history.
    let mut stdin = ben.child.stdin.take().expect("piped");
    stdin.write_all(invite.as_bytes()).expect("it reads");
    drop(stdin);

    let knock = ada.event("knock");
    assert_eq!(knock["name"], "Ben");
    let joined = ada.event("joined");
    let first = ben.event("first_picture");
    assert_eq!(first["member"], 0);
    let words = ben.event("joined")["call_words"].clone();
    assert_eq!(joined["call_words"], words);
    let stats = ben.event("stats");
    assert_eq!(stats["received"][0]["from"], "Ada");
    assert_eq!(ben.event("ended")["reason"], "left");
    assert_eq!(ben.exit(), 0);
    assert_eq!(ada.event("left")["how"], "left");

    let seen = std::fs::read(&y4m).expect("a file");
    assert!(seen.starts_with(b"YUV4MPEG2 W80 H48 "));
    // 4 s at 12.5 fps are 50 pictures; the first ones may have come before the call began.
    let pictures = seen.windows(6).filter(|w| *w == b"FRAME\n").count();
    assert!((35..=55).contains(&pictures), "{pictures} pictures");
    let heard = std::fs::read(&wav).expect("a file");
    let loud = heard[44..]
        .chunks_exact(2)
        .filter(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs() > 1000);
    assert!(loud.count() > 4_800, "Ada's voice is in the file");
}

#[test]
fn a_host_without_a_screen_refuses_unless_told_otherwise() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_ada, invite) = host(&dir.path().join("ada"), &["--seconds", "60"]);
    let mut ben = Party::start(
        &dir.path().join("ben"),
        &["join", &invite, "--video", "none", "--audio", "none", "--view", "none"],
    );
    ben.event("knocked");
    ben.event("ended");
    assert_eq!(ben.exit(), 7);
}

#[test]
fn the_wrong_host_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_ada, invite) = host(&dir.path().join("ada"), &["--admit", "--seconds", "60"]);
    let status = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["join", &invite, "--json", "--video", "none", "--audio", "none"])
        .args(["--expect", "aaaa-aaaa-aaaa-aaaa"])
        .env("FACETTY_HOME", dir.path().join("ben"))
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(status.status.code(), Some(6), "{}", String::from_utf8_lossy(&status.stderr));
}

#[test]
fn a_busy_port_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["call", "--json", "--video", "none", "--audio", "none", "--listen", &port])
        .env("FACETTY_HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"));
}

#[test]
fn the_demonstration_holds_without_a_terminal() {
    let output = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["demo", "--plain", "--seconds", "3"])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let hits = text.lines().find(|l| l.starts_with("plaintext_hits ")).expect("the line");
    assert!(hits.starts_with("plaintext_hits 0 (control "), "{hits}");
    assert!(!hits.ends_with("(control 0)"), "{hits}");
    assert!(text.contains("call_words_agree true"), "{text}");
}

#[test]
fn the_picture_of_the_screen_shows_all_three() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("demo.svg");
    let status = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["demo", "--shot"])
        .arg(&path)
        .stdin(Stdio::null())
        .status()
        .expect("it runs");
    assert!(status.success());
    let svg = std::fs::read_to_string(&path).expect("a file");
    for word in ["Ada", "Eve", "Ben", "Searched for"] {
        assert!(svg.contains(word), "{word} is on the screen");
    }
}
