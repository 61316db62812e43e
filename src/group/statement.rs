//! "This is my commit after that epoch": what every committer signs. Inside MLS a commit can't be
//! shown to a third person (its signature is encrypted to the group); a statement can. Two of one
//! member for one epoch with different commits prove that it told different people different
//! things, to everybody who knows its key.

use super::bytes::{Malformed, Reader};
use super::provider::LeafSigner;
use super::signed::{fits, signed_bytes};

const PURPOSE: &str = "commit";

/// A committer's signed word on what it made of an epoch.
///
/// Bound to the confirmation hash of the epoch it follows: after a split and a return a member may
/// honestly commit in an epoch of the same number elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Leaf key of the committer.
    pub by: [u8; 32],
    /// The epoch the commit was made in.
    pub epoch: u64,
    /// Confirmation hash of that epoch.
    pub confirmation: [u8; 32],
    /// SHA-256 of the commit.
    pub commit_hash: [u8; 32],
    /// By the leaf key, over purpose, group id and the above.
    pub signature: [u8; 64],
}

impl Statement {
    pub(super) fn sign(
        signer: &LeafSigner,
        group: &[u8; 16],
        epoch: u64,
        confirmation: [u8; 32],
        commit_hash: [u8; 32],
    ) -> Self {
        let by = signer.public();
        let mut new = Self { by, epoch, confirmation, commit_hash, signature: [0; 64] };
        let message = new.fields(group, |fields| signed_bytes(PURPOSE, fields));
        new.signature = signer.sign_bytes(&message);
        new
    }

    /// Its signature is by the key it names, for this group.
    pub fn verify(&self, group: &[u8; 16]) -> bool {
        self.fields(group, |fields| fits(&self.by, PURPOSE, fields, &self.signature))
    }

    /// Same member, same epoch, another commit.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.by == other.by
            && self.epoch == other.epoch
            && self.confirmation == other.confirmation
            && self.commit_hash != other.commit_hash
    }

    fn fields<T>(&self, group: &[u8; 16], with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let epoch = self.epoch.to_be_bytes();
        with(&[group, &epoch, &self.confirmation, &self.commit_hash])
    }

    /// For the wire: 168 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(168);
        self.put(&mut out);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote; [`verify`](Self::verify) judges it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let statement = Self::read(&mut r)?;
        r.end()?;
        Ok(statement)
    }

    /// Appends 168 bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.put_in_bundle(out);
        out.extend_from_slice(&self.commit_hash);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut statement = Self::read_in_bundle(r, [0; 32])?;
        statement.commit_hash = r.array()?;
        Ok(statement)
    }

    /// Appends 136 bytes; the commit's hash follows from the commit beside it.
    pub(super) fn put_in_bundle(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.by);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.confirmation);
        out.extend_from_slice(&self.signature);
    }

    pub(super) fn read_in_bundle(
        r: &mut Reader<'_>,
        commit_hash: [u8; 32],
    ) -> Result<Self, Malformed> {
        let by = r.array()?;
        let epoch = r.u64()?;
        let confirmation = r.array()?;
        Ok(Self { by, epoch, confirmation, commit_hash, signature: r.array()? })
    }
}

/// Proof that one member made two commits in one epoch. Anybody who knows the group id can check
/// it; nobody but that member can make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equivocation {
    a: Statement,
    b: Statement,
}

impl Equivocation {
    /// Puts two statements together; `None` unless both are signed, by one key, for one epoch of
    /// this group, with different commits.
    pub fn from(group: &[u8; 16], a: Statement, b: Statement) -> Option<Self> {
        (a.contradicts(&b) && a.verify(group) && b.verify(group)).then_some(Self { a, b })
    }

    /// Leaf key of the member that did it.
    pub fn by(&self) -> [u8; 32] {
        self.a.by
    }

    /// The epoch it did it in.
    pub fn epoch(&self) -> u64 {
        self.a.epoch
    }

    /// The two statements.
    pub fn statements(&self) -> [Statement; 2] {
        [self.a, self.b]
    }

    /// For passing it on: 336 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(336);
        self.a.put(&mut out);
        self.b.put(&mut out);
        out
    }

    /// Reads a proof and checks it, as [`from`](Self::from) does.
    pub fn parse(group: &[u8; 16], bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let (a, b) = (Statement::read(&mut r)?, Statement::read(&mut r)?);
        r.end()?;
        Self::from(group, a, b).ok_or(Malformed)
    }
}
