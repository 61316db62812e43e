//! `facetty id`: who this machine's user is to others, and the passphrase over the key.

use super::attest;
use crate::app::exit::{Exit, Failure};
use crate::app::identity;
use crate::app::out::Out;
use crate::app::paths::Paths;
use crate::identity::Fingerprint;
use crate::identity::sealed::{Cost, SealedSeed};
use crate::store::identity::{Stored, StoredIdentity, replace};
use crate::term::ask;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Show your fingerprint; makes your identity on first use
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty id                       your fingerprint
  facetty id passphrase            ask for a passphrase from now on (or for another one)
  facetty id passphrase --remove   ask for none
  facetty id attest --ssh ~/.ssh/id_ed25519 > me.attest
                                   your SSH key says that this identity is yours
  facetty id check-attest me.attest --keys you.pub
                                   somebody else checks it, offline

Scripts put the passphrase into a private file and name it in FACETTY_PASSPHRASE_FILE.")]
pub(super) struct IdArgs {
    #[command(subcommand)]
    command: Option<Action>,

    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set, change or remove the passphrase of the key file
    Passphrase {
        /// Take it away: the key file then protects itself by its permissions only
        #[arg(long)]
        remove: bool,

        /// Take the new passphrase from the first line of this file
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        new: Option<PathBuf>,
    },
    /// Let an SSH key sign that this identity is yours (through ssh-keygen -Y)
    Attest {
        /// The SSH key: its private file, or the public one if an agent has the other
        #[arg(long, value_name = "KEY")]
        ssh: PathBuf,
    },
    /// Check somebody's attestation against SSH public keys that you trust
    CheckAttest {
        /// The attestation
        file: PathBuf,
        /// Public keys: a .pub file, authorized_keys, or what a code host shows as USER.keys
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
}

pub(super) fn run(args: IdArgs, paths: &Paths) -> Result<Exit, Failure> {
    let out = Out::default();
    match args.command {
        None => show(paths, args.json, out),
        Some(Action::Attest { ssh }) => attest::attest(paths, &ssh, out),
        Some(Action::CheckAttest { file, keys }) => {
            attest::check(paths, &file, &keys, args.json, out)
        }
        Some(Action::Passphrase { remove, new }) => passphrase(paths, remove, new, args.json, out),
    }
}

fn show(paths: &Paths, as_json: bool, mut out: Out) -> Result<Exit, Failure> {
    let StoredIdentity { stored, created } = identity::stored(paths)?;
    let fingerprint = Fingerprint::of(&stored.public());
    let sealed = matches!(stored, Stored::Sealed(_));
    if as_json {
        out.line(json!({
            "fingerprint": fingerprint.to_string(),
            "fingerprint_full": fingerprint.full(),
            "path": paths.identity,
            "created": created,
            "passphrase": sealed,
        }));
    } else {
        out.line(format_args!("fingerprint  {fingerprint}"));
        out.line(format_args!("in full      {}", fingerprint.full()));
        let made = if created { " (made just now)" } else { "" };
        out.line(format_args!("key file     {}{made}", paths.identity.display()));
        let set = if sealed { "set" } else { "none: facetty id passphrase sets one" };
        out.line(format_args!("passphrase   {set}"));
    }
    out.end(Exit::Ended)
}

fn passphrase(
    paths: &Paths,
    remove: bool,
    new: Option<PathBuf>,
    as_json: bool,
    mut out: Out,
) -> Result<Exit, Failure> {
    let StoredIdentity { stored, .. } = identity::stored(paths)?;
    let seed = match (&stored, remove) {
        (Stored::Plain(_), true) => {
            return Err(Failure::new(Exit::Usage, "the identity key has no passphrase"));
        }
        (Stored::Plain(seed), false) => seed.duplicate(),
        (Stored::Sealed(sealed), _) => identity::open(sealed)?,
    };
    let now = if remove {
        Stored::Plain(seed)
    } else {
        let passphrase = match new {
            Some(path) => identity::passphrase_from(&path)?,
            None => typed_twice()?,
        };
        let sealed =
            SealedSeed::seal(&seed, passphrase.as_bytes(), Cost::NOW, &mut *crate::app::entropy());
        Stored::Sealed(sealed.map_err(|e| Failure::new(Exit::Bug, e))?)
    };
    replace(&paths.identity, &now)?;
    if as_json {
        out.line(json!({"passphrase": !remove}));
    } else if remove {
        out.line("passphrase removed: only its permissions protect the key file now");
    } else {
        out.line("passphrase set: without it nobody opens this key, and nobody can reset it");
    }
    out.end(Exit::Ended)
}

fn typed_twice() -> Result<Zeroizing<String>, Failure> {
    let first = ask("New passphrase: ").map_err(|e| match e {
        crate::term::AskError::NoTerminal => {
            Failure::new(Exit::Usage, "there is no terminal to ask for the new passphrase on")
                .next("--new FILE takes it from the first line of a file")
        }
        other => identity::no_answer(other),
    })?;
    if first.is_empty() {
        return Err(Failure::new(Exit::Usage, "an empty passphrase protects nothing")
            .next("facetty id passphrase --remove takes it away"));
    }
    let second = ask("The same again: ").map_err(identity::no_answer)?;
    if *first != *second {
        return Err(Failure::new(Exit::Usage, "the two are not the same; nothing was changed"));
    }
    Ok(first)
}
