//! The independent verifier agrees with a demonstration: frames opened with nothing of ours.

use std::path::Path;
use std::process::Command;

/// Python with the package the verifier needs, if this machine has it.
fn python() -> Option<&'static str> {
    let found = Command::new("python3").args(["-c", "import cryptography"]).output();
    found.is_ok_and(|out| out.status.success()).then_some("python3")
}

fn verify(python: &str, files: [&Path; 3]) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/verify.py");
    let out = Command::new(python).arg(script).args(files).output().expect("python runs");
    let text = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
#[expect(clippy::disallowed_macros, reason = "a skipped test says so")]
fn the_verifier_opens_every_frame_and_agrees_on_counts_and_roster() {
    let Some(python) = python() else {
        println!("skipped: needs python3 with the package cryptography");
        return;
    };
    let home = tempfile::tempdir().expect("a folder");
    let at = |name: &str| home.path().join(name);
    let (capture, keys, said) = (at("inside.pcapng"), at("keys.jsonl"), at("said.txt"));
    let demo = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["demo", "--plain", "--seconds", "4", "--tap-quic"])
        .arg(&capture)
        .arg("--export-keys")
        .arg(&keys)
        .env("FACETTY_HOME", home.path())
        .output()
        .expect("the demonstration runs");
    let printed = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(printed.contains("whoever has it can watch"), "{printed}");
    std::fs::write(&said, &demo.stdout).expect("writable");

    let (code, text) = verify(python, [&capture, &keys, &said]);
    assert_eq!(code, Some(0), "{text}\n{printed}");

    // It would notice: a capture with a changed byte, keys of another call.
    let mut spoilt = std::fs::read(&capture).expect("readable");
    for byte in spoilt.iter_mut().skip(2000).step_by(997) {
        *byte ^= 1;
    }
    let other = at("spoilt.pcapng");
    std::fs::write(&other, &spoilt).expect("writable");
    assert_ne!(verify(python, [&other, &keys, &said]).0, Some(0));
    let wrong = std::fs::read_to_string(&keys)
        .expect("readable")
        .replace("\"base_key\": \"", "\"base_key\": \"00");
    let wrong: String = wrong.lines().map(|l| format!("{}\"}}\n", &l[..l.len() - 4])).collect();
    let other = at("other.jsonl");
    std::fs::write(&other, wrong).expect("writable");
    assert_ne!(verify(python, [&capture, &other, &said]).0, Some(0));
}

#[cfg(unix)]
#[test]
fn exported_keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().expect("a folder");
    let keys = home.path().join("keys.jsonl");
    let demo = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["demo", "--plain", "--seconds", "1", "--export-keys"])
        .arg(&keys)
        .env("FACETTY_HOME", home.path())
        .output()
        .expect("the demonstration runs");
    drop(demo);
    let mode = std::fs::metadata(&keys).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
