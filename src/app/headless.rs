//! A call without a screen: one line per event, as JSON or as words. A flushed roster line counts
//! as shown (`node` seals nothing for a roster that nobody could see).

use crate::app::commands::Line;
use crate::app::contacts::Book;
use crate::app::exit::{Exit, Failure};
use crate::app::figures::{self, Meter};
use crate::app::keeper::Keeper;
use crate::app::options::{Front, Way};
use crate::app::out::Out;
use crate::app::party::Party;
use crate::app::shutdown::Shutdown;
use crate::call::{
    Command, DialFailure, EndReason, Event, KnockEnd, LeftHow, Phase, Refusal, RefusedWhy,
};
use crate::identity::Fingerprint;
use crate::node::{NodeCommand, NodeEvent, NodeHandle, NodeView};
use crate::seal::Receipt;
use crate::store::contacts::ContactsError;
use crate::transport::only_private;
use crate::wire::link::MemberId;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Leaving in order may take this long.
const GRACE: Duration = Duration::from_secs(3);

/// What the run is for, beyond being a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// A call.
    Call,
    /// Reaching a contact: a run that ended alone did not.
    Reach,
    /// Waiting for contacts; `once`: for one call.
    Listen {
        /// End after the first call.
        once: bool,
    },
}

impl Aim {
    /// What `way` is for.
    pub fn of(way: &Way) -> Self {
        match way {
            Way::Host | Way::Join(_) => Self::Call,
            Way::Ring(_) => Self::Reach,
            Way::Listen { once } => Self::Listen { once: *once },
        }
    }
}

/// How a call without a screen is run.
pub struct Run {
    /// What for.
    pub aim: Aim,
    /// Where events go.
    pub front: Front,
    /// What a script says.
    pub commands: Option<mpsc::Receiver<Result<Line, String>>>,
    /// End after this time.
    pub seconds: Option<Duration>,
}

/// Runs a call and writes its events until it ends, its time is over or somebody stops it.
pub async fn run(
    party: Party,
    (mut book, mut keeper): (Book, Keeper),
    run: Run,
    mut shutdown: Shutdown,
) -> Result<Exit, Failure> {
    let Run { aim, front, mut commands, seconds } = run;
    let Party { node, mut handle, notes, origin, addresses } = party;
    let mut lines = Lines {
        out: Out::default(),
        front,
        origin,
        joined: Vec::new(),
        meter: Meter::default(),
        met: false,
    };
    let mut held = false;
    for note in notes {
        lines.write(json!({"event": "note", "text": note}));
    }
    let mut running = tokio::task::spawn_local(node.run());
    let end = seconds.map(|s| tokio::time::Instant::now() + s);
    let mut tick = tokio::time::interval(figures::EVERY);
    tick.tick().await;
    let mut stopped: Option<Exit> = None;
    loop {
        if let Aim::Listen { once } = aim {
            let alone = handle.view.borrow().call.phase == Phase::Alone;
            if alone != held {
                // Nothing is captured while nobody is there.
                held = alone;
                let (done, _) = std::sync::mpsc::sync_channel(1);
                tell(&handle, NodeCommand::Suspend(alone, done));
            }
            if alone && once && lines.met && stopped.is_none() {
                stopped = Some(Exit::Ended);
                leave(&handle, &running);
            }
        }
        let over = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let said = async {
            match &mut commands {
                Some(commands) => commands.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            reason = &mut running => {
                while let Ok(event) = handle.events.try_recv() {
                    lines.keep(&mut keeper, &event);
                    lines.event(&handle, &event);
                }
                let reason = reason.map_err(|e| Failure::new(Exit::Bug, e))?;
                if aim == Aim::Reach && !lines.met && stopped == Some(Exit::Ended) {
                    stopped = Some(Exit::Unreachable);
                }
                return lines.end(&reason, stopped);
            }
            Some(event) = handle.events.recv() => {
                lines.keep(&mut keeper, &event);
                if matches!(event, NodeEvent::Call(Event::Joined { .. } | Event::Words { .. })) {
                    let view = handle.view.borrow().clone();
                    lines.note(book.follow(&view));
                }
                if let Some(receipt) = lines.event(&handle, &event) {
                    tell(&handle, NodeCommand::RosterShown(receipt));
                }
            }
            said = said, if stopped.is_none() => match said {
                Some(line) => {
                    let view = handle.view.borrow().clone();
                    match line.and_then(|line| line.command(&addresses, &view.call)) {
                        Ok(Some(command)) => tell(&handle, command),
                        Ok(None) => {
                            stopped = Some(Exit::Ended);
                            leave(&handle, &running);
                        }
                        Err(what) => lines.write(json!({"event": "trouble", "what": what})),
                    }
                }
                // The script says no more; the call goes on.
                None => commands = None,
            },
            cause = shutdown.asked(), if stopped.is_none() => {
                stopped = Some(Exit::from(cause));
                leave(&handle, &running);
            }
            () = over, if stopped.is_none() => {
                stopped = Some(Exit::Ended);
                leave(&handle, &running);
            }
            _ = tick.tick() => {
                let view = handle.view.borrow().clone();
                lines.note(book.follow(&view));
                lines.stats(&view);
                if lines.out.is_closed() && stopped.is_none() {
                    stopped = Some(Exit::Ended);
                    leave(&handle, &running);
                }
            }
        }
    }
}

/// Leaves in order; a node that hangs is ended.
fn leave(handle: &NodeHandle, running: &tokio::task::JoinHandle<EndReason>) {
    tell(handle, NodeCommand::Call(Command::Leave));
    let abort = running.abort_handle();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(GRACE).await;
        abort.abort();
    });
}

fn tell(handle: &NodeHandle, command: NodeCommand) {
    // A full queue means the node is stuck; a closed one that it is over. Either way it ends.
    let _ = handle.commands.try_send(command);
}

struct Lines {
    out: Out,
    front: Front,
    origin: Instant,
    joined: Vec<(MemberId, Option<MemberId>, u64)>,
    meter: Meter,
    /// Somebody else was there.
    met: bool,
}

impl Lines {
    /// Writes one line, with the time since the start.
    fn write(&mut self, mut value: Value) {
        let now = tokio::time::Instant::now().into_std();
        let t_ms = now.saturating_duration_since(self.origin).as_millis() as u64;
        match self.front {
            Front::Json => {
                value["t_ms"] = json!(t_ms);
                self.out.line(value);
            }
            Front::Plain | Front::Screen => {
                let seconds = t_ms as f64 / 1000.0;
                self.out.line(format_args!("{seconds:8.3}  {}", words(&value)));
            }
        }
    }

    /// A line of the ledger goes to its keeper.
    fn keep(&mut self, keeper: &mut Keeper, event: &NodeEvent) {
        if let NodeEvent::Call(Event::Ledger { line }) = event
            && let Err(error) = keeper.line(line)
        {
            self.write(json!({"event": "trouble", "what": format!("ledger: {error}")}));
        }
    }

    /// Says that the contacts could not be written.
    fn note(&mut self, result: Result<(), ContactsError>) {
        if let Err(error) = result {
            tracing::warn!(%error, "contacts");
            self.write(json!({"event": "trouble", "what": format!("contacts: {error}")}));
        }
    }

    /// Writes an event; for a roster that is on the output now, its receipt.
    fn event(&mut self, handle: &NodeHandle, event: &NodeEvent) -> Option<Receipt> {
        let view = handle.view.borrow().clone();
        match event {
            NodeEvent::Call(event) => return self.call_event(&view, event),
            NodeEvent::MediaLost { what, why } => {
                self.write(json!({"event": "media_lost", "what": what, "why": why}));
            }
            NodeEvent::Trouble(what) => self.write(json!({"event": "trouble", "what": what})),
            NodeEvent::FirstPicture(member) => {
                self.write(json!({"event": "first_picture", "member": member.0}));
            }
        }
        None
    }

    fn call_event(&mut self, view: &NodeView, event: &Event) -> Option<Receipt> {
        match event {
            Event::Invite { text } => {
                let addresses =
                    view.call.invites.last().map(|i| i.addresses.clone()).unwrap_or_default();
                self.write(json!({
                    "event": "invite",
                    "invite": text,
                    "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "only_private": only_private(&addresses),
                }));
            }
            Event::NotReached { tried } => {
                let tried: Vec<_> = tried
                    .iter()
                    .map(|(to, why)| json!({"to": to.to_string(), "result": dial_failure(why)}))
                    .collect();
                self.write(json!({"event": "not_reached", "tried": tried}));
            }
            Event::Knock { id, fingerprint, name, ring, introduced } => {
                // A declined knock is not in the view any more.
                let like = view.call.knocks.iter().find(|k| k.id == *id);
                let like = like.and_then(|k| k.looks_like.as_ref());
                self.write(json!({
                    "event": if *ring { "ring" } else { "knock" },
                    "knock": id.0,
                    "fingerprint": fingerprint.to_string(),
                    "name": name,
                    "introduced": introduced,
                    "looks_like": like.map(|l| l.fingerprint.to_string()),
                }));
            }
            Event::KnockGone { end, .. } if *end != KnockEnd::Admitted => {
                self.write(json!({"event": "knock_gone", "how": knock_end(*end)}));
            }
            Event::Doubt { identity, name, known } => self.write(json!({
                "event": "identity_changed",
                "name": name,
                "fingerprint": Fingerprint::of(identity).to_string(),
                "known_fingerprint": known.fingerprint.to_string(),
                "known": known.note,
            })),
            Event::Refused { from, why } => self.write(json!({
                "event": "refused",
                "from": from.map(|a| a.to_string()),
                "why": refusal(*why),
            })),
            Event::Dialled { to, failure } => self.write(json!({
                "event": "dialled",
                "to": to.to_string(),
                "result": failure.as_ref().map_or("connected".to_owned(), dial_failure),
            })),
            Event::Knocked => self.write(json!({"event": "knocked"})),
            Event::Epoch { epoch, roster, .. } => {
                let members: Vec<Value> = view
                    .call
                    .members
                    .iter()
                    .map(|m| {
                        json!({
                            "member": m.id.0,
                            "name": m.name,
                            "fingerprint": m.fingerprint.to_string(),
                            "added_by": m.added_by.map(|b| b.0),
                            "may_admit": m.may_admit,
                            "me": m.is_me,
                        })
                    })
                    .collect();
                let removed: Vec<String> =
                    view.call.barred.iter().map(|b| b.fingerprint.to_string()).collect();
                // The view may be newer than this event, never older: it is published first.
                self.write(json!({
                    "event": "roster",
                    "epoch": epoch,
                    "members": members,
                    "sequencer": view.call.sequencer.map(|s| s.0),
                    "locked": view.call.locked,
                    "removed": removed,
                }));
                return Some(Receipt::shown(*epoch, *roster));
            }
            Event::Joined { member, by, epoch } => {
                self.met = true;
                self.joined.push((*member, *by, *epoch));
            }
            Event::Words { words, epoch: of } => {
                // Words of an earlier epoch may come late: whoever joined since has others.
                let (now, later) =
                    std::mem::take(&mut self.joined).into_iter().partition(|j| j.2 <= *of);
                self.joined = later;
                let now: Vec<(MemberId, Option<MemberId>, u64)> = now;
                for (member, by, epoch) in now {
                    self.write(json!({
                        "event": "joined",
                        "member": member.0,
                        "name": name_of(view, member),
                        "by": by.map(|b| b.0),
                        "epoch": epoch,
                        "call_words": words.to_string(),
                    }));
                }
                self.write(json!({
                    "event": "call_words",
                    "epoch": of,
                    "call_words": words.to_string(),
                }));
            }
            Event::Left { member, name, how } => self.write(json!({
                "event": "left",
                "member": member.0,
                "name": name,
                "how": match how {
                    LeftHow::Left => "left",
                    LeftHow::Lost => "lost",
                    LeftHow::Removed(_) => "removed",
                },
            })),
            Event::Lost(member, lost) => self.write(json!({
                "event": if *lost { "lost" } else { "back" },
                "member": member.0,
            })),
            Event::Back(member) => self.write(json!({
                "event": "returned",
                "member": member.0,
                "name": name_of(view, *member),
            })),
            Event::SequencerSilent(silent) => {
                self.write(json!({"event": "sequencer_silent", "silent": silent}));
            }
            Event::Succession { split } => {
                let without = &view.call.without;
                self.write(json!({"event": "succession", "split": split, "without": without}));
            }
            Event::Equivocation { by, name } => {
                self.write(json!({"event": "equivocation", "member": by.0, "name": name}));
            }
            Event::LostContradicted { member, name, by } => self.write(json!({
                "event": "lost_contradicted",
                "member": member.0,
                "name": name,
                "by": by.0,
            })),
            Event::Split(member) => {
                self.write(json!({"event": "split", "member": member.0}));
            }
            Event::Thin(member, thin) => {
                self.write(json!({"event": "thin", "member": member.0, "thin": thin}));
            }
            Event::BadGroupMessage { from, why } => {
                self.write(json!({"event": "bad_group_message", "from": from.0, "why": why}));
            }
            _ => {}
        }
        None
    }

    fn stats(&mut self, view: &NodeView) {
        if self.front == Front::Json {
            let value = self.meter.read(view);
            self.write(value);
        }
    }

    fn end(mut self, reason: &EndReason, stopped: Option<Exit>) -> Result<Exit, Failure> {
        let exit = stopped.unwrap_or(match exit_of(reason) {
            Ok(exit) => exit,
            Err(ref failure) => failure.exit,
        });
        self.write(json!({"event": "ended", "reason": reason_word(reason), "exit": exit.code()}));
        if stopped.is_none() {
            exit_of(reason)?;
        }
        self.out.end(exit)
    }
}

fn name_of(view: &NodeView, member: MemberId) -> String {
    view.call.members.iter().find(|m| m.id == member).map(|m| m.name.clone()).unwrap_or_default()
}

/// An event in words: "name key value, key value".
fn words(value: &Value) -> String {
    let Value::Object(map) = value else { return value.to_string() };
    let mut text = map.get("event").and_then(Value::as_str).unwrap_or_default().replace('_', " ");
    for (key, value) in map.iter().filter(|(key, _)| *key != "event") {
        let value = match value {
            Value::String(s) => s.clone(),
            Value::Null => continue,
            other => other.to_string(),
        };
        text.push_str(&format!("  {key}: {value}"));
    }
    text
}

fn knock_end(end: KnockEnd) -> &'static str {
    match end {
        KnockEnd::Admitted => "admitted",
        KnockEnd::Declined => "declined",
        KnockEnd::Unanswered => "unanswered",
        KnockEnd::Withdrawn => "withdrawn",
    }
}

fn refusal(why: Refusal) -> String {
    match why {
        Refusal::UsedUp(Some(by)) => return format!("the invite was used already by {by}"),
        Refusal::BadProof => "does not hold an invite of this call",
        Refusal::Expired => "the invite has expired",
        Refusal::UsedUp(None) => "the invite is used up",
        Refusal::Misbehaved => "broke the protocol",
        Refusal::TooSlow => "too slow",
        Refusal::BadCredential => "its credential does not hold",
        Refusal::WrongIdentity => "not the expected identity",
    }
    .into()
}

/// A failed dialling in words.
pub fn dial_failure(failure: &DialFailure) -> String {
    match failure {
        DialFailure::TimedOut => "no answer".into(),
        DialFailure::Network(why) => why.clone(),
        DialFailure::Incompatible => "answers, but does not speak facetty/1".into(),
    }
}

fn reason_word(reason: &EndReason) -> String {
    match reason {
        EndReason::Left => "left".into(),
        EndReason::Removed { by } => format!("removed by {by}"),
        EndReason::Unreachable(_) => "unreachable".into(),
        EndReason::Refused(why) => format!("refused: {}", refused(*why)),
        EndReason::WrongIdentity(why) => format!("wrong identity: {why}"),
        EndReason::LostHost(_) => "connection to the host lost".into(),
    }
}

fn refused(why: RefusedWhy) -> String {
    match why {
        RefusedWhy::UsedUp(Some(by)) => return format!("the invite was already used by {by}"),
        RefusedWhy::UnknownInvite => "the host does not know this invite",
        RefusedWhy::Expired => "the invite has expired",
        RefusedWhy::UsedUp(None) => "the invite was used already",
        RefusedWhy::Declined => "the host said no, or did not answer",
        RefusedWhy::Unanswered => "nobody answered",
        RefusedWhy::Locked => "the call is full or locked",
    }
    .into()
}

/// The exit code of an end, or the failure to print.
pub fn exit_of(reason: &EndReason) -> Result<Exit, Failure> {
    match reason {
        EndReason::Left => Ok(Exit::Ended),
        EndReason::Removed { by } => {
            Err(Failure::new(Exit::Refused, format_args!("{by} removed you from the call")))
        }
        EndReason::Unreachable(tried) => Err(unreachable(tried)),
        EndReason::Refused(why) => {
            let next = match why {
                RefusedWhy::UnknownInvite => {
                    "was the whole invite copied? is that call still open?"
                }
                RefusedWhy::Declined | RefusedWhy::Unanswered => {
                    "call them another way, then try again"
                }
                RefusedWhy::UsedUp(Some(_)) => {
                    "do you know who that is? if not, tell the host by another way; ask for a new invite"
                }
                _ => "ask for a new invite",
            };
            Err(Failure::new(Exit::Refused, refused(*why)).next(next))
        }
        EndReason::WrongIdentity(why) => Err(Failure::new(Exit::Untrusted, why)
            .cause("somebody else answers at that address, or the invite is not the one you think")
            .next("get the invite again, over a channel you trust")),
        EndReason::LostHost(_) => Err(Failure::new(
            Exit::Unreachable,
            "the connection to the host was lost before you were let in",
        )
        .next("try again with the same invite")),
    }
}

fn unreachable(tried: &[(SocketAddr, DialFailure)]) -> Failure {
    let list: Vec<_> =
        tried.iter().map(|(to, why)| format!("\n  {to}: {}", dial_failure(why))).collect();
    let addresses: Vec<_> = tried.iter().map(|(to, _)| *to).collect();
    let failure = Failure::new(
        Exit::Unreachable,
        format_args!("none of the invite's addresses was reached:{}", list.concat()),
    );
    if only_private(&addresses) {
        failure
            .cause("only private addresses: works on the same LAN or VPN")
            .next("the host can add a reachable one with --advertise HOST:PORT")
    } else {
        failure
            .cause("the host is not there any more, or a firewall or NAT drops UDP to it")
            .next("the host can forward the port and name it with --advertise HOST:PORT")
    }
}
