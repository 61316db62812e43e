use super::*;
use crate::identity::sealed::{Cost, OpenError};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn seed(n: u8) -> Secret<32> {
    Secret::build(|b| b.fill(n))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn first_run_makes_the_key_and_the_next_run_finds_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("facetty/identity");
    let first = load_or_create(&path, || seed(7)).unwrap();
    assert!(first.created);
    let second = load_or_create(&path, || panic!("must not make another")).unwrap();
    assert!(!second.created);
    let Stored::Plain(found) = second.stored else { panic!("no passphrase was set") };
    assert_eq!(found.expose(), &[7; 32]);
}

#[test]
fn damage_names_the_line_and_leaves_the_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    load_or_create(&path, || seed(7)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let cases = [
        (String::new(), "line 1: the file is empty"),
        ("hello\n".into(), "line 1: not a facetty identity key"),
        (good.replace("identity 1", "identity 3"), "line 2: made by a newer facetty"),
        (good.replacen("seed 0", "seed 1", 1), "line 4: the checksum does not fit"),
        (good.replacen("seed 07", "seed ", 1), "line 3: expected 64 hexadecimal digits"),
        (good.lines().take(3).collect::<Vec<_>>().join("\n"), "line 3: the line \"check"),
        (format!("{good}x\n"), "line 5: unexpected text"),
    ];
    for (text, expected) in cases {
        write(&path, &text);
        let error = load_or_create(&path, || panic!("must not make another"));
        let message = error.err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("nothing was overwritten"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    write(&path, "x");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(load(&path).err().unwrap().to_string().contains("not text"));
}

#[test]
fn every_single_changed_character_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    load_or_create(&path, || seed(0xa5)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let start = good.find("seed").unwrap();
    for i in start..good.len() - 1 {
        let mut bytes = good.clone().into_bytes();
        bytes[i] = if bytes[i] == b'0' { b'1' } else { b'0' };
        assert!(text::parse(&path, &bytes).is_err(), "character {i}");
    }
}

#[test]
fn a_key_others_can_read_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    load_or_create(&path, || seed(7)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = load(&path).err().unwrap();
    assert!(matches!(error, IdentityFileError::Exposed { mode: 0o644, .. }));
}

#[test]
fn errors_do_not_contain_the_seed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    load_or_create(&path, || seed(0x5a)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    write(&path, &good.replacen("check ", "check 0", 1));
    let error = load(&path).err().unwrap();
    assert!(!format!("{error} {error:?}").contains("5a5a"));
}

fn under_passphrase() -> Stored {
    let cheap = Cost { memory: 64, passes: 1, lanes: 1 };
    let mut rng = rand::rngs::StdRng::seed_from_u64(3);
    Stored::Sealed(SealedSeed::seal(&seed(7), b"correct horse", cheap, &mut rng).unwrap())
}

#[test]
fn a_passphrase_comes_and_goes_and_the_identity_stays() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    load_or_create(&path, || seed(7)).unwrap();
    replace(&path, &under_passphrase()).unwrap();
    let Some(Stored::Sealed(sealed)) = load(&path).unwrap() else { panic!("sealed") };
    assert_eq!(sealed.open(b"wrong").err(), Some(OpenError::WrongPassphrase));
    let opened = sealed.open(b"correct horse").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("0707"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    replace(&path, &Stored::Plain(opened)).unwrap();
    assert!(matches!(load(&path).unwrap(), Some(Stored::Plain(s)) if s.expose() == &[7; 32]));
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the file and its lock, no copy of the key: {left:?}");
}

#[test]
fn another_identity_is_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    load_or_create(&path, || seed(8)).unwrap();
    let error = replace(&path, &under_passphrase()).unwrap_err();
    assert!(matches!(error, IdentityFileError::Exchanged { .. }));
    assert!(matches!(load(&path).unwrap(), Some(Stored::Plain(s)) if s.expose() == &[8; 32]));
}

#[test]
fn every_changed_character_of_a_sealed_key_is_damage_and_no_wrong_passphrase() {
    let good = text::format(&under_passphrase());
    let path = Path::new("identity");
    let start = good.find("facetty-identity").unwrap();
    for i in start..good.len() - 1 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[i] = if bytes[i] == b'0' { b'1' } else { b'0' };
        assert!(text::parse(path, &bytes).is_err(), "character {i}");
    }
    for cut in 0..good.len() - 1 {
        assert!(text::parse(path, &good.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(crate::wire::seeded())]

    #[test]
    fn any_sealed_seed_round_trips(
        public in any::<[u8; 32]>(), salt in any::<[u8; 16]>(), nonce in any::<[u8; 24]>(),
        sealed in vec(any::<u8>(), 48), memory in 8u32..1024, passes in 1u32..64,
    ) {
        let cost = Cost { memory, passes, lanes: 1 };
        let public = IdentityPublic(public);
        let seed = SealedSeed { public, cost, salt, nonce, sealed: sealed.try_into().unwrap() };
        let text = text::format(&Stored::Sealed(seed.clone()));
        let read = text::parse(Path::new("identity"), text.as_bytes()).unwrap();
        let Stored::Sealed(read) = read else { panic!("sealed") };
        prop_assert_eq!(read, seed);
    }

    #[test]
    fn whatever_the_file_holds_nothing_panics(lines in vec("[ -~]{0,80}", 0..6), bytes in vec(any::<u8>(), 0..200)) {
        let path = Path::new("identity");
        let _ = text::parse(path, &bytes);
        for version in [1, 2] {
            let text = format!("facetty-identity {version}\n{}", lines.join("\n"));
            let _ = text::parse(path, text.as_bytes());
        }
    }
}
