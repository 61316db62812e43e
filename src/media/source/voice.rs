//! A formant synthesiser reading the spelling alphabet.
