//! A call of five real processes, over real sockets on loopback: they come one after another and
//! two at once, one is removed and let in again, the call is locked, whoever orders its changes is killed, and comes
//! back with a new program. After every step everybody who is in has the same words and the same
//! epoch, and sees and hears everybody else.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// No step takes longer, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// One process and what it has said.
#[derive(Default)]
struct Party {
    name: &'static str,
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    invite: Option<String>,
    epoch: u64,
    sequencer: Option<u64>,
    locked: bool,
    /// Fingerprints of those who may not come back.
    removed: Vec<String>,
    /// By number.
    roster: BTreeMap<u64, String>,
    words: Option<(u64, String)>,
    /// Pictures painted and packets of sound played so far, by member.
    media: BTreeMap<u64, (u64, u64)>,
    events: Vec<Value>,
    exit: Option<i32>,
}

/// What must be the same for all: epoch, sequencer, lock, roster, words and their epoch.
type Shared<'a> = (u64, Option<u64>, bool, &'a BTreeMap<u64, String>, &'a Option<(u64, String)>);

/// All processes, and one queue of what they say.
struct Call {
    home: PathBuf,
    parties: Vec<Party>,
    /// All call words so far.
    words: BTreeSet<String>,
    send: SyncSender<(usize, Option<Value>)>,
    said: Receiver<(usize, Option<Value>)>,
}

impl Drop for Call {
    fn drop(&mut self) {
        for child in self.parties.iter_mut().filter_map(|p| p.child.as_mut()) {
            // Ended already, in the good case.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Party {
    fn take(&mut self, event: Value) {
        let number = |v: &Value| v.as_u64();
        match event["event"].as_str() {
            Some("invite") => self.invite = event["invite"].as_str().map(str::to_owned),
            Some("roster") => {
                self.epoch = number(&event["epoch"]).expect("an epoch");
                self.sequencer = number(&event["sequencer"]);
                self.locked = event["locked"] == true;
                let removed = event["removed"].as_array().expect("a list");
                self.removed = removed.iter().map(text).collect();
                let members = event["members"].as_array().expect("members").iter();
                self.roster = members
                    .map(|m| (number(&m["member"]).expect("a number"), text(&m["name"])))
                    .collect();
                self.media.retain(|id, _| self.roster.contains_key(id));
            }
            Some("call_words") => {
                let of = number(&event["epoch"]).expect("an epoch");
                self.words = Some((of, text(&event["call_words"])));
            }
            Some("stats") => {
                for from in event["received"].as_array().expect("received") {
                    let seen = number(&from["video"]["frames_painted"]).unwrap_or(0);
                    let heard = number(&from["audio"]["packets"]).unwrap_or(0);
                    self.media.insert(number(&from["member"]).expect("a number"), (seen, heard));
                }
                return;
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn names(&self) -> BTreeSet<&str> {
        self.roster.values().map(String::as_str).collect()
    }

    fn shared(&self) -> Shared<'_> {
        (self.epoch, self.sequencer, self.locked, &self.roster, &self.words)
    }

    fn said(&self, event: &str) -> Option<&Value> {
        self.events.iter().find(|e| e["event"] == event)
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

impl Call {
    fn new(home: &Path) -> Self {
        let (send, said) = sync_channel(1024);
        Self { home: home.to_owned(), parties: Vec::new(), words: BTreeSet::new(), send, said }
    }

    /// Starts a process; its files are those of earlier processes of this name.
    fn start(&mut self, name: &'static str, way: &[&str]) -> usize {
        let mut child = Command::new(env!("CARGO_BIN_EXE_facetty"))
            .args(way)
            .args(["--name", name, "--json", "--commands", "--listen", "127.0.0.1:0"])
            .args(["--video", "pattern", "--audio", "voice", "--speaker", "none"])
            .args(["--view", "none", "--tile", "80x48", "--fps", "5", "--seconds", "300"])
            .env("FACETTY_HOME", self.home.join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let stdin = child.stdin.take();
        let (index, send) = (self.parties.len(), self.send.clone());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("JSON");
                if send.send((index, Some(value))).is_err() {
                    return;
                }
            }
            // Nobody waits for it after the test.
            let _ = send.send((index, None));
        });
        self.parties.push(Party { name, child: Some(child), stdin, ..Party::default() });
        index
    }

    fn join(&mut self, name: &'static str, invite: &str) -> usize {
        let index = self.start(name, &["join", "-"]);
        self.say_text(index, invite);
        index
    }

    fn say_text(&mut self, index: usize, line: &str) {
        let stdin = self.parties[index].stdin.as_mut().expect("it listens");
        writeln!(stdin, "{line}").expect("it reads");
    }

    fn say(&mut self, index: usize, command: &Value) {
        self.say_text(index, &command.to_string());
    }

    fn number_of(&self, index: usize) -> u64 {
        let p = &self.parties[index];
        *p.roster.iter().find(|(_, name)| *name == p.name).expect("it is a member").0
    }

    /// Takes what is said until something holds.
    #[expect(clippy::disallowed_methods, reason = "a deadline in real time")]
    fn until<T: Debug>(&mut self, what: &str, holds: impl Fn(&[Party]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = holds(&self.parties) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok((index, Some(value))) => self.parties[index].take(value),
                Ok((index, None)) => {
                    let child = self.parties[index].child.as_mut().expect("started");
                    let status = child.wait().expect("it ends");
                    self.parties[index].exit = Some(status.code().unwrap_or(-1));
                }
                Err(_) => panic!("not in time: {what}\n{}", self.told()),
            }
        }
    }

    /// The last things everybody said.
    fn told(&self) -> String {
        let mut all = String::new();
        for p in &self.parties {
            let shared = p.shared();
            all += &format!("{} exit {:?} {shared:?} {:?}\n", p.name, p.exit, p.media);
            for event in p.events.iter().rev().take(8).rev() {
                all += &format!("  {event}\n");
            }
        }
        all
    }

    /// These, and nobody else, are in one epoch with words that are new, see and hear each other.
    fn changes(&mut self, step: &str, who: &[usize]) {
        let before = self.words.clone();
        let words = self.agrees(step, who, |words| !before.contains(words));
        self.words.insert(words);
        self.talks(step, who);
    }

    /// The same with the words of before: nobody came or went.
    fn stays(&mut self, step: &str, who: &[usize]) {
        let before = self.words.clone();
        self.agrees(step, who, |words| before.contains(words));
        self.talks(step, who);
    }

    fn agrees(&mut self, step: &str, who: &[usize], fits: impl Fn(&str) -> bool) -> String {
        let names: BTreeSet<&str> = who.iter().map(|i| self.parties[*i].name).collect();
        self.until(&format!("{step}: one group"), |parties| {
            let first = parties[who[0]].shared();
            let same = |i: &usize| parties[*i].shared() == first && parties[*i].names() == names;
            let words = first.4.as_ref().map(|(_, words)| words.clone());
            words.filter(|words| fits(words) && who.iter().all(same))
        })
    }

    fn talks(&mut self, step: &str, who: &[usize]) {
        // From here on everything is new: at least three pictures and half a second of sound.
        let before: BTreeMap<_, _> =
            who.iter().map(|i| (*i, self.parties[*i].media.clone())).collect();
        self.until(&format!("{step}: everybody sees and hears everybody"), |parties| {
            let goes_on = |i: &usize| {
                let p = &parties[*i];
                let others = p.roster.iter().filter(|(_, name)| *name != p.name);
                others.into_iter().all(|(id, _)| {
                    let (pictures, packets) = before[i].get(id).copied().unwrap_or((0, 0));
                    let (seen, heard) = p.media.get(id).copied().unwrap_or((0, 0));
                    seen >= pictures + 3 && heard >= packets + 25
                })
            };
            who.iter().all(goes_on).then_some(())
        });
    }

    /// Waits for a process to end; how.
    fn ended(&mut self, index: usize) -> (i32, String) {
        self.until("a process ends", |parties| {
            let reason = parties[index].said("ended").map(|e| text(&e["reason"]));
            parties[index].exit.map(|code| (code, reason.unwrap_or_default()))
        })
    }
}

#[test]
fn five_processes_stay_one_call_through_joins_removal_lock_a_kill_and_a_return() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut call = Call::new(dir.path());

    // One after another, then two at once.
    let ada = call.start("Ada", &["call", "--admit", "--uses", "8"]);
    let invite = call.until("an invite", |p| p[ada].invite.clone());
    let ben = call.join("Ben", &invite);
    call.changes("Ben joins", &[ada, ben]);
    let cai = call.join("Cai", &invite);
    call.changes("Cai joins", &[ada, ben, cai]);
    let (dee, eli) = (call.join("Dee", &invite), call.join("Eli", &invite));
    call.changes("Dee and Eli join", &[ada, ben, cai, dee, eli]);

    // A decision removes Eli, who gets nothing from then on, neither by the invite nor by ringing.
    let number = call.number_of(eli);
    call.say(ada, &json!({"do": "remove", "member": number}));
    assert_eq!(call.ended(eli), (7, "removed by Ada".to_owned()));
    let four = [ada, ben, cai, dee];
    call.changes("Eli is removed", &four);
    for p in four.iter().map(|i| &call.parties[*i]) {
        assert_eq!(p.said("left").expect("told")["how"], "removed", "{}", p.name);
    }
    let again = call.join("Eli", &invite);
    assert_eq!(call.ended(again).0, 7, "a removed member does not come in again");

    // Until Ada thinks better of it. His invite is void since he was removed, and one that she takes
    // back lets nobody in.
    let removed = call.parties[ben].removed.clone();
    let [eli_is] = &removed[..] else { panic!("{removed:?}") };
    call.say(ada, &json!({"do": "readmit", "fingerprint": eli_is}));
    call.until("all forgive", |p| four.iter().all(|i| p[*i].removed.is_empty()).then_some(()));
    call.say(ada, &json!({"do": "invite"}));
    let second =
        call.until("a second invite", |p| p[ada].invite.clone().filter(|text| *text != invite));
    call.say(ada, &json!({"do": "void-invite", "invite": 1}));
    for (name, void) in [("Gus", &invite), ("Hal", &second)] {
        let late = call.join(name, void);
        assert_eq!(call.ended(late).0, 7, "nobody comes in by a void invite");
    }
    call.say(ada, &json!({"do": "invite"}));
    let invite = call.until("a third invite", |p| {
        p[ada].invite.clone().filter(|text| *text != invite && *text != second)
    });
    let eli = call.join("Eli", &invite);
    call.changes("Eli is let in again", &[ada, ben, cai, dee, eli]);
    call.say(eli, &json!({"do": "leave"}));
    assert_eq!(call.ended(eli), (0, "left".to_owned()));
    call.changes("Eli leaves", &four);

    // Nobody new from here on.
    call.say(ada, &json!({"do": "lock"}));
    call.until("locked", |p| four.iter().all(|i| p[*i].locked).then_some(()));
    call.stays("locked", &four);
    let fay = call.join("Fay", &invite);
    let refused = (7, "refused: the call is full or locked".to_owned());
    assert_eq!(call.ended(fay), refused);

    // Ada orders the changes, and is killed: three of four choose the next.
    assert_eq!(call.parties[ben].sequencer, Some(call.number_of(ada)));
    call.parties[ada].child.as_mut().expect("started").kill().expect("SIGKILL");
    assert_eq!(call.ended(ada).0, -1);
    let three = [ben, cai, dee];
    let bens = call.number_of(ben);
    call.until("a successor", |p| {
        let chosen =
            |i: &usize| p[*i].sequencer == Some(bens) && p[*i].said("succession").is_some();
        three.iter().all(chosen).then_some(())
    });
    for p in three.iter().map(|i| &call.parties[*i]) {
        assert_eq!(p.said("succession").expect("said")["split"], false, "{}", p.name);
    }

    // She comes back with a new program and her old key, without an invite, into the locked call.
    let back = call.start("Ada", &["call", "Ben"]);
    let knock = call.until("a ring at Ben's", |p| p[ben].said("ring").map(|e| e["knock"].clone()));
    call.say(ben, &json!({"do": "admit", "knock": knock}));
    call.changes("Ada is back", &[ben, cai, dee, back]);
    assert!(call.parties[back].locked, "locked as it was");
    for p in three.iter().map(|i| &call.parties[*i]) {
        assert_eq!(p.said("returned").expect("told")["name"], "Ada", "{}", p.name);
        assert!(p.said("split").is_none() && p.said("equivocation").is_none(), "{}", p.name);
        assert!(p.said("trouble").is_none(), "{}: {:?}", p.name, p.said("trouble"));
    }

    // All go in order.
    for index in [back, ben, cai, dee] {
        call.say(index, &json!({"do": "leave"}));
        assert_eq!(call.ended(index), (0, "left".to_owned()));
    }
}
