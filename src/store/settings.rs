//! The settings file: everything in it is optional, an unknown word is an error with its line.

use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};

/// What `config.toml` may say; flags win over it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Display name in calls.
    pub name: Option<String>,
    /// Default of `--video`.
    pub video: Option<String>,
    /// Default of `--audio`.
    pub audio: Option<String>,
    /// Default of `--speaker`.
    pub speaker: Option<String>,
    /// The same as `--headset`.
    pub headset: Option<bool>,
    /// Default of `--listen`.
    pub listen: Option<String>,
    /// Default of `--graphics`.
    pub graphics: Option<String>,
    /// Default of `--contrast`.
    pub contrast: Option<String>,
    /// Default of `--tint`.
    pub tint: Option<String>,
}

/// Why the settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not TOML, or an unknown or ill-typed entry.
    #[error("{}, line {line}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Settings {
    /// Reads `path`. No such file: all defaults.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsError::Io { path: path.into(), source }),
        };
        toml::from_str(&text).map_err(|e| {
            let start = e.span().map_or(0, |s| s.start);
            let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
            let what = e.message().trim().replace('\n', " ");
            SettingsError::Invalid { path: path.into(), line, what }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_an_error_with_its_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.toml");
        assert_eq!(Settings::load(&path).unwrap(), Settings::default());
        std::fs::write(&path, "name = \"Ada\"\nvideo = \"pattern\"\n").unwrap();
        assert_eq!(Settings::load(&path).unwrap().name.as_deref(), Some("Ada"));
        std::fs::write(&path, "name = \"Ada\"\n\nvidoe = \"pattern\"\n").unwrap();
        let message = Settings::load(&path).unwrap_err().to_string();
        assert!(message.contains("line 3") && message.contains("vidoe"), "{message}");
    }
}
