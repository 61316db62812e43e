//! How a run ends: one exit code per kind of end, and messages that say what happened, the likely
//! cause, and what to do next.

use std::fmt;

/// The end of a run, as the process reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Ended normally.
    Ended,
    /// An expectation or claim failed (demo, loopback, doctor).
    Failed,
    /// A flag, invite or input file is unusable.
    Usage,
    /// The configuration, the identity key or the contacts file is unusable.
    Config,
    /// A device or the terminal is unusable.
    Device,
    /// Nobody reached: busy port, no route, no answer in time.
    Unreachable,
    /// Somebody else than expected, or a verification failed.
    Untrusted,
    /// The other side refused: declined, expired, used up, no answer to a knock.
    Refused,
    /// A mistake in facetty itself.
    Bug,
    /// Ctrl-C outside a call screen, or SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
}

impl Exit {
    /// Every end, in the order of its code.
    pub const ALL: [Self; 11] = [
        Self::Ended,
        Self::Failed,
        Self::Usage,
        Self::Config,
        Self::Device,
        Self::Unreachable,
        Self::Untrusted,
        Self::Refused,
        Self::Bug,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ended => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Device => 4,
            Self::Unreachable => 5,
            Self::Untrusted => 6,
            Self::Refused => 7,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// One line for the manual.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ended => "ended normally",
            Self::Failed => "an expectation or claim failed",
            Self::Usage => "unusable flag, invite or input file",
            Self::Config => "unusable configuration, identity key or contacts file",
            Self::Device => "unusable device or terminal",
            Self::Unreachable => "nobody reached: busy port, no route, no answer in time",
            Self::Untrusted => "somebody else than expected, or verification failed",
            Self::Refused => "refused: declined, expired, used up, knock unanswered",
            Self::Bug => "a mistake in facetty",
            Self::Interrupted => "interrupted (Ctrl-C)",
            Self::Terminated => "terminated (SIGTERM, SIGHUP)",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A run that ended otherwise than asked: what happened, why probably, what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code's kind.
    pub exit: Exit,
    /// What happened, one sentence without a full stop.
    pub what: String,
    /// The likely cause, if known.
    pub cause: Option<String>,
    /// What to do next, if known: a command to type or a thing to check.
    pub next: Option<String>,
}

impl Failure {
    /// A failure with its first line.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self { exit, what: what.to_string(), cause: None, next: None }
    }

    /// Adds the likely cause.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl fmt::Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    /// What is told, in order, and the label before each: what failed, the cause and the next step.
    pub fn sentences(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let more = [("  cause: ", &self.cause), ("  next:  ", &self.next)];
        let more = more.into_iter().filter_map(|(label, text)| Some((label, text.as_deref()?)));
        std::iter::once(("facetty: ", self.what.as_str())).chain(more)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentences().enumerate().try_for_each(|(n, (label, text))| {
            let before = if n > 0 { "\n" } else { "" };
            write!(f, "{before}{label}{text}")
        })
    }
}

impl std::error::Error for Failure {}

impl From<crate::store::identity::IdentityFileError> for Failure {
    fn from(e: crate::store::identity::IdentityFileError) -> Self {
        use crate::store::identity::IdentityFileError as E;
        let failure = Self::new(Exit::Config, format_args!("the identity key can't be used: {e}"));
        match &e {
            E::Damaged { path, .. } => {
                failure.cause("the file was edited or cut short").next(format_args!(
                    "put back a copy of it, or move {} away to become a new identity \
                     (your contacts will have to verify you again)",
                    path.display()
                ))
            }
            E::Exchanged { .. } => failure.next("look at both files before you go on"),
            E::Newer { .. } => failure.next("use the newer facetty"),
            E::Exposed { path, .. } => failure
                .cause("the file was copied without its permissions, or shared on purpose")
                .next(format_args!(
                    "chmod 600 {} – and if anyone may have read it, move it away and start anew",
                    path.display()
                )),
            E::Io { .. } => failure.next("check that the folder exists and is yours to write"),
        }
    }
}

impl From<crate::store::contacts::ContactsError> for Failure {
    fn from(e: crate::store::contacts::ContactsError) -> Self {
        Self::new(Exit::Config, format_args!("the contacts can't be used: {e}"))
            .next("correct the line, or move the file away to begin with no contacts")
    }
}

impl From<crate::store::settings::SettingsError> for Failure {
    fn from(e: crate::store::settings::SettingsError) -> Self {
        Self::new(Exit::Config, format_args!("the settings can't be used: {e}"))
            .next("correct or remove the line")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_end_has_its_own_code() {
        let codes: BTreeSet<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        let expected = BTreeSet::from([0, 1, 2, 3, 4, 5, 6, 7, 70, 130, 143]);
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = Failure::new(Exit::Unreachable, "port 4433 is in use")
            .cause("another facetty is running")
            .next("--listen 0.0.0.0:0 takes any free port");
        assert_eq!(
            failure.to_string(),
            "facetty: port 4433 is in use\n  cause: another facetty is running\n  \
             next:  --listen 0.0.0.0:0 takes any free port"
        );
    }
}
