//! The UDP port this machine listens on: chosen once, so that contacts find it again. Nothing
//! depends on it but being found; a damaged file counts as none.

use crate::store::file;
use std::io;
use std::path::Path;

/// The port chosen before.
pub fn load(path: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(path).ok()?;
    text.trim().parse().ok().filter(|port| *port != 0)
}

/// Keeps `port` for the next time.
pub fn keep(path: &Path, port: u16) -> io::Result<()> {
    file::replace(path, format!("{port}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_kept_and_damage_counts_as_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/port");
        assert_eq!(load(&path), None);
        keep(&path, 41932).unwrap();
        assert_eq!(load(&path), Some(41932));
        for damaged in ["", "0", "70000", "x", "-1"] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(load(&path), None, "{damaged}");
        }
    }
}
