//! The real thing on a pseudo-terminal: enter, probe, keys, output, leaving in every way.
//!
//! Each test starts this very test binary again on a pseudo-terminal, where `child` plays the
//! part that its environment names; the parent answers as a terminal would and reads until the
//! expected bytes are there or a generous deadline is over.

use facetty::term::input::Reply;
use facetty::term::{Event, Events, Options, Output, Terminal};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::time::Instant;

const ROLE: &str = "FACETTY_TEST_ROLE";

/// What the child does; only under a parent.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let log = std::env::var("FACETTY_TEST_LOG").unwrap();
    let stderr = Some(std::fs::File::create(log).unwrap());
    let mut terminal = Terminal::enter(Options { stderr }).unwrap();
    let probe = terminal.probe();
    let (to, events) = sync_channel::<Event>(16);
    let _events = Events::start(&mut terminal, to).unwrap();
    // One role never listens, from before it says that it is ready.
    let events = (role != "deaf").then_some(events);
    let output = Output::start(&terminal, false, || {}).unwrap();
    let say = |text: String| {
        output.send(text.into_bytes()).unwrap();
        assert!(output.flush(Duration::from_secs(10)));
    };
    let known: Vec<_> = probe.protocols().iter().map(|p| p.name()).collect();
    say(format!("<shows {} and knows {}>", probe.look(), known.join(" ")));
    let [black, .., white] = probe.ansi.0;
    say(format!("<{} colours told, {black:?} to {white:?}>", probe.told_colours()));
    say(format!(
        "<ready {} {} sync={} {}x{}>",
        probe.mode,
        probe.depth.name(),
        probe.sync,
        probe.cell_px.0,
        probe.cell_px.1
    ));
    let Some(events) = events else {
        loop {
            std::thread::park();
        }
    };
    match role.as_str() {
        "echo" => {
            for event in events {
                match event {
                    Event::Key(key) if key.code == crossterm::event::KeyCode::Char('q') => break,
                    other => say(format!("<{other:?}>")),
                }
            }
            eprint!("noise from a library");
            terminal.leave();
            // Whatever is written now must not reach the screen.
            let _ = output.show(b"<late>".to_vec());
            output.flush(Duration::from_secs(10));
            eprint!("summary on the normal screen");
        }
        "ask" => {
            assert!(output.is_ready() && output.unanswered() == 0);
            output.ask();
            output.show(b"<one>".to_vec()).unwrap();
            assert!(output.flush(Duration::from_secs(10)));
            say(format!("<welcome {} under way {}>", output.is_ready(), output.unanswered()));
            for event in events {
                match event {
                    Event::Reply(Reply::Attributes(_)) => {
                        output.answered();
                        let way = output.unanswered();
                        say(format!("<welcome {} under way {way}>", output.is_ready()));
                    }
                    Event::Key(_) => break,
                    _ => {}
                }
            }
        }
        "panic" => {
            events.recv().unwrap();
            panic!("something broke");
        }
        "signal" => {
            for event in events {
                if let Event::Terminate(signal) = event {
                    say(format!("<signal {signal}>"));
                    break;
                }
            }
        }
        "suspend" => {
            events.recv().unwrap();
            terminal.suspend().unwrap();
            output.show(b"<again>".to_vec()).unwrap();
            output.flush(Duration::from_secs(10));
            for event in events {
                if matches!(event, Event::Key(_)) {
                    break;
                }
            }
        }
        other => panic!("no role {other}"),
    }
}

struct Pty {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    bytes: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    log: tempfile::NamedTempFile,
}

const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

impl Pty {
    fn start(role: &str, environment: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        for name in
            ["COLORTERM", "TMUX", "STY", "NO_COLOR", "SSH_TTY", "SSH_CONNECTION", "RUST_BACKTRACE"]
        {
            command.env_remove(name);
        }
        command.env(ROLE, role);
        command.env("FACETTY_TEST_LOG", log.path());
        command.env("TERM", "xterm-256color");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (to, bytes) = sync_channel(1024);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if to.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let writer = pty.master.take_writer().unwrap();
        Self { master: pty.master, writer, child, bytes, seen: Vec::new(), log }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads until `what` was written.
    fn wait_for(&mut self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.text().contains(what) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(e) => panic!("{e}: no {what:?} in {:?}", self.text()),
            }
        }
    }

    /// Forgets what was read up to the end of `what`.
    fn forget_until(&mut self, what: &str) {
        self.wait_for(what);
        let at = self.seen.windows(what.len()).position(|w| w == what.as_bytes()).unwrap();
        self.seen.drain(..at + what.len());
    }

    fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Answers the probe as a terminal that knows everything.
    fn answer(&mut self) {
        self.wait_for("\u{1b}[c");
        self.write(
            "\u{1b}P>|kitty(0.26.5)\u{1b}\\\u{1b}[?2026;2$y\u{1b}[6;22;11t\u{1b}[2;2R\u{1b}[?62;c",
        );
    }

    fn finish(mut self) -> (u32, String) {
        let status = self.child.wait().unwrap();
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_secs(30)) {
            self.seen.extend(bytes);
        }
        (status.exit_code(), self.text())
    }

    fn kill(&self, signal: rustix::process::Signal) {
        let pid = self.child.process_id().unwrap() as i32;
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
    }

    /// Waits until the line discipline is the normal one again.
    fn wait_cooked(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.is_cooked() {
            assert!(Instant::now() < deadline, "still raw: {:?}", self.text());
            self.listen();
        }
    }

    /// Continues the stopped child until it has written `what`. (Continuing one that is not
    /// stopped yet is lost: hence more than once.)
    fn continue_until(&mut self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.text().contains(what) {
            assert!(Instant::now() < deadline, "no {what:?} in {:?}", self.text());
            self.kill(rustix::process::Signal::CONT);
            self.listen();
        }
    }

    fn listen(&mut self) {
        if let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(20)) {
            self.seen.extend(bytes);
        }
    }

    /// Whether the line discipline is the normal one (echo and signals on).
    fn is_cooked(&self) -> bool {
        use rustix::fs::{Mode, OFlags, open};
        use rustix::termios::{LocalModes, tcgetattr};
        let name = self.master.tty_name().unwrap();
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcgetattr(slave).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ISIG)
    }
}

#[test]
fn the_probe_is_answered_keys_come_through_and_the_screen_is_given_back() {
    let mut pty = Pty::start("echo", &[]);
    pty.wait_for(ENTERED);
    pty.answer();
    pty.wait_for("<ready mixed true colour sync=true 11x22>");
    assert!(!pty.is_cooked());
    pty.write("a");
    pty.wait_for("Char('a')");
    pty.write("\u{3}");
    pty.wait_for("Char('c'), modifiers: KeyModifiers(CONTROL)");
    pty.write("\u{1b}[200~two words\u{1b}[201~");
    pty.wait_for("<Paste(\"two words\")>");
    let size = PtySize { rows: 30, cols: 100, pixel_width: 1100, pixel_height: 660 };
    pty.master.resize(size).unwrap();
    pty.wait_for("<Resize { cells: (100, 30), pixels: (1100, 660) }>");
    pty.write("q");
    pty.wait_for("summary on the normal screen");
    assert!(pty.is_cooked());
    let log = std::fs::read_to_string(pty.log.path()).unwrap();
    assert_eq!(log, "noise from a library");
    let (code, text) = pty.finish();
    assert_eq!(code, 0);
    let (_, after) = text.split_once(LEFT).unwrap();
    assert!(!after.contains("<late>"), "{after:?}");
    assert!(text.contains("\u{1b}[?2004l") && text.contains("\u{1b}[?25h"));
}

#[test]
fn a_terminal_that_answers_nothing_only_costs_the_deadline_and_typed_keys_survive() {
    let mut pty = Pty::start("echo", &[("LANG", "C.UTF-8")]);
    pty.wait_for("\u{1b}[c");
    pty.write("xy");
    pty.wait_for("<ready quadrant 256 colours sync=false 10x20>");
    pty.wait_for("Char('x')");
    pty.wait_for("Char('y')");
    // Answers that come late are not keys; here one of them is a q.
    pty.write("\u{1b}P>|qqq(1)\u{1b}\\\u{1b}[?62;c");
    pty.wait_for("<Reply(Version(\"qqq(1)\"))>");
    pty.wait_for("<Reply(Attributes([62, 0]))>");
    pty.write("q");
    pty.wait_for(LEFT);
    assert_eq!(pty.finish().0, 0);
}

/// A terminal as it answers the probe.
struct Persona {
    name: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// All that it answers; nothing: it is silent.
    answers: &'static str,
    /// What the program makes of it.
    shows: &'static str,
    ready: &'static str,
}

const PERSONAS: &[Persona] = &[
    Persona {
        name: "kitty that reads our memory",
        environment: &[("TERM", "xterm-kitty")],
        answers: "\x1b_Gi=31;OK\x1b\\\x1b_Gi=32;OK\x1b\\\x1bP>|kitty(0.26.5)\x1b\\\x1b[?2026;2$y\
            \x1b[6;20;10t\x1b[2;2R\x1b[3;2R\x1b[?62;c",
        shows: "<shows kitty and knows kitty>",
        ready: "<ready mixed true colour sync=true 10x20>",
    },
    Persona {
        name: "kitty over ssh",
        environment: &[("TERM", "xterm-kitty"), ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")],
        answers: "\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.40.0)\x1b\\\x1b[6;20;10t\x1b[2;2R\x1b[3;2R\
            \x1b[?62;c",
        shows: "<shows mixed-octant and knows kitty>",
        ready: "<ready mixed-octant true colour sync=false 10x20>",
    },
    Persona {
        name: "kitty whose memory is not ours",
        environment: &[("TERM", "xterm-kitty")],
        answers: "\x1b_Gi=31;OK\x1b\\\x1b_Gi=32;EBADF:not there\x1b\\\x1bP>|kitty(0.26.5)\x1b\\\
            \x1b[6;20;10t\x1b[2;2R\x1b[3;2R\x1b[?62;c",
        shows: "<shows mixed and knows kitty>",
        ready: "<ready mixed true colour sync=false 10x20>",
    },
    Persona {
        name: "xterm with sixels",
        environment: &[("TERM", "xterm-256color"), ("LANG", "C.UTF-8")],
        answers: "\x1bP>|XTerm(379)\x1b\\\x1b[6;15;8t\x1b[4;360;640t\x1b[?1;0;1024S\
            \x1b[?2;0;1000;1000S\x1b[2;2R\x1b[3;2R\x1b[?64;1;2;4;22c",
        shows: "<shows quadrant and knows sixel>",
        ready: "<ready quadrant true colour sync=false 8x15>",
    },
    Persona {
        name: "one that tells nothing of itself",
        environment: &[("TERM", "vt100"), ("LANG", "C.UTF-8")],
        answers: "\x1b[?1;2c",
        shows: "and knows >",
        ready: "sync=false 10x20>",
    },
    Persona {
        name: "one that lies about sizes",
        environment: &[("TERM", "xterm-256color"), ("LANG", "C.UTF-8")],
        answers: "\x1b[6;65535;0t\x1b[4;1;99999999999999999999t\x1b[?1;0;0S\x1b[?2;0;0;0S\
            \x1b[9999;9999R\x1b[0;0R\x1b[?4;4;4;4;4;4;4;4c",
        shows: "and knows >",
        ready: "sync=false 10x20>",
    },
    Persona {
        name: "garbage, then an end",
        environment: &[("TERM", "xterm-256color"), ("LANG", "C.UTF-8")],
        answers: "\x1b]11;rgb:zzzz\x07\x1bP>|\u{202e}kitty\x1b\\\x1b_Gi=31\x1b\\\x1b_G;;;\x1b\\\x1b[?c",
        shows: "and knows >",
        ready: "10x20>",
    },
    Persona {
        name: "a console",
        environment: &[("TERM", "linux"), ("LANG", "C.UTF-8")],
        answers: "",
        shows: "<shows half and knows >",
        ready: "<ready half 16 colours sync=false 10x20>",
    },
    Persona {
        name: "a dumb one",
        environment: &[("TERM", "dumb")],
        answers: "",
        shows: "<shows ascii and knows >",
        ready: "<ready ascii no colours sync=false 10x20>",
    },
];

#[test]
fn every_persona_is_taken_for_what_it_is() {
    for persona in PERSONAS {
        let mut pty = Pty::start("echo", persona.environment);
        if persona.answers.is_empty() {
            // Those that can't answer are not asked: they would show the questions.
            pty.wait_for("<ready");
            assert!(!pty.text().contains("\x1b[c"), "{}", persona.name);
        } else {
            pty.wait_for("\x1b[c");
            pty.write(persona.answers);
            pty.wait_for("<ready");
        }
        let from = pty.text().find("<shows").unwrap_or_default();
        let said = pty.text()[from..].to_string();
        assert!(said.contains(persona.shows), "{}: {said:?}", persona.name);
        pty.wait_for(persona.ready);
        pty.write("q");
        pty.wait_for(LEFT);
        assert_eq!(pty.finish().0, 0, "{}", persona.name);
    }
}

#[test]
fn the_16_colours_are_those_the_terminal_tells_and_xterms_where_it_does_not() {
    let all: String = (0..16u8)
        .map(|n| match n % 3 {
            0 => format!("\x1b]4;{n};rgb:{n:02x}{n:02x}/2020/4040\x1b\\"),
            1 => format!("\x1b]4;{n};rgb:{n:02x}/20/40\x07"),
            _ => format!("\x1b]4;{n};rgba:{n:02x}{n:02x}/2020/4040/ffff\x07"),
        })
        .collect();
    let garbage = "\x1b]4;0;rgb:zz/0/0\x07\x1b]4;0;\x07\x1b]4;99999999999;rgb:0/0/0\x07\
        \x1b]4;200;rgb:1/1/1\x07\x1b]4;15;rgb:1111/2222/3333\x1b[2;2R\x1b]4\x07\x1b]4;1;rgb:";
    let cut_off = "\x1b]4;0;rgb:0101/0202/0303\x07\x1b]4;1;rgb:11";
    for (answers, told) in [
        (all.as_str(), "<16 colours told, [0, 32, 64] to [15, 32, 64]>"),
        ("", "<0 colours told, [0, 0, 0] to [255, 255, 255]>"),
        (garbage, "<1 colours told, [0, 0, 0] to [17, 34, 51]>"),
        (cut_off, "<1 colours told, [1, 2, 3] to [255, 255, 255]>"),
    ] {
        let mut pty = Pty::start("echo", &[("LANG", "C.UTF-8")]);
        pty.wait_for("\x1b[c");
        let asked = (0..16).all(|n| pty.text().contains(&format!("\x1b]4;{n};?\x1b\\")));
        assert!(asked, "{:?}", pty.text());
        pty.write(answers);
        pty.write("\x1b[?62;c");
        pty.wait_for(told);
        pty.wait_for("<ready");
        // One that is late is no key.
        pty.write("\x1b]4;3;rgb:0000/1111/2222\x1b\\");
        pty.wait_for("<Reply(Colour(3, [0, 17, 34]))>");
        pty.write("q");
        pty.wait_for(LEFT);
        assert_eq!(pty.finish().0, 0);
    }
    let mut pty = Pty::start("echo", &[("TERM", "screen"), ("STY", "1.tty")]);
    pty.wait_for("\x1b[c");
    pty.write("\x1b[?62;c");
    pty.wait_for("<0 colours told");
    assert!(!pty.text().contains("\x1b]4;"), "GNU screen is not asked");
    pty.write("q");
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn a_further_frame_is_welcome_once_the_terminal_has_read_the_last() {
    let mut pty = Pty::start("ask", &[]);
    pty.answer();
    pty.wait_for("<ready");
    pty.wait_for("\u{1b}[c<one>\u{1b}[c");
    // Written it is; but the terminal may not have looked at it yet.
    pty.wait_for("<welcome false under way 2>");
    pty.write("\u{1b}[?62;c");
    pty.wait_for("<welcome false under way 1>");
    pty.write("\u{1b}[?62;c");
    pty.wait_for("<welcome true under way 0>");
    pty.write("q");
    pty.wait_for(LEFT);
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn after_a_panic_the_message_stands_on_the_normal_screen() {
    let mut pty = Pty::start("panic", &[]);
    pty.answer();
    pty.wait_for("<ready");
    pty.write("x");
    pty.wait_for("something broke");
    assert!(pty.is_cooked());
    let (code, text) = pty.finish();
    assert_ne!(code, 0);
    assert!(text.find(LEFT).unwrap() < text.find("something broke").unwrap());
}

#[test]
fn termination_signals_are_events_and_the_screen_is_given_back() {
    use rustix::process::Signal;
    for (signal, number) in [(Signal::TERM, 15), (Signal::HUP, 1), (Signal::INT, 2)] {
        let mut pty = Pty::start("signal", &[]);
        pty.answer();
        pty.wait_for("<ready");
        pty.kill(signal);
        pty.wait_for(&format!("<signal {number}>"));
        pty.wait_for(LEFT);
        assert_eq!(pty.finish().0, 0);
    }
}

#[test]
fn a_signal_to_a_program_that_does_not_listen_still_gives_the_screen_back() {
    let mut pty = Pty::start("deaf", &[]);
    pty.answer();
    pty.wait_for("<ready");
    pty.kill(rustix::process::Signal::TERM);
    pty.wait_for(LEFT);
    pty.wait_cooked();
    assert_eq!(pty.finish().0, 128 + 15);
}

#[test]
fn ctrl_z_stops_on_the_normal_screen_and_continues_on_ours() {
    let mut pty = Pty::start("suspend", &[]);
    pty.answer();
    pty.wait_for("<ready");
    pty.write("z");
    pty.forget_until(LEFT);
    pty.wait_cooked();
    pty.continue_until("<again>");
    assert!(pty.text().contains(ENTERED));
    pty.write("x");
    pty.continue_until(LEFT);
    assert_eq!(pty.finish().0, 0);
}
