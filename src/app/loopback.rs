//! `facetty loopback`: plays a scenario and prints what came out.

use crate::app::exit::{Exit, Failure};
use crate::app::options::{LoopbackOptions, Scenario as Which};
use crate::app::out::Out;
use crate::sim::loopback::{self, LoopbackError, Options};
use crate::sim::report::{ParticipantReport, Percentiles, ReceivedReport, Report, SoakReport};
use crate::sim::scenario::{MAX_SECONDS, Scenario, ScenarioError};
use std::fs::File;
use std::io::BufWriter;

/// The scenarios that come with the program, by name.
pub const BUILT_IN: [(&str, &str); 20] = [
    ("clean", include_str!("../../examples/scenarios/clean.toml")),
    ("loss-5", include_str!("../../examples/scenarios/loss-5.toml")),
    ("loss-20", include_str!("../../examples/scenarios/loss-20.toml")),
    ("burst-40", include_str!("../../examples/scenarios/burst-40.toml")),
    ("far-200", include_str!("../../examples/scenarios/far-200.toml")),
    ("jitter-50", include_str!("../../examples/scenarios/jitter-50.toml")),
    ("thin-100k", include_str!("../../examples/scenarios/thin-100k.toml")),
    ("thin-64k", include_str!("../../examples/scenarios/thin-64k.toml")),
    ("bloat-500k", include_str!("../../examples/scenarios/bloat-500k.toml")),
    ("step-2m-300k-2m", include_str!("../../examples/scenarios/step-2m-300k-2m.toml")),
    ("move-client", include_str!("../../examples/scenarios/move-client.toml")),
    ("move-host", include_str!("../../examples/scenarios/move-host.toml")),
    ("nat-rebind", include_str!("../../examples/scenarios/nat-rebind.toml")),
    ("stop-3s", include_str!("../../examples/scenarios/stop-3s.toml")),
    ("stop-30s", include_str!("../../examples/scenarios/stop-30s.toml")),
    ("clocks-200ppm", include_str!("../../examples/scenarios/clocks-200ppm.toml")),
    ("bulk-500k", include_str!("../../examples/scenarios/bulk-500k.toml")),
    ("three-party", include_str!("../../examples/scenarios/three-party.toml")),
    ("four-party", include_str!("../../examples/scenarios/four-party.toml")),
    ("eight-party", include_str!("../../examples/scenarios/eight-party.toml")),
];

/// Scenarios that take long and are played when asked for only.
pub const LONG: [(&str, &str); 2] = [
    ("soak", include_str!("../../examples/scenarios/soak.toml")),
    ("soak-real", include_str!("../../examples/scenarios/soak-real.toml")),
];

/// Plays it and prints the report; fails when an expectation does.
pub fn run(options: LoopbackOptions) -> Result<Exit, Failure> {
    let (name, mut scenario) = load(&options.scenario)?;
    if let Some(seconds) = options.seconds {
        if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
            return Err(Failure::new(Exit::Usage, "a scenario lasts a day at most")
                .next("choose a shorter --seconds"));
        }
        scenario.seconds = seconds;
    }
    let tap = match &options.tap {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|e| {
                Failure::new(Exit::Usage, format_args!("cannot write {}: {e}", path.display()))
                    .next("choose a path that can be written")
            })?;
            Some(Box::new(BufWriter::new(file)) as _)
        }
    };
    let (seed, real_time) = (options.seed, options.real_time);
    let play = Options { seed, real_time, tap, ..Options::default() };
    let report = loopback::play(&scenario, play).map_err(|e| failed(&name, e))?;
    let exit = if report.ok { Exit::Ended } else { Exit::Failed };
    let mut out = Out::default();
    if options.json {
        out.line(serde_json::to_string_pretty(&report).map_err(|e| Failure::new(Exit::Bug, e))?);
    } else {
        print(&mut out, &report, &scenario);
    }
    out.end(exit)
}

fn load(which: &Which) -> Result<(String, Scenario), Failure> {
    let (name, text) = match which {
        Which::Named(name) => {
            let found = BUILT_IN.iter().chain(&LONG).find(|(known, _)| known == name);
            let Some((_, text)) = found else {
                let known: Vec<_> = BUILT_IN.iter().chain(&LONG).map(|(name, _)| *name).collect();
                let known = known.join(", ");
                return Err(Failure::new(
                    Exit::Usage,
                    format_args!("no scenario is called {name:?}"),
                )
                .next(format_args!("use one of {known}, or a file: facetty loopback ./my.toml")));
            };
            (name.clone(), (*text).to_owned())
        }
        Which::File(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| {
                Failure::new(Exit::Usage, format_args!("cannot read {name}: {e}"))
                    .next("see the scenarios in examples/scenarios/ for how one is written")
            })?;
            (name, text)
        }
    };
    let scenario = Scenario::parse(&text).map_err(|e| unusable(&name, &text, &e))?;
    Ok((name, scenario))
}

/// A scenario that can't be used, with the line where that shows.
fn unusable(name: &str, text: &str, error: &ScenarioError) -> Failure {
    let line = match error {
        // The parser's own message shows line and column.
        ScenarioError::Syntax(_) => None,
        ScenarioError::Content(why) => blamed_line(text, why),
    };
    let place = line.map_or_else(String::new, |line| format!(":{line}"));
    Failure::new(Exit::Usage, format_args!("{name}{place}: {}", error.to_string().trim_end()))
        .next("see the scenarios in examples/scenarios/ for how one is written")
}

/// The line that a complaint quotes from.
fn blamed_line(text: &str, why: &str) -> Option<usize> {
    let quoted = why.split('"').nth(1).filter(|q| !q.is_empty())?;
    text.lines().position(|line| line.contains(quoted)).map(|i| i + 1)
}

fn failed(name: &str, error: LoopbackError) -> Failure {
    match error {
        LoopbackError::Scenario(_) | LoopbackError::Source { .. } => {
            Failure::new(Exit::Usage, format_args!("{name}: {error}"))
        }
        LoopbackError::Socket(_) | LoopbackError::Bind(_) => Failure::new(Exit::Unreachable, error),
        LoopbackError::Tap(_) => Failure::new(Exit::Device, error),
        LoopbackError::Call(_) | LoopbackError::Codec(_) => Failure::new(Exit::Bug, error),
    }
}

fn print(out: &mut Out, report: &Report, scenario: &Scenario) {
    out.line(format_args!(
        "{}: {} s of {} time, seed {}",
        report.scenario, scenario.seconds, report.clock, report.seed
    ));
    for participant in &report.participants {
        print_participant(out, participant);
    }
    for flow in &report.flows {
        out.line(format_args!(
            "download from {} to {}: {} kbit/s, {} % lost, round trips up to {} ms",
            flow.from, flow.to, flow.kbps, flow.lost_pct, flow.longest_round_trip_ms
        ));
    }
    if let Some(soak) = &report.soak {
        print_soak(out, soak);
    }
    let tap = &report.tap;
    out.line(format_args!(
        "on the line: {} datagrams, {} bytes, {:.2} bits of entropy per byte (no proof of anything)",
        tap.packets, tap.bytes, tap.entropy_bits_per_byte
    ));
    out.line(format_args!("plaintext_hits {} (control {})", tap.plaintext_hits, tap.control_hits));
    for line in &report.failures {
        out.line(format_args!("FAILED  {line}"));
    }
    for line in &report.short {
        out.line(format_args!("SHORT   {line}"));
    }
    for line in &report.unexpected {
        out.line(format_args!("PASSED  unexpectedly: {line}; move it to [expect]"));
    }
    let held = scenario.expect.len();
    out.line(match report.ok {
        true => format!("ok: {held} expectations hold, {} short", report.short.len()),
        false => format!("failed: {} of {held} expectations or claims", report.failures.len()),
    });
}

fn print_soak(out: &mut Out, soak: &SoakReport) {
    for quarter in &soak.quarters {
        let sound = quarter.directions.iter().map(|d| {
            format!(
                "{} hears {} after {} ms ({} % made up, {} fps, {} freezes)",
                d.to, d.from, d.sound_ms, d.concealed_pct, d.fps, d.freezes
            )
        });
        out.line(format_args!(
            "until {} s: {} kB, {} tasks, {} connection ends; {}",
            quarter.until_s,
            quarter.cpu_memory_kb,
            quarter.tasks,
            quarter.links,
            sound.collect::<Vec<_>>().join(", "),
        ));
    }
    out.line(format_args!(
        "the last quarter against the first: tasks {:+}, connections {:+}; against the third: memory \
         {:+} %, delay of the sound by {} ms at most",
        soak.tasks_more, soak.links_more, soak.cpu_memory_more_pct, soak.sound_drift_ms
    ));
}

fn print_participant(out: &mut Out, p: &ParticipantReport) {
    let first = p.first_picture_ms.map_or_else(|| "never".into(), |ms| format!("{ms} ms"));
    out.line(format_args!(
        "{}: epoch {}, words {}, first picture {first}, up {} kbit/s, down {} kbit/s, \
         {} datagrams sent, cpu {} ms/s (all together)",
        p.name,
        p.epoch,
        if p.call_words_agree { "agree" } else { "DIFFER" },
        p.wire.up_kbps,
        p.wire.down_kbps,
        p.wire.packets,
        p.cpu_ms_per_s,
    ));
    if p.seats > 1 {
        out.line(format_args!("  given up and back again: seat {} by now", p.seats));
    }
    if let Some(card) = &p.card {
        for (what, ring) in [("microphone", &card.mic), ("loudspeaker", &card.speaker)] {
            out.line(format_args!(
                "  {what}: {} underruns, {} ms skipped, {} to {} ms waiting",
                ring.underruns, ring.skipped_ms, ring.least_ms, ring.most_ms
            ));
        }
    }
    for received in &p.received {
        print_received(out, received);
    }
}

fn print_received(out: &mut Out, r: &ReceivedReport) {
    let (v, a) = (&r.video, &r.audio);
    out.line(format_args!(
        "  from {:8} picture {} {} of {} painted, {} % in time, {:.1} fps, SSIM {:.3}, {} kbit/s",
        r.from, v.size, v.frames_painted, v.frames_sent, v.on_time_pct, v.fps, v.ssim, v.kbps
    ));
    out.line(format_args!(
        "                latency {}, {} freezes/min, longest gap {} ms",
        spread(&v.latency_ms),
        v.freezes_per_min,
        v.longest_gap_ms
    ));
    let stoi = a.stoi.map_or_else(|| "-".into(), |s| format!("{s:.3}"));
    out.line(format_args!(
        "                sound latency {}, concealed {} %, recovered {} %, DRED {} %, longest gap \
         {} ms, STOI {stoi}, {} kbit/s",
        spread(&a.latency_ms),
        a.concealed_pct,
        a.recovered_pct,
        a.dred_pct,
        a.longest_gap_ms,
        a.kbps
    ));
    if r.away_ms > 0.0 {
        out.line(format_args!("                counted as lost for {} ms", r.away_ms));
    }
    out.line(format_args!("                sound and picture apart {}", spread(&r.av_skew_ms)));
    for (name, w) in &r.windows {
        out.line(format_args!(
            "                {name}: picture {:.1} fps, {} kbit/s, latency {}; sound latency {}, \
             concealed {} %; longest gaps {} and {} ms; fresh after {} and {} ms",
            w.fps,
            w.video_kbps,
            spread(&w.video_latency_ms),
            spread(&w.audio_latency_ms),
            w.concealed_pct,
            w.video_gap_ms,
            w.audio_gap_ms,
            or_dash(w.fresh_picture_ms),
            or_dash(w.fresh_sound_ms),
        ));
    }
}

fn or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".into(), |ms| ms.to_string())
}

fn spread(p: &Percentiles) -> String {
    format!("{}/{}/{} ms (p50/p95/p99)", p.p50, p.p95, p.p99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_parses_and_has_its_own_name() {
        for (name, text) in BUILT_IN {
            assert_eq!(Scenario::parse(text).expect(name).name, name);
        }
    }

    #[test]
    fn an_unusable_scenario_is_a_usage_error_that_names_the_line() {
        let text = "name='x'\nseconds=5\n[[participant]]\nname='ada'\n[[participant]]\nname='ben'\n\
                    [expect]\nall=['a < 3']\n";
        let error = Scenario::parse(text).expect_err("unusable");
        let failure = unusable("x.toml", text, &error);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.what.starts_with("x.toml:8: "), "{}", failure.what);
        let broken = "name='x'\nseconds=\n";
        let error = Scenario::parse(broken).expect_err("unusable");
        assert!(unusable("x.toml", broken, &error).what.contains("line 2"));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let failure = load(&Which::Named("cleen".into())).expect_err("unknown");
        assert!(failure.next.is_some_and(|n| n.contains("thin-100k")));
    }
}
