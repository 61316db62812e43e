//! What a change of the group costs the people in the call: how long until everybody seals with
//! the new keys, and what is lost of the sound meanwhile. The whole stack in virtual time, so what
//! is measured are ways, queues and waiting, not the processor (that is `benches/group.rs`).
//!
//! Time runs from when a change is asked for – a proven knock has reached who lets in, a member
//! says that it leaves, the host removes somebody, asks for new keys – until the last member of the
//! new epoch seals its first frame in it.

use facetty::sim::loopback::{Options, play};
use facetty::sim::report::{ChangeReport, Percentiles};
use facetty::sim::scenario::Scenario;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One packet of sound, in ms.
const FRAME: u64 = 20;
/// Between two changes, in seconds.
const APART: f64 = 1.7;

/// A call that grows to `n` people, gets new keys, loses some: each path 50 ms long, with its share
/// of everybody's `up_kbps`.
fn script(n: usize, up_kbps: u32, video: &str, seed: u64) -> String {
    let mut text = String::new();
    let mut at = 0.0;
    // Not always at the same moment of a heartbeat or a packet of sound.
    let shift = |i: usize| f64::from((seed as u32 * 37 + i as u32 * 113) % 400) / 1000.0;
    for i in 0..n {
        let when = if i == 0 { 0.0 } else { at + shift(i) };
        let _ = writeln!(text, "[[participant]]\nname = \"p{i}\"\nvideo = \"{video}\"");
        let _ = writeln!(text, "fps = 5\njoin_at = {when:.3}");
        at += APART;
    }
    let mut moment = |line: String| {
        let _ = writeln!(text, "[[at]]\ns = {:.3}\n{line}", at + shift(line.len()));
        at += APART;
    };
    moment("who = \"p0\"\naction = \"rekey\"".into());
    if n > 2 {
        moment(format!("who = \"p{}\"\naction = \"rekey\"", n - 1));
        moment(format!("who = \"p0\"\nremove = \"p{}\"", n - 1));
    }
    if n > 3 {
        moment("who = \"p1\"\naction = \"leave\"".into());
    }
    if n > 4 {
        moment("who = \"p0\"\naction = \"leave\"".into());
    }
    let rate = f64::from(up_kbps) / (n - 1) as f64;
    format!(
        "name = \"changes\"\nseconds = {:.1}\nseed = {seed}\n{text}\
         [link]\ndelay_ms = 50\nrate_kbps = {rate:.0}\nqueue_ms = 400\n",
        at + 1.0
    )
}

fn played(n: usize, up_kbps: u32, video: &str, seed: u64) -> Vec<ChangeReport> {
    let scenario = Scenario::parse(&script(n, up_kbps, video, seed)).expect("a scenario");
    let report = play(&scenario, Options::default()).expect("played");
    assert!(report.failures.is_empty(), "{n} people, seed {seed}: {:?}", report.failures);
    report.changes
}

#[test]
fn a_change_takes_at_most_400_ms_and_one_frame_of_sound() {
    for (n, up_kbps, video, seed) in
        [(3, 10_000, "pattern", 1), (5, 10_000, "pattern", 2), (8, 50_000, "none", 3)]
    {
        let changes = played(n, up_kbps, video, seed);
        let kinds: Vec<_> = changes.iter().map(|c| c.what).collect();
        for what in ["join", "rekey", "remove"] {
            assert!(kinds.contains(&what), "{n} people: {kinds:?}");
        }
        assert!(n == 3 || kinds.contains(&"leave"), "{kinds:?}");
        for change in &changes {
            let sealing = change.sealing_ms.unwrap_or(f64::INFINITY);
            assert!(sealing <= 400.0, "{n} people: {change:?}");
            assert!(change.concealed_ms <= FRAME, "{n} people: {change:?}");
        }
    }
}

/// `cargo nextest run --release --run-ignored only --test membership_change --no-capture`
#[test]
#[ignore = "some minutes; prints the table of the README"]
#[expect(clippy::disallowed_macros, reason = "reports on the terminal")]
fn the_table_of_changes() {
    let runs: [(usize, u32, u64); 8] = [
        (2, 10_000, 12),
        (4, 10_000, 6),
        (8, 50_000, 2),
        (8, 10_000, 4),
        (4, 2_000, 2),
        (8, 3_000, 1),
        (16, 10_000, 1),
        (16, 20_000, 1),
    ];
    let mut missed = Vec::new();
    println!(
        "members  up Mbit/s  change   runs   committed   entered   sealing p50   p95   max   concealed max"
    );
    for (n, up_kbps, seeds) in runs {
        let mut all: BTreeMap<&str, Vec<ChangeReport>> = BTreeMap::new();
        let video = if n > 8 { "none" } else { "pattern" };
        for seed in 0..seeds {
            for change in played(n, up_kbps, video, seed) {
                if change.members + 2 >= n {
                    all.entry(change.what).or_default().push(change);
                }
            }
        }
        for (what, changes) in &all {
            let of = |value: fn(&ChangeReport) -> f64| {
                Percentiles::of(&changes.iter().map(value).collect::<Vec<_>>())
            };
            let committed = of(|c| c.committed_ms);
            let entered = of(|c| c.entered_ms.unwrap_or(9999.0));
            let sealing = of(|c| c.sealing_ms.unwrap_or(9999.0));
            let concealed = of(|c| c.concealed_ms as f64);
            println!(
                "{n:>7} {:>10} {what:>7} {:>6} {:>11} {:>9} {:>13} {:>5} {:>5} {:>15}",
                up_kbps / 1000,
                changes.len(),
                committed.p95,
                entered.p95,
                sealing.p50,
                sealing.p95,
                sealing.max,
                concealed.max
            );
            if n <= 8 && up_kbps >= 10_000 {
                missed.extend((sealing.p95 > 400.0).then(|| format!("{what} at {n}: time")));
                // With eight on 10 Mbit/s a removal's bundle takes 80 ms, and nothing can be opened before.
                let late = concealed.max > FRAME as f64 && (n <= 5 || up_kbps > 10_000);
                missed.extend(late.then(|| format!("{what} at {n}: sound")));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
