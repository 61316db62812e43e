//! What happens to a call from outside: lines that are shared, machines that move, processes that
//! stop, clocks that differ, downloads beside it.

mod played;

use facetty::sim::loopback::{LoopbackError, Options, play};
use facetty::sim::report::{ReceivedReport, Report, WindowReport};
use played::{comparable, played, scenario};

const TWO: &str = r#"
name = "life"
seconds = 12
seed = 3
[[participant]]
name = "ada"
[[participant]]
name = "ben"
"#;

fn direction(report: &Report, to: usize) -> &ReceivedReport {
    report.participants[to].received.first().expect("one other")
}

fn window<'a>(report: &'a Report, to: usize, name: &str) -> &'a WindowReport {
    direction(report, to).windows.get(name).expect("a window of this name")
}

#[test]
fn a_line_of_ones_own_is_shared_by_all_one_sends() {
    let text = TWO.replace(
        "name = \"ben\"",
        "name = \"ben\"\nup_kbps = 250\nup_queue_ms = 200\n[[participant]]\nname = \"cai\"",
    );
    let report = played(&format!("{text}[link]\ndelay_ms = 20\n"));
    let up = |index: usize| report.participants[index].wire.up_kbps;
    assert!(up(1) <= 250.0, "{} kbit/s of ben's", up(1));
    assert!(up(0) > 200.0 && up(2) > 200.0, "the others have no such line");
}

#[test]
fn who_dialled_may_move_to_another_network_and_stays_in_the_call() {
    let report = played(&format!(
        "{TWO}[link]\ndelay_ms=20\n[[at]]\ns=6\nlink={{delay_ms=100}}\n\
         [[at]]\ns=6\nwho='ben'\naction='change-address'\n\
         [[window]]\nname='moved'\nfrom=6\nto=12\n"
    ));
    for (to, p) in report.participants.iter().enumerate() {
        assert_eq!((p.seats, p.epoch), (1, 1));
        let moved = window(&report, to, "moved");
        assert!(moved.audio_gap_ms <= 500.0, "{moved:?}");
        assert!(moved.freezes <= 1 && moved.video_gap_ms <= 700.0, "{moved:?}");
        assert_eq!(direction(&report, to).away_ms, 0.0);
    }
}

#[test]
fn a_router_that_forgets_is_not_even_noticed() {
    let report = played(&format!(
        "{TWO}[link]\ndelay_ms=20\n[[at]]\ns=6\nwho='ben'\naction='nat-rebind'\n\
         [[window]]\nname='after'\nfrom=6\nto=12\n"
    ));
    for to in [0, 1] {
        let after = window(&report, to, "after");
        assert!(after.audio_gap_ms <= 200.0 && after.freezes <= 1, "{after:?}");
        assert_eq!(report.participants[to].seats, 1);
    }
}

#[test]
fn whoever_was_stopped_plays_nothing_of_what_it_missed() {
    let report = played(&format!(
        "{TWO}[link]\ndelay_ms=20\n\
         [[at]]\ns=4\nwho='ben'\naction='suspend'\n[[at]]\ns=7\nwho='ben'\naction='resume'\n\
         [[window]]\nname='gone'\nfrom=4.5\nto=7\n[[window]]\nname='back'\nfrom=7\nto=12\n"
    ));
    for to in [0, 1] {
        let (gone, back) = (window(&report, to, "gone"), window(&report, to, "back"));
        assert_eq!((gone.fps, gone.audio_gap_ms), (0.0, 2500.0), "nothing runs");
        assert!(back.fresh_sound_ms.is_some_and(|ms| ms <= 300.0), "{back:?}");
        assert!(back.audio_latency_ms.max <= 300.0, "{back:?}");
        assert!(back.fresh_picture_ms.is_some(), "{back:?}");
        assert_eq!(report.participants[to].seats, 1);
    }
}

#[test]
fn a_download_beside_the_call_is_told_apart_from_it() {
    let line = "up_kbps = 500\nup_queue_ms = 1000\n";
    let text = TWO.replace(
        "[[participant]]\nname = \"ben\"",
        &format!("{line}[[participant]]\nname = \"ben\""),
    );
    let flow = "[[flow]]\nfrom='ada'\nto='ben'\nat=3\n";
    let (alone, beside) = (played(&text), played(&format!("{text}{flow}")));
    assert!(alone.flows.is_empty());
    let [download] = beside.flows.as_slice() else { panic!("one download") };
    assert!(download.kbps > 100.0 && download.longest_round_trip_ms > 500.0, "{download:?}");
    let (up, both) = (alone.participants[0].wire.up_kbps, beside.participants[0].wire.up_kbps);
    assert!(both < up + 50.0, "{both} kbit/s are not ada's, who needs {up}");
}

#[test]
fn cards_with_clocks_of_their_own_are_told_of() {
    let text = TWO.replace("name = \"ada\"", "name = \"ada\"\nclock_ppm = 300").replace("12", "25");
    let report = played(&text);
    let card = report.participants[0].card.expect("ada's");
    assert!(card.mic.most_ms > 0.0 && card.speaker.most_ms > 0.0, "{card:?}");
    assert!(report.participants[1].card.is_none());
    let heard = &direction(&report, 1).audio;
    assert!(heard.stoi.is_some_and(|score| score > 0.9), "{heard:?}");
}

#[test]
fn equal_seeds_give_equal_reports_whatever_happens() {
    let text = format!(
        "{}[link]\ndelay_ms=30\njitter_ms=4\nloss_pct=3\n\
         [[at]]\ns=3\nwho='ben'\naction='suspend'\n[[at]]\ns=4\nwho='ben'\naction='resume'\n\
         [[at]]\ns=8\nwho='ada'\naction='change-address'\n\
         [[at]]\ns=6\nwho='ben'\naction='nat-rebind'\n[[at]]\ns=9\nwho='ada'\nup_kbps=400\n\
         [[flow]]\nfrom='ada'\nto='ben'\nat=5\nuntil=7\n[[window]]\nname='w'\nfrom=3\nto=10\n",
        TWO.replace("name = \"ada\"", "name = \"ada\"\nup_kbps = 600\nclock_ppm = 150")
    );
    let with_seed = |seed| {
        let options = Options { seed: Some(seed), ..Options::default() };
        comparable(&play(&scenario(&text), options).expect("played"))
    };
    let first = with_seed(7);
    assert_eq!(first, with_seed(7));
    assert_ne!(first, with_seed(8));
}

#[test]
fn what_only_the_virtual_network_has_is_refused_in_real_time_with_the_reason() {
    let line = TWO.replace("name = \"ada\"", "name = \"ada\"\nup_kbps = 600");
    let cases = [
        (line, "own line of \"ada\""),
        (format!("{TWO}[[at]]\ns=3\nwho='ben'\ndown_kbps=100\n"), "own line of \"ben\""),
        (format!("{TWO}[[at]]\ns=3\nwho='ben'\naction='nat-rebind'\n"), "addresses change"),
        (format!("{TWO}[[at]]\ns=3\nwho='ben'\naction='suspend'\n"), "processes stop"),
        (format!("{TWO}[[flow]]\nfrom='ada'\nto='ben'\n"), "[[flow]]"),
    ];
    for (text, reason) in cases {
        let options = Options { real_time: true, ..Options::default() };
        let Err(LoopbackError::Scenario(why)) = play(&scenario(&text), options) else {
            panic!("refused: {text}")
        };
        assert!(why.contains(reason) && why.contains("--real-time"), "{why}");
    }
}
