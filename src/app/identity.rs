//! The identity of this machine's user: read, or made on first run.

use crate::app::exit::{Exit, Failure};
use crate::app::paths::Paths;
use crate::identity::IdentityKey;
use crate::secret::Secret;
use crate::store;
use rand::TryRngCore;

/// An identity key, and whether this run made it.
pub struct OwnIdentity {
    /// The key.
    pub key: IdentityKey,
    /// First run: say where the key is, in one line.
    pub created: bool,
}

/// Reads the identity key, or makes it.
pub fn own(paths: &Paths) -> Result<OwnIdentity, Failure> {
    // Asked for beforehand: a failing generator must not leave a key of zeros on the disk.
    let mut fresh = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut fresh).map_err(|e| {
        Failure::new(Exit::Bug, format_args!("the system gives no random numbers: {e}"))
    })?;
    let fresh = Secret::take(&mut fresh);
    let stored = store::identity::load_or_create(&paths.identity, || fresh)?;
    Ok(OwnIdentity { key: IdentityKey::from_seed(stored.seed), created: stored.created })
}

/// The line for a first run.
pub fn first_run_line(paths: &Paths, own: &OwnIdentity) -> Option<String> {
    let fingerprint = crate::identity::Fingerprint::of(&own.key.public());
    own.created.then(|| {
        format!("Made your identity key: {fingerprint}, kept in {}", paths.identity.display())
    })
}
