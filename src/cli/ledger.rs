//! `facetty ledger`: check a ledger, compare two.

use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;
use crate::ledger::{Comparison, Happened, Ledger, compare};
use crate::store::ledger::{LedgerError, read};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check the ledger of a call, or compare two members' ledgers
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty call --ledger mine.jsonl            keep the ledger of a call
  facetty ledger verify mine.jsonl            every line is as it was written
  facetty ledger verify mine.jsonl --head 4f2a91c0
                                              … and it ends where the screen said
  facetty ledger compare mine.jsonl hers.jsonl
                                              both saw one group, from the first epoch they share

Ends with code 1 if a line was changed, or if the two saw different things.")]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    command: Action,

    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that no line was changed, removed, added or moved
    Verify {
        /// The ledger
        file: PathBuf,
        /// The hash of its last line, or its beginning, as the screen showed it
        #[arg(long, value_name = "HEX", value_parser = parse_head)]
        head: Option<String>,
    },
    /// Compare the epochs of two ledgers
    Compare {
        /// One member's
        a: PathBuf,
        /// Another member's
        b: PathBuf,
    },
}

fn parse_head(text: &str) -> Result<String, String> {
    let hex = text.to_ascii_lowercase();
    if (8..=64).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(hex)
    } else {
        Err("a head is 8 to 64 hexadecimal digits".into())
    }
}

pub(super) fn run(args: LedgerArgs) -> Result<Exit, Failure> {
    match args.command {
        Action::Verify { file, head } => verify(&file, head.as_deref(), args.json),
        Action::Compare { a, b } => compare_files(&a, &b, args.json),
    }
}

fn load(path: &Path) -> Result<Ledger, Failure> {
    read(path).map_err(|e| match &e {
        LedgerError::Damaged { .. } => Failure::new(Exit::Failed, &e)
            .cause("the file was changed after it was written, or is no ledger")
            .next("ask another member for theirs"),
        LedgerError::Io { .. } => Failure::new(Exit::Usage, &e),
    })
}

fn verify(path: &Path, head: Option<&str>, as_json: bool) -> Result<Exit, Failure> {
    let ledger = load(path)?;
    let found: String = ledger.head.iter().map(|b| format!("{b:02x}")).collect();
    if let Some(head) = head.filter(|head| !found.starts_with(head)) {
        let what = format!("{}: ends with {found}, not with {head}", path.display());
        return Err(Failure::new(Exit::Failed, what)
            .cause("the last lines are missing, or it is the ledger of another call"));
    }
    let epochs: Vec<u64> = ledger.entries.iter().filter_map(epoch_of).collect();
    let disagreeing =
        |e: &&crate::ledger::Entry| matches!(e.happened, Happened::Ack { agrees: false, .. });
    let split = ledger.entries.iter().filter(disagreeing).count();
    let mut out = Out::default();
    if as_json {
        out.line(json!({
            "ok": true,
            "lines": ledger.entries.len(),
            "epochs": epochs.len(),
            "first_epoch": epochs.first(),
            "last_epoch": epochs.last(),
            "disagreeing_acks": split,
            "head": found,
        }));
    } else {
        let (first, last) =
            (epochs.first().copied().unwrap_or(0), epochs.last().copied().unwrap_or(0));
        out.line(format_args!("every one of {} lines is as written", ledger.entries.len()));
        out.line(format_args!("epochs  {first} to {last}, {} seen", epochs.len()));
        if split > 0 {
            out.line(format_args!("acks    {split} said that they were in another state"));
        }
        out.line(format_args!("head    {found}"));
    }
    out.end(Exit::Ended)
}

fn epoch_of(entry: &crate::ledger::Entry) -> Option<u64> {
    matches!(entry.happened, Happened::Epoch { .. }).then_some(entry.epoch)
}

fn compare_files(a: &Path, b: &Path, as_json: bool) -> Result<Exit, Failure> {
    let comparison = compare(&load(a)?, &load(b)?);
    let mut out = Out::default();
    match comparison {
        Comparison::Same { first, last, epochs } => {
            if as_json {
                out.line(json!({"same": true, "first": first, "last": last, "epochs": epochs}));
            } else {
                out.line(format_args!("one history: epochs {first} to {last}, {epochs} compared"));
            }
            out.end(Exit::Ended)
        }
        Comparison::NothingShared => {
            if as_json {
                out.line(json!({"same": false, "shared": 0}));
            }
            Err(Failure::new(Exit::Failed, "the two ledgers share no epoch: nothing can be said")
                .cause("they are of different calls, or of times that do not overlap"))
        }
        Comparison::Different { a: line_a, b: line_b, epoch_a, epoch_b } => {
            if as_json {
                out.line(json!({
                    "same": false,
                    "a": {"line": line_a, "epoch": epoch_a},
                    "b": {"line": line_b, "epoch": epoch_b},
                }));
            }
            let what = format!(
                "the two saw different things: {} line {line_a} (epoch {epoch_a}), {} line {line_b} \
                 (epoch {epoch_b})",
                a.display(),
                b.display()
            );
            Err(Failure::new(Exit::Failed, what).cause(
                "the group was split between these two, or somebody showed them different groups",
            ))
        }
    }
}
