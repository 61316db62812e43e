//! A sink that counts and remembers.
