use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn display(name: &str) -> DisplayName {
    DisplayName::parse(name).unwrap()
}

fn met(path: &Path, n: u8, name: &str) {
    let at = "192.0.2.7:4433".parse().unwrap();
    Contacts::update(path, |c| {
        c.meet([n; 32], &display(name), &[at], "2026-08-29");
    })
    .unwrap();
}

#[test]
fn what_is_written_is_read_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("contacts.toml");
    assert_eq!(Contacts::load(&path).unwrap(), Contacts::default());
    met(&path, 1, "Ada \"the\" first");
    met(&path, 2, "Ben");
    Contacts::update(&path, |c| {
        c.meet([1; 32], &display("Ada"), &[], "2026-08-30");
        c.name(&[1; 32], Some(&display("Sister"))).unwrap();
        assert!(c.verify(&[1; 32], How::CallWords, "2026-08-30"));
    })
    .unwrap();
    let read = Contacts::load(&path).unwrap();
    let ada = read.find(&[1; 32]).unwrap();
    assert_eq!(ada.names, ["Ada \"the\" first", "Ada"]);
    assert_eq!(ada.met, "2026-08-29", "the first meeting stays");
    assert_eq!(ada.note(), "verified 2026-08-30, call words");
    assert_eq!(read.iter().count(), 2);
}

#[test]
fn damage_is_an_error_with_a_line_and_never_an_empty_list() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("contacts.toml");
    met(&path, 1, "Ada");
    let good = fs::read_to_string(&path).unwrap();
    let cases = [
        (good.replace("met = ", "met "), "line 7"),
        (good.replace("2026-08-29", "2026-02-30"), "is not a date"),
        (good.replace("version = 2", "version = 9"), "line 2: made by a newer facetty"),
        (good.replace("version = 2", "version = 0"), "line 2: made by an unknown facetty"),
        (good.replace("[contact.0101", "[contact.xx01"), "64 hexadecimal digits"),
        (good.replace("[contact.0101", "[contact.0181"), "a digit of this key was changed"),
        (good.replace("contacts = 1", "contacts = 2"), "1 contacts, but it says 2"),
        (good.replace("\"Ada\"", "\"A\\u001bda\""), "can't be shown"),
        (format!("{good}\ncolour = 1\n"), "unknown field"),
        (String::new(), "line 1: missing field `version`"),
    ];
    for (text, expected) in cases {
        fs::write(&path, &text).unwrap();
        let message = Contacts::update(&path, |c| c.forget(&[1; 32])).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("nothing was overwritten"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

fn three() -> (Contacts, String) {
    let mut contacts = Contacts::default();
    for (n, name) in [(1, "Ada"), (2, "Ben"), (3, "Cleo")] {
        contacts.meet([n; 32], &display(name), &[], "2026-08-29");
    }
    assert!(contacts.verify(&[2; 32], How::SafetyWords, "2026-08-30"));
    let text = contacts.to_text();
    (contacts, text)
}

#[test]
fn a_file_cut_short_anywhere_is_noticed() {
    let (whole, text) = three();
    let parse = |bytes: &[u8]| Contacts::parse(Path::new("contacts.toml"), bytes);
    assert_eq!(parse(text.as_bytes()).unwrap(), whole);
    for cut in 0..text.trim_end().len() {
        assert!(parse(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_of_a_key_is_noticed() {
    let (_, text) = three();
    let start = text.find("[contact.").unwrap() + "[contact.".len();
    for byte in start..start + 64 {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[byte] ^= 1 << bit;
            let parsed = Contacts::parse(Path::new("contacts.toml"), &bytes);
            assert!(parsed.is_err(), "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn a_contact_is_found_by_petname_name_or_fingerprint() {
    let (mut contacts, _) = three();
    contacts.meet([4; 32], &display("Ben"), &[], "2026-08-31");
    let key = |c: &Contacts, word: &str| c.who(word).map(|(k, _)| k[0]);
    assert_eq!(key(&contacts, "ada"), Ok(1));
    assert_eq!(key(&contacts, "nobody"), Err(WhoError::Nobody));
    assert!(matches!(key(&contacts, "Ben"), Err(WhoError::Several(two)) if two.len() == 2));
    for n in [2, 4] {
        let fingerprint = contacts.find(&[n; 32]).unwrap().fingerprint.clone();
        assert_eq!(key(&contacts, &fingerprint.to_uppercase()), Ok(n));
    }
    contacts.name(&[4; 32], Some(&display("Ben"))).unwrap();
    assert_eq!(key(&contacts, "BEN"), Ok(4), "a petname wins over a claim");
}

#[test]
fn a_petname_stands_for_one_key() {
    let (mut contacts, _) = three();
    contacts.name(&[1; 32], Some(&display("Alice"))).unwrap();
    let taken = contacts.name(&[2; 32], Some(&display("AIice")));
    assert!(matches!(taken, Err(WhoError::Taken(_))), "{taken:?}");
    assert_eq!(contacts.name(&[9; 32], None), Err(WhoError::Nobody));
    contacts.name(&[1; 32], None).unwrap();
    assert_eq!(contacts.find(&[1; 32]).unwrap().name(), "Ada");
}

#[test]
fn memory_of_names_and_addresses_is_bounded() {
    let mut contacts = Contacts::default();
    for n in 0..100u16 {
        let at = SocketAddr::from(([192, 0, 2, 1], n));
        contacts.meet([1; 32], &display(&format!("name {n}")), &[at], "2026-08-29");
    }
    let contact = contacts.find(&[1; 32]).unwrap();
    assert_eq!((contact.names.len(), contact.addresses.len()), (NAMES, ADDRESSES));
    assert_eq!(contact.names.last().unwrap(), "name 99");
}

proptest! {
    #![proptest_config(crate::wire::seeded())]

    #[test]
    fn any_contacts_round_trip(
        people in btree_map(any::<[u8; 32]>(), (".{0,40}", vec(any::<SocketAddr>(), 0..4), any::<bool>()), 0..6),
    ) {
        let mut contacts = Contacts::default();
        for (key, (name, addresses, verified)) in &people {
            // Flow and scope of an IPv6 address have no place in a text.
            let addresses: Vec<_> =
                addresses.iter().map(|a| SocketAddr::new(a.ip(), a.port())).collect();
            let name = DisplayName::sanitise(name);
            contacts.meet(*key, &name, &addresses, "2026-08-29");
            if *verified {
                contacts.verify(key, How::Fingerprint, "2026-08-30");
            }
        }
        let text = contacts.to_text();
        let read = Contacts::parse(Path::new("contacts.toml"), text.as_bytes()).unwrap();
        prop_assert_eq!(read, contacts);
    }

    #[test]
    fn whatever_a_file_holds_nothing_panics(text in ".{0,200}", bytes in vec(any::<u8>(), 0..200)) {
        let path = Path::new("contacts.toml");
        let _ = Contacts::parse(path, &bytes);
        let _ = Contacts::parse(path, format!("version = 2\n{text}\n[end]\ncontacts = 0\n").as_bytes());
    }
}
