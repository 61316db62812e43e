//! What a key does: changes the model, and perhaps asks whoever runs the call to do something.

use crate::tui::keymap::{self, Action, Key, Place, Press};
use crate::tui::model::{
    BarredInfo, Chosen, LayoutKind, Model, Pane, PersonInfo, Screen, SecurityInfo, TileInfo,
    TileRole, Trust, WordsState,
};
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

/// Who speaks for this long becomes the speaker: a cough or a "yes" doesn't move pictures about.
const SPEAKER_AFTER: Duration = Duration::from_millis(600);

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
    /// This member may let people in, or no longer.
    Admitter(u32, bool),
    /// Who was removed may come in again.
    Readmit([u8; 32]),
    /// Nobody may use the newest invite any more.
    VoidInvite,
    /// Keep the ledger in a file.
    KeepLedger,
    /// The user says the call words of this epoch match.
    WordsMatch(u64),
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
        // Nobody is let in by a question that can't be read. "No" needs no reading.
        let unseen = self.seen.question != self.asked();
        if unseen && matches!(action, Some(Action::Admit | Action::Believe)) {
            self.tell(strings::CUT, now);
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
        self.follow_speaker(now);
        match self.talk_until {
            Some(until) if now >= until => self.stop_talking(),
            _ => None,
        }
    }

    /// When [`Model::tick`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        let note = self.note.as_ref().map(|n| n.until);
        let heard = self.heard.map(|(_, since)| since + SPEAKER_AFTER);
        [self.talk_until, note, heard].into_iter().flatten().min()
    }

    /// Who is shown large where one is: who is pinned, else who spoke last, else the first of the
    /// others.
    pub fn large(&self) -> Option<TileRole> {
        let Screen::Call(call) = &self.screen else { return None };
        let here = |role: &TileRole| call.tiles.iter().any(|t| t.role == *role);
        let others = call.tiles.iter().map(|t| t.role).find(|role| *role != TileRole::Own);
        let first = others.or(call.tiles.first().map(|t| t.role));
        self.pinned.filter(here).or(self.speaker.filter(here)).or(first)
    }

    /// Somebody becomes the speaker by speaking for longer than a cough, while the last one doesn't.
    fn follow_speaker(&mut self, now: Instant) {
        let Screen::Call(call) = &self.screen else {
            self.heard = None;
            return;
        };
        let speaks = |t: &&TileInfo| t.speaking && t.role != TileRole::Own;
        let speaking: Vec<TileRole> = call.tiles.iter().filter(speaks).map(|t| t.role).collect();
        let goes_on = self.speaker.is_some_and(|role| speaking.contains(&role));
        self.heard = match self.heard {
            _ if goes_on => None,
            Some((role, since)) if speaking.contains(&role) => Some((role, since)),
            _ => speaking.first().map(|role| (*role, now)),
        };
        if let Some((role, since)) = self.heard
            && now >= since + SPEAKER_AFTER
        {
            (self.speaker, self.heard) = (Some(role), None);
        }
    }

    /// Shows the `n`th of the others large, counted from 1 as they are listed; again: nobody is
    /// pinned.
    fn pin(&mut self, n: u8, now: Instant) -> Option<Command> {
        let Screen::Call(call) = &self.screen else { return None };
        let mut others = call.tiles.iter().filter(|t| t.role != TileRole::Own);
        let tile = others.nth(usize::from(n).checked_sub(1)?)?;
        let (role, name) = (tile.role, tile.name.clone());
        if self.pinned == Some(role) {
            self.pinned = None;
            self.tell(strings::unpinned(&name), now);
        } else {
            self.pinned = Some(role);
            self.layout = LayoutKind::Speaker;
            self.tell(strings::pinned(&name), now);
        }
        Some(Command::Redraw)
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
                self.chosen = self.next_person();
                None
            }
            Action::Remove => {
                let member = self.chosen_person().map(|p| (p.member, p.name.clone()));
                self.removing = if self.decides(now) { member } else { None };
                None
            }
            Action::Lock => {
                let locked = self.security()?.locked;
                self.decides(now).then_some(Command::Lock(!locked))
            }
            Action::Admitter => {
                let person = self.chosen_person()?;
                let command = Command::Admitter(person.member, !person.may_admit);
                self.decides(now).then_some(command)
            }
            Action::Readmit => {
                let who = self.chosen_barred()?.identity;
                self.decides(now).then_some(Command::Readmit(who))
            }
            Action::VoidInvite => {
                let shown = self.shows_invite();
                (shown && self.decides(now)).then_some(Command::VoidInvite)
            }
            Action::RemoveNow => self.removing.take().map(|(member, _)| Command::Remove(member)),
            Action::HandOver => Some(Command::HandOver),
            Action::NewKeys => Some(Command::NewKeys),
            Action::EveSees => Some(Command::SwitchEve),
            Action::Attack(n) => Some(Command::Attack(n)),
            Action::Pin(n) => self.pin(n, now),
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

    fn security(&self) -> Option<&SecurityInfo> {
        match &self.screen {
            Screen::Call(call) => Some(&call.security),
            _ => None,
        }
    }

    /// Whether this participant decides about the group; says so if not.
    fn decides(&mut self, now: Instant) -> bool {
        let may = self.security().is_some_and(|s| s.may_decide);
        if !may {
            self.tell(strings::HOST_DECIDES, now);
        }
        may
    }

    /// Whether there is anything for this action to act on, and this participant may: what the key
    /// bar has.
    pub fn offers(&self, action: Action) -> bool {
        let may = self.security().is_some_and(|s| s.may_decide);
        match action {
            Action::Lock => may,
            Action::Remove | Action::Admitter => may && self.chosen_person().is_some(),
            Action::Readmit => may && self.chosen_barred().is_some(),
            Action::VoidInvite => may && self.shows_invite(),
            _ => true,
        }
    }

    /// Whom the people pane's keys can be about: everybody else in the call, and who was removed.
    fn choices(&self) -> Vec<Chosen> {
        let Some(security) = self.security() else { return Vec::new() };
        let others = security.people.iter().filter(|p| p.trust != Trust::Own);
        let barred = security.barred.iter().map(|b| Chosen::Barred(b.identity));
        others.map(|p| Chosen::Member(p.member)).chain(barred).collect()
    }

    /// Whom they are about now.
    pub fn chosen(&self) -> Option<Chosen> {
        let choices = self.choices();
        self.chosen.filter(|c| choices.contains(c)).or(choices.first().copied())
    }

    fn chosen_person(&self) -> Option<&PersonInfo> {
        let Some(Chosen::Member(member)) = self.chosen() else { return None };
        self.security()?.people.iter().find(|p| p.member == member)
    }

    fn chosen_barred(&self) -> Option<&BarredInfo> {
        let Some(Chosen::Barred(identity)) = self.chosen() else { return None };
        self.security()?.barred.iter().find(|b| b.identity == identity)
    }

    fn next_person(&self) -> Option<Chosen> {
        let choices = self.choices();
        let chosen = self.chosen()?;
        let at = choices.iter().position(|c| *c == chosen)?;
        choices.get((at + 1) % choices.len()).copied()
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
                    && self.seen.words == Some(call.security.words_epoch)
                    && call.security.words_state != WordsState::Computing =>
            {
                Some(Command::WordsMatch(call.security.words_epoch))
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
    use crate::tui::model::Seen;
    use crate::tui::view::samples;
    use crate::wire::link::MemberId;

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
        see(&mut model, t);
        model
    }

    /// The terminal shows the question that stands now.
    fn see(model: &mut Model, t: Instant) {
        model.saw(Seen { question: model.asked(), ..Seen::default() }, t);
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
        see(&mut model, at(t, 810));
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
    fn nobody_is_let_in_by_a_question_that_was_not_seen_whole() {
        let t = start();
        let mut model = samples::call();
        model.set_knocks(vec![samples::knock(4)], t);
        assert_eq!(down(&mut model, 'a', at(t, 5_000)), None, "a slow terminal has not shown it");
        assert!(model.note.is_some() && model.knock().is_some());
        see(&mut model, at(t, 5_100));
        assert_eq!(down(&mut model, 'a', at(t, 5_700)), None, "it has to be read first");
        model.saw(Seen::default(), at(t, 5_750));
        assert_eq!(down(&mut model, 'a', at(t, 6_500)), None, "a smaller window cuts it off");
        assert_eq!(down(&mut model, 'd', at(t, 6_510)), Some(Command::Decline(4)));
    }

    #[test]
    fn the_key_that_answers_one_question_does_not_answer_the_next() {
        let t = start();
        let mut model = samples::call();
        model.set_knocks(vec![samples::knock(4)], t);
        model.set_doubts(vec![samples::doubt(true)], t);
        see(&mut model, t);
        assert_eq!(down(&mut model, 'a', at(t, 9_000)), Some(Command::Believe([7; 32])));
        model.set_doubts(Vec::new(), at(t, 9_010));
        assert_eq!(down(&mut model, 'a', at(t, 9_020)), None, "the knock behind isn't there yet");
        see(&mut model, at(t, 9_040));
        assert_eq!(down(&mut model, 'a', at(t, 9_700)), None);
        assert_eq!(down(&mut model, 'a', at(t, 9_740)), Some(Command::Admit(4)));
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
        assert_eq!(down(&mut model, 'w', t), None, "not drawn yet");
        model.saw(Seen { words: Some(2), ..Seen::default() }, t);
        assert_eq!(down(&mut model, 'w', t), Some(Command::WordsMatch(2)));
        model.saw(Seen { words: Some(1), ..Seen::default() }, t);
        assert_eq!(down(&mut model, 'w', t), None, "those of before are on the screen still");
    }

    fn people_pane() -> Model {
        let mut model = samples::call();
        down(&mut model, 'p', start());
        model
    }

    #[test]
    fn the_people_pane_goes_round_members_and_removed() {
        let (t, mut model) = (start(), people_pane());
        let mut seen = vec![model.chosen()];
        for _ in 0..2 {
            down(&mut model, 'o', t);
            seen.push(model.chosen());
        }
        let expected = [Chosen::Member(0), Chosen::Member(1), Chosen::Barred([9; 32])];
        assert_eq!(seen, expected.map(Some));
        down(&mut model, 'o', t);
        assert_eq!(model.chosen(), Some(Chosen::Member(0)));
    }

    #[test]
    fn members_are_trusted_or_removed_and_the_removed_brought_back() {
        let (t, mut model) = (start(), people_pane());
        down(&mut model, 'o', t);
        assert_eq!(down(&mut model, 't', t), Some(Command::Admitter(1, true)));
        assert_eq!(down(&mut model, 'b', t), None, "a member is here already");
        assert_eq!(down(&mut model, 'x', t), None);
        assert_eq!(down(&mut model, 'x', t), Some(Command::Remove(1)), "after one question");
        down(&mut model, 'o', t);
        assert_eq!(down(&mut model, 'b', t), Some(Command::Readmit([9; 32])));
        assert_eq!(down(&mut model, 't', t), None);
        assert_eq!(down(&mut model, 'x', t), None);
        assert_eq!(model.removing, None, "who is out can't be removed again");
    }

    #[test]
    fn only_an_invite_on_the_screen_can_be_voided() {
        let (t, mut model) = (start(), people_pane());
        assert_eq!(down(&mut model, 'u', t), None);
        if let Screen::Call(call) = &mut model.screen {
            call.invite = Some(samples::invite());
        }
        assert_eq!(down(&mut model, 'u', t), Some(Command::VoidInvite));
    }

    #[test]
    fn who_may_not_decide_is_told_so() {
        let t = start();
        for key in ['x', 'k', 't', 'b', 'u'] {
            let mut model = people_pane();
            if let Screen::Call(call) = &mut model.screen {
                call.security.may_decide = false;
                call.invite = Some(samples::invite());
            }
            if key == 'b' {
                model.chosen = Some(Chosen::Barred([9; 32]));
            }
            assert_eq!(down(&mut model, key, t), None, "{key}");
            assert_eq!(model.removing, None);
            let note = model.note.expect("a note");
            assert_eq!(note.text, strings::HOST_DECIDES, "{key}");
        }
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
        for kind in [LayoutKind::Speaker, LayoutKind::Grid, LayoutKind::Others, LayoutKind::Focus] {
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

    fn speaks(model: &mut Model, who: u32, on: bool) {
        let Screen::Call(call) = &mut model.screen else { return };
        let role = TileRole::Member(MemberId(who));
        call.tiles.iter_mut().filter(|t| t.role == role).for_each(|t| t.speaking = on);
    }

    fn large(model: &Model) -> Option<u32> {
        match model.large() {
            Some(TileRole::Member(MemberId(who))) => Some(who),
            _ => None,
        }
    }

    #[test]
    fn the_speaker_is_who_speaks_on_while_the_last_one_does_not() {
        let (t, mut model) = (start(), samples::call());
        speaks(&mut model, 0, false);
        model.tick(t);
        assert_eq!(large(&model), Some(0), "nobody spoke: the first of the others");
        speaks(&mut model, 1, true);
        model.tick(at(t, 100));
        assert_eq!((large(&model), model.due()), (Some(0), Some(at(t, 700))));
        model.tick(at(t, 700));
        assert_eq!(large(&model), Some(1));
        speaks(&mut model, 0, true);
        model.tick(at(t, 5_000));
        model.tick(at(t, 9_000));
        assert_eq!(large(&model), Some(1), "both speak: who had the floor keeps it");
        speaks(&mut model, 1, false);
        model.tick(at(t, 9_100));
        speaks(&mut model, 0, false);
        model.tick(at(t, 9_400));
        speaks(&mut model, 0, true);
        model.tick(at(t, 9_500));
        model.tick(at(t, 10_000));
        assert_eq!(large(&model), Some(1), "a pause begins it anew");
        model.tick(at(t, 10_100));
        assert_eq!(large(&model), Some(0));
    }

    #[test]
    fn who_is_pinned_stays_large_until_gone_or_pinned_again() {
        let (t, mut model) = (start(), samples::call());
        assert_eq!(down(&mut model, '9', t), None, "there is no ninth");
        assert_eq!(down(&mut model, '2', t), Some(Command::Redraw));
        assert_eq!((large(&model), model.layout), (Some(1), LayoutKind::Speaker));
        model.tick(t);
        model.tick(at(t, 900));
        assert_eq!(large(&model), Some(1), "whoever speaks");
        let Screen::Call(call) = &mut model.screen else { panic!("a call") };
        let ben = call.tiles.remove(1);
        assert_eq!(large(&model), Some(0), "who is gone can't be large");
        let Screen::Call(call) = &mut model.screen else { panic!("a call") };
        call.tiles.insert(1, ben);
        down(&mut model, '2', t);
        assert_eq!(model.pinned, None);
        assert_eq!(large(&model), Some(0), "the speaker again");
    }
}
