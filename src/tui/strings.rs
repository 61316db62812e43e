//! Every word of the screen, in one place.

use crate::tui::model::{
    AddressState, EveSees, LayoutKind, Status, TileInfo, Track, Trust, WordsState,
};
use std::time::Duration;

/// The program.
pub const NAME: &str = "facetty";
/// After copying.
pub const COPIED: &str = "invite copied, if your terminal allows it";
/// Own name in lists.
pub const YOU: &str = "you";
/// Waiting: title of the invite.
pub const INVITE: &str = "Invite";
/// Waiting: what to do with it.
pub const INVITE_HOW: &str = "Send it over a channel you trust. They type: facetty join";
/// Waiting: nothing leaves before admission.
pub const JOIN_SAFE: &str = "Nothing of you is captured for others before you are let in.";
/// Waiting: only private addresses.
pub const PRIVATE_ONLY: &str = "only private addresses: works on the same LAN or VPN";
/// The knock's title.
pub const KNOCK: &str = "Somebody knocks";
/// A contact's call.
pub const RING: &str = "A contact calls you";
/// While the call is locked.
pub const LOCKED: &str = "locked: nobody new comes in";
/// Somebody else pressed a key of the host's.
pub const HOST_DECIDES: &str = "the host decides that";
/// Over those who were removed.
pub const REMOVED: &str = "Removed";
/// The knock's guard.
pub const KNOCK_WAIT: &str = "read first: keys work in a moment";
/// The title over a changed key.
pub const DOUBT: &str = "Another key than you know";
/// What to do about it.
pub const DOUBT_HOW: &str =
    "A new device, or somebody else: ask them another way, compare both lines.";
/// The question before leaving.
pub const LEAVE: &str = "Leave the call?";
/// Pane titles.
pub const PEOPLE: &str = "People";
/// Pane titles.
pub const SECURITY: &str = "Who holds keys";
/// Pane titles.
pub const STATS: &str = "Figures";
/// Heading of the keys of a pane, in the help.
pub fn in_pane(title: &str) -> String {
    format!("In the pane \u{201c}{title}\u{201d}")
}
/// Pane titles.
pub const HELP: &str = "Keys";
/// Pane titles.
pub const EXPLAIN: &str = "What you are looking at";
/// Instead of call words that are still being computed.
pub const ONE_MOMENT: &str = "one moment";
/// After the program was stopped by the shell.
pub const AGAIN: &str =
    "microphone and camera, off while the program was stopped, are as they were";
/// A question of which not everything can be seen is not answered with yes.
pub const CUT: &str = "not before all of the question is on the screen: is the window too small?";
/// Above the call words.
pub const WORDS_HOW: &str = "Call words: read them to each other";
/// When all fits but the room.
pub const MORE: &str = "more lines: make the window larger";
/// Too small for pictures.
pub const TOO_SMALL: &str = "too small for pictures";
/// Demonstration: the warning while Eve holds keys.
pub const HANDED_OVER: &str =
    "You handed Eve Ben's frame keys: she sees Ada. r: new keys, blind again.";
/// Demonstration: what a key would show.
pub const NOT_HANDED_OVER: &str =
    "Eve has every byte and no key. k hands her one: watch her picture.";
/// Demonstration: its media keys are written to a file.
pub fn exporting(file: &str) -> String {
    format!("Media keys of this call go to {file}: whoever has it can watch.")
}

/// Demonstration: over the searches.
pub const SEARCH_TITLE: &str = "Searched for";
/// Demonstration: the count's own check.
pub const SEARCH_CONTROL: &str = "control";
/// Demonstration: hits.
pub const SEARCH_HITS: &str = "on line";

/// The demonstration in words.
pub const EXPLANATION: &[&str] = &[
    "Ada and Ben are complete participants: own identities, keys, codecs. They call over real \
     UDP sockets – through Eve, who copies every packet.",
    "Eve tries to open, decode and paint each frame: noise. t gives her even what QUIC delivers, \
     as if TLS were broken. See tcpdump -i lo udp port N",
    "The counts: secrets searched for on her line and, as a control, before sealing. No hits \
     count only with a working control; entropy proves nothing.",
    "k hands Eve the keys Ben uses: Ada's face appears, the noise was no trick. r makes new keys: \
     Eve is blind within a frame, and the call does not flicker.",
];

/// The path to somebody became thin, or wide enough again.
pub fn width(name: &str, thin: bool) -> String {
    if thin {
        format!("thin path to {name}: the line can see how much moves in your picture")
    } else {
        format!("path to {name} is wide again: picture sizes are hidden")
    }
}

/// A microphone in words.
pub fn mic(track: Track) -> &'static str {
    match track {
        Track::On => "mic on",
        Track::Off => "muted",
        Track::Absent => "no mic",
    }
}

/// A camera in words.
pub fn camera(track: Track) -> &'static str {
    match track {
        Track::On => "camera on",
        Track::Off => "camera off",
        Track::Absent => "no camera",
    }
}

/// The same for a narrow tile.
pub fn camera_short(track: Track) -> &'static str {
    match track {
        Track::On => "cam on",
        Track::Off => "cam off",
        Track::Absent => "no cam",
    }
}

/// What is wrong with a tile's picture, most important first.
pub fn tile_alert(tile: &TileInfo) -> Option<String> {
    if let Some(lost) = tile.lost {
        return Some(format!("lost, retrying {}", seconds(lost)));
    }
    if tile.waiting_for_screen {
        return Some("waiting for the screen".into());
    }
    if is_frozen(tile) {
        return tile.picture_age.map(|age| format!("frozen {}", seconds(age)));
    }
    None
}

/// Whether the newest picture is too old to pass as live.
pub fn is_frozen(tile: &TileInfo) -> bool {
    tile.camera == Track::On && tile.picture_age.is_some_and(|age| age > Duration::from_secs(1))
}

/// What a tile shows instead of a picture; `None`: it shows the picture.
pub fn tile_words(tile: &TileInfo) -> Option<String> {
    if let Some(message) = &tile.message {
        return Some(message.clone());
    }
    if tile.lost.is_some() || tile.waiting_for_screen {
        return tile_alert(tile);
    }
    match (tile.camera, tile.picture_age) {
        (Track::Off | Track::Absent, _) => Some(camera(tile.camera).into()),
        (Track::On, None) => Some("no picture yet".into()),
        (Track::On, Some(_)) => None,
    }
}

/// How well somebody is known, in a word or two.
pub fn trust_short(trust: &Trust) -> &'static str {
    match trust {
        Trust::Own => YOU,
        Trust::Verified(_) => "verified",
        Trust::Known(_) => "known",
        Trust::New => "new",
        Trust::Changed(_) => "NEW KEY",
    }
}

/// How well somebody is known, as a sentence.
pub fn trust_long(trust: &Trust) -> String {
    match trust {
        Trust::Own => YOU.into(),
        Trust::Verified(how) | Trust::Known(how) => how.clone(),
        Trust::New => "never met: not in your contacts".into(),
        Trust::Changed(who) => {
            format!("NOT the key you know under this name ({who}). Ask before you let them in.")
        }
    }
}

/// Call words in the status line.
pub fn words_hint(words: &WordsState) -> String {
    match words {
        WordsState::Computing => "words: one moment".into(),
        WordsState::NotCompared => "words not compared: i".into(),
        WordsState::Compared => "words match".into(),
        WordsState::Changed(why) => format!("new words, {why}: i"),
    }
}

/// The status line's figures.
pub fn figures(status: &Status) -> Vec<String> {
    let latency = status.latency_ms.map_or("– ms".into(), |ms| format!("{ms} ms"));
    vec![
        format!("{:.0} fps", status.fps),
        latency,
        format!("{:.1} % lost", status.loss_pct),
        format!("↑{} ↓{} kbit/s", status.up_kbps, status.down_kbps),
        status.graphics.to_string(),
    ]
}

/// An address's result.
pub fn address(state: &AddressState) -> String {
    match state {
        AddressState::Listening => "listening".into(),
        AddressState::Trying => "trying".into(),
        AddressState::Connected => "connected".into(),
        AddressState::Failed(why) => why.clone(),
    }
}

/// What Eve looks at.
pub fn eve_sees(what: EveSees) -> &'static str {
    match what {
        EveSees::Udp => "UDP bytes",
        EveSees::Quic => "inside QUIC",
    }
}

/// Somebody is shown large from now on.
pub fn pinned(name: &str) -> String {
    format!("{name} is pinned: large whoever speaks")
}

/// And no longer.
pub fn unpinned(name: &str) -> String {
    format!("{name} is not pinned any more")
}

/// The layout, after its key.
pub fn layout(kind: LayoutKind) -> &'static str {
    match kind {
        LayoutKind::Focus => "layout: the others large",
        LayoutKind::Speaker => "layout: who speaks large",
        LayoutKind::Grid => "layout: all the same",
        LayoutKind::Others => "layout: without yourself",
    }
}

/// "5 s", "3 min", "2 h".
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

/// "12:04", "1:02:33".
pub fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// "12 345".
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(5_900)), "5 s");
        assert_eq!(seconds(Duration::from_secs(3 * 60 + 5)), "3 min");
        assert_eq!(clock(Duration::from_secs(724)), "12:04");
        assert_eq!(clock(Duration::from_secs(3_753)), "1:02:33");
    }
}
