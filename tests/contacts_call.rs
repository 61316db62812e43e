//! Contacts call each other between processes, without an invite, over real sockets on loopback.

mod people;

use people::{Party, Person, friends};

#[test]
fn people_who_met_call_each_other_without_an_invite() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = friends(dir.path());
    let listed = ben.text(&["contacts", "show", "Ada"]);
    assert!(listed.contains(&ada.listen) && listed.contains("verified     no"), "{listed}");
    let safety = ada.text(&["contacts", "words", "Ben"]);
    assert_eq!(safety, ben.text(&["contacts", "words", "ada"]), "the same for both");

    let mut listening = ada.start(&["listen", "--once", "--admit"]);
    let mut calling = ben.start(&["call", "Ada", "--seconds", "6"]);
    assert_eq!(listening.event("ring")["name"], "Ben");
    let joined = listening.event("joined");
    assert_eq!(calling.event("joined")["call_words"], joined["call_words"]);
    assert_eq!(calling.exit(), 0);
    assert_eq!(listening.exit(), 0, "one call was asked for");
}

#[test]
fn a_listener_without_a_screen_declines_and_the_caller_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = friends(dir.path());
    let mut listening = ada.start(&["listen"]);
    listening.event("roster");
    let mut calling = ben.start(&["call", "Ada"]);
    listening.event("ring");
    let ended = calling.event("ended");
    assert!(ended["reason"].as_str().expect("text").starts_with("refused"), "{ended}");
    assert_eq!(calling.exit(), 7);
}

#[test]
fn both_calling_each_other_at_once_are_in_one_call() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = friends(dir.path());
    let mut one = ada.start(&["call", "Ben", "--seconds", "30"]);
    let mut two = ben.start(&["call", "Ada", "--seconds", "30"]);
    let words = one.event("joined");
    assert_eq!(two.event("joined")["call_words"], words["call_words"]);
    let members = |party: &mut Party| loop {
        let roster = party.event("roster");
        if roster["members"].as_array().is_some_and(|m| m.len() == 2) {
            return roster["members"].clone();
        }
    };
    let (a, b) = (members(&mut one), members(&mut two));
    assert_eq!(a[0]["fingerprint"], b[0]["fingerprint"], "one host");
}

#[test]
fn a_contact_who_is_away_gets_an_invite_and_may_come_by_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = friends(dir.path());
    let mut calling = ben.start(&["call", "Ada", "--admit", "--seconds", "60"]);
    let tried = calling.event("not_reached")["tried"].clone();
    assert_eq!(tried[0]["to"], ada.listen.as_str());
    let invite = calling.event("invite")["invite"].as_str().expect("text").to_owned();
    let mut joining = ada.start(&["join", &invite, "--seconds", "5"]);
    joining.event("joined");
    assert_eq!(joining.exit(), 0);
    let away = ben.start(&["call", "Ada", "--listen", "127.0.0.1:0", "--seconds", "1"]);
    drop(calling);
    assert_ne!(away.exit(), 0, "alone to the end: nobody was reached");
}

#[test]
fn somebody_with_a_known_name_and_another_key_is_refused_without_a_screen() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, _) = friends(dir.path());
    let mut other = Person::new(&dir.path().join("other"), "Ben");
    other.name = "Ben";
    let mut host = ada.start(&["call", "--admit=any"]);
    let invite = host.event("invite")["invite"].as_str().expect("text").to_owned();
    let joiner = other.start(&["join", &invite]);
    let changed = host.event("identity_changed");
    assert_eq!(changed["name"], "Ben");
    assert_ne!(changed["fingerprint"], changed["known_fingerprint"]);
    assert_eq!(joiner.exit(), 7);
    drop(host);
    // Named, the new key is let in; and the other way round the joiner refuses a changed host.
    let fingerprint = changed["fingerprint"].as_str().expect("text").to_owned();
    let mut host = ada.start(&["call", "--admit", "--expect", &fingerprint]);
    let invite = host.event("invite")["invite"].as_str().expect("text").to_owned();
    let mut joiner = other.start(&["join", &invite, "--seconds", "5"]);
    joiner.event("joined");
    assert_eq!(joiner.exit(), 0);
    drop(host);
    let listed = ada.text(&["contacts"]);
    assert_eq!(listed.matches("Ben").count(), 2, "{listed}");
    assert!(listed.contains(&format!("{fingerprint}  Ben  verified")), "{listed}");
}

#[test]
fn two_members_ledgers_agree_and_tampering_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ada, ben) = (Person::new(dir.path(), "Ada"), Person::new(dir.path(), "Ben"));
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (a, b) = (path("ada.jsonl"), path("ben.jsonl"));
    let mut host = ada.start(&["call", "--admit", "--ledger", &a]);
    let invite = host.event("invite")["invite"].as_str().expect("text").to_owned();
    let mut joiner = ben.start(&["join", &invite, "--seconds", "2", "--ledger", &b]);
    joiner.event("roster");
    assert_eq!(joiner.exit(), 0);
    host.event("left");
    // Killed, not ended: a ledger is whole after every line.
    drop(host);

    let verified = ada.text(&["ledger", "verify", &a]);
    let head = verified.lines().last().and_then(|l| l.split_whitespace().last()).expect("a head");
    assert!(ada.run(&["ledger", "verify", &a, "--head", &head[..16]]).status.success());
    let compared = ada.text(&["ledger", "compare", &a, &b]);
    assert!(compared.starts_with("one history: epochs 1 to "), "{compared}");

    let good = std::fs::read_to_string(&a).expect("reads");
    let lines: Vec<&str> = good.lines().collect();
    let cases = [
        (good.replacen("\"epoch\":1", "\"epoch\":7", 1), "changed"),
        ([&lines[..1], &lines[2..]].concat().join("\n") + "\n", "line 2: does not follow"),
        (
            lines.iter().rev().copied().collect::<Vec<_>>().join("\n") + "\n",
            "line 1: does not follow",
        ),
        (good[..good.len() - 9].to_owned(), "cut short"),
    ];
    let tampered = path("tampered.jsonl");
    for (text, expected) in cases {
        std::fs::write(&tampered, text).expect("writes");
        let out = ada.run(&["ledger", "verify", &tampered]);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    // Whole lines missing at the end: the head tells.
    std::fs::write(&tampered, lines[..lines.len() - 1].join("\n") + "\n").expect("writes");
    assert_eq!(ada.run(&["ledger", "verify", &tampered]).status.code(), Some(0));
    let out = ada.run(&["ledger", "verify", &tampered, "--head", head]);
    assert_eq!(out.status.code(), Some(1));

    let away = ben.run(&["ledger", "verify", &path("nowhere")]);
    assert_eq!(away.status.code(), Some(2));
    let again = ben.start(&["call", "--ledger", &b, "--seconds", "1"]);
    assert_eq!(again.exit(), 2, "a ledger is never written over");
}
