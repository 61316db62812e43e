//! Short messages to the whole group: MLS application messages (RFC 9420 §15). They carry
//! members' addresses and, inside bundles, an invite's pre-shared key to those who were members
//! before its user. Media doesn't come this way.

use super::bytes::Malformed;
use super::{Group, MAX_PROPOSAL, ReceiveError};
use crate::secret::Secret;
use crate::wire::link::MemberId;
use openmls::prelude::{ContentType, ProcessedMessageContent};
use zeroize::Zeroizing;

/// First byte of a message of the application's.
const APPLICATION: u8 = 1;
/// First byte of a message with an invite's PSK.
const PSK: u8 = 2;

/// Sealing or opening failed.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than 16 kB.
    #[error("longer than {MAX_PROPOSAL} bytes")]
    TooLong,
    /// We are not in the group any more, or the library could not seal.
    #[error("can't seal: {0}")]
    Seal(String),
    /// Not a message of this group, epoch and kind; forged, damaged, or opened before.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
}

/// An invite's pre-shared key on its way to members.
pub(super) struct PskOffer {
    pub(super) invite: [u8; 8],
    pub(super) secret: Secret<32>,
}

impl Group {
    /// Seals a message for all members of this epoch.
    pub fn seal_message(&mut self, body: &[u8]) -> Result<Vec<u8>, MessageError> {
        self.seal(APPLICATION, body)
    }

    /// Opens a message of this epoch: who sent it, and what. Works once for each message.
    pub fn open_message(&mut self, bytes: &[u8]) -> Result<(MemberId, Vec<u8>), MessageError> {
        let (by, mut plain) = self.open(bytes)?;
        match plain.split_first() {
            Some((&APPLICATION, _)) => Ok((by, plain.split_off(1))),
            _ => Err(ReceiveError::Kind.into()),
        }
    }

    pub(super) fn seal_psk(&mut self, offer: &PskOffer) -> Result<Vec<u8>, MessageError> {
        let mut body = Zeroizing::new([0; 40]);
        let (invite, secret) = body.split_at_mut(8);
        invite.copy_from_slice(&offer.invite);
        secret.copy_from_slice(offer.secret.expose());
        self.seal(PSK, body.as_slice())
    }

    pub(super) fn open_psk(&mut self, bytes: &[u8]) -> Result<(MemberId, PskOffer), MessageError> {
        let (by, plain) = self.open(bytes)?;
        let Some((&PSK, body)) = plain.split_first() else {
            return Err(ReceiveError::Kind.into());
        };
        let (invite, secret) =
            body.split_first_chunk::<8>().ok_or(ReceiveError::Malformed(Malformed))?;
        let secret: &[u8; 32] =
            secret.try_into().map_err(|_| ReceiveError::Malformed(Malformed))?;
        Ok((
            by,
            PskOffer {
                invite: *invite,
                secret: Secret::build(|bytes| bytes.copy_from_slice(secret)),
            },
        ))
    }

    fn seal(&mut self, kind: u8, body: &[u8]) -> Result<Vec<u8>, MessageError> {
        if body.len() > MAX_PROPOSAL - 1024 {
            return Err(MessageError::TooLong);
        }
        if self.evicted {
            return Err(ReceiveError::Evicted.into());
        }
        let mut plain = Zeroizing::new(Vec::with_capacity(1 + body.len()));
        plain.push(kind);
        plain.extend_from_slice(body);
        let message = self.mls.create_message(&self.provider, &self.signer, &plain);
        let message = message.map_err(|e| MessageError::Seal(e.to_string()))?;
        message.to_bytes().map_err(|e| MessageError::Seal(e.to_string()))
    }

    fn open(&mut self, bytes: &[u8]) -> Result<(MemberId, Zeroizing<Vec<u8>>), ReceiveError> {
        if self.evicted {
            return Err(ReceiveError::Evicted);
        }
        if bytes.len() > MAX_PROPOSAL {
            return Err(Malformed.into());
        }
        let message = self.private(bytes, ContentType::Application)?;
        let processed = self.mls.process_message(&self.provider, message);
        let processed = processed.map_err(|e| ReceiveError::Mls(e.to_string()))?;
        let by = self.sender(processed.sender()).ok_or(ReceiveError::NotAMember)?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Ok((by, Zeroizing::new(message.into_bytes())))
            }
            _ => Err(ReceiveError::Kind),
        }
    }
}
