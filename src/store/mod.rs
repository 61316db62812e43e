//! Files: identity key, contacts. Paths are passed in.
