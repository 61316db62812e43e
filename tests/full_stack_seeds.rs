//! Seeds of a mesh over the whole stack: QUIC, sealing, codecs, playout, in virtual time. What the
//! simulation of `tests/group_simulation.rs` shows at the level of messages for a thousand seeds is
//! shown here for a few with everything around it: people join, leave, are removed, ask for new
//! keys, while the weather is bad and the mesh is cut in two. Thirty seconds after the last
//! disturbance all who stayed are in one epoch, and each hears each of the others: whoever had other
//! keys could open nothing.

use facetty::sim::loopback::{Options, play};
use facetty::sim::report::Report;
use facetty::sim::scenario::Scenario;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Seconds: disturbances begin, end; the group has had its time; the last look.
const BEGIN: f64 = 8.0;
const CALM: f64 = 28.0;
const HEALED: f64 = CALM + 30.0;
const END: f64 = HEALED + 4.0;

/// What is played, and who is there at its end.
struct Plan {
    text: String,
    stay: BTreeSet<usize>,
}

/// A link from everybody to everybody.
fn links(text: &mut String, n: usize, s: f64, link: &str, of: impl Fn(usize, usize) -> bool) {
    for a in 0..n {
        for b in (0..n).filter(|b| *b != a && of(a, *b)) {
            let _ = writeln!(text, "[[at]]\ns = {s:.2}\nfrom = \"p{a}\"\nto = \"p{b}\"");
            let _ = writeln!(text, "link = {{ {link} }}");
        }
    }
}

fn plan(seed: u64) -> Plan {
    let mut dice = StdRng::seed_from_u64(seed);
    let n = dice.random_range(3..=5);
    let mut text = format!("name = \"seed-{seed}\"\nseconds = {END}\nseed = {seed}\n");
    for i in 0..n {
        let at = i as f64 * 1.3;
        let _ = writeln!(text, "[[participant]]\nname = \"p{i}\"\nvideo = \"none\"");
        let _ = writeln!(text, "join_at = {at:.2}");
    }
    let mut stay: BTreeSet<usize> = (0..n).collect();
    let mut at = BEGIN;
    while at < CALM - 4.0 {
        match dice.random_range(0..5) {
            0 => {
                let who = *stay.iter().collect::<Vec<_>>().choose(&mut dice).expect("somebody");
                let _ = writeln!(text, "[[at]]\ns = {at:.2}\nwho = \"p{who}\"\naction = \"rekey\"");
            }
            // Two stay at least; the founder decides, so it doesn't leave before it has.
            1 | 2 if stay.len() > 2 => {
                let others: Vec<_> = stay.iter().copied().filter(|i| *i != 0).collect();
                let who = *others.choose(&mut dice).expect("two at least");
                let _ = if dice.random_bool(0.5) {
                    writeln!(text, "[[at]]\ns = {at:.2}\nwho = \"p{who}\"\naction = \"leave\"")
                } else {
                    writeln!(text, "[[at]]\ns = {at:.2}\nwho = \"p0\"\nremove = \"p{who}\"")
                };
                stay.remove(&who);
            }
            3 => {
                let (loss, delay) = (dice.random_range(5..30), dice.random_range(20..400));
                let weather = format!("loss_pct = {loss}, delay_ms = {delay}, jitter_ms = 20");
                links(&mut text, n, at, &weather, |_, _| true);
            }
            _ => {
                let side: Vec<bool> = (0..n).map(|_| dice.random_bool(0.5)).collect();
                let apart = |a: usize, b: usize| side[a] != side[b];
                let back = (at + dice.random_range(3.0..12.0)).min(CALM - 0.1);
                links(&mut text, n, at, "down = true", apart);
                links(&mut text, n, back, "down = false", apart);
            }
        }
        at += dice.random_range(1.5..5.0);
    }
    let calm = "down = false, loss_pct = 2, delay_ms = 60, jitter_ms = 0";
    links(&mut text, n, CALM, calm, |_, _| true);
    let _ = writeln!(text, "[link]\ndelay_ms = 40");
    let _ = writeln!(text, "[[window]]\nname = \"end\"\nfrom = {HEALED}\nto = {END}");
    Plan { text, stay }
}

/// What doesn't hold.
fn judged(plan: &Plan, report: &Report) -> Vec<String> {
    let mut wrong = report.failures.clone();
    let stays = |name: &str| plan.stay.iter().any(|i| name == format!("p{i}"));
    let there: Vec<_> = report.participants.iter().filter(|p| stays(&p.name)).collect();
    if there.len() != plan.stay.len() {
        wrong.push(format!("{} of {} are there", there.len(), plan.stay.len()));
    }
    let epochs: BTreeSet<u64> = there.iter().map(|p| p.epoch).collect();
    if epochs.len() != 1 {
        wrong.push(format!("epochs {epochs:?}"));
    }
    for p in &there {
        let mut heard = 0;
        for from in p.received.iter().filter(|r| stays(&r.from)) {
            heard += 1;
            let end = &from.windows["end"];
            if end.audio_latency_ms.p50 == 0.0 || end.concealed_pct > 8.0 {
                wrong.push(format!("{} hears {}: {end:?}", p.name, from.from));
            }
        }
        if heard + 1 != there.len() {
            wrong.push(format!("{} hears {heard} of {}", p.name, there.len() - 1));
        }
    }
    if report.tap.plaintext_hits > 0 || report.tap.control_hits == 0 {
        wrong.push(format!("on the line: {:?}", report.tap));
    }
    wrong
}

fn seeds_hold(seeds: impl Iterator<Item = u64>) {
    let mut wrong = Vec::new();
    for seed in seeds {
        let plan = plan(seed);
        let scenario = Scenario::parse(&plan.text).expect("a scenario");
        let report = play(&scenario, Options::default()).expect("played");
        wrong.extend(judged(&plan, &report).into_iter().map(|what| format!("seed {seed}: {what}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn two_seeds_over_the_whole_stack_end_in_one_call() {
    seeds_hold(1..=2);
}

/// `cargo nextest run --run-ignored only --test full_stack_seeds`
#[test]
#[ignore = "some minutes"]
fn twenty_seeds_over_the_whole_stack_end_in_one_call() {
    seeds_hold(1..=20);
}

#[test]
fn the_judge_notices_who_is_not_heard() {
    let plan = plan(1);
    let scenario = Scenario::parse(&plan.text).expect("a scenario");
    let short = Scenario { seconds: 6.0, timeline: Vec::new(), ..scenario };
    let report = play(&short, Options::default()).expect("played");
    assert!(!judged(&plan, &report).is_empty(), "the call ended before anybody could be heard");
}
