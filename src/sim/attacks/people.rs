//! Attacks on people: names that do things to a terminal, and words made to fit.

use super::world::{World, config};
use super::{Lab, LabError, Outcome, setup};
use crate::call::Admit;
use crate::identity::words::{WordsInput, call_words};
use crate::identity::{Credential, DisplayName, IdentityKey, LeafKey};
use crate::keys::IdentityPublic;
use crate::time::Wall;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Names with something in them that a screen would obey or not show.
const HOSTILE: [&str; 14] = [
    "\u{1b}[2J\u{1b}[HAda Byron",
    "\u{1b}]52;c;aGk=\u{7}",
    "\u{9b}31mAda",
    "Ada\u{202e}noryB",
    "Ada\u{2066}x\u{2069}",
    "Ada\u{200b} Byron",
    "Ada\u{200d}Byron",
    "Ada\u{feff}Byron",
    "Ada\nBen",
    "Ada\rBen",
    "Ada\tByron",
    "Ada\u{0}",
    "Ada\u{ad}Byron",
    "\u{2028}Ada",
];

fn obeyed(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_control() || invisible
}

/// No name carries anything a terminal obeys or hides.
pub(super) fn names(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut rng = lab.rng();
    let identity = IdentityKey::generate(&mut *rng);
    let leaf = LeafKey::generate(&mut *rng).public();
    let encoded = |name: &str| -> Result<Vec<u8>, LabError> {
        // Rightly signed, with the name put in behind the parser's back.
        let end = Wall(2_000_000_000_000);
        let plain = "x".repeat(name.len());
        let name_of = DisplayName::parse(&plain).map_err(setup)?;
        let made = Credential::issue(&identity, name_of, leaf, [1; 16], end).map_err(setup)?;
        let mut bytes = made.encode();
        let at = bytes.windows(plain.len()).position(|w| w == plain.as_bytes());
        let at = at.ok_or_else(|| setup("no name"))?;
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        Ok(bytes)
    };
    for name in HOSTILE {
        outcome.eve.add(DisplayName::parse(name).is_ok());
        outcome.eve.add(Credential::decode(&encoded(name)?).is_ok());
        outcome.eve.add(DisplayName::sanitise(name).as_str().chars().any(obeyed));
    }
    // Everything of Unicode that is a control or formatting character, one by one.
    for c in ('\u{0}'..='\u{ffff}').filter(|c| obeyed(*c)) {
        outcome.eve.add(DisplayName::parse(&format!("A{c}B")).is_ok());
    }
    // On the screen of a call: the name as it would be if sanitised, in roster and events.
    let mut world = World::new(lab);
    let (ada, invite) = world.host(Admit::Any, 8)?;
    world.join_as(config(HOSTILE[0], Admit::Nobody), invite)?;
    world.run(1000)?;
    let names = world.names(ada);
    outcome.sees("the guest is in, under a harmless name", names.len() == 2);
    outcome.eve.add(names.iter().any(|n| n.chars().any(obeyed)));
    // Names that look alike are one to the look-alike check.
    let alike =
        [("Ada Byron", "Аdа Byron"), ("Ada Byron", "ADA BYRON"), ("Ben Nevis", "Bеn Nеvis")];
    let skeleton = |n: &str| DisplayName::parse(n).map(|n| n.skeleton());
    let noticed = alike.iter().all(|(a, b)| match (skeleton(a), skeleton(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    });
    outcome.sees("look-alikes are noticed", noticed);

    for name in ["Ada Byron", "Łukasz Ørsted", "李小龍"] {
        let whole = encoded(name)?;
        let read = Credential::decode(&whole).is_ok_and(|c| c.name.as_str() == name);
        outcome.control.add(DisplayName::parse(name).is_ok() && read);
    }
    outcome.evidence = format!(
        "{} names with escapes, bidi and zero-width characters: {} let through; ordinary names: \
         {} of {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// Call words can't be ground: the search is run, timed, and its end computed.
pub(super) fn ground_words(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut rng = lab.rng();
    let mut input = |identities: &[IdentityPublic]| {
        let mut authenticator = [0; 32];
        rng.fill_bytes(&mut authenticator);
        WordsInput { identities: identities.to_vec(), group_id: [1; 16], authenticator }
    };
    let people = [IdentityPublic([1; 32]), IdentityPublic([2; 32])];
    let target = call_words(&input(&people));
    let guesses: u64 = if lab.full { 1000 } else { 12 };
    let begun = super::instant();
    for _ in 0..guesses {
        outcome.eve.add(call_words(&input(&people)).words == target.words);
    }
    let each = begun.elapsed() / u32::try_from(guesses).unwrap_or(u32::MAX);
    // Control: one word of eleven bits behind a fast hash falls to the same search.
    let fast = |input: &WordsInput| {
        let digest = Sha256::digest(input.authenticator);
        u16::from_be_bytes([digest[0], digest[1]]) >> 5
    };
    let goal = fast(&input(&people));
    let mut steps = 0;
    while outcome.control.got == 0 && steps < 1 << 16 {
        steps += 1;
        outcome.control.add(fast(&input(&people)) == goal);
    }
    let years = 2f64.powi(88) * each.as_secs_f64() / Duration::from_secs(31_557_600).as_secs_f64();
    outcome.sees("a million such machines search longer than the sun shines", years / 1e6 > 1e10);
    outcome.evidence = format!(
        "{guesses} guesses at {:.0} ms each (Argon2id, 64 MiB): {} fit; all 2^88 on a million \
         such machines: 10^{:.0} years; one word behind a fast hash: after {steps}",
        each.as_secs_f64() * 1000.0,
        outcome.eve.got,
        (years / 1e6).log10()
    );
    Ok(outcome)
}
