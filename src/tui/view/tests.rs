use super::*;
use crate::tui::keymap::{Key, Press};
use crate::tui::model::{EveSees, LayoutKind, Seen, Track, WordsState};
use crate::tui::theme::Theme;
use crate::wire::link::MemberId;
use std::time::Duration;

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (20, 8)];

/// Draws and returns the screen as text, pictures filled with `░`.
fn screen_at(model: &Model, now: Instant, (w, h): (u16, u16)) -> (String, Drawn) {
    let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
    let drawn = draw(model, now, &mut buf);
    for (_, rect) in &drawn.tiles {
        let over = drawn.over.filter(|over| over.intersection(*rect) != *rect);
        for y in rect.y..rect.bottom() {
            for x in rect.x..rect.right() {
                if over.is_some_and(|over| over.contains((x, y).into())) {
                    continue;
                }
                assert_eq!(buf[(x, y)].symbol(), " ", "words at {x},{y} lie under a picture");
                buf[(x, y)].set_symbol("░");
            }
        }
    }
    let lines: Vec<String> = (0..h)
        .map(|y| {
            let line: String = (0..w).map(|x| buf[(x, y)].symbol()).collect();
            line.trim_end().to_string()
        })
        .collect();
    (lines.join("\n"), drawn)
}

fn screen(model: &Model, size: (u16, u16)) -> String {
    screen_at(model, samples::start() + Duration::from_secs(5), size).0
}

fn at_pane(key: char) -> Model {
    let mut model = samples::call();
    model.press(Key::Char(key), Press::Down, samples::start());
    model
}

fn all_models() -> Vec<(&'static str, Model)> {
    let t = samples::start();
    let mut knock = samples::call();
    knock.set_knocks(vec![samples::knock(1)], t);
    let mut waiting_knock = samples::waiting();
    waiting_knock.set_knocks(vec![samples::knock(1)], t);
    let mut doubt = samples::call();
    doubt.set_doubts(vec![samples::doubt(true)], t);
    let mut explain = samples::demo();
    explain.press(Key::Char('e'), Press::Down, t);
    let mut handed = samples::demo();
    if let Screen::Demo(demo) = &mut handed.screen {
        demo.handed_over = true;
        demo.eve_sees = EveSees::Quic;
    }
    let mut leave = samples::call();
    leave.asking_to_leave = true;
    let mut grid = samples::call();
    grid.layout = LayoutKind::Grid;
    let mut speaker = samples::call();
    speaker.layout = LayoutKind::Speaker;
    vec![
        ("waiting", samples::waiting()),
        ("waiting, knock", waiting_knock),
        ("joining", samples::joining()),
        ("call", samples::call()),
        ("call, grid", grid),
        ("call, speaker", speaker),
        ("call, compared", samples::compared(3)),
        ("call of 16", samples::compared(16)),
        ("call, knock", knock),
        ("call, leave", leave),
        ("call, doubt", doubt),
        ("people", at_pane('p')),
        ("keys", at_pane('i')),
        ("figures", at_pane('s')),
        ("help", at_pane('?')),
        ("demo", samples::demo()),
        ("demo, handed over", handed),
        ("demo, explain", explain),
    ]
}

/// `FACETTY_LOOK=80x24 cargo test --lib look_at -- --ignored` writes every screen as text to
/// `facetty-look.txt` in the folder for temporary files.
#[test]
#[ignore = "for eyes, not for machines"]
fn look_at_every_screen() {
    let size = std::env::var("FACETTY_LOOK").unwrap_or("80x24".into());
    let (w, h) = size.split_once('x').expect("WxH");
    let size = (w.parse().expect("width"), h.parse().expect("height"));
    let mut out = String::new();
    for (name, model) in all_models() {
        out.push_str(&format!("── {name} {size:?}\n{}\n\n", screen(&model, size)));
    }
    std::fs::write(std::env::temp_dir().join("facetty-look.txt"), out).expect("writable");
}

#[test]
fn no_size_makes_a_view_panic_or_overlap_a_picture() {
    let now = samples::start() + Duration::from_secs(5);
    for (_, model) in all_models() {
        for size in SIZES {
            screen_at(&model, now, size);
        }
        for w in (1..140).step_by(7) {
            for h in 1..46 {
                screen_at(&model, now, (w, h));
            }
        }
    }
}

#[test]
fn a_question_that_has_no_room_is_known_to_be_cut() {
    let now = samples::start() + Duration::from_secs(5);
    let mut knock = samples::call();
    knock.set_knocks(vec![samples::knock(1)], samples::start());
    let mut doubt = samples::call();
    doubt.set_doubts(vec![samples::doubt(true)], samples::start());
    for (model, sizes) in [
        (&knock, [((80, 24), false), ((60, 20), false), ((18, 6), false), ((9, 3), true)]),
        (&doubt, [((80, 24), false), ((60, 20), false), ((40, 14), false), ((18, 6), true)]),
    ] {
        for (size, cut) in sizes {
            let (text, drawn) = screen_at(model, now, size);
            assert_eq!(drawn.seen.question.is_none(), cut, "{size:?}\n{text}");
            assert!(!text.contains("more lines"), "{size:?}\n{text}");
        }
    }
}

#[test]
fn what_a_note_covers_does_not_count_as_seen() {
    let t = samples::start();
    for mut model in [samples::call(), at_pane('i')] {
        model.set_knocks(vec![samples::knock(1)], t);
        let height = |wanted: &dyn Fn(&Drawn) -> bool, model: &Model| {
            (1..12).find(|h| wanted(&screen_at(model, t, (34, *h)).1)).expect("room enough")
        };
        let wanted: [&dyn Fn(&Drawn) -> bool; 2] =
            [&|drawn| drawn.seen.question.is_some(), &|drawn| drawn.roster.is_some()];
        let plain = wanted.map(|wanted| height(wanted, &model));
        model.tell("something", t);
        assert_eq!(wanted.map(|wanted| height(wanted, &model)), plain.map(|h| h + 1));
        let (text, _) = screen_at(&model, t, (34, plain[0]));
        assert!(text.contains("something"), "{text}");
    }
}

#[test]
fn a_small_window_shows_the_call_words_when_asked() {
    let words = samples::words();
    for (size, whole) in
        [((80, 24), true), ((80, 11), true), ((40, 12), true), ((36, 11), true), ((20, 5), false)]
    {
        let (text, drawn) = screen_at(&at_pane('i'), samples::start(), size);
        assert_eq!(words.iter().all(|word| text.contains(word)), whole, "{size:?}\n{text}");
        assert_eq!(drawn.seen.words, whole.then_some(2), "{size:?}\n{text}");
    }
}

#[test]
fn words_that_are_not_computed_yet_are_not_those_of_before() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.security.words = None;
        call.status.words = WordsState::Computing;
    }
    let text = screen(&model, (80, 24));
    assert!(text.contains("one moment") && text.contains("words: one moment"), "{text}");
}

#[test]
fn pictures_never_overlap_each_other_and_lie_on_the_screen() {
    for (name, model) in all_models() {
        for size in SIZES {
            let area = Rect::new(0, 0, size.0, size.1);
            let drawn = screen_at(&model, samples::start(), size).1;
            for (n, (role, a)) in drawn.tiles.iter().enumerate() {
                assert_eq!(a.intersection(area), *a, "{name} {size:?} {role:?}");
                for (_, b) in &drawn.tiles[n + 1..] {
                    let over = drawn.over.is_some_and(|over| over.intersection(*b) == *b);
                    assert!(over || !a.intersects(*b), "{name} {size:?} {a:?} {b:?}");
                }
            }
        }
    }
}

#[test]
fn a_knock_shows_the_fingerprint_before_the_name() {
    for size in SIZES {
        for model in [samples::call(), samples::waiting()] {
            let mut model = model;
            model.set_knocks(vec![samples::knock(1)], samples::start());
            let text = screen(&model, size);
            let name = text.find("Cleo").unwrap_or(usize::MAX);
            let fingerprint = text.find("k7qd-2mzr").expect("the fingerprint is on the screen");
            assert!(fingerprint < name, "{size:?}\n{text}");
            assert!(text.contains("a let in") && text.contains("d decline"), "{size:?}\n{text}");
        }
    }
}

#[test]
fn a_knock_says_known_or_not_and_which_invite() {
    let mut model = samples::call();
    model.set_knocks(vec![samples::knock(1)], samples::start());
    let text = screen(&model, (80, 24));
    assert!(text.contains("never met"), "{text}");
    assert!(text.contains("the first invite of this call, last use"));
    assert!(text.contains("only a claim"));
}

#[test]
fn a_knock_offers_its_keys_only_when_they_work() {
    let t = samples::start();
    let mut model = samples::call();
    model.set_knocks(vec![samples::knock(1)], t);
    let early = screen_at(&model, t + Duration::from_millis(699), (80, 24)).0;
    assert!(early.contains("read first") && !early.contains("a let in   d"), "{early}");
    let late = screen_at(&model, t + Duration::from_millis(700), (80, 24)).0;
    assert!(late.contains("a let in   d decline"), "{late}");
}

#[test]
fn a_changed_key_is_said_in_words() {
    let mut model = samples::call();
    let mut knock = samples::knock(1);
    knock.trust = Trust::Changed("verified 2026-08-29".into());
    model.set_knocks(vec![knock], samples::start());
    for size in [(80, 24), (120, 40)] {
        assert!(screen(&model, size).contains("NOT the key you know under this name"));
    }
}

#[test]
fn a_changed_key_stands_under_the_known_one_and_blocks() {
    let t = samples::start();
    for (member, model) in [(true, samples::call()), (false, samples::joining())] {
        let mut model = model;
        model.set_knocks(vec![samples::knock(1)], t);
        model.set_doubts(vec![samples::doubt(member)], t);
        for size in [(80, 24), (120, 40), (200, 60)] {
            let text = screen(&model, size);
            for fact in ["k7qd-2mzr-x4vb-hn5t", "qrst-uvwx-yz23-4567", "verified 2026-08-29", "Ben"]
            {
                assert!(text.contains(fact), "{size:?} {fact}\n{text}");
            }
            assert!(text.contains("a it is them") && text.contains("d not sure"), "{text}");
            assert!(!text.contains("more lines"), "{text}");
        }
        assert_eq!(model.press(Key::Char('a'), Press::Down, t), None, "guarded like a knock");
        let later = t + Duration::from_secs(1);
        model.saw(Seen { question: model.asked(), words: None }, t);
        assert_eq!(model.press(Key::Char('i'), Press::Down, later), None, "nothing else works");
        let believe = crate::tui::update::Command::Believe([7; 32]);
        assert_eq!(model.press(Key::Char('a'), Press::Down, later), Some(believe));
        assert!(model.doubt().is_none() && model.knock().is_some());
    }
    let mut model = samples::call();
    model.set_doubts(vec![samples::doubt(true)], t);
    let text = screen(&model, (20, 8));
    assert!(text.contains("k7qd-2mzr") && text.contains("qrst-uvwx"), "{text}");
}

#[test]
fn a_name_that_looks_like_a_contacts_is_pointed_out() {
    let mut model = samples::call();
    let mut knock = samples::knock(1);
    knock.looks_like = Some("CIeo, abcd-efgh-ijkl-mnop, met 2026-08-29, not verified".into());
    if let Screen::Call(call) = &mut model.screen {
        call.security.people[1].looks_like = knock.looks_like.clone();
    }
    model.press(Key::Char('i'), Press::Down, samples::start());
    assert!(screen(&model, (120, 40)).contains("looks like CIeo"));
    model.set_knocks(vec![knock], samples::start());
    for size in [(80, 24), (120, 40)] {
        let text = screen(&model, size);
        assert!(text.contains("looks like   CIeo, abcd-efgh-ijkl-mnop"), "{text}");
        assert!(text.contains("a let in"), "{text}");
    }
}

#[test]
fn a_frozen_picture_says_so() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.tiles[0].picture_age = Some(Duration::from_millis(3_200));
    }
    for size in SIZES {
        let text = screen(&model, size);
        assert!(text.contains("frozen 3 s"), "{size:?}\n{text}");
    }
    let text = screen(&model, (80, 24));
    assert!(text.contains('╔'), "and its frame is another one");
}

#[test]
fn a_picture_younger_than_a_second_is_live() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.tiles[0].picture_age = Some(Duration::from_millis(1_000));
    }
    assert!(!screen(&model, (80, 24)).contains("frozen"));
}

#[test]
fn a_lost_peer_shows_words_instead_of_an_old_picture() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.tiles[0].lost = Some(Duration::from_secs(12));
        call.tiles[0].picture_age = Some(Duration::from_secs(12));
    }
    let (text, drawn) = screen_at(&model, samples::start(), (80, 24));
    assert!(text.contains("lost, retrying 12 s"), "{text}");
    let role = crate::wire::link::MemberId(0);
    assert!(drawn.tiles.iter().all(|(r, _)| *r != TileRole::Member(role)));
}

#[test]
fn camera_off_is_said_and_takes_no_picture() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.tiles[1].camera = Track::Off;
        call.tiles[1].waiting_for_screen = false;
    }
    let text = screen(&model, (80, 24));
    assert!(text.contains("camera off") && text.contains("muted"), "{text}");
}

#[test]
fn waiting_for_the_screen_is_said() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.tiles[0].waiting_for_screen = true;
    }
    assert!(screen(&model, (80, 24)).contains("waiting for the screen"));
}

#[test]
fn every_name_of_the_roster_is_on_the_screen_or_it_does_not_count_as_shown() {
    for size in SIZES {
        let (text, drawn) = screen_at(&samples::call(), samples::start(), size);
        assert_eq!(drawn.roster, Some(2), "{size:?}\n{text}");
        for name in ["Ada", "Ben", "you"] {
            assert!(text.contains(name), "{size:?} {name}");
        }
    }
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        let ben = call.security.people[1].clone();
        for n in 0..40 {
            let name = format!("Somebody with a long name {n}");
            call.security.people.push(crate::tui::model::PersonInfo { name, ..ben.clone() });
        }
    }
    assert_eq!(screen_at(&model, samples::start(), (80, 24)).1.roster, None);
}

#[test]
fn who_added_a_new_member_stands_on_the_screen() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        call.security.people[1].since_epoch = 2;
    }
    assert!(screen(&model, (80, 24)).contains("Ben (new, added by Ada)"));
}

#[test]
fn the_longest_invite_fits_80x24_as_text_and_qr_code() {
    let text = screen(&samples::waiting(), (80, 24));
    let code: Vec<&str> = text.lines().filter(|l| l.matches(['█', '▀', '▄']).count() > 8).collect();
    assert!(code.len() >= 18, "{text}");
    let Screen::Waiting(waiting) = samples::waiting().screen else { panic!("waiting") };
    let invite = waiting.invite.expect("an invite").text;
    assert_eq!(invite.len(), 150);
    let joined: String =
        text.lines().filter_map(|l| l.get(l.char_indices().nth(44)?.0..)).collect();
    assert!(joined.replace(' ', "").contains(&invite), "{text}");
    assert!(text.contains("only private addresses: works on") && text.contains("mic ▮"));
}

#[test]
fn the_qr_code_has_a_light_border_and_the_right_modules() {
    let mut buf = Buffer::empty(Rect::new(0, 0, 60, 30));
    let code = qr::Qr::new("FACETTY1ABC").expect("short enough");
    assert!(code.draw(buf.area, &Theme::colour(), &mut buf));
    // Version 1: 21 modules and 2 light ones on each side.
    assert_eq!(code.size(), (25, 13));
    assert!((0..25).all(|x| buf[(x, 0)].symbol() == " "), "light");
    assert_eq!(buf[(2, 1)].symbol(), "█", "the finder pattern's corner");
    let mut mono = Buffer::empty(Rect::new(0, 0, 60, 30));
    code.draw(mono.area, &Theme::mono(), &mut mono);
    assert_eq!(mono[(0, 0)].symbol(), "█", "without colours light modules are the ink");
}

#[test]
fn the_joiner_reads_each_address_and_its_result() {
    let text = screen(&samples::joining(), (80, 24));
    assert!(text.contains("192.168.1.23:41932 LAN · connected"), "{text}");
    assert!(text.contains("10.8.0.2:41932 VPN · no answer in 5 s"));
    assert!(text.contains("Nothing of you is captured"));
    assert!(text.contains("abcd-efgh-ijkl-mnop"));
}

#[test]
fn the_security_pane_tells_all_that_can_be_checked() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let text = screen(&at_pane('i'), size);
        for fact in [
            "epoch 2",
            "0x004D",
            "amber otter lemon quiet",
            "walnut river candle marble",
            "not compared yet",
            "abcd-efgh-ijkl-mnop",
            "qrst-uvwx-yz23-4567",
            "verified 2026-08-29, words",
            "never met",
            "since epoch 1",
            "added by Ada",
            "founded the call",
            "4f2a 91c0",
            "31 lines, ends 77c1 0b5e",
            "the line shows",
            "direct, 192.0.2.7:4433",
        ] {
            assert!(text.contains(fact), "{size:?} {fact}\n{text}");
        }
        assert!(!text.contains("more lines"), "{size:?}\n{text}");
    }
}

#[test]
fn the_security_pane_at_80x24_looks_like_this() {
    let text = screen(&at_pane('i'), (80, 24));
    let pane: Vec<String> =
        text.lines().skip(1).take(21).map(|line| line.chars().skip(24).collect()).collect();
    assert_eq!(pane.join("\n"), PANE, "\n{text}");
}

const PANE: &str = "\
╭─ Who holds keys ─────────────────────────────────────╮
│ Call words: read them to each other                  │
│   amber otter lemon quiet                            │
│   walnut river candle marble                         │
│   not compared yet · w they match                    │
│ epoch 2 · MLS 0x004D, ML-KEM-768 + X25519,           │
│ ChaCha20-Poly1305                                    │
│ Ada · verified 2026-08-29, words                     │
│   abcd-efgh-ijkl-mnop · direct, 192.0.2.7:4433       │
│   since epoch 0 · founded the call · host            │
│ Ben · never met: not in your contacts                │
│   qrst-uvwx-yz23-4567 · direct, 192.0.2.7:4433       │
│   since epoch 1 · added by Ada                       │
│ Dora · you                                           │
│   dddd-eeee-ffff-gggg                                │
│   since epoch 2 · added by Ada                       │
│ authenticator 4f2a 91c0 7d3e 55b1                    │
│ ledger 31 lines, ends 77c1 0b5e 9d20 4af3            │
│ the line shows addresses, sizes and times of packets │
│                                                      │
╰──────────────────────────────────────────────────────╯";

#[test]
fn a_lock_is_shown_and_its_key_takes_it_away() {
    use crate::tui::update::Command;
    let t = samples::start();
    let mut model = at_pane('p');
    assert_eq!(model.press(Key::Char('k'), Press::Down, t), Some(Command::Lock(true)));
    if let Screen::Call(call) = &mut model.screen {
        call.security.locked = true;
        call.security.trouble = Some("split: this branch has no majority of the group".into());
        call.security.apart = Some("split, without Cleo".into());
    }
    model.press(Key::Esc, Press::Down, t);
    for size in [(30, 8), (80, 24)] {
        let text = screen(&model, size);
        assert!(text.contains("split, without") && text.contains("Cleo"), "{text}");
    }
    model.press(Key::Char('p'), Press::Down, t);
    assert!(screen(&model, (80, 24)).contains("locked: nobody new comes in"));
    assert_eq!(model.press(Key::Char('k'), Press::Down, t), Some(Command::Lock(false)));
    model.press(Key::Char('i'), Press::Down, t);
    let text = screen(&model, (120, 40));
    assert!(text.contains("locked: nobody") && text.contains("no majority"), "{text}");
}

#[test]
fn removing_somebody_asks_once_and_names_them() {
    let t = samples::start();
    let mut model = at_pane('p');
    assert!(screen(&model, (80, 24)).contains("▸ Ada"));
    model.press(Key::Char('o'), Press::Down, t);
    assert!(screen(&model, (80, 24)).contains("▸ Ben"));
    assert_eq!(model.press(Key::Char('x'), Press::Down, t), None);
    let bar = screen(&model, (80, 24)).lines().last().unwrap_or("").to_string();
    assert!(bar.contains("Remove Ben from the call?") && bar.contains("x remove"), "{bar}");
    assert_eq!(model.press(Key::Char('n'), Press::Down, t), None, "any other key keeps them");
    assert!(model.removing.is_none());
    model.press(Key::Char('x'), Press::Down, t);
    let removed = model.press(Key::Char('x'), Press::Down, t);
    assert_eq!(removed, Some(crate::tui::update::Command::Remove(1)));
    model.press(Key::Char('o'), Press::Down, t);
    assert!(screen(&model, (80, 24)).contains("▸ wxyz-2345"), "then who was removed");
    model.press(Key::Char('o'), Press::Down, t);
    assert!(screen(&model, (80, 24)).contains("▸ Ada"), "round, and never ourselves");
}

#[test]
fn the_demonstration_is_readable_at_80x24() {
    let (text, drawn) = screen_at(&samples::demo(), samples::start(), (80, 24));
    let size = |role| drawn.tiles.iter().find(|(r, _)| *r == role).map(|(_, r)| r.as_size());
    for role in [TileRole::Ada, TileRole::Eve, TileRole::Ben] {
        let size = size(role).expect("a picture");
        assert!(size.width >= 24 && size.height >= 7, "{size:?}");
    }
    for fact in [
        "Ada sees Ben",
        "Eve sees UDP bytes",
        "Ben sees Ada",
        ":41001",
        ":41004",
        "MLS X-Wing",
        "amber otter lemon quiet",
        "walnut river candle marble",
        "the same at both",
        "12 345 packets",
        "pictures",
        "814",
        "entropy",
        "no proof",
        "38 ms",
        "204 kbit/s",
        "k hand Eve a key",
        "q quit",
        "on line",
        "control",
        "keys",
    ] {
        assert!(text.contains(fact), "{fact}\n{text}");
    }
}

#[test]
fn an_attack_stands_in_one_line_whole() {
    let mut model = samples::demo();
    if let Screen::Demo(demo) = &mut model.screen {
        demo.attack = Some(crate::tui::model::AttackInfo {
            key: 4,
            eve: "Eve knocks as “Ben Nevis”".into(),
            members: "Ada sees abcd-efgh-ijkl-mnop; Eve sees 0 people".into(),
            over: false,
        });
    }
    let text = screen(&model, (80, 24));
    let line = "4 Eve knocks as “Ben Nevis” → Ada sees abcd-efgh-ijkl-mnop; Eve sees 0 people";
    assert!(text.contains(line), "{text}");
}

#[test]
fn keys_that_are_written_down_stand_under_a_warning() {
    let mut model = samples::demo();
    if let Screen::Demo(demo) = &mut model.screen {
        demo.exporting = Some("keys.jsonl".into());
    }
    assert!(screen(&model, (80, 24)).contains("whoever has it can watch"));
}

#[test]
fn a_handed_over_key_stands_under_a_warning() {
    let mut model = samples::demo();
    if let Screen::Demo(demo) = &mut model.screen {
        demo.handed_over = true;
    }
    for size in [(80, 24), (120, 40)] {
        assert!(screen(&model, size).contains("You handed Eve Ben's frame keys"));
    }
}

#[test]
fn the_key_bar_shows_only_keys_that_work_now() {
    let last = |model: &Model| screen(model, (120, 40)).lines().last().unwrap_or("").to_string();
    assert!(last(&samples::call()).contains("p people"));
    assert!(!last(&samples::waiting()).contains("p people"));
    assert!(last(&samples::waiting()).contains("y copy invite"));
    let mut people = at_pane('p');
    assert!(last(&people).contains("x remove") && !last(&people).contains("b bring back"));
    people.chosen = Some(crate::tui::model::Chosen::Barred([9; 32]));
    assert!(!last(&people).contains("x remove") && last(&people).contains("b bring back"));
    if let Screen::Call(call) = &mut people.screen {
        call.security.may_decide = false;
    }
    assert!(!last(&people).contains("bring back") && !last(&people).contains("k lock"));
    let mut knock = samples::call();
    knock.set_knocks(vec![samples::knock(1)], samples::start());
    let bar = last(&knock);
    assert!(bar.contains("a let in") && bar.contains("d decline") && !bar.contains("p people"));
    let mut leave = samples::call();
    leave.asking_to_leave = true;
    assert!(last(&leave).contains("Leave the call?  q leave"));
}

#[test]
fn a_screen_too_small_for_pictures_has_the_words() {
    let (text, drawn) = screen_at(&samples::call(), samples::start(), (19, 20));
    assert!(drawn.tiles.is_empty());
    assert!(text.contains("Ada: mic on, camera") && text.contains("too small"), "{text}");
}

#[test]
fn beside_an_editor_there_is_one_picture_and_one_line() {
    let t = samples::start();
    for size in [(39, 11), (60, 8), (30, 8), (25, 30)] {
        let (text, drawn) = screen_at(&samples::call(), t, size);
        let [(role, rect)] = drawn.tiles[..] else { panic!("{size:?} {text}") };
        assert_eq!(role, TileRole::Member(MemberId(0)), "Ada speaks");
        assert!(rect.width == size.0 && rect.height >= 3, "{size:?} {rect:?}");
        assert_eq!(drawn.roster, Some(2), "everybody who holds keys stands there");
        for name in ["Ada", "Ben", "you"] {
            let at = text.find(name).expect("named");
            assert!(text[..at].lines().count() <= usize::from(rect.y), "{size:?} {text}");
        }
        assert!(text.lines().last().is_some_and(|l| l.starts_with("Ada · mic on")), "{text}");
    }
}

#[test]
fn beside_an_editor_a_question_or_a_pane_comes_first() {
    let t = samples::start();
    let mut model = samples::call();
    model.set_knocks(vec![samples::knock(1)], t);
    let (text, drawn) = screen_at(&model, t, (39, 11));
    assert!(drawn.tiles.is_empty() && text.contains("k7qd-2mzr-x4vb-hn5t"), "{text}");
    let mut model = samples::call();
    model.press(Key::Char('i'), Press::Down, t);
    assert!(screen_at(&model, t, (39, 11)).1.tiles.is_empty());
}

#[test]
fn a_roster_that_leaves_no_room_for_a_picture_is_shown_in_words() {
    let mut model = samples::call();
    if let Screen::Call(call) = &mut model.screen {
        let person = call.security.people[1].clone();
        call.security.people.extend((10..18).map(|n| crate::tui::model::PersonInfo {
            name: format!("Somebody with a long name {n}"),
            member: n,
            ..person.clone()
        }));
    }
    let (text, drawn) = screen_at(&model, samples::start(), (30, 8));
    assert!(drawn.tiles.is_empty() && drawn.roster.is_none(), "{text}");
}

#[test]
fn without_colours_nothing_is_lost() {
    for (name, mut model) in all_models() {
        let coloured = screen(&model, (80, 24));
        model.theme = Theme::mono();
        if !matches!(model.screen, Screen::Waiting(_)) {
            assert_eq!(coloured, screen(&model, (80, 24)), "{name}");
        }
    }
}

#[test]
fn control_characters_of_a_name_never_reach_the_screen() {
    let mut model = samples::call();
    model.set_knocks(
        vec![crate::tui::model::KnockInfo {
            claimed: "E\u{1b}[2Jve\r\n".into(),
            ..samples::knock(1)
        }],
        samples::start(),
    );
    let mut buf = Buffer::empty(Rect::new(0, 0, 80, 24));
    draw(&model, samples::start(), &mut buf);
    let control = |cell: &ratatui::buffer::Cell| cell.symbol().chars().any(char::is_control);
    assert!(!buf.content.iter().any(control));
}

#[test]
fn the_explanation_fits_80x24_whole() {
    let mut model = samples::demo();
    model.press(Key::Char('e'), Press::Down, samples::start());
    let text = screen(&model, (80, 24));
    assert!(text.contains("does not flicker") && !text.contains("more lines"), "{text}");
}
