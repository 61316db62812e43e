//! How long it takes from being let in until the first picture of the other is there.

mod played;

use facetty::sim::loopback::{Options, play};
use played::scenario;

/// Calls with different networks.
const SEEDS: u64 = 64;

const TWO: &str = r#"
name = "first"
seconds = 5
[[participant]]
name = "ada"
[[participant]]
name = "ben"
[link]
delay_ms = 50
"#;

/// From admission to the first picture, in ms, at both ends of one call after the other, in order.
fn first_pictures(text: &str, seeds: u64) -> Vec<f64> {
    let scenario = scenario(text);
    let one = |seed| {
        let options = Options { seed: Some(seed), ..Options::default() };
        let report = play(&scenario, options).expect("played");
        report.participants.into_iter().map(move |p| {
            // Somebody who saw nothing, or was never let in, waited for as long as it lasted.
            p.first_picture_ms.unwrap_or(f64::INFINITY)
        })
    };
    let mut all: Vec<f64> = (0..seeds).flat_map(one).collect();
    all.sort_by(f64::total_cmp);
    all
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the figures, with --no-capture")]
fn the_first_picture_is_there_400_ms_after_admission_at_a_round_trip_of_100_ms() {
    let all = first_pictures(TWO, 8);
    println!("{all:?}");
    assert!(all.iter().all(|ms| *ms <= 400.0), "{all:?}");
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the figures, with --no-capture")]
fn at_20_percent_loss_97_of_100_first_pictures_come_within_1100_ms() {
    let all = first_pictures(&format!("{TWO}loss_pct = 20\n"), SEEDS);
    println!("{all:?}");
    // A handshake may take longer than that on such a line; who came in waits for pictures.
    assert!(all.len() as u64 >= 2 * SEEDS - 8, "nearly everybody was in the call");
    let p97 = all[(all.len() * 97).div_ceil(100) - 1];
    assert!(p97 <= 1100.0, "p97 {p97} ms: {all:?}");
}
