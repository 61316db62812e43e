//! What a script says to a running call: one JSON object a line on standard input (`--commands`).

use crate::call::{BarredView, CallView, Command, KnockId};
use crate::identity::{Fingerprint, IdentityPublic};
use crate::node::NodeCommand;
use crate::wire::link::MemberId;
use serde::Deserialize;
use std::io::{BufRead, Read};
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Longer lines are no commands, in bytes.
const LONGEST: u64 = 4096;
/// Commands wait here while the call is busy; then standard input is not read on.
const QUEUE: usize = 16;

/// One line. What each does is told in the README.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Line {
    /// Lets in who knocked under this number.
    Admit {
        /// From the `knock` event.
        knock: u32,
    },
    /// Refuses who knocked under this number.
    Decline {
        /// From the `knock` event.
        knock: u32,
    },
    /// Removes a member for good.
    Remove {
        /// As in the `roster` event.
        member: u32,
    },
    /// Lets a member let people in, or no longer.
    Admitter {
        /// As in the `roster` event.
        member: u32,
        /// Or no longer.
        may: bool,
    },
    /// Lets somebody who was removed come in again.
    Readmit {
        /// Their fingerprint, as in the `roster` event's `removed`.
        fingerprint: String,
    },
    /// Nobody may use this invite any more.
    VoidInvite {
        /// Counted from 1, in the order they were made, those that are void left out.
        invite: usize,
    },
    /// Nobody new comes in.
    Lock {},
    /// Anybody with an invite may come in again.
    Unlock {},
    /// Makes a further invite.
    Invite {},
    /// New keys for everybody.
    Rekey {},
    /// The words were compared and matched.
    WordsMatch {},
    /// Microphone on or off.
    Mic {
        /// On.
        on: bool,
    },
    /// Camera on or off.
    Camera {
        /// On.
        on: bool,
    },
    /// Leaves the call.
    Leave {},
}

impl Line {
    /// Reads one line; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| format!("no command: {e}"))
    }

    /// What the node is told, in the call as it stands. `None`: leave, which is the owner's to do
    /// in order. The error says what can't be.
    pub fn command(
        self,
        addresses: &[SocketAddr],
        call: &CallView,
    ) -> Result<Option<NodeCommand>, String> {
        Ok(Some(NodeCommand::Call(match self {
            Self::Admit { knock } => Command::Admit(KnockId(knock)),
            Self::Decline { knock } => Command::Decline(KnockId(knock)),
            Self::Remove { member } => Command::Remove(MemberId(member)),
            Self::Admitter { member, may } => Command::Admitter(MemberId(member), may),
            Self::Readmit { fingerprint } => Command::Readmit(removed(&fingerprint, &call.barred)?),
            Self::VoidInvite { invite } => Command::VoidInvite(invite),
            Self::Lock {} => Command::Lock,
            Self::Unlock {} => Command::Unlock,
            Self::Invite {} => Command::NewInvite(addresses.to_vec()),
            Self::Rekey {} => Command::Rekey,
            Self::WordsMatch {} => Command::WordsCompared(None),
            Self::Mic { on } => return Ok(Some(NodeCommand::Mic(on))),
            Self::Camera { on } => return Ok(Some(NodeCommand::Camera(on))),
            Self::Leave {} => return Ok(None),
        })))
    }
}

/// Who of those that were removed has this fingerprint.
fn removed(fingerprint: &str, all: &[BarredView]) -> Result<IdentityPublic, String> {
    let asked: Fingerprint = fingerprint.parse().map_err(|e| format!("{fingerprint}: {e}"))?;
    let found = all.iter().find(|who| asked.matches(&who.identity));
    found.map(|who| who.identity).ok_or_else(|| format!("nobody was removed with {asked}"))
}

/// Reads commands from standard input on a thread of its own, until its end.
pub fn from_stdin() -> std::io::Result<mpsc::Receiver<Result<Line, String>>> {
    let (send, receive) = mpsc::channel(QUEUE);
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        let mut stdin = std::io::stdin().lock();
        while let Some(line) = next(&mut stdin) {
            // The run being over means that nobody wants more.
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receive)
}

/// The next line that isn't empty; `None` at the end.
fn next(input: &mut impl BufRead) -> Option<Result<Line, String>> {
    loop {
        let mut bytes = Vec::new();
        let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).ok()?;
        if read == 0 {
            return None;
        }
        if read as u64 == LONGEST && bytes.last() != Some(&b'\n') {
            input.skip_until(b'\n').ok()?;
            return Some(Err(format!("no command: longer than {LONGEST} bytes")));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if !text.is_empty() {
            return Some(Line::parse(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_what_it_says() {
        let text =
            b"{\"do\":\"remove\",\"member\":3}\n\n  {\"do\":\"words-match\"}  \n{\"do\":\"leave\"}";
        let mut input = &text[..];
        assert_eq!(next(&mut input), Some(Ok(Line::Remove { member: 3 })));
        assert_eq!(next(&mut input), Some(Ok(Line::WordsMatch {})));
        assert_eq!(next(&mut input), Some(Ok(Line::Leave {})));
        assert_eq!(next(&mut input), None);
    }

    #[test]
    fn only_who_was_removed_is_brought_back() {
        let who = IdentityPublic([7; 32]);
        let fingerprint = Fingerprint::of(&who);
        let barred = BarredView { identity: who, fingerprint, name: None };
        let all = [barred];
        assert_eq!(removed(&fingerprint.to_string(), &all), Ok(who));
        let other = Fingerprint::of(&IdentityPublic([8; 32])).to_string();
        assert!(removed(&other, &all).is_err_and(|e| e.contains("nobody was removed")));
        assert!(removed("Eli", &all).is_err_and(|e| e.contains("not a fingerprint")));
    }

    #[test]
    fn what_is_no_command_is_said_and_the_next_line_is_read() {
        let long = "x".repeat(10_000);
        let text = format!(
            "lock\n{{\"do\":\"fly\"}}\n{{\"do\":\"remove\"}}\n{long}\n{{\"do\":\"lock\"}}\n"
        );
        let mut input = text.as_bytes();
        for wrong in ["expected value", "unknown variant", "missing field", "longer than"] {
            let error = next(&mut input).expect("a line").expect_err("no command");
            assert!(error.contains(wrong), "{error}");
        }
        assert_eq!(next(&mut input), Some(Ok(Line::Lock {})));
    }
}
