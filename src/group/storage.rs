//! What openmls may keep, in memory only and wiped.
//!
//! openmls writes its whole state to a storage provider after every step so that a group can be
//! loaded again later. A call is never loaded again: its state dies with the process, on purpose.
//! So this storage keeps just what openmls reads back while a group is alive – private keys of
//! key packages, of update proposals and of the current epoch, and pre-shared keys – and lets
//! everything else go. A secret that isn't stored can't be found. What is kept sits in buffers
//! that are wiped when replaced, deleted or dropped.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Storage failed: a value did not survive serialisation. Not caused by peers.
#[derive(Debug, thiserror::Error)]
#[error("group storage: {0}")]
pub struct StorageError(#[from] serde_json::Error);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Table {
    /// Key packages of ours that nobody has used yet, with their private keys.
    KeyPackage,
    /// Private keys of update proposals not yet committed.
    UpdateKey,
    /// Private keys of the current epoch.
    EpochKeys,
    /// External pre-shared keys (RFC 9420 §8.4).
    Psk,
}

type Values = BTreeMap<(Table, Vec<u8>), Zeroizing<Vec<u8>>>;

/// Values by table and key. A mutex, because the storage trait writes through `&self`.
#[derive(Default)]
pub(super) struct Vault(Mutex<Values>);

impl Vault {
    /// Drops what only mattered until the commit just merged: pre-shared keys and the keys of
    /// update proposals (a committed one has moved to the epoch's keys by now).
    pub(super) fn forget_between_epochs(&self) {
        self.values().retain(|(table, _), _| !matches!(table, Table::Psk | Table::UpdateKey));
    }

    /// Drops the pre-shared keys.
    pub(super) fn forget_psks(&self) {
        self.values().retain(|(table, _), _| *table != Table::Psk);
    }

    /// Drops everything.
    pub(super) fn wipe(&self) {
        self.values().clear();
    }

    /// The same values once more, see [`super::forge`].
    pub(super) fn copied(&self) -> Self {
        Self(Mutex::new(self.values().clone()))
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        // A panic while holding the lock can't leave the map half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(
        &self,
        table: Table,
        key: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<(), StorageError> {
        let key = serde_json::to_vec(key)?;
        // Measured first: a growing vector would leave unwiped copies behind.
        let mut size = Counter(0);
        serde_json::to_writer(&mut size, value)?;
        let mut buffer = Zeroizing::new(Vec::with_capacity(size.0));
        serde_json::to_writer(&mut *buffer, value)?;
        self.values().insert((table, key), buffer);
        Ok(())
    }

    fn find<V: DeserializeOwned>(
        &self,
        table: Table,
        key: &impl Serialize,
    ) -> Result<Option<V>, StorageError> {
        let key = serde_json::to_vec(key)?;
        match self.values().get(&(table, key)) {
            Some(bytes) => Ok(Some(serde_json::from_slice(bytes)?)),
            None => Ok(None),
        }
    }

    fn remove(&self, table: Table, key: &impl Serialize) -> Result<(), StorageError> {
        let key = serde_json::to_vec(key)?;
        self.values().remove(&(table, key));
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.values().len()
    }
}

/// Counts bytes instead of keeping them.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Methods whose values only serve reloading a group: nothing is kept.
macro_rules! nothing_kept {
    ($($name:ident<$($g:ident),+>($($arg:ident),+) $(-> $found:ty)?;)*) => {$(
        nothing_kept!(@one $name<$($g),+>($($arg),+) $(-> $found)?);
    )*};
    (@one $name:ident<$($g:ident),+>($($arg:ident),+)) => {
        fn $name<$($g: traits::$g<CURRENT_VERSION>),+>(&self, $(_: &$arg),+) -> Result<(), StorageError> {
            Ok(())
        }
    };
    (@one $name:ident<$($g:ident),+>($($arg:ident),+) -> $found:ty) => {
        fn $name<$($g: traits::$g<CURRENT_VERSION>),+>(&self, $(_: &$arg),+) -> Result<$found, StorageError> {
            Ok(Default::default())
        }
    };
}

/// Methods whose values are read back: one row of one table.
macro_rules! kept {
    ($table:expr; $write:ident<$($w:ident),+>, $read:ident<$($r:ident),+>, $delete:ident; $key:ident => $value:ident) => {
        fn $write<$($w: traits::$w<CURRENT_VERSION>),+>(&self, key: &$key, value: &$value) -> Result<(), StorageError> {
            self.put($table, key, value)
        }

        fn $read<$($r: traits::$r<CURRENT_VERSION>),+>(&self, key: &$key) -> Result<Option<$value>, StorageError> {
            self.find($table, key)
        }

        fn $delete<$key: traits::$key<CURRENT_VERSION>>(&self, key: &$key) -> Result<(), StorageError> {
            self.remove($table, key)
        }
    };
}

impl StorageProvider<CURRENT_VERSION> for Vault {
    type Error = StorageError;

    nothing_kept! {
        write_mls_join_config<GroupId, MlsGroupJoinConfig>(GroupId, MlsGroupJoinConfig);
        append_own_leaf_node<GroupId, LeafNode>(GroupId, LeafNode);
        queue_proposal<GroupId, ProposalRef, QueuedProposal>(GroupId, ProposalRef, QueuedProposal);
        write_tree<GroupId, TreeSync>(GroupId, TreeSync);
        write_interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId, InterimTranscriptHash);
        write_context<GroupId, GroupContext>(GroupId, GroupContext);
        write_confirmation_tag<GroupId, ConfirmationTag>(GroupId, ConfirmationTag);
        write_group_state<GroupState, GroupId>(GroupId, GroupState);
        write_message_secrets<GroupId, MessageSecrets>(GroupId, MessageSecrets);
        write_resumption_psk_store<GroupId, ResumptionPskStore>(GroupId, ResumptionPskStore);
        write_own_leaf_index<GroupId, LeafNodeIndex>(GroupId, LeafNodeIndex);
        write_group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId, GroupEpochSecrets);
        write_application_export_tree<GroupId, ApplicationExportTree>(GroupId, ApplicationExportTree);
        write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey, SignatureKeyPair);

        mls_group_join_config<GroupId, MlsGroupJoinConfig>(GroupId) -> Option<MlsGroupJoinConfig>;
        own_leaf_nodes<GroupId, LeafNode>(GroupId) -> Vec<LeafNode>;
        queued_proposal_refs<GroupId, ProposalRef>(GroupId) -> Vec<ProposalRef>;
        queued_proposals<GroupId, ProposalRef, QueuedProposal>(GroupId) -> Vec<(ProposalRef, QueuedProposal)>;
        tree<GroupId, TreeSync>(GroupId) -> Option<TreeSync>;
        group_context<GroupId, GroupContext>(GroupId) -> Option<GroupContext>;
        interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId) -> Option<InterimTranscriptHash>;
        confirmation_tag<GroupId, ConfirmationTag>(GroupId) -> Option<ConfirmationTag>;
        group_state<GroupState, GroupId>(GroupId) -> Option<GroupState>;
        message_secrets<GroupId, MessageSecrets>(GroupId) -> Option<MessageSecrets>;
        resumption_psk_store<GroupId, ResumptionPskStore>(GroupId) -> Option<ResumptionPskStore>;
        own_leaf_index<GroupId, LeafNodeIndex>(GroupId) -> Option<LeafNodeIndex>;
        group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId) -> Option<GroupEpochSecrets>;
        application_export_tree<GroupId, ApplicationExportTree>(GroupId) -> Option<ApplicationExportTree>;
        signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey) -> Option<SignatureKeyPair>;

        remove_proposal<GroupId, ProposalRef>(GroupId, ProposalRef);
        delete_own_leaf_nodes<GroupId>(GroupId);
        delete_group_config<GroupId>(GroupId);
        delete_tree<GroupId>(GroupId);
        delete_confirmation_tag<GroupId>(GroupId);
        delete_group_state<GroupId>(GroupId);
        delete_context<GroupId>(GroupId);
        delete_interim_transcript_hash<GroupId>(GroupId);
        delete_message_secrets<GroupId>(GroupId);
        delete_all_resumption_psk_secrets<GroupId>(GroupId);
        delete_own_leaf_index<GroupId>(GroupId);
        delete_group_epoch_secrets<GroupId>(GroupId);
        clear_proposal_queue<GroupId, ProposalRef>(GroupId);
        delete_application_export_tree<GroupId, ApplicationExportTree>(GroupId);
        delete_signature_key_pair<SignaturePublicKey>(SignaturePublicKey);
    }

    kept! { Table::KeyPackage; write_key_package<HashReference, KeyPackage>, key_package<HashReference, KeyPackage>, delete_key_package; HashReference => KeyPackage }
    kept! { Table::UpdateKey; write_encryption_key_pair<EncryptionKey, HpkeKeyPair>, encryption_key_pair<HpkeKeyPair, EncryptionKey>, delete_encryption_key_pair; EncryptionKey => HpkeKeyPair }
    kept! { Table::Psk; write_psk<PskId, PskBundle>, psk<PskBundle, PskId>, delete_psk; PskId => PskBundle }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), StorageError> {
        self.put(Table::EpochKeys, &(group_id, epoch, leaf_index), &key_pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, StorageError> {
        Ok(self.find(Table::EpochKeys, &(group_id, epoch, leaf_index))?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), StorageError> {
        self.remove(Table::EpochKeys, &(group_id, epoch, leaf_index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(vault: &Vault) -> (usize, usize) {
        let values = vault.values();
        let bytes = values.values().next().unwrap();
        assert_eq!(bytes.len(), bytes.capacity(), "no growth, so no copies");
        (bytes.as_ptr() as usize, bytes.len())
    }

    /// Our own memory, read as a file: shows what a freed buffer still holds.
    #[cfg(target_os = "linux")]
    fn memory(at: usize, n: usize) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; n];
        std::fs::File::open("/proc/self/mem")
            .unwrap()
            .read_exact_at(&mut bytes, at as u64)
            .unwrap();
        bytes
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn dropped_and_replaced_values_are_wiped() {
        let secret = || -> Vec<u32> { (1_000_000..1_000_400).collect() };
        let needle = b"1000200,1000201";
        let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);

        let vault = Vault::default();
        vault.put(Table::Psk, &"id", &secret()).unwrap();
        let (at, n) = stored(&vault);
        assert!(holds(&memory(at, n)), "control: the secret is there while stored");
        vault.put(Table::Psk, &"id", &0).unwrap();
        assert!(!holds(&memory(at, n)), "replaced");

        vault.put(Table::Psk, &"id", &secret()).unwrap();
        let (at, n) = stored(&vault);
        assert!(holds(&memory(at, n)));
        drop(vault);
        assert!(!holds(&memory(at, n)), "dropped");
    }

    #[test]
    fn keeps_rows_apart_by_table_and_key() {
        let vault = Vault::default();
        vault.put(Table::Psk, &1, &"one").unwrap();
        vault.put(Table::Psk, &2, &"two").unwrap();
        vault.put(Table::UpdateKey, &1, &"three").unwrap();
        assert_eq!(vault.find::<String>(Table::Psk, &1).unwrap().as_deref(), Some("one"));
        assert_eq!(vault.find::<String>(Table::UpdateKey, &1).unwrap().as_deref(), Some("three"));
        vault.remove(Table::Psk, &1).unwrap();
        assert_eq!(vault.find::<String>(Table::Psk, &1).unwrap(), None);
        vault.forget_between_epochs();
        assert_eq!(vault.len(), 0);
    }
}
