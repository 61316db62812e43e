//! The demonstration as lines, for pipes, logs and screen readers.

use crate::tui::model::{DemoFlow, DemoScreen};

/// The facts of the demonstration, one per line, the same as on the screen.
pub fn demo_lines(demo: &DemoScreen) -> Vec<String> {
    let [ada, left, right, ben] = demo.ports;
    let words = |n: usize| demo.words[n].as_deref().unwrap_or("-").replace(" · ", " ");
    let (hits, control) = demo.totals();
    let mut lines = vec![
        format!("line Ada 127.0.0.1:{ada} <-> {left} Eve {right} <-> 127.0.0.1:{ben} Ben"),
        format!("roster {}", demo.roster.join(", ")),
        format!("epoch {} {}", demo.epoch[0], demo.epoch[1]),
        format!("suite {}", demo.suite),
        format!("call_words_ada {}", words(0)),
        format!("call_words_ben {}", words(1)),
        format!("call_words_agree {}", demo.words_agree()),
        flow("ada_to_ben", &demo.flows[0]),
        flow("ben_to_ada", &demo.flows[1]),
    ];
    for row in &demo.searches {
        let what = row.what.replace(' ', "_");
        lines.push(format!("search {what} {} (control {})", row.hits, row.control));
    }
    lines.push(format!("plaintext_hits {hits} (control {control})"));
    lines.push(format!(
        "entropy {:.2} before sealing, {:.2} on the line",
        demo.entropy[0], demo.entropy[1]
    ));
    lines.push(format!("eve_frames tried {} opened {}", demo.tried[0], demo.tried[1]));
    lines.push(format!("eve_saw {} packets {} bytes", demo.seen[0], demo.seen[1]));
    lines
}

fn flow(name: &str, flow: &DemoFlow) -> String {
    let latency = flow.latency_ms.map_or("-".into(), |ms| ms.to_string());
    format!(
        "{name} fps {:.1} latency_ms {latency} loss_pct {:.1} kbps {}",
        flow.fps, flow.loss_pct, flow.kbps
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::model::Screen;
    use crate::tui::view::samples;

    #[test]
    fn the_lines_state_hits_and_control() {
        let Screen::Demo(demo) = samples::demo().screen else { panic!("a demonstration") };
        let lines = demo_lines(&demo);
        assert!(lines.iter().any(|l| l == "plaintext_hits 0 (control 1260)"), "{lines:#?}");
        assert!(lines.iter().any(|l| l == "call_words_agree true"));
        assert!(lines.iter().all(|l| l.is_ascii()), "for any terminal");
    }
}
