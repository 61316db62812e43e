//! The picture as terminal cells: scaling, two-colour fit, damage-tracking writer, layout.
