//! Every key in one table: it drives the screen, the key bar, the help pane and the README.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key, as far as the screen knows keys. Letters come in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter, digit, mark or the space bar.
    Char(char),
    /// Control with a letter.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
}

/// Pressed, held, or let go (the last only on terminals that tell).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Pressed or repeated.
    Down,
    /// Let go.
    Up,
}

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Microphone on or off.
    Mic,
    /// Camera on or off.
    Camera,
    /// Microphone on while held.
    Talk,
    /// People pane.
    People,
    /// Who holds keys.
    Security,
    /// Next layout.
    Layout,
    /// Next graphics mode.
    Graphics,
    /// Figures.
    Stats,
    /// Keys.
    Help,
    /// Leave, after one question.
    Leave,
    /// Leave at once.
    LeaveNow,
    /// Let the knocker in.
    Admit,
    /// Refuse the knocker.
    Decline,
    /// It is the contact, with a new key.
    Believe,
    /// It is not, or the user isn't sure.
    Disbelieve,
    /// Copy the invite to the clipboard.
    Copy,
    /// Make a further invite.
    Invite,
    /// The call words were read aloud and match.
    WordsMatch,
    /// Keep the ledger in a file.
    KeepLedger,
    /// Choose the next person in the list.
    NextPerson,
    /// Remove the chosen person, after one question.
    Remove,
    /// Remove them.
    RemoveNow,
    /// Nobody new may come in; or again.
    Lock,
    /// The chosen person may let people in; or no longer.
    Admitter,
    /// The chosen person, who was removed, may come in again.
    Readmit,
    /// Nobody may use the invite on the screen any more.
    VoidInvite,
    /// Demonstration: hand Eve Ben's current frame keys.
    HandOver,
    /// Demonstration: new keys for everybody.
    NewKeys,
    /// Demonstration: what Eve looks at.
    EveSees,
    /// Demonstration: explain the screen.
    Explain,
    /// Demonstration: Eve attacks, 1 to 9.
    Attack(u8),
    /// Show this one of the others large, 1 to 9.
    Pin(u8),
    /// Close the pane.
    Close,
    /// Draw everything anew.
    Redraw,
    /// Stop the program for a while (the shell's job control).
    Suspend,
}

/// Where a key is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Waiting for the first other member.
    Waiting,
    /// An invite stands on the screen.
    Invite,
    /// In a call.
    Call,
    /// In the demonstration.
    Demo,
    /// A knock is on the screen.
    Knock,
    /// A contact's name came with another key: the question is on the screen.
    Doubt,
    /// "Leave?" is on the screen.
    LeaveQuestion,
    /// "Remove …?" is on the screen.
    RemoveQuestion,
    /// The people pane is open.
    People,
    /// The security pane is open.
    Security,
    /// Any pane is open.
    Pane,
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    /// The key.
    pub key: Key,
    /// Where.
    pub places: &'static [Place],
    /// What it means.
    pub action: Action,
    /// The key in words.
    pub label: &'static str,
    /// For the key bar; empty: not in the bar.
    pub short: &'static str,
    /// For help.
    pub help: &'static str,
}

impl Binding {
    /// Explained by the row before it.
    pub fn is_one_of_many(&self) -> bool {
        matches!(self.action, Action::Pin(2..))
    }
}

const fn row(
    key: Key,
    places: &'static [Place],
    action: Action,
    label: &'static str,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { key, places, action, label, short, help }
}

use Action as A;
use Key::{Char, Ctrl, Esc};
use Place as P;

/// An attack of the demonstration.
const fn attack(
    key: char,
    label: &'static str,
    short: &'static str,
    help: &'static str,
) -> Binding {
    row(Char(key), &[P::Demo], A::Attack(key as u8 - b'0'), label, short, help)
}

/// One of the others, large.
const fn pin(key: char, label: &'static str, help: &'static str) -> Binding {
    row(Char(key), &[P::Call], A::Pin(key as u8 - b'0'), label, "", help)
}

const TALKING: &[Place] = &[P::Waiting, P::Call, P::Knock];
const EVERYWHERE: &[Place] = &[
    P::Waiting,
    P::Call,
    P::Demo,
    P::Knock,
    P::Doubt,
    P::LeaveQuestion,
    P::RemoveQuestion,
    P::Pane,
];

/// The table, in the order of the key bar.
pub const TABLE: &[Binding] = &[
    row(Char('a'), &[P::Knock], A::Admit, "a", "let in", "let the knocker in"),
    row(Char('d'), &[P::Knock], A::Decline, "d", "decline", "refuse the knocker"),
    row(
        Char('a'),
        &[P::Doubt],
        A::Believe,
        "a",
        "it is them",
        "you are sure: it is them, with a new key",
    ),
    row(
        Char('d'),
        &[P::Doubt],
        A::Disbelieve,
        "d",
        "not sure",
        "you are not: nothing is sent to them",
    ),
    row(Char('q'), &[P::LeaveQuestion], A::LeaveNow, "q", "leave", "leave the call"),
    row(Esc, &[P::LeaveQuestion], A::Close, "any other key", "stay", "stay in the call"),
    row(Char('x'), &[P::RemoveQuestion], A::RemoveNow, "x", "remove", "remove them from the call"),
    row(Esc, &[P::RemoveQuestion], A::Close, "any other key", "keep", "let them stay"),
    row(
        Char('w'),
        &[P::Security],
        A::WordsMatch,
        "w",
        "words match",
        "you read the call words to each other and they are the same",
    ),
    row(
        Char('f'),
        &[P::Security],
        A::KeepLedger,
        "f",
        "keep ledger",
        "keep the ledger in a file: who held keys when",
    ),
    row(Char('o'), &[P::People], A::NextPerson, "o", "next", "choose the next person"),
    row(
        Char('x'),
        &[P::People],
        A::Remove,
        "x",
        "remove",
        "remove the chosen person, after one question",
    ),
    row(
        Char('k'),
        &[P::People],
        A::Lock,
        "k",
        "lock",
        "lock the call: nobody new comes in; or unlock it",
    ),
    row(
        Char('t'),
        &[P::People],
        A::Admitter,
        "t",
        "trust to let in",
        "the chosen person may let people in; or no longer",
    ),
    row(
        Char('b'),
        &[P::People],
        A::Readmit,
        "b",
        "bring back",
        "the chosen person, who was removed, may come in again",
    ),
    row(Char('n'), &[P::People], A::Invite, "n", "new invite", "make a further invite"),
    row(
        Char('u'),
        &[P::People],
        A::VoidInvite,
        "u",
        "void invite",
        "nobody may use the invite in the pane any more",
    ),
    row(Char('y'), &[P::Invite], A::Copy, "y", "copy invite", "copy the invite to the clipboard"),
    row(
        Char('k'),
        &[P::Demo],
        A::HandOver,
        "k",
        "hand Eve a key",
        "hand Eve Ben's current frame keys: her noise becomes a face",
    ),
    row(
        Char('r'),
        &[P::Demo],
        A::NewKeys,
        "r",
        "new keys",
        "new keys for Ada and Ben: Eve is blind again",
    ),
    row(
        Char('t'),
        &[P::Demo],
        A::EveSees,
        "t",
        "Eve's tap",
        "Eve looks at UDP bytes, or at what QUIC delivers",
    ),
    attack('1', "1-9", "attack", "Eve flips bits in packets"),
    attack('2', "2", "", "Eve repeats packets"),
    attack('3', "3", "", "Eve sends Ben Ada's frames on a connection of her own"),
    attack('4', "4", "", "Eve knocks with a copied invite, as Ben"),
    attack('5', "5", "", "Eve ends TLS on both sides of a newcomer's handshake"),
    attack('6', "6", "", "Eve drops three packets in ten"),
    attack('7', "7", "", "Eve brings commits of her own"),
    attack('8', "8", "", "Eve doubles packets and changes their order"),
    attack('9', "9", "", "Eve floods Ada with ten thousand datagrams"),
    row(Char('e'), &[P::Demo], A::Explain, "e", "explain", "what you are looking at"),
    row(Char('m'), TALKING, A::Mic, "m", "mic", "microphone on or off"),
    row(Char('v'), TALKING, A::Camera, "v", "camera", "camera on or off"),
    row(Char(' '), TALKING, A::Talk, "space", "talk", "microphone on while you hold the key"),
    row(Char('p'), &[P::Call], A::People, "p", "people", "who is here; invite somebody"),
    row(
        Char('i'),
        &[P::Call],
        A::Security,
        "i",
        "keys",
        "who holds keys, the call words, what the line shows",
    ),
    row(Char('s'), &[P::Call], A::Stats, "s", "stats", "figures: rates, latency, loss"),
    row(
        Char('l'),
        &[P::Call],
        A::Layout,
        "l",
        "layout",
        "others large, speaker large, all equal, without yourself",
    ),
    pin('1', "1-9", "pin the first of the others (or another): large whoever speaks; again: not"),
    pin('2', "2", "pin the second of the others"),
    pin('3', "3", "pin the third of the others"),
    pin('4', "4", "pin the fourth of the others"),
    pin('5', "5", "pin the fifth of the others"),
    pin('6', "6", "pin the sixth of the others"),
    pin('7', "7", "pin the seventh of the others"),
    pin('8', "8", "pin the eighth of the others"),
    pin('9', "9", "pin the ninth of the others"),
    row(
        Char('g'),
        &[P::Waiting, P::Call, P::Demo],
        A::Graphics,
        "g",
        "graphics",
        "next graphics mode",
    ),
    row(Esc, &[P::Pane], A::Close, "esc", "close", "close the pane"),
    row(Char('?'), &[P::Waiting, P::Call, P::Demo], A::Help, "?", "help", "these keys"),
    row(Char('q'), &[P::Demo], A::LeaveNow, "q", "quit", "end the demonstration"),
    row(Char('q'), &[P::Waiting, P::Call], A::Leave, "q", "leave", "leave, after one question"),
    row(Ctrl('c'), EVERYWHERE, A::LeaveNow, "ctrl-c", "", "leave at once"),
    row(Ctrl('l'), EVERYWHERE, A::Redraw, "ctrl-l", "", "draw the screen anew"),
    row(
        Ctrl('z'),
        EVERYWHERE,
        A::Suspend,
        "ctrl-z",
        "",
        "to the shell; microphone and camera stop first",
    ),
];

/// What `key` means where the first of `places` that knows it wins.
pub fn find(key: Key, places: &[Place]) -> Option<Action> {
    places.iter().find_map(|place| {
        TABLE.iter().find(|row| row.key == key && row.places.contains(place)).map(|row| row.action)
    })
}

/// The rows valid in `places`, in the order of the table; one row per key.
pub fn valid(places: &[Place]) -> Vec<&'static Binding> {
    let mut rows: Vec<&Binding> = Vec::new();
    for row in TABLE {
        let hidden = rows.iter().any(|r| r.key == row.key);
        if !hidden && places.iter().any(|p| row.places.contains(p)) {
            rows.push(row);
        }
    }
    rows
}

/// The keys as a Markdown table, for the README.
pub fn markdown() -> String {
    let mut text = String::from("| key | does |\n|---|---|\n");
    for row in TABLE.iter().filter(|r| r.label != "any other key" && !r.is_one_of_many()) {
        text.push_str(&format!("| {} | {} |\n", row.label, row.help));
    }
    text
}

/// A terminal's key event in our terms; `None`: not a key the screen knows.
pub fn from_event(event: KeyEvent) -> Option<(Key, Press)> {
    let press = match event.kind {
        KeyEventKind::Release => Press::Up,
        KeyEventKind::Press | KeyEventKind::Repeat => Press::Down,
    };
    let key = match event.code {
        KeyCode::Char(c) if event.modifiers.contains(KeyModifiers::CONTROL) => {
            Ctrl(c.to_ascii_lowercase())
        }
        KeyCode::Char(_) if event.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => Char(c.to_ascii_lowercase()),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Esc,
        _ => return None,
    };
    Some((key, press))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for (n, row) in TABLE.iter().enumerate() {
            for other in &TABLE[n + 1..] {
                let shared = row.places.iter().find(|p| other.places.contains(p));
                assert!(row.key != other.key || shared.is_none(), "{row:?} {other:?}");
            }
        }
    }

    #[test]
    fn ctrl_c_works_everywhere() {
        for place in EVERYWHERE {
            assert_eq!(find(Ctrl('c'), &[*place]), Some(A::LeaveNow));
        }
    }

    #[test]
    fn enter_means_nothing_anywhere() {
        assert!(TABLE.iter().all(|row| row.key != Key::Enter));
    }

    #[test]
    fn every_key_is_explained() {
        assert!(TABLE.iter().all(|row| !row.label.is_empty() && !row.help.is_empty()));
        assert!(markdown().contains("| m | microphone on or off |"));
    }
}
