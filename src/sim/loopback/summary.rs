//! From figures to the report.

use crate::media::device::card::{CardFigures, SharedFigures};
use crate::media::seams::SAMPLE_RATE;
use crate::sim::measure::{Bench, Direction, State, intelligibility};
use crate::sim::report::{
    CardReport, ParticipantReport, ReceivedReport, Report, RingReport, VERSION, round,
};
use crate::sim::scenario::Scenario;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

/// The group's only cipher suite, by its name in the registry of RFC 9420.
const SUITE: &str = "MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519";

/// CPU time of this process, user and system.
pub(super) fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(
            u64::try_from(spent.tv_sec).unwrap_or(0),
            u32::try_from(spent.tv_nsec).unwrap_or(0),
        )
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

/// Everything that was measured, not judged yet.
pub(super) fn report(
    scenario: &Scenario,
    seed: u64,
    clock: &'static str,
    bench: &Bench,
    cpu: Duration,
) -> Report {
    let state = bench.lock();
    let end = (scenario.seconds * 1e6) as u64;
    let cpu_ms_per_s = round(cpu.as_secs_f64() * 1000.0 / scenario.seconds, 1);
    let mut failures = Vec::new();
    let mut participants = Vec::new();
    for (index, person) in state.people.iter().enumerate() {
        failures.extend(person.ended.iter().map(|why| format!("{}: {why}", person.name)));
        failures.extend(person.troubles.iter().map(|what| format!("{}: {what}", person.name)));
        let Some((since, seen)) = person.in_call else {
            failures.push(format!("{} was in no call with anybody", person.name));
            continue;
        };
        let until = seen.min(person.left.unwrap_or(end));
        let mut received = Vec::new();
        for (from, sender) in state.people.iter().enumerate().filter(|(from, _)| *from != index) {
            let Some((_, sender_until)) = sender.in_call else { continue };
            let sent = state.sent(from, index);
            // Both must be there; whoever stays to the end is watched to the end.
            let until = until.min(sender_until).min(sender.left.unwrap_or(end));
            let until = if until + 500_000 >= end { end } else { until };
            let nothing = Direction::default();
            let direction = state.direction(index, from).unwrap_or(&nothing);
            let mut audio = direction.audio(&sender.audio, until);
            audio.stoi = intelligibility(&sender.said, &person.heard, direction)
                .map(|score| round(score, 3));
            let windows: BTreeMap<_, _> = scenario
                .windows
                .iter()
                .map(|w| {
                    let us = |s: f64| (s * 1e6) as u64;
                    (
                        w.name.clone(),
                        direction.window(&sent, us(w.from), us(w.to), &sender.camera_off),
                    )
                })
                .collect();
            received.push(ReceivedReport {
                from: sender.name.clone(),
                video: direction.video(&sent, until, &sender.camera_off),
                audio,
                av_skew_ms: direction.skew(),
                away_ms: state.away_ms(index, from, until),
                windows,
            });
        }
        let first_picture = state
            .directions
            .iter()
            .filter(|((to, _), _)| *to == index)
            .filter_map(|(_, d)| d.first_shown())
            .min();
        let admitted = match index {
            // The founder meets the first who comes.
            0 => {
                state.joined.iter().filter(|(m, _)| Some(**m) != person.me).map(|(_, at)| *at).min()
            }
            _ => person.me.and_then(|me| state.joined.get(&me).copied()),
        };
        let first_picture_ms = first_picture
            .zip(admitted)
            .map(|(shown, admitted)| round(shown.saturating_sub(admitted) as f64 / 1000.0, 1));
        let until = if until + 500_000 >= end { end } else { until };
        participants.push(ParticipantReport {
            name: person.name.clone(),
            epoch: person.epoch,
            seats: person.seats,
            suite: SUITE,
            call_words_agree: state.words_agree(index),
            first_picture_ms,
            wire: State::wire_report(person, since, until),
            cpu_ms_per_s,
            card: person.card.as_ref().map(|(mic, speaker)| CardReport {
                mic: ring_report(mic),
                speaker: ring_report(speaker),
            }),
            received,
        });
    }
    Report {
        version: VERSION,
        scenario: scenario.name.clone(),
        seed,
        clock,
        ok: false,
        failures,
        short: Vec::new(),
        unexpected: Vec::new(),
        participants,
        changes: state.change_reports(),
        flows: Vec::new(),
        soak: None,
        tap: state.tap_report(),
    }
}

fn ring_report(figures: &SharedFigures) -> RingReport {
    let CardFigures { underruns, skipped, waited } =
        *figures.lock().unwrap_or_else(PoisonError::into_inner);
    let (least, most) = waited.unwrap_or_default();
    let ms = |d: Duration| round(d.as_secs_f64() * 1000.0, 1);
    RingReport {
        underruns,
        skipped_ms: round(skipped as f64 * 1000.0 / f64::from(SAMPLE_RATE), 1),
        least_ms: ms(least),
        most_ms: ms(most),
        swing_ms: ms(most - least),
    }
}
