//! Who somebody is: identity and leaf keys, credentials, fingerprints, words.
