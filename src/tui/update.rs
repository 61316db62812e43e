//! What a key does: changes the model, and perhaps asks whoever runs the call to do something.

use crate::tui::keymap::{self, Action, Key, Place, Press};
use crate::tui::model::{Model, Pane, PersonInfo, Screen, Trust, WordsState};
use crate::tui::strings;
use std::time::{Duration, Instant};

/// Keys are ignored for this long after a knock appears: nobody lets a stranger in by a key that
/// was on its way to something else.
pub const KNOCK_GUARD: Duration = Duration::from_millis(700);
/// Hold-to-talk lasts this long after the first press: terminals repeat a held key only after half
/// a second or more.
const TALK_FIRST: Duration = Duration::from_millis(800);
/// … and this long after each repeat.
const TALK_REPEAT: Duration = Duration::from_millis(250);

/// What the screen asks of whoever runs the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Microphone on or off (hold-to-talk included).
    Mic(bool),
    /// Camera on or off.
    Camera(bool),
    /// Let this knock in.
    Admit(u32),
    /// Refuse this knock.
    Decline(u32),
    /// The user is sure of somebody with a changed key.
    Believe([u8; 32]),
    /// The user is not.
    Disbelieve([u8; 32]),
    /// Make a further invite.
    NewInvite,
    /// Copy the invite (OSC 52).
    CopyInvite,
    /// Next graphics mode.
    NextGraphics,
    /// Remove this member.
    Remove(u32),
    /// Lock the call, or unlock it.
    Lock(bool),
    /// Keep the ledger in a file.
    KeepLedger,
    /// The user says the call words match.
    WordsMatch,
    /// Hand Eve Ben's frame keys.
    HandOver,
    /// New keys for everybody.
    NewKeys,
    /// Switch what Eve looks at.
    SwitchEve,
    /// Eve attacks, 1 to 9.
    Attack(u8),
    /// The room for pictures changed: lay out and paint anew.
    Redraw,
    /// Stop for job control.
    Suspend,
    /// Leave.
    Leave,
}

impl Model {
    /// A key was pressed or let go at `now`.
    pub fn press(&mut self, key: Key, press: Press, now: Instant) -> Option<Command> {
        if press == Press::Up {
            let space = key == Key::Char(' ');
            return if space { self.stop_talking() } else { None };
        }
        // Leaving and stopping always work; everything else waits until the knock can be read.
        let since = self.doubt().map(|(_, t)| t).or(self.knock().map(|(_, t)| t));
        let guarded = since.is_some_and(|since| now < since + KNOCK_GUARD);
        let action = keymap::find(key, &self.places());
        if guarded && !matches!(action, Some(Action::LeaveNow | Action::Suspend | Action::Redraw)) {
            return None;
        }
        if self.removing.is_some() && !matches!(action, Some(Action::RemoveNow | Action::LeaveNow))
        {
            self.removing = None;
            return None;
        }
        if self.asking_to_leave && !matches!(action, Some(Action::LeaveNow | Action::Suspend)) {
            self.asking_to_leave = false;
            return None;
        }
        self.act(action?, now)
    }

    /// Time passes: hold-to-talk ends, notes go.
    pub fn tick(&mut self, now: Instant) -> Option<Command> {
        if self.note.as_ref().is_some_and(|n| now >= n.until) {
            self.note = None;
        }
        match self.talk_until {
            Some(until) if now >= until => self.stop_talking(),
            _ => None,
        }
    }

    /// When [`Model::tick`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.talk_until.into_iter().chain(self.note.as_ref().map(|n| n.until)).min()
    }

    /// Where keys are looked up now, most particular first.
    pub fn places(&self) -> Vec<Place> {
        if self.asking_to_leave {
            return vec![Place::LeaveQuestion];
        }
        if self.removing.is_some() && self.doubt().is_none() && self.knock().is_none() {
            return vec![Place::RemoveQuestion];
        }
        if self.doubt().is_some() {
            return vec![Place::Doubt];
        }
        if self.knock().is_some() {
            return vec![Place::Knock];
        }
        let mut places = Vec::new();
        match self.pane {
            Some(Pane::People) => places.extend([Place::People, Place::Pane]),
            Some(Pane::Security) => places.extend([Place::Security, Place::Pane]),
            Some(_) => places.push(Place::Pane),
            None => {}
        }
        if self.shows_invite() {
            places.push(Place::Invite);
        }
        places.push(match self.screen {
            Screen::Waiting(_) => Place::Waiting,
            Screen::Call(_) => Place::Call,
            Screen::Demo(_) => Place::Demo,
        });
        places
    }

    fn act(&mut self, action: Action, now: Instant) -> Option<Command> {
        match action {
            Action::Mic => {
                self.talk_until = None;
                self.mic = !self.mic;
                Some(Command::Mic(self.mic))
            }
            Action::Camera => {
                self.camera = !self.camera;
                Some(Command::Camera(self.camera))
            }
            Action::Talk => self.talk(now),
            Action::People => self.toggle(Pane::People),
            Action::Security => self.toggle(Pane::Security),
            Action::Stats => self.toggle(Pane::Stats),
            Action::Help => self.toggle(Pane::Help),
            Action::Explain => self.toggle(Pane::Explain),
            Action::Layout => {
                self.layout = self.layout.next();
                self.tell(strings::layout(self.layout), now);
                Some(Command::Redraw)
            }
            Action::Graphics => Some(Command::NextGraphics),
            Action::Leave => {
                self.asking_to_leave = true;
                None
            }
            Action::LeaveNow => Some(Command::Leave),
            Action::Admit => self.answer(Command::Admit),
            Action::Decline => self.answer(Command::Decline),
            Action::Believe => self.decide(Command::Believe),
            Action::Disbelieve => self.decide(Command::Disbelieve),
            Action::Copy => self.copy(now),
            Action::Invite => Some(Command::NewInvite),
            Action::WordsMatch => self.words_match(),
            Action::KeepLedger => Some(Command::KeepLedger),
            Action::NextPerson => {
                self.chosen = self.chosen_person().map_or(0, |p| p.member);
                self.chosen = self.next_person().unwrap_or(self.chosen);
                None
            }
            Action::Remove => {
                self.removing = self.chosen_person().map(|p| (p.member, p.name.clone()));
                None
            }
            Action::Lock => match &self.screen {
                Screen::Call(call) => Some(Command::Lock(!call.security.locked)),
                _ => None,
            },
            Action::RemoveNow => self.removing.take().map(|(member, _)| Command::Remove(member)),
            Action::HandOver => Some(Command::HandOver),
            Action::NewKeys => Some(Command::NewKeys),
            Action::EveSees => Some(Command::SwitchEve),
            Action::Attack(n) => Some(Command::Attack(n)),
            Action::Close => {
                self.pane = None;
                Some(Command::Redraw)
            }
            Action::Redraw => Some(Command::Redraw),
            Action::Suspend => Some(Command::Suspend),
        }
    }

    fn toggle(&mut self, pane: Pane) -> Option<Command> {
        self.pane = if self.pane == Some(pane) { None } else { Some(pane) };
        Some(Command::Redraw)
    }

    /// Answers the knock on the screen and brings up the next one, whose guard starts anew.
    fn answer(&mut self, command: impl FnOnce(u32) -> Command) -> Option<Command> {
        let (id, _) = self.knock_since.take()?;
        self.knocks.retain(|k| k.id != id);
        Some(command(id))
    }

    fn decide(&mut self, command: impl FnOnce([u8; 32]) -> Command) -> Option<Command> {
        let (identity, _) = self.doubt_since.take()?;
        self.doubts.retain(|d| d.identity != identity);
        Some(command(identity))
    }

    fn copy(&mut self, now: Instant) -> Option<Command> {
        self.tell(strings::COPIED, now);
        Some(Command::CopyInvite)
    }

    /// Everybody else in the call.
    fn others(&self) -> Vec<&PersonInfo> {
        match &self.screen {
            Screen::Call(call) => {
                call.security.people.iter().filter(|p| p.trust != Trust::Own).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The person the keys of the people pane are about.
    pub fn chosen_person(&self) -> Option<&PersonInfo> {
        let others = self.others();
        others.iter().find(|p| p.member == self.chosen).or(others.first()).copied()
    }

    fn next_person(&self) -> Option<u32> {
        let others = self.others();
        let at = others.iter().position(|p| p.member == self.chosen)?;
        others.get((at + 1) % others.len()).map(|p| p.member)
    }

    fn shows_invite(&self) -> bool {
        match &self.screen {
            Screen::Waiting(waiting) => waiting.invite.is_some(),
            Screen::Call(call) => self.pane == Some(Pane::People) && call.invite.is_some(),
            Screen::Demo(_) => false,
        }
    }

    /// Only words that stand on the screen can be said to match.
    fn words_match(&self) -> Option<Command> {
        match &self.screen {
            Screen::Call(call)
                if call.security.words.is_some()
                    && call.security.words_state != WordsState::Computing =>
            {
                Some(Command::WordsMatch)
            }
            _ => None,
        }
    }

    fn talk(&mut self, now: Instant) -> Option<Command> {
        if self.mic {
            return None;
        }
        if let Some(until) = self.talk_until {
            self.talk_until = Some(until.max(now + TALK_REPEAT));
            return None;
        }
        self.talk_until = Some(now + TALK_FIRST);
        Some(Command::Mic(true))
    }

    fn stop_talking(&mut self) -> Option<Command> {
        self.talk_until.take().map(|_| Command::Mic(self.mic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::model::LayoutKind;
    use crate::tui::view::samples;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn start() -> Instant {
        samples::start()
    }

    fn down(model: &mut Model, c: char, now: Instant) -> Option<Command> {
        model.press(Key::Char(c), Press::Down, now)
    }

    fn knocked(t: Instant) -> Model {
        let mut model = samples::call();
        model.set_knocks(vec![samples::knock(4), samples::knock(5)], t);
        model
    }

    #[test]
    fn a_key_within_700_ms_of_a_knock_is_ignored() {
        let t = start();
        let mut model = knocked(t);
        assert_eq!(down(&mut model, 'a', at(t, 0)), None);
        assert_eq!(down(&mut model, 'a', at(t, 699)), None);
        assert_eq!(down(&mut model, 'm', at(t, 699)), None);
        assert_eq!(down(&mut model, 'a', at(t, 700)), Some(Command::Admit(4)));
    }

    #[test]
    fn the_next_knock_is_guarded_anew() {
        let t = start();
        let mut model = knocked(t);
        assert_eq!(down(&mut model, 'd', at(t, 800)), Some(Command::Decline(4)));
        model.set_knocks(vec![samples::knock(5)], at(t, 810));
        assert_eq!(down(&mut model, 'd', at(t, 1_000)), None);
        assert_eq!(down(&mut model, 'a', at(t, 1_510)), Some(Command::Admit(5)));
    }

    #[test]
    fn the_same_knock_seen_again_keeps_its_guard() {
        let t = start();
        let mut model = knocked(t);
        model.set_knocks(vec![samples::knock(4)], at(t, 600));
        assert_eq!(down(&mut model, 'a', at(t, 700)), Some(Command::Admit(4)));
    }

    #[test]
    fn enter_does_nothing_on_a_knock() {
        let t = start();
        let mut model = knocked(t);
        assert_eq!(model.press(Key::Enter, Press::Down, at(t, 5_000)), None);
        assert!(model.knock().is_some());
    }

    #[test]
    fn ctrl_c_leaves_even_within_the_guard() {
        let t = start();
        let mut model = knocked(t);
        assert_eq!(model.press(Key::Ctrl('c'), Press::Down, at(t, 1)), Some(Command::Leave));
    }

    #[test]
    fn leaving_asks_once_and_any_other_key_stays() {
        let (t, mut model) = (start(), samples::call());
        assert_eq!(down(&mut model, 'q', t), None);
        assert!(model.asking_to_leave);
        assert_eq!(down(&mut model, 'm', t), None);
        assert!(!model.asking_to_leave && model.mic, "m only said \"stay\"");
        down(&mut model, 'q', t);
        assert_eq!(down(&mut model, 'q', t), Some(Command::Leave));
    }

    #[test]
    fn holding_space_talks_until_the_key_is_let_go() {
        let (t, mut model) = (start(), samples::call());
        down(&mut model, 'm', t);
        assert_eq!(down(&mut model, ' ', t), Some(Command::Mic(true)));
        assert_eq!(model.tick(at(t, 700)), None, "terminals repeat late");
        assert_eq!(down(&mut model, ' ', at(t, 700)), None);
        assert_eq!(model.tick(at(t, 949)), None);
        assert_eq!(model.due(), Some(at(t, 950)));
        assert_eq!(model.tick(at(t, 950)), Some(Command::Mic(false)));
        assert!(!model.talking());
    }

    #[test]
    fn letting_space_go_stops_at_once_where_the_terminal_tells() {
        let (t, mut model) = (start(), samples::call());
        down(&mut model, 'm', t);
        down(&mut model, ' ', t);
        let up = model.press(Key::Char(' '), Press::Up, at(t, 100));
        assert_eq!(up, Some(Command::Mic(false)));
    }

    #[test]
    fn space_with_an_open_microphone_does_nothing() {
        let (t, mut model) = (start(), samples::call());
        assert_eq!(down(&mut model, ' ', t), None);
        assert!(!model.talking());
    }

    #[test]
    fn words_match_only_while_they_are_on_the_screen() {
        let (t, mut model) = (start(), samples::call());
        assert_eq!(down(&mut model, 'w', t), None);
        down(&mut model, 'i', t);
        assert_eq!(down(&mut model, 'w', t), Some(Command::WordsMatch));
    }

    #[test]
    fn panes_open_switch_and_close() {
        let (t, mut model) = (start(), samples::call());
        down(&mut model, 'p', t);
        assert_eq!(model.pane, Some(Pane::People));
        down(&mut model, 's', t);
        assert_eq!(model.pane, Some(Pane::Stats));
        model.press(Key::Esc, Press::Down, t);
        assert_eq!(model.pane, None);
    }

    #[test]
    fn the_layout_key_goes_round() {
        let (t, mut model) = (start(), samples::call());
        for kind in [LayoutKind::Grid, LayoutKind::Others, LayoutKind::Focus] {
            down(&mut model, 'l', t);
            assert_eq!(model.layout, kind);
        }
    }

    #[test]
    fn the_demonstration_knows_its_own_keys() {
        let (t, mut model) = (start(), samples::demo());
        assert_eq!(down(&mut model, 'k', t), Some(Command::HandOver));
        assert_eq!(down(&mut model, 'r', t), Some(Command::NewKeys));
        assert_eq!(down(&mut model, 't', t), Some(Command::SwitchEve));
        down(&mut model, 'e', t);
        assert_eq!(model.pane, Some(Pane::Explain));
        assert_eq!(down(&mut model, 'q', t), Some(Command::Leave));
    }
}
