//! After hanging up, no key is left in the memory of the process: it reads its own, all of it.

use super::stack::{Brings, Stack, virtually, wait};
use super::{Lab, LabError, Outcome, setup};
use crate::call::Command;
use crate::node::{NodeCommand, Witness};
use crate::seal::Surrendered;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

/// What needles are masked with, so that a search doesn't find the needles themselves.
const MASK: u8 = 0xa5;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Longest needle.
const LONGEST: usize = 32;

/// Keys to be searched for, masked.
#[derive(Default)]
pub(crate) struct Masked {
    needles: Vec<(&'static str, Vec<u8>)>,
}

impl Masked {
    /// Remembers a key by its mask only.
    pub(crate) fn add(&mut self, what: &'static str, key: &[u8]) {
        let masked: Vec<u8> = key.iter().take(LONGEST).map(|b| b ^ MASK).collect();
        if masked.len() >= 16 && !self.needles.iter().any(|(_, n)| *n == masked) {
            self.needles.push((what, masked));
        }
    }

    fn len(&self) -> usize {
        self.needles.len()
    }

    /// Which of the needles are somewhere in this process's memory; and how many bytes were read.
    pub(crate) fn found(&self) -> Result<(Vec<bool>, u64), LabError> {
        let memory = File::open("/proc/self/mem").map_err(setup)?;
        let maps = BufReader::new(File::open("/proc/self/maps").map_err(setup)?);
        let regions: Vec<(u64, u64)> =
            maps.lines().filter_map(|line| region(&line.ok()?)).collect();
        let mut first = vec![false; 1 << 16];
        for (_, needle) in &self.needles {
            first[usize::from(needle[0] ^ MASK) << 8 | usize::from(needle[1] ^ MASK)] = true;
        }
        let mut buffer = vec![0; CHUNK + LONGEST];
        let own = buffer.as_ptr() as u64;
        let own = own..own + buffer.len() as u64;
        let mut found = vec![false; self.needles.len()];
        let mut read = 0;
        // What was read before is no finding: all but the buffer itself.
        let beside = |(from, to): (u64, u64)| {
            [(from, to.min(own.start.max(from))), (from.max(own.end.min(to)), to)]
        };
        for (from, to) in regions.into_iter().flat_map(beside) {
            let mut at = from;
            while at < to {
                let length = usize::try_from((to - at).min(buffer.len() as u64)).unwrap_or(0);
                if memory.read_exact_at(&mut buffer[..length], at).is_ok() {
                    read += length as u64;
                    self.search(&buffer[..length], &first, &mut found);
                }
                at += CHUNK as u64;
            }
        }
        buffer.fill(0);
        Ok((found, read))
    }

    fn search(&self, hay: &[u8], first: &[bool], found: &mut [bool]) {
        for (at, pair) in hay.windows(2).enumerate() {
            if !first[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                continue;
            }
            for ((_, needle), found) in self.needles.iter().zip(found.iter_mut()) {
                let here = hay.get(at..at + needle.len());
                *found |= here.is_some_and(|h| h.iter().zip(needle).all(|(a, b)| a ^ MASK == *b));
            }
        }
    }

    fn names(&self, found: &[bool]) -> Vec<&'static str> {
        let mut names: Vec<_> =
            self.needles.iter().zip(found).filter(|(_, f)| **f).map(|((n, _), _)| *n).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A line of /proc/self/maps: a region that can be read and is not a file.
fn region(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let name = words.nth(3).unwrap_or("");
    if !rights.starts_with("rw") || name.starts_with("[v") {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
}

/// Collects the media keys of every epoch, masked.
struct Collector(Arc<Mutex<Masked>>);

impl Witness for Collector {
    fn new_keys(&self, keys: &Surrendered) {
        let mut masked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        masked.add("media key", keys.base().expose());
    }
}

/// No key outlives the call in memory.
pub(super) fn wiped(lab: &mut Lab) -> Result<Outcome, LabError> {
    let lab = &*lab;
    let masked = Arc::new(Mutex::new(Masked::default()));
    let outcome = virtually(async {
        let mut outcome = Outcome::default();
        let mut stack = Stack::new(lab)?;
        stack.collect(Arc::new(Collector(Arc::clone(&masked))), Arc::clone(&masked));
        let invite = stack.found(
            lab,
            crate::call::Admit::Any,
            Brings::Voice,
            vec![super::stack::host(0)],
        )?;
        stack.join(lab, "Ben Nevis", invite, Brings::Voice)?;
        wait(1500).await;
        stack.tell(0, NodeCommand::Call(Command::Rekey)).await;
        wait(1000).await;
        if !stack.sides.iter().all(|side| side.members() == 2) {
            return Err(setup("Ada and Ben did not meet"));
        }
        let masked = || masked.lock().unwrap_or_else(PoisonError::into_inner);
        let (during, _) = masked().found()?;
        outcome.control.tried = during.len() as u64;
        outcome.control.got = during.iter().filter(|f| **f).count() as u64;
        let kinds = masked().names(&during);
        outcome.sees("media keys are there during the call", kinds.contains(&"media key"));
        outcome.sees("leaf keys are there during the call", kinds.contains(&"leaf key"));
        stack.tell(1, NodeCommand::Call(Command::Leave)).await;
        wait(1500).await;
        stack.tell(0, NodeCommand::Call(Command::Leave)).await;
        wait(2000).await;
        stack.dismiss();
        wait(1000).await;
        outcome.evidence = format!("during the call {}", kinds.join(", "));
        Ok(outcome)
    });
    let mut outcome = outcome?;
    let masked = masked.lock().unwrap_or_else(PoisonError::into_inner);
    let (after, read) = masked.found()?;
    outcome.eve.tried = masked.len() as u64;
    outcome.eve.got = after.iter().filter(|f| **f).count() as u64;
    let left = masked.names(&after).join(", ");
    outcome.evidence = format!(
        "{} MB of own memory read for {} keys: {} found after hanging up{}; {} ({} of them found)",
        read >> 20,
        outcome.eve.tried,
        outcome.eve.got,
        if left.is_empty() { String::new() } else { format!(" ({left})") },
        outcome.evidence,
        outcome.control.got,
    );
    Ok(outcome)
}
