//! What stays on the normal screen after a call.

use crate::tui::strings;
use std::path::PathBuf;
use std::time::Duration;

/// A call that is over.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Names of everybody who was in it, ourselves apart.
    pub with: Vec<String>,
    /// From the first other member to leaving.
    pub lasted: Duration,
    /// The call words were compared, in the end's group.
    pub compared: bool,
    /// Why it ended, if not by our leaving ("Ben left", "connection lost").
    pub reason: Option<String>,
    /// The log, if anything failed.
    pub log: Option<PathBuf>,
}

/// The summary as lines.
pub fn lines(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let reason = summary.reason.as_ref().map_or(String::new(), |why| format!(" ({why})"));
    if summary.with.is_empty() {
        lines.push(format!("Nobody joined{reason}."));
    } else {
        let words = if summary.compared {
            "call words compared: they matched"
        } else {
            "call words not compared"
        };
        lines.push(format!(
            "Call with {}: {}{reason}; {words}.",
            list(&summary.with),
            strings::clock(summary.lasted)
        ));
    }
    if let Some(log) = &summary.log {
        lines.push(format!("Something went wrong on the way; the log has it: {}", log.display()));
    }
    lines
}

fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_who_how_long_and_words() {
        let mut summary = Summary {
            with: vec!["Ada".into(), "Ben".into(), "Cleo".into()],
            lasted: Duration::from_secs(724),
            ..Summary::default()
        };
        assert_eq!(
            lines(&summary),
            ["Call with Ada, Ben and Cleo: 12:04; call words not compared."]
        );
        summary.compared = true;
        summary.log = Some("/x/facetty.log".into());
        let text = lines(&summary).join("\n");
        assert!(text.contains("they matched") && text.contains("/x/facetty.log"));
    }

    #[test]
    fn a_call_nobody_joined_says_so() {
        assert_eq!(lines(&Summary::default()), ["Nobody joined."]);
    }
}
