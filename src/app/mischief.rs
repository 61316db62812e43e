//! What Eve is up to in the demonstration, in words.

use crate::node::NodeView;
use crate::sim::attacks::live::{Doing, Mischief, Trick};
use crate::sim::evidence::Delivered;
use crate::tui::model::AttackInfo;
use crate::tui::strings::thousands;
use crate::wire::sframe::StreamKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An attack stays on the screen for this long after its end.
const LINGERS: Duration = Duration::from_secs(5);

/// The newest attack, if it is still worth a line.
pub(super) fn in_words(
    mischief: &Mischief,
    views: &[Arc<NodeView>; 2],
    now: Instant,
) -> Option<AttackInfo> {
    let doing = mischief.now()?;
    if doing.over.is_some_and(|at| now.saturating_duration_since(at) > LINGERS) {
        return None;
    }
    Some(AttackInfo {
        key: doing.trick.key(),
        eve: eve(&doing),
        members: members(&doing, views),
        over: doing.over.is_some(),
    })
}

fn eve(doing: &Doing) -> String {
    let n = thousands(doing.count);
    match doing.trick {
        Trick::Flip => format!("Eve flipped a bit in {n} packets"),
        Trick::Replay => format!("Eve repeated {n} packets"),
        Trick::Splice => format!("Eve sent Ben {n} of Ada's frames"),
        Trick::Knock => "Eve knocks as “Ben Nevis”".into(),
        Trick::MiddleMan => format!("Eve ends TLS herself: {n} messages"),
        Trick::Drop => format!("Eve dropped {n} packets, 30 %"),
        Trick::Commit => format!("Eve brought {n} forged commits"),
        Trick::Reorder => format!("Eve doubled and swapped {n} packets"),
        Trick::Flood => format!("Eve sent Ada {n} datagrams"),
    }
}

/// What Ada's and Ben's own machines say.
fn members(doing: &Doing, views: &[Arc<NodeView>; 2]) -> String {
    let counters = views.each_ref().map(|view| view.call.counters);
    let through: u64 = counters.iter().map(|c| c.bad_seal + c.forged + c.malformed).sum();
    let refused: u64 = counters.iter().map(|c| c.refused).sum();
    let roster = views[0].call.members.len();
    match doing.trick {
        Trick::Flip | Trick::Replay | Trick::Drop | Trick::Reorder => {
            format!("altered and taken: {through}")
        }
        Trick::Splice if doing.note.is_empty() => format!("read: {through}"),
        Trick::Splice => format!("read: {through}, {}", doing.note),
        Trick::Knock => match views[0].call.knocks.first() {
            Some(knock) => format!("Ada sees {}; Eve sees {} people", knock.fingerprint, doing.got),
            None => "not let in".into(),
        },
        Trick::MiddleMan => format!("refused: {refused}. {}", doing.note),
        Trick::Commit => format!("refused: {refused}, taken: {}, members: {roster}", doing.got),
        Trick::Flood => format!("got in: {}", roster.saturating_sub(2)),
    }
}

/// Sealed objects delivered, by sender and stream, one per line.
pub(super) fn delivered_lines(delivered: &Delivered) -> Vec<String> {
    let word = |stream: &StreamKind| match stream {
        StreamKind::Audio => "audio",
        StreamKind::Video => "video",
        StreamKind::Screen => "screen",
        StreamKind::Data => "data",
    };
    delivered
        .iter()
        .map(|((leaf, stream), n)| format!("delivered leaf {leaf} {} {n}", word(stream)))
        .collect()
}
