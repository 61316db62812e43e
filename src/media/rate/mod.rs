//! How much to send: delay-based estimate, budget, tile ladder.
