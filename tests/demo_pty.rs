//! The demonstration as its viewer has it: the real program on a pseudo-terminal of 80x24.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
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
    _home: tempfile::TempDir,
}

impl Viewer {
    fn start(args: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let size = PtySize { rows: LINES, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_facetty"));
        command.args(args);
        command.env("FACETTY_HOME", home.path());
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env_remove("NO_COLOR");
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
        Self { child, keys, output, screen, raw: Vec::new(), _master: pair.master, _home: home }
    }

    /// Reads until `seen` holds for the screen.
    fn until(&mut self, what: &str, seen: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !seen(self.screen.screen()) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(e) => panic!("waiting for {what}: {e}\n{}", self.screen.screen().contents()),
            }
        }
    }

    fn until_text(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).expect("the program reads keys");
        self.keys.flush().expect("the program reads keys");
    }

    /// Waits for the end; the exit code.
    fn end(&mut self) -> u32 {
        let deadline = Instant::now() + DEADLINE;
        let left = || deadline.saturating_duration_since(Instant::now());
        while let Ok(bytes) = self.output.recv_timeout(left()) {
            self.take(&bytes);
        }
        self.child.wait().expect("ends").exit_code()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.process(bytes);
    }
}

/// Different colours in the picture of tile `n`, 0 to 2.
fn colours(screen: &vt100::Screen, n: u16) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    for y in 2..9 {
        for x in n * 27 + 1..n * 27 + 25 {
            if let Some(cell) = screen.cell(y, x) {
                seen.insert(format!("{:?} {:?}", cell.fgcolor(), cell.bgcolor()));
            }
        }
    }
    seen.len()
}

#[test]
fn the_viewer_sees_three_pictures_hands_over_a_key_takes_it_back_and_quits() {
    let mut viewer = Viewer::start(&["demo", "--graphics", "half"]);
    for text in ["Ada sees Ben", "Eve sees inside QUIC", "Ben sees Ada", "the same at both"] {
        viewer.until_text(text);
    }
    for n in 0..3 {
        viewer.until("a picture in each tile", |screen| colours(screen, n) > 40);
    }
    viewer.until_text("nothing found; the control works");

    viewer.press("k");
    viewer.until_text("You handed Eve Ben's frame keys");
    viewer.press("r");
    viewer.until_text("Eve has every byte and no key");
    viewer.press("t");
    viewer.until_text("Eve sees UDP bytes");
    viewer.press("e");
    viewer.until_text("What you are looking at");

    viewer.press("q");
    assert_eq!(viewer.end(), 0);
    let raw = String::from_utf8_lossy(&viewer.raw).into_owned();
    let left = raw.rfind("\u{1b}[?1049l").expect("the normal screen is back");
    let shown = raw.rfind("\u{1b}[?25h").expect("the cursor is back");
    assert!(raw[..left.min(shown)].contains("\u{1b}[?1049h"));
}

#[test]
fn eve_attacks_by_key_and_the_pictures_go_on() {
    let mut viewer = Viewer::start(&["demo", "--graphics", "half"]);
    for n in [0, 2] {
        viewer.until("a picture", |screen| colours(screen, n) > 40);
    }
    for (key, texts) in [
        ("1", ["1 Eve flipped a bit in", "altered and taken: 0"]),
        ("4", ["4 Eve knocks as “Ben Nevis”", "Eve sees 0 people"]),
        ("7", ["7 Eve brought", "taken: 0, members: 2"]),
        ("6", ["6 Eve dropped", "altered and taken: 0"]),
    ] {
        viewer.press(key);
        for text in texts {
            viewer.until_text(text);
        }
        for n in [0, 2] {
            viewer.until("a picture", |screen| colours(screen, n) > 40);
        }
    }
    viewer.press("?");
    viewer.until_text("Eve repeats packets");
    viewer.press("q");
    assert_eq!(viewer.end(), 0);
}

#[test]
fn ctrl_c_ends_the_demonstration_and_gives_the_screen_back() {
    let mut viewer = Viewer::start(&["demo"]);
    viewer.until_text("Ada sees Ben");
    viewer.press("\u{3}");
    let code = viewer.end();
    assert!([0, 130].contains(&code), "{code}");
    assert!(String::from_utf8_lossy(&viewer.raw).contains("\u{1b}[?1049l"));
}
