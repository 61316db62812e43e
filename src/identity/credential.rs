//! Credentials: an identity lends its name to one leaf key, for one group, until a date.

use super::keypair::{IdentityKey, SignatureError, verify};
use super::name::{DisplayName, NameError};
use crate::keys::IdentityPublic;
use crate::time::Wall;
use crate::wire::varint::{ParseError, Reader, Writer};

/// How far clocks may differ, in seconds: a credential counts as valid this long after its date.
pub const CLOCK_TOLERANCE_SECS: u64 = 600;
/// Longest validity accepted, in seconds: nobody needs a call's key for more than a week.
pub const LONGEST_SECS: u64 = 7 * 86_400;

const VERSION: u8 = 1;
const PURPOSE: &str = "credential";

/// The content of an MLS leaf's credential (RFC 9420 §5.3, basic), and of an ANSWER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Who.
    pub identity: IdentityPublic,
    /// What they call themselves.
    pub name: DisplayName,
    /// The TLS and MLS key that speaks for them.
    pub leaf_key: [u8; 32],
    /// In this group only.
    pub group_id: [u8; 16],
    /// Not after this; whole seconds.
    pub not_after: Wall,
    signature: [u8; 64],
}

/// Why a credential isn't good here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not a credential's bytes.
    #[error("damaged credential: {0}")]
    Parse(#[from] ParseError),
    /// Made by another version.
    #[error("credential of version {0}, which this facetty doesn't know")]
    Version(u8),
    /// The name in it can't be shown.
    #[error("unacceptable name: {0}")]
    Name(#[from] NameError),
    /// The identity key never signed this.
    #[error("the identity's signature doesn't fit")]
    Signature(#[from] SignatureError),
    /// Signed for another group.
    #[error("made for another call")]
    WrongGroup,
    /// Its date has passed by more than the tolerance.
    #[error("expired {secs} s ago (or a clock is wrong)")]
    Expired {
        /// How long ago.
        secs: u64,
    },
    /// Valid for longer than anybody needs.
    #[error("valid for more than a week (or a clock is wrong)")]
    TooLong,
    /// The connection or leaf it came with has another key.
    #[error("made for another key than the one it came with")]
    WrongKey,
}

/// A credential couldn't be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the date doesn't fit 32 bits of seconds")]
pub struct IssueError;

impl Credential {
    /// Signs a credential for `leaf_key`; `not_after` is cut to whole seconds.
    pub fn issue(
        identity: &IdentityKey,
        name: DisplayName,
        leaf_key: [u8; 32],
        group_id: [u8; 16],
        not_after: Wall,
    ) -> Result<Self, IssueError> {
        let secs = u32::try_from(not_after.secs()).map_err(|_| IssueError)?;
        let mut credential = Self {
            identity: identity.public(),
            name,
            leaf_key,
            group_id,
            not_after: Wall(u64::from(secs) * 1000),
            signature: [0; 64],
        };
        credential.signature = identity.sign(PURPOSE, &[&credential.signed_part()]);
        Ok(credential)
    }

    fn signed_part(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(160);
        w.u8(VERSION).raw(&self.identity.0).prefixed(self.name.as_str().as_bytes());
        w.raw(&self.leaf_key).raw(&self.group_id).u32(self.not_after.secs() as u32);
        w.finish()
    }

    /// Encodes: 151 to 215 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_part();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Decodes; whether it is *good*, [`Credential::verify`] says.
    pub fn decode(bytes: &[u8]) -> Result<Self, CredentialError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            VERSION => {}
            other => return Err(CredentialError::Version(other)),
        }
        let identity = IdentityPublic(r.array()?);
        let name = std::str::from_utf8(r.prefixed("name", DisplayName::MAX_BYTES)?)
            .map_err(|_| ParseError::Invalid("name"))?;
        let credential = Self {
            identity,
            name: DisplayName::parse(name)?,
            leaf_key: r.array()?,
            group_id: r.array()?,
            not_after: Wall(u64::from(r.u32()?) * 1000),
            signature: r.array()?,
        };
        r.finish()?;
        Ok(credential)
    }

    /// Good for this group, now: signed by its identity, for this group, and within its date give
    /// or take [`CLOCK_TOLERANCE_SECS`].
    pub fn verify(&self, group_id: &[u8; 16], now: Wall) -> Result<(), CredentialError> {
        verify(&self.identity, PURPOSE, &[&self.signed_part()], &self.signature)?;
        if self.group_id != *group_id {
            return Err(CredentialError::WrongGroup);
        }
        let (now, end) = (now.secs(), self.not_after.secs());
        if now > end + CLOCK_TOLERANCE_SECS {
            return Err(CredentialError::Expired { secs: now - end });
        }
        if end > now + LONGEST_SECS + CLOCK_TOLERANCE_SECS {
            return Err(CredentialError::TooLong);
        }
        Ok(())
    }

    /// [`Credential::verify`], and made for the key that the connection or leaf it came with has.
    pub fn verify_for_key(
        &self,
        key: &[u8; 32],
        group_id: &[u8; 16],
        now: Wall,
    ) -> Result<(), CredentialError> {
        self.verify(group_id, now)?;
        if self.leaf_key != *key {
            return Err(CredentialError::WrongKey);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const GROUP: [u8; 16] = [3; 16];
    const NOW: Wall = Wall(1_800_000_000_000);

    fn issue(name: &str, not_after: Wall) -> Credential {
        let identity = IdentityKey::from_seed(Secret::take(&mut [1; 32]));
        let name = DisplayName::parse(name).unwrap();
        Credential::issue(&identity, name, [2; 32], GROUP, not_after).unwrap()
    }

    fn later(secs: u64) -> Wall {
        Wall(NOW.0 + secs * 1000)
    }

    #[test]
    fn a_credential_is_good_for_its_group_and_key_until_its_date_and_ten_minutes() {
        let c = Credential::decode(&issue("Alice", later(3600)).encode()).unwrap();
        assert_eq!(c, issue("Alice", later(3600)));
        assert_eq!(c.verify_for_key(&[2; 32], &GROUP, NOW), Ok(()));
        assert_eq!(c.verify(&GROUP, later(3600 + 600)), Ok(()));
        assert_eq!(
            c.verify(&GROUP, later(3600 + 601)),
            Err(CredentialError::Expired { secs: 601 })
        );
        assert_eq!(c.verify(&[4; 16], NOW), Err(CredentialError::WrongGroup));
        assert_eq!(c.verify_for_key(&[9; 32], &GROUP, NOW), Err(CredentialError::WrongKey));
        assert_eq!(
            issue("Alice", later(30 * 86_400)).verify(&GROUP, NOW),
            Err(CredentialError::TooLong)
        );
    }

    #[test]
    fn no_bit_of_a_credential_can_be_changed() {
        let good = issue("Alice", later(3600)).encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refused = match Credential::decode(&bytes) {
                Ok(c) => c.verify(&GROUP, NOW).is_err(),
                Err(_) => true,
            };
            assert!(refused, "bit {bit}");
        }
    }

    #[test]
    fn a_name_cannot_be_swapped_for_another_of_the_same_length() {
        let mut c = issue("Alice", later(3600));
        c.name = DisplayName::parse("Maloy").unwrap();
        assert_eq!(c.verify(&GROUP, NOW), Err(CredentialError::Signature(SignatureError)));
    }

    #[test]
    fn truncated_lengthened_and_unsafe_credentials_are_refused() {
        let good = issue("Alice", later(3600)).encode();
        for cut in 0..good.len() {
            assert!(Credential::decode(&good[..cut]).is_err());
        }
        let mut long = good.clone();
        long.push(0);
        assert_eq!(Credential::decode(&long), Err(CredentialError::Parse(ParseError::Trailing)));
        let mut escape = good.clone();
        escape[34] = 0x1b;
        assert_eq!(
            Credential::decode(&escape),
            Err(CredentialError::Name(NameError::Character(0x1b)))
        );
        let mut newer = good;
        newer[0] = 2;
        assert_eq!(Credential::decode(&newer), Err(CredentialError::Version(2)));
    }

    #[test]
    fn the_longest_name_still_fits_an_answer() {
        let c = issue(&"x".repeat(64), later(60));
        assert_eq!(c.encode().len(), 215);
        assert!(c.encode().len() <= crate::wire::handshake::CREDENTIAL_CAP);
    }
}
