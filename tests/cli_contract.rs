//! The command line as scripts see it: standard output, standard error, exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn facetty(home: &Path, args: &[&str]) -> Output {
    command(home, args).stdin(Stdio::null()).output().expect("the program runs")
}

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facetty"));
    command.args(args).env("FACETTY_HOME", home).env_remove("FACETTY_LOG");
    command
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn bare_facetty_shows_the_three_commands_to_start_with() {
    let home = home();
    let out = facetty(home.path(), &[]);
    assert_eq!(out.status.code(), Some(0));
    let shown = text(&out.stdout);
    for line in ["facetty demo", "facetty call", "facetty join"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!home.path().join("identity").exists(), "looking makes nothing");
}

#[test]
fn help_has_examples_and_exit_codes() {
    let home = home();
    for sub in ["call", "join", "demo", "loopback", "contacts", "completions"] {
        let out = facetty(home.path(), &[sub, "--help"]);
        assert_eq!(out.status.code(), Some(0), "{sub}");
        assert!(text(&out.stdout).contains("Examples:"), "{sub}");
    }
    let all = text(&facetty(home.path(), &["--help"]).stdout);
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 70, 130, 143] {
        assert!(all.contains(&format!("{code:>3}  ")), "{code}\n{all}");
    }
}

#[test]
fn a_wrong_flag_ends_with_code_2_and_says_what_would_be_right() {
    let home = home();
    for args in [
        &["nonsense"][..],
        &["call", "--video", "webcam"],
        &["call", "--tile", "240"],
        &["call", "--expires", "soon"],
        &["call", "--uses", "0"],
        &["call", "--admit=nobody"],
        &["call", "--listen", "here"],
        &["call", "--name", "a\u{202e}b"],
        &["join", "--expect", "xyz"],
        &["demo", "--seconds", "-1"],
    ] {
        let out = facetty(home.path(), args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(!out.stderr.is_empty() && out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_malformed_invite_ends_with_code_2() {
    let home = home();
    for invite in ["hello", "facetty1", "facetty1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "facetty9abc"] {
        let out = facetty(home.path(), &["join", "--json", invite]);
        let message = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{invite}: {message}");
        assert!(message.starts_with("facetty: this invite can't be used:"), "{message}");
        assert!(message.contains("\n  next:"), "{message}");
    }
}

#[test]
fn an_invite_can_come_from_standard_input() {
    use std::io::Write;
    let home = home();
    for args in [&["join", "--json", "-"][..], &["join", "--json"]] {
        let mut child = command(home.path(), args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        child.stdin.take().expect("piped").write_all(b"  no invite \n").expect("writes");
        let out = child.wait_with_output().expect("ends");
        assert_eq!(out.status.code(), Some(2));
        assert!(text(&out.stderr).contains("should begin with"), "{}", text(&out.stderr));
    }
    let empty = facetty(home.path(), &["join", "--json"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(text(&empty.stderr).contains("there is no invite"));
}

#[test]
fn a_call_without_a_terminal_needs_json_and_says_so() {
    let home = home();
    let out = facetty(home.path(), &["call"]);
    assert_eq!(out.status.code(), Some(4));
    assert!(text(&out.stderr).contains("--json"));
}

#[test]
fn the_identity_is_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let first = text(&facetty(home.path(), &["id"]).stdout);
    assert!(first.contains("made just now"), "{first}");
    let second = text(&facetty(home.path(), &["id"]).stdout);
    assert_eq!(first.lines().next(), second.lines().next());
    assert!(!second.contains("made just now"));
    let key = home.path().join("identity");
    let mode = std::fs::metadata(&key).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let json = text(&facetty(home.path(), &["id", "--json"]).stdout);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let fingerprint = value["fingerprint"].as_str().expect("text");
    assert!(first.contains(fingerprint), "{first} {fingerprint}");
}

#[test]
fn a_damaged_identity_ends_with_code_3_and_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    facetty(home.path(), &["id"]);
    let key = home.path().join("identity");
    std::fs::write(&key, "facetty-identity 1\nseed 00\n").expect("writes");
    let out = facetty(home.path(), &["id"]);
    assert_eq!(out.status.code(), Some(3));
    let message = text(&out.stderr);
    assert!(message.contains("line 2") && message.contains("nothing was overwritten"), "{message}");
    assert_eq!(std::fs::read_to_string(&key).expect("reads"), "facetty-identity 1\nseed 00\n");

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let out = facetty(home.path(), &["id"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains("chmod 600"));
}

/// A home with two contacts, as two calls leave it.
fn home_with_contacts() -> tempfile::TempDir {
    let home = home();
    let contact = |key: &str, fingerprint: &str, name: &str| {
        format!(
            "[contact.{key}]\nfingerprint = \"{fingerprint}\"\nnames = [\"{name}\"]\n\
             met = \"2026-08-29\"\n\n"
        )
    };
    let text = format!(
        "version = 2\n\n{}{}[end]\ncontacts = 2\n",
        contact(&"01".repeat(32), "rr4c-syvb-ibyr-qd7r", "Ben"),
        contact(&"02".repeat(32), SECOND, "Cleo"),
    );
    std::fs::write(home.path().join("contacts.toml"), text).expect("writes");
    home
}

/// Fingerprint of the key 02 02 …
const SECOND: &str = "gxq4-jcd7-lwuj-qouo";

#[test]
fn contacts_are_listed_named_and_forgotten() {
    let home = home_with_contacts();
    let run = |args: &[&str]| {
        let out = facetty(home.path(), args);
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, listed, _) = run(&["contacts"]);
    assert_eq!(code, Some(0));
    assert!(listed.contains("rr4c-syvb-ibyr-qd7r  Ben"), "{listed}");
    assert!(listed.contains("met 2026-08-29, not verified"), "{listed}");
    let (code, shown, _) = run(&["contacts", "name", "ben", "Brother"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("you call     Brother"), "{shown}");
    let (_, shown, _) = run(&["contacts", "show", "Brother", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&value["name"], &value["claimed"][0]), (&"Brother".into(), &"Ben".into()));
    let (code, _, message) = run(&["contacts", "name", "Cleo", "Brother"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("another contact"), "{message}");
    let (code, _, message) = run(&["contacts", "name", "Cleo", "a\u{1b}[2J"]);
    assert_eq!(code, Some(2), "{message}");
    assert_eq!(run(&["contacts", "forget", "rr4c-syvb-ibyr-qd7r"]).0, Some(0));
    let (code, _, message) = run(&["contacts", "show", "Brother"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("facetty contacts lists"), "{message}");
    assert!(run(&["contacts"]).1.contains("Cleo"));
}

#[test]
fn safety_words_verify_only_when_they_match() {
    let home = home_with_contacts();
    let words = text(&facetty(home.path(), &["contacts", "words", "Ben"]).stdout);
    assert_eq!(words.split_whitespace().count(), 12, "{words}");
    let wrong = words.replacen(words.split_whitespace().next().expect("a word"), "zebra", 1);
    let out = facetty(home.path(), &["contacts", "verify", "Ben", "--words", &wrong]);
    assert_eq!(out.status.code(), Some(6), "{}", text(&out.stderr));
    let out = facetty(home.path(), &["contacts", "verify", "Ben", "--words", "zebra"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
    assert!(text(&facetty(home.path(), &["contacts"]).stdout).matches("not verified").count() == 2);
    let read = words.to_uppercase().replace(' ', " · ");
    let out = facetty(home.path(), &["contacts", "verify", "Ben", "--words", &read]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let listed = text(&facetty(home.path(), &["contacts"]).stdout);
    assert!(listed.contains("safety words"), "{listed}");
}

#[test]
fn damaged_contacts_end_with_code_3_and_are_left_alone() {
    let home = home_with_contacts();
    let path = home.path().join("contacts.toml");
    let good = std::fs::read_to_string(&path).expect("reads");
    let flipped = good.replacen("0101", "0102", 1);
    for damaged in [flipped.as_str(), &good[..good.len() / 2], ""] {
        std::fs::write(&path, damaged).expect("writes");
        for args in [
            &["contacts"][..],
            &["contacts", "name", "Ben", "Brother"],
            &["call", "--json", "--video", "none", "--audio", "none"],
        ] {
            let out = facetty(home.path(), args);
            let message = text(&out.stderr);
            assert_eq!(out.status.code(), Some(3), "{args:?} {message}");
            assert!(message.contains("line ") && message.contains("nothing was overwritten"));
            assert_eq!(std::fs::read_to_string(&path).expect("reads"), damaged);
        }
    }
}

#[test]
fn a_passphrase_is_set_asked_for_changed_and_removed() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        path
    };
    let (first, second) = (file("first", "correct horse\n"), file("second", "battery staple"));
    let run = |passphrase: &Path, args: &[&str]| {
        let mut command = command(home.path(), args);
        let out = command.env("FACETTY_PASSPHRASE_FILE", passphrase).stdin(Stdio::null()).output();
        let out = out.expect("runs");
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let fingerprint = |shown: &str| shown.lines().next().map(str::to_owned);
    let plain = run(&first, &["id"]).1;
    assert!(plain.contains("passphrase   none"), "{plain}");
    let change = |with: &Path, to: &Path| {
        run(with, &["id", "passphrase", "--new", to.to_str().expect("UTF-8")])
    };
    assert_eq!(change(&first, &first).0, Some(0));
    let key = home.path().join("identity");
    let sealed = std::fs::read_to_string(&key).expect("reads");
    assert!(sealed.contains("argon2id") && !sealed.contains("seed "), "{sealed}");
    // Looking needs no passphrase; the identity is the same.
    let shown = run(Path::new("/nowhere"), &["id"]).1;
    assert_eq!(fingerprint(&shown), fingerprint(&plain));
    assert!(shown.contains("passphrase   set"), "{shown}");
    // Calling needs it.
    let call = ["call", "--json", "--video", "none", "--audio", "none", "--seconds", "100ms"];
    let (code, _, message) = run(&second, &call);
    assert_eq!(code, Some(3), "{message}");
    assert!(message.contains("wrong passphrase"), "{message}");
    assert_eq!(std::fs::read_to_string(&key).expect("reads"), sealed, "left as it was");
    assert_eq!(run(&first, &call).0, Some(0));
    // Changed, then removed.
    assert_eq!(change(&second, &second).0, Some(3));
    assert_eq!(change(&first, &second).0, Some(0));
    assert_eq!(run(&first, &["id", "passphrase", "--remove"]).0, Some(3));
    assert_eq!(run(&second, &["id", "passphrase", "--remove"]).0, Some(0));
    assert_eq!(fingerprint(&run(&first, &["id"]).1), fingerprint(&plain));
    // A file that others can read is no secret.
    std::fs::set_permissions(&first, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let (code, _, message) = change(&first, &first);
    assert_eq!(code, Some(3));
    assert!(message.contains("chmod 600"), "{message}");
}

#[test]
fn an_ssh_key_attests_to_an_identity_and_no_other_does() {
    let home = home();
    let at = |name: &str| home.path().join(name).to_str().expect("UTF-8").to_owned();
    for name in ["mine", "other"] {
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &at(name)])
            .stdin(Stdio::null())
            .output();
        // Without OpenSSH there is nothing to show.
        if !keygen.is_ok_and(|out| out.status.success()) {
            return;
        }
    }
    let attested = facetty(home.path(), &["id", "attest", "--ssh", &at("mine")]);
    assert_eq!(attested.status.code(), Some(0), "{}", text(&attested.stderr));
    let good = text(&attested.stdout);
    let check = |text: &str, keys: &str| {
        std::fs::write(at("attest"), text).expect("writes");
        facetty(home.path(), &["id", "check-attest", &at("attest"), "--keys", &at(keys)])
    };
    let out = check(&good, "mine.pub");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let fingerprint = text(&facetty(home.path(), &["id"]).stdout);
    let fingerprint = fingerprint.lines().next().and_then(|l| l.split_whitespace().last());
    assert!(text(&out.stdout).contains(fingerprint.expect("one")), "{}", text(&out.stdout));
    assert_eq!(check(&good, "other.pub").status.code(), Some(6), "another SSH key");
    // Somebody else's identity under the same SSH signature, and a changed signature.
    let line = good.lines().position(|l| l.starts_with("signed ")).expect("the line");
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    lines[line] = format!("signed {}", "00".repeat(64));
    assert_eq!(check(&lines.join("\n"), "mine.pub").status.code(), Some(6));
    assert_eq!(
        check(&good.replacen("identity ", "identity 0", 1), "mine.pub").status.code(),
        Some(2)
    );
    assert_eq!(check("", "mine.pub").status.code(), Some(2));
    assert_eq!(facetty(home.path(), &["id", "attest", "--ssh", "/nowhere"]).status.code(), Some(1));
    let left = std::fs::read_dir(home.path()).expect("reads").flatten();
    assert!(!left.into_iter().any(|e| e.file_name().to_string_lossy().starts_with("attest-")));
}

#[test]
fn wrong_settings_end_with_code_3_and_their_line() {
    let home = home();
    for (settings, expected) in [("nmae = \"Ada\"\n", "line 1"), ("video = \"webcam\"\n", "video")]
    {
        std::fs::write(home.path().join("config.toml"), settings).expect("writes");
        let out = facetty(home.path(), &["call", "--json"]);
        assert_eq!(out.status.code(), Some(3), "{settings}");
        assert!(text(&out.stderr).contains(expected), "{}", text(&out.stderr));
    }
}

#[test]
fn a_closed_pipe_ends_in_peace() {
    let home = home();
    for sub in [&["completions", "bash"][..], &["devices"], &["man"], &[]] {
        let mut child = command(home.path(), sub)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        drop(child.stdout.take());
        let out = child.wait_with_output().expect("ends");
        assert_eq!(out.status.code(), Some(0), "{sub:?}: {}", text(&out.stderr));
        assert!(out.stderr.is_empty(), "{sub:?}: {}", text(&out.stderr));
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let home = home();
    let full = std::fs::File::options().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let out = command(home.path(), &["completions", "fish"])
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .expect("runs");
    assert_eq!(out.status.code(), Some(4));
}

#[test]
fn completions_know_every_subcommand() {
    let home = home();
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&facetty(home.path(), &["completions", shell]).stdout);
        for sub in ["call", "join", "demo", "loopback", "id", "devices", "doctor"] {
            assert!(script.contains(sub), "{shell} {sub}");
        }
    }
}

#[test]
fn the_manual_is_a_manual() {
    let home = home();
    let page = text(&facetty(home.path(), &["man"]).stdout);
    assert!(page.contains(".TH facetty 1"), "{page}");
    assert!(text(&facetty(home.path(), &["man", "call"]).stdout).contains("admit"));
    assert_eq!(facetty(home.path(), &["man", "nothing"]).status.code(), Some(2));
}

#[test]
fn the_doctor_ends_in_one_verdict_line() {
    let home = home();
    let out = facetty(home.path(), &["doctor"]);
    let shown = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{shown}");
    let last = shown.lines().last().unwrap_or_default();
    assert!(last.starts_with("verdict: ready for calls"), "{shown}");
    assert!(shown.contains("cryptography") && shown.contains("RFC 8439"), "{shown}");
    assert!(!home.path().join("identity").exists(), "looking makes nothing");

    let json = text(&facetty(home.path(), &["doctor", "--json"]).stdout);
    let value: serde_json::Value = serde_json::from_str(&json).expect("one line of JSON");
    assert_eq!(value["ok"], true);
}

#[test]
fn the_doctor_finds_damage() {
    let home = home();
    std::fs::write(home.path().join("contacts.toml"), "version = \n").expect("writes");
    let out = facetty(home.path(), &["doctor"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stdout).lines().last().unwrap_or_default().contains("contacts"));
}

#[test]
fn devices_print_the_flag_to_paste() {
    let home = home();
    let out = facetty(home.path(), &["devices"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stdout).contains("--video pattern"));
    let json = text(&facetty(home.path(), &["devices", "--json"]).stdout);
    let value: serde_json::Value = serde_json::from_str(&json).expect("one line of JSON");
    assert!(value["cameras"].is_array() || value["cameras"]["error"].is_string());
}
