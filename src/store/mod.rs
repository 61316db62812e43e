//! Files: the identity key, contacts, settings, ledgers, the port. Paths are passed in; a damaged file is an error
//! that names path and line, never an empty value, and nothing is overwritten that wasn't read.

pub mod contacts;
pub mod date;
pub mod file;
pub mod identity;
pub mod ledger;
pub mod port;
pub mod settings;
