//! QUIC: endpoint, TLS with raw keys, one link per peer, congestion hook.
