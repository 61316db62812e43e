//! `facetty loopback --suite`: all built-in scenarios, as many at once as there are cores, and one table of
//! what came out – those in the README. In virtual time, or by the clock over real sockets, as far as that
//! goes: lines of one's own, address changes and stopped processes are there in virtual time only.

use crate::app::exit::{Exit, Failure};
use crate::app::loopback::BUILT_IN;
use crate::app::options::SuiteOptions;
use crate::app::out::Out;
use crate::sim::loopback::{self, LoopbackError, Options};
use crate::sim::report::{ReceivedReport, Report};
use crate::sim::scenario::Scenario;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds of a scenario in a quick run, if nothing happens later.
const QUICK: f64 = 15.0;

/// Plays all, prints the table, fails when an expectation does.
pub fn run(options: SuiteOptions) -> Result<Exit, Failure> {
    let mut scenarios = scenarios(options.quick)?;
    if options.real_time {
        scenarios.retain(|item| loopback::check_real(&item.what).is_ok());
    }
    let played = play(&scenarios, options.seed, options.real_time);
    let cut: Vec<bool> = scenarios.iter().map(|scenario| scenario.cut).collect();
    let mut reports = Vec::new();
    for (scenario, report) in scenarios.iter().zip(played) {
        let failed = |e: LoopbackError| {
            Failure::new(Exit::Bug, format_args!("scenario {}: {e}", scenario.what.name))
        };
        reports.push(report.map_err(failed)?);
    }
    let mut out = Out::default();
    if options.json {
        let text = serde_json::to_string_pretty(&reports);
        out.line(text.map_err(|e| Failure::new(Exit::Bug, e))?);
    } else {
        table(&reports, &cut).into_iter().for_each(|line| out.line(line));
        for report in &reports {
            let lines = |what, list: &[String], out: &mut Out| {
                list.iter()
                    .for_each(|line| out.line(format_args!("{what} {}: {line}", report.scenario)));
            };
            lines("FAILED", &report.failures, &mut out);
            lines("PASSED unexpectedly", &report.unexpected, &mut out);
        }
    }
    let ok = reports.iter().all(|report| report.ok);
    out.end(if ok { Exit::Ended } else { Exit::Failed })
}

/// A scenario to play.
struct Item {
    what: Scenario,
    /// Shorter than written: its figures are told, not judged.
    cut: bool,
}

/// The built-in scenarios; for a quick run those without a timeline are short, and of their figures
/// only those are judged that don't depend on length.
fn scenarios(quick: bool) -> Result<Vec<Item>, Failure> {
    let parse = |(name, text): &(&str, &str)| {
        let bug = |e| Failure::new(Exit::Bug, format_args!("scenario {name}: {e}"));
        let mut scenario = Scenario::parse(text).map_err(bug)?;
        let later = |s: f64| s > QUICK;
        let needs_all = scenario.timeline.iter().any(|moment| later(moment.s))
            || scenario.windows.iter().any(|window| later(window.from));
        let cut = quick && !needs_all;
        if cut {
            scenario.seconds = scenario.seconds.min(QUICK);
            scenario.windows.iter_mut().for_each(|window| window.to = window.to.min(QUICK));
            // Figures of so short a call say little: what must hold in any case is judged.
            let always = |path: &[String]| matches!(path[0].as_str(), "call_words_agree" | "tap");
            scenario.expect.retain(|expectation| always(&expectation.path));
            scenario.short.clear();
        }
        Ok(Item { what: scenario, cut })
    };
    BUILT_IN.iter().map(parse).collect()
}

/// Plays the scenarios on all cores; the reports in their order.
fn play(
    scenarios: &[Item],
    seed: Option<u64>,
    real_time: bool,
) -> Vec<Result<Report, LoopbackError>> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores.min(scenarios.len()) {
            scope.spawn(|| {
                while let Some((i, scenario)) = {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    scenarios.get(i).map(|item| (i, &item.what))
                } {
                    let options = Options { seed, real_time, ..Options::default() };
                    let report = loopback::play(scenario, options);
                    done.lock().unwrap_or_else(|e| e.into_inner()).push((i, report));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, report)| report).collect()
}

/// The table in Markdown: of every scenario its worst direction, figure by figure.
fn table(reports: &[Report], cut: &[bool]) -> Vec<String> {
    let mut lines = vec![
        "| scenario | pictures in time | picture p95 | fps | freezes/min | SSIM | sound p95 \
         | concealed | STOI | up, kbit/s | verdict |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(reports.iter().zip(cut).map(|(report, cut)| row(report, *cut)));
    lines
}

fn row(report: &Report, cut: bool) -> String {
    let all = || report.participants.iter().flat_map(|p| &p.received);
    let least = |of: fn(&ReceivedReport) -> f64| all().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&ReceivedReport) -> f64| all().map(of).fold(0.0, f64::max);
    let up = report.participants.iter().map(|p| p.wire.up_kbps).fold(0.0, f64::max);
    let stoi = least(|r| r.audio.stoi.unwrap_or(f64::INFINITY));
    let stoi = if stoi.is_finite() { format!("{stoi:.3}") } else { "–".into() };
    format!(
        "| {} | {:.1} % | {:.0} ms | {:.1} | {:.1} | {:.3} | {:.0} ms | {:.1} % | {stoi} | {up:.0} | {} |",
        report.scenario,
        least(|r| r.video.on_time_pct),
        most(|r| r.video.latency_ms.p95),
        least(|r| r.video.fps),
        most(|r| r.video.freezes_per_min),
        least(|r| r.video.ssim),
        most(|r| r.audio.latency_ms.p95),
        most(|r| r.audio.concealed_pct),
        verdict(report, cut),
    )
}

fn verdict(report: &Report, cut: bool) -> String {
    match (report.failures.as_slice(), report.short.len()) {
        ([], _) if cut => "not judged".into(),
        ([], 0) => "pass".into(),
        ([], n) => format!("{n} short"),
        (failures, 0) => format!("{} FAILED", failures.len()),
        (failures, n) => format!("{} FAILED, {n} short", failures.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_virtual_time_is_left_out_of_a_run_by_the_clock() {
        let all = scenarios(false).expect("all");
        let real = |item: &&Item| loopback::check_real(&item.what).is_ok();
        let names: Vec<_> = all.iter().filter(real).map(|item| item.what.name.as_str()).collect();
        assert!(
            ["clean", "loss-20", "thin-64k"].iter().all(|name| names.contains(name)),
            "{names:?}"
        );
        assert!(["eight-party", "stop-3s", "bulk-500k"].iter().all(|name| !names.contains(name)));
    }

    #[test]
    fn quick_runs_are_short_where_nothing_happens_later() {
        let (whole, quick) = (scenarios(false).expect("all"), scenarios(true).expect("all"));
        assert_eq!(whole.len(), BUILT_IN.len());
        for (Item { what: whole, .. }, Item { what: quick, cut }) in whole.iter().zip(&quick) {
            assert_eq!(whole.name, quick.name);
            let later = whole.timeline.iter().any(|m| m.s > QUICK);
            assert_eq!(*cut, quick.seconds < whole.seconds || quick.expect != whole.expect);
            assert!(!cut || !later && quick.seconds <= QUICK);
            assert!(quick.windows.iter().all(|w| w.from < w.to && w.to <= quick.seconds));
            assert!(quick.expect.iter().any(|e| e.text.starts_with("tap.plaintext_hits")));
        }
        assert!(quick.iter().any(|item| item.cut));
    }
}
