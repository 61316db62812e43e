//! Files: scenarios, and what is kept between calls.

use super::Feed;
use facetty::identity::DisplayName;
use facetty::sim::scenario::Scenario;
use facetty::store::contacts::Contacts;
use facetty::store::identity;
use facetty::store::settings::Settings;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Scenarios. Whatever is accepted has times and shares that can be played.
pub(super) fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(scenario) = Scenario::parse(text) else { return };
    let playable = |s: f64| s.is_finite() && s.abs() <= 86_400.0;
    assert!(scenario.seconds > 0.0 && playable(scenario.seconds));
    assert!((2..=16).contains(&scenario.participants.len()));
    assert!(scenario.participants.iter().all(|p| playable(p.join_at)));
    assert!(scenario.timeline.iter().all(|moment| playable(moment.s)));
    assert!(scenario.windows.iter().all(|w| playable(w.from) && playable(w.to)));
    for (_, link) in &scenario.links {
        let shares = [link.loss_pct, link.burst_pct, link.reorder_pct, link.duplicate_pct];
        assert!(shares.iter().flatten().all(|share| (0.0..=100.0).contains(share)));
    }
}

/// A place for one file, private to this process.
pub(super) fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let own = format!("facetty-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
    let dir = base.join(own.replace(['(', ')'], ""));
    std::fs::create_dir_all(&dir).expect("a folder");
    dir
}

/// Contacts, settings and the identity key. A damaged file is an error and stays as it is; what
/// is read is read again after it was written.
pub(super) fn stored(data: &[u8]) {
    let mut feed = Feed(data);
    let kind = feed.u8() % 3;
    let bytes = feed.0;
    let dir = place();
    let path = dir.join(["contacts.toml", "config.toml", "identity"][usize::from(kind)]);
    std::fs::write(&path, bytes).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
    let same = || std::fs::read(&path).expect("still there") == bytes;
    match kind {
        0 => match Contacts::load(&path) {
            Ok(_) => {
                let (name, today) = (DisplayName::sanitise("Ada"), "2026-08-29");
                let meet =
                    |c: &mut Contacts| drop(c.meet([9; 32], &name, &[], today).names.clone());
                Contacts::update(&path, meet).expect("a good file takes a contact");
                let once = Contacts::load(&path).expect("our own file");
                Contacts::update(&path, meet).expect("again");
                assert_eq!(Contacts::load(&path).expect("our own file"), once);
            }
            Err(_) => {
                assert!(Contacts::update(&path, |c| c.forget(&[9; 32])).is_err());
                assert!(same());
            }
        },
        1 => {
            let _ = Settings::load(&path);
        }
        _ => {
            let fresh = || unreachable!("there is a file: no new key is made");
            let found = identity::load_or_create(&path, fresh);
            assert!(same());
            if let Ok(found) = found {
                assert!(!found.created);
                identity::replace(&path, &found.stored).expect("the same identity");
                let again = identity::load(&path).expect("our own file").expect("there");
                assert_eq!(again.public(), found.stored.public());
            }
        }
    }
    // Leaves nothing behind; a failure to clean up is no failure of the target.
    let _ = std::fs::remove_dir_all(&dir);
}
