//! People with a folder and a port each, and their facetty processes.
#![allow(dead_code, reason = "each test program uses its part")]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A facetty process whose JSON lines are read one by one.
pub struct Party {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    passed: Vec<Value>,
}

/// One person: a folder and a port that stay the same.
pub struct Person {
    pub name: &'static str,
    pub home: PathBuf,
    pub listen: String,
}

impl Person {
    pub fn new(dir: &Path, name: &'static str) -> Self {
        let free =
            UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        Self { name, home: dir.join(name), listen: free.to_string() }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facetty"));
        command.args(args).env("FACETTY_HOME", &self.home).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    pub fn text(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args).stdout).expect("UTF-8")
    }

    /// A call, a listening or a joining without devices.
    pub fn start(&self, args: &[&str]) -> Party {
        let mut command = self.command(args);
        command.args(["--json", "--name", self.name, "--listen", &self.listen]);
        command.args(["--video", "none", "--audio", "none", "--view", "none"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("its output is piped");
        Party { child, lines: BufReader::new(stdout).lines(), passed: Vec::new() }
    }
}

impl Party {
    pub fn event(&mut self, name: &str) -> Value {
        if let Some(at) = self.passed.iter().position(|e| e["event"] == name) {
            return self.passed.remove(at);
        }
        for line in &mut self.lines {
            let value: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            if value["event"] == name {
                return value;
            }
            self.passed.push(value);
        }
        panic!("ended without {name}: {:?}", self.passed);
    }

    pub fn exit(mut self) -> i32 {
        while let Some(Ok(_)) = self.lines.next() {}
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

/// Ada and Ben, who have met in a call by invite.
pub fn friends(dir: &Path) -> (Person, Person) {
    let (ada, ben) = (Person::new(dir, "Ada"), Person::new(dir, "Ben"));
    let mut host = ada.start(&["call", "--admit"]);
    let invite = host.event("invite")["invite"].as_str().expect("text").to_owned();
    let mut joiner = ben.start(&["join", &invite, "--seconds", "5"]);
    let words = host.event("joined");
    assert_eq!(joiner.event("joined")["call_words"], words["call_words"]);
    assert_eq!(joiner.exit(), 0);
    host.event("left");
    drop(host);
    (ada, ben)
}
