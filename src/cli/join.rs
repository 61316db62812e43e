//! `facetty join`: the invite comes from the command line, from standard input, or from a question.

use super::{args::JoinArgs, party};
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, JoinOptions};
use crate::invite::Invite;
use crate::time::Wall;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// Longer than any invite with white space around it.
const LONGEST: u64 = 4096;
/// An invite counts as expired this long after its time: clocks differ, and the host decides.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(600);

pub(super) fn run(args: JoinArgs, base: Base) -> Result<Exit, Failure> {
    let party = party::validate(args.party, base)?;
    let text = match args.invite.as_deref() {
        Some("-") | None => from_stdin()?,
        Some(text) => Zeroizing::new(text.to_string()),
    };
    let invite = Invite::parse(&text).map_err(|e| {
        Failure::new(Exit::Usage, format_args!("this invite can't be used: {e}"))
            .next("copy it again, whole; it begins with facetty1")
    })?;
    if invite.expires.0.saturating_add(CLOCK_TOLERANCE.as_millis() as u64) < wall().0 {
        return Err(Failure::new(Exit::Refused, "this invite has expired")
            .next("ask for a new one; if it is new, set this machine's clock"));
    }
    crate::app::run::join(JoinOptions { party, invite })
}

fn from_stdin() -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "Invite: ").and_then(|()| stderr.flush());
    }
    let mut line = Zeroizing::new(String::with_capacity(LONGEST as usize));
    let read = stdin.lock().take(LONGEST).read_line(&mut line);
    match read {
        Ok(_) if !line.trim().is_empty() => Ok(line),
        Ok(_) => Err(Failure::new(Exit::Usage, "there is no invite")
            .next("facetty join, then paste the invite; or facetty join - < FILE")),
        Err(e) => Err(Failure::new(
            Exit::Usage,
            format_args!("the invite can't be read from standard input: {e}"),
        )),
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock for a message")]
fn wall() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
