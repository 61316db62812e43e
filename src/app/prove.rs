//! `facetty prove`: every promise attacked, live, on this machine, with its control.

use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;
use crate::sim::attacks::{CLAIMS, Claim, Lab, LabError, Outcome, Shown, claim};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Version of the report's shape.
const VERSION: u32 = 1;
/// Attacks carried out at once.
const WORKERS: usize = 2;
/// Where a line of the table is broken.
const WIDTH: usize = 96;

/// What to prove.
pub struct ProveOptions {
    /// Numbers of claims; empty: all.
    pub claims: Vec<u8>,
    /// Millions of frames and many seeds.
    pub full: bool,
    /// One JSON value instead of a table.
    pub json: bool,
}

/// A claim and what became of it.
struct Row {
    claim: &'static Claim,
    result: Option<Result<Outcome, LabError>>,
    took: Duration,
}

impl Row {
    /// `None`: not shown here.
    fn held(&self) -> Option<bool> {
        self.result.as_ref().map(|r| r.as_ref().is_ok_and(Outcome::held))
    }

    fn place(&self) -> &'static str {
        match self.claim.shown {
            Shown::Live(_) => "live",
            Shown::InCi(_) => "CI",
        }
    }

    fn wanting(&self) -> Vec<String> {
        match &self.result {
            Some(Ok(outcome)) => outcome.wanting(),
            Some(Err(error)) => vec![format!("the lab failed: {error}")],
            None => Vec::new(),
        }
    }
}

/// Carries the attacks out and reports; ends with 1 if a claim isn't held.
pub fn run(options: &ProveOptions) -> Result<Exit, Failure> {
    let claims = chosen(&options.claims)?;
    let (done, results) = sync_channel(claims.len().max(1));
    let next = AtomicUsize::new(0);
    let mut out = Out::default();
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    let mut printed = 0;
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (done, claims, next) = (done.clone(), &claims, &next);
            scope.spawn(move || work(claims, next, options.full, &done));
        }
        drop(done);
        for (n, row) in results {
            rows.insert(n, row);
            // In their order, each as soon as all before it are there.
            while let Some(row) = rows.get(&printed).filter(|_| !options.json) {
                table_row(&mut out, row);
                printed += 1;
            }
        }
    });
    let rows: Vec<Row> = rows.into_values().collect();
    if options.json {
        out.line(report(&rows));
    } else {
        summary(&mut out, &rows);
    }
    let failed = rows.iter().any(|row| row.held() == Some(false));
    out.end(if failed { Exit::Failed } else { Exit::Ended })
}

fn chosen(numbers: &[u8]) -> Result<Vec<&'static Claim>, Failure> {
    if numbers.is_empty() {
        return Ok(CLAIMS.iter().collect());
    }
    let known = || CLAIMS.iter().map(|c| c.id.to_string()).collect::<Vec<_>>().join(", ");
    numbers
        .iter()
        .map(|n| {
            claim(*n).ok_or_else(|| {
                Failure::new(Exit::Usage, format_args!("there is no claim {n}"))
                    .next(format_args!("choose from {}", known()))
            })
        })
        .collect()
}

/// Attacks that measure the whole process wait for all others, and others for them.
static PROCESS: RwLock<()> = RwLock::new(());

fn work(
    claims: &[&'static Claim],
    next: &AtomicUsize,
    full: bool,
    done: &SyncSender<(usize, Row)>,
) {
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let Some(claim) = claims.get(n).copied() else { return };
        let _alone = claim.alone.then(|| PROCESS.write().unwrap_or_else(PoisonError::into_inner));
        let _beside =
            (!claim.alone).then(|| PROCESS.read().unwrap_or_else(PoisonError::into_inner));
        let begun = crate::app::stage::instant();
        let result = match claim.shown {
            Shown::Live(attack) => Some(attack(&mut Lab::new(full, u64::from(claim.id)))),
            Shown::InCi(_) => None,
        };
        let took = crate::app::stage::instant().saturating_duration_since(begun);
        // The receiver lives as long as this scope.
        let _ = done.send((n, Row { claim, result, took }));
    }
}

fn report(rows: &[Row]) -> Value {
    let claims: Vec<Value> = rows
        .iter()
        .map(|row| {
            let evidence = match &row.result {
                Some(Ok(outcome)) => json!({
                    "text": outcome.evidence,
                    "tried": outcome.eve.tried,
                    "got": outcome.eve.got,
                    "control_tried": outcome.control.tried,
                    "control_got": outcome.control.got,
                    "seen": outcome.seen.iter().map(|(what, so)| json!([what, so])).collect::<Vec<_>>(),
                    "wanting": row.wanting(),
                    "seconds": (row.took.as_secs_f64() * 100.0).round() / 100.0,
                }),
                Some(Err(_)) => json!({ "wanting": row.wanting() }),
                None => Value::Null,
            };
            json!({
                "id": row.claim.id,
                "claim": row.claim.claim,
                "attack": format!("Eve {}", row.claim.attack),
                "control": row.claim.control,
                "held": row.held(),
                "evidence": evidence,
                "test": row.claim.test(),
                "where": row.place(),
            })
        })
        .collect();
    json!({ "version": VERSION, "claims": claims })
}

fn table_row(out: &mut Out, row: &Row) {
    let mark = match row.held() {
        Some(true) => "held    ",
        Some(false) => "NOT HELD",
        None => row.place(),
    };
    out.line(format_args!("{:>2}  {mark}  {}", row.claim.id, row.claim.claim));
    let mut say = |label: &str, text: &str| {
        for (n, line) in wrapped(text, WIDTH - 14).iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            out.line(format_args!("      {label:<8}{line}"));
        }
    };
    say("Eve", row.claim.attack);
    match &row.result {
        Some(Ok(outcome)) => {
            let Outcome { eve, control, .. } = outcome;
            let got = format!("{} of {}", thousands(eve.got), thousands(eve.tried));
            say("got", &got);
            let works = format!(
                "{} of {} with: {}",
                thousands(control.got),
                thousands(control.tried),
                row.claim.control
            );
            say("control", &works);
            say("seen", &outcome.evidence);
        }
        _ => say("control", row.claim.control),
    }
    for wanting in row.wanting() {
        say("wanting", &wanting);
    }
}

fn summary(out: &mut Out, rows: &[Row]) {
    let count = |held| rows.iter().filter(|row| row.held() == held).count();
    let longest = rows.iter().map(|row| row.took).sum::<Duration>();
    out.line(format_args!(
        "{} held, {} not held, {} not shown here ({:.1} s of attacks, {WORKERS} at once)",
        count(Some(true)),
        count(Some(false)),
        count(None),
        longest.as_secs_f64()
    ));
}

fn thousands(n: u64) -> String {
    crate::tui::strings::thousands(n)
}

/// Breaks a text at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines
            .last_mut()
            .filter(|l| l.is_empty() || l.chars().count() + 1 + word.chars().count() <= width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::attacks::Tally;

    fn row(eve: Tally, control: Tally) -> Row {
        let outcome = Outcome { eve, control, ..Outcome::default() };
        Row { claim: &CLAIMS[0], result: Some(Ok(outcome)), took: Duration::ZERO }
    }

    #[test]
    fn a_claim_is_held_only_if_eve_tried_and_failed_and_the_control_succeeded() {
        let held = |eve, control| row(eve, control).held();
        assert_eq!(held(Tally::many(5, 0), Tally::many(5, 1)), Some(true));
        assert_eq!(held(Tally::many(5, 1), Tally::many(5, 1)), Some(false));
        assert_eq!(held(Tally::many(0, 0), Tally::many(5, 1)), Some(false));
        assert_eq!(held(Tally::many(5, 0), Tally::many(5, 0)), Some(false));
        let mut unseen =
            Outcome { eve: Tally::many(5, 0), control: Tally::many(5, 1), ..Outcome::default() };
        unseen.sees("it is named", false);
        assert!(!unseen.held());
        assert_eq!(unseen.wanting(), ["not: it is named"]);
    }

    #[test]
    fn a_claim_not_shown_is_never_held() {
        let row = Row { claim: &CLAIMS[0], result: None, took: Duration::ZERO };
        assert_eq!(row.held(), None);
        assert_eq!(report(&[row])["claims"][0]["held"], Value::Null);
    }

    #[test]
    fn claims_are_chosen_by_number() {
        assert_eq!(chosen(&[]).expect("all").len(), CLAIMS.len());
        assert_eq!(chosen(&[7]).expect("one")[0].id, 7);
        assert_eq!(chosen(&[99]).err().map(|e| e.exit), Some(Exit::Usage));
    }

    #[test]
    fn a_text_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    }
}
