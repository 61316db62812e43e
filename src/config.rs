//! Settings: types and parsing of the configuration file and of flag values.
