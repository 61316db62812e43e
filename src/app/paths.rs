//! Where facetty keeps its files: the platform's usual folders, or all in `$FACETTY_HOME`.

use crate::app::exit::{Exit, Failure};
use std::ffi::OsString;
use std::path::PathBuf;

/// The files of one user on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Settings (`config.toml`).
    pub settings: PathBuf,
    /// Identity key.
    pub identity: PathBuf,
    /// Contacts.
    pub contacts: PathBuf,
    /// Folder of ledgers kept from the call screen.
    pub ledgers: PathBuf,
    /// The UDP port chosen once.
    pub port: PathBuf,
    /// Log, unless `--log` says otherwise.
    pub log: PathBuf,
}

impl Paths {
    /// The paths of this process: `$FACETTY_HOME` if set, else the platform's folders.
    pub fn find() -> Result<Self, Failure> {
        Self::from_home(std::env::var_os("FACETTY_HOME"))
    }

    fn from_home(home: Option<OsString>) -> Result<Self, Failure> {
        if let Some(home) = home.filter(|h| !h.is_empty()) {
            let home = PathBuf::from(home);
            return Ok(Self {
                settings: home.join("config.toml"),
                identity: home.join("identity"),
                contacts: home.join("contacts.toml"),
                ledgers: home.join("ledgers"),
                port: home.join("port"),
                log: home.join("facetty.log"),
            });
        }
        let dirs = directories::ProjectDirs::from("", "", "facetty").ok_or_else(|| {
            Failure::new(Exit::Config, "no home folder: there is no place for the identity key")
                .cause("HOME is not set and the user has no entry in the user database")
                .next("set FACETTY_HOME to a private folder")
        })?;
        Ok(Self {
            settings: dirs.config_dir().join("config.toml"),
            identity: dirs.data_dir().join("identity"),
            contacts: dirs.data_dir().join("contacts.toml"),
            ledgers: dirs.data_dir().join("ledgers"),
            port: dirs.state_dir().unwrap_or(dirs.data_local_dir()).join("port"),
            log: dirs.state_dir().unwrap_or(dirs.data_local_dir()).join("facetty.log"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facetty_home_holds_everything() {
        let paths = Paths::from_home(Some("/x/y".into())).unwrap();
        for path in [&paths.settings, &paths.identity, &paths.contacts, &paths.port, &paths.log] {
            assert!(path.starts_with("/x/y"), "{}", path.display());
        }
    }

    #[test]
    fn an_empty_facetty_home_counts_as_unset() {
        assert_eq!(Paths::from_home(Some("".into())), Paths::from_home(None));
    }
}
