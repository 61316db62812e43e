//! Passphrase, ring and changed key as their user has them: on a pseudo-terminal of 80x24.

mod people;

use people::{Person, friends};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::time::Instant;

const COLUMNS: u16 = 80;
const LINES: u16 = 24;
/// Far more than anything here takes; only a hang gets there.
const DEADLINE: Duration = Duration::from_secs(90);

struct Viewer {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    raw: Vec<u8>,
    _master: Box<dyn MasterPty + Send>,
}

impl Viewer {
    fn start(home: &Path, args: &[&str]) -> Self {
        let size = PtySize { rows: LINES, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_facetty"));
        command.args(args);
        command.env("FACETTY_HOME", home);
        command.env("TERM", "xterm-256color");
        command.env_remove("FACETTY_PASSPHRASE_FILE");
        let child = pair.slave.spawn_command(command).expect("starts");
        drop(pair.slave);
        let keys = pair.master.take_writer().expect("writable");
        let mut reader = pair.master.try_clone_reader().expect("readable");
        let (to, output) = sync_channel(64);
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if to.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = vt100::Parser::new(LINES, COLUMNS, 0);
        Self { child, keys, output, screen, raw: Vec::new(), _master: pair.master }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.process(bytes);
    }

    /// Reads until `text` stands on the screen.
    fn until(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.screen.screen().contents().contains(text) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(e) => panic!("waiting for {text}: {e}\n{}", self.screen.screen().contents()),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the program reads keys");
        self.keys.flush().expect("the program reads keys");
    }

    /// Reads to the end; the exit code.
    fn exit(mut self) -> (u32, String) {
        while let Ok(bytes) = self.output.recv_timeout(DEADLINE) {
            self.take(&bytes);
        }
        let code = self.child.wait().expect("it ends").exit_code();
        (code, String::from_utf8_lossy(&self.raw).into_owned())
    }
}

#[test]
fn a_passphrase_is_typed_without_being_shown() {
    let home = tempfile::tempdir().expect("a folder");
    let mut viewer = Viewer::start(home.path(), &["id", "passphrase"]);
    viewer.until("New passphrase: ");
    // With a slip: the last character is taken back, whole.
    viewer.press("hörse and bridlé\u{7f}e\r");
    viewer.until("The same again: ");
    viewer.press("hörse and bridle\r");
    let (code, shown) = viewer.exit();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("passphrase set") && !shown.contains("rse and"), "{shown}");

    let mut viewer = Viewer::start(home.path(), &["id", "passphrase", "--remove"]);
    for _ in 0..3 {
        viewer.until("Passphrase of your identity key: ");
        viewer.screen = vt100::Parser::new(LINES, COLUMNS, 0);
        viewer.press("wrong\r");
    }
    let (code, shown) = viewer.exit();
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("wrong passphrase"), "{shown}");

    let mut viewer = Viewer::start(home.path(), &["id", "passphrase", "--remove"]);
    viewer.until("Passphrase of your identity key: ");
    viewer.press("\u{3}");
    assert_eq!(viewer.exit().0, 130, "Ctrl-C ends the question");

    let mut viewer = Viewer::start(home.path(), &["id", "passphrase", "--remove"]);
    viewer.until("Passphrase of your identity key: ");
    viewer.press("hörse and bridle\r");
    assert_eq!(viewer.exit().0, 0);
}

#[test]
fn a_contact_rings_on_the_screen_and_is_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = friends(dir.path());
    let args = ["listen", "--video", "none", "--audio", "none", "--listen", &ada.listen];
    let mut screen = Viewer::start(&ada.home, &args);
    screen.until("listening: your contacts can call you");
    let mut calling = ben.start(&["call", "Ada"]);
    screen.until("A contact calls you");
    screen.until("a answer   d decline");
    let raw = String::from_utf8_lossy(&screen.raw).into_owned();
    assert!(raw.contains("\u{1b}]9;facetty: Ben calls\u{7}"), "a notice and the bell");
    screen.press("a");
    calling.event("joined");
    screen.until("Ben (known");
    screen.press("i");
    screen.until("founded the call");
    screen.until("ledger ");
    drop(calling);
    screen.press("\u{3}");
    assert_eq!(screen.exit().0, 0);
}

#[test]
fn a_host_with_a_changed_key_is_asked_about_before_anything_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = friends(dir.path());
    let other = Person::new(&dir.path().join("other"), "Ben");
    let fingerprint = |who: &Person| {
        let shown = who.text(&["id", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        value["fingerprint"].as_str().expect("text").to_owned()
    };
    let mut host = other.start(&["call", "--admit"]);
    let invite = host.event("invite")["invite"].as_str().expect("text").to_owned();
    for (key, code) in [("d", 6), ("a", 0)] {
        let args = ["join", &invite, "--video", "none", "--audio", "none", "--listen", &ada.listen];
        let mut screen = Viewer::start(&ada.home, &args);
        screen.until("Another key than you know");
        screen.until(&fingerprint(&other));
        screen.until(&fingerprint(&ben));
        screen.until("a it is them   d not sure");
        screen.press(key);
        if key == "a" {
            screen.until("hold keys: Ben");
            screen.press("\u{3}");
        }
        let (ended, shown) = screen.exit();
        assert_eq!(ended, code, "{shown}");
    }
}
