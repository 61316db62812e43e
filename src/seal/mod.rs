//! Sealed frames: SFrame (RFC 9605) with ChaCha20-Poly1305, one key per sender and stream.
