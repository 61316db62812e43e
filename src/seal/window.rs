//! The replay window of one KID: which of the latest counters were seen.

/// Counters further than this behind the highest seen are refused unseen.
pub const REPLAY_WINDOW: u64 = 1024;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;

/// Remembers the counters seen among the latest [`REPLAY_WINDOW`]. Ask [`ReplayWindow::check`]
/// before opening, tell [`ReplayWindow::record`] after the frame proved authentic.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    /// One past the highest counter recorded.
    next: u64,
    /// Bit `ctr % 1024` of the ring: `ctr` was seen. Holds for `next − 1024 .. next`.
    seen: [u64; WORDS],
}

/// Why a counter isn't accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Seen already.
    Replayed,
    /// Too far behind to know.
    TooOld,
}

impl ReplayWindow {
    /// Whether a frame with this counter may still be accepted.
    pub fn check(&self, ctr: u64) -> Result<(), Refusal> {
        if ctr >= self.next {
            return Ok(());
        }
        if self.next - ctr > REPLAY_WINDOW {
            return Err(Refusal::TooOld);
        }
        let (word, bit) = place(ctr);
        if self.seen.get(word).is_some_and(|w| w & bit != 0) {
            return Err(Refusal::Replayed);
        }
        Ok(())
    }

    /// Marks a counter that passed [`ReplayWindow::check`] and authentication.
    pub fn record(&mut self, ctr: u64) {
        if ctr >= self.next {
            // The places of the counters skipped over still hold their predecessors' bits.
            let first = self.next.max(ctr.saturating_sub(REPLAY_WINDOW - 1));
            for skipped in first..=ctr {
                self.mark(skipped, false);
            }
            self.next = ctr.saturating_add(1);
        }
        self.mark(ctr, true);
    }

    fn mark(&mut self, ctr: u64, seen: bool) {
        let (word, bit) = place(ctr);
        if let Some(w) = self.seen.get_mut(word) {
            *w = if seen { *w | bit } else { *w & !bit };
        }
    }
}

const fn place(ctr: u64) -> (usize, u64) {
    ((ctr / 64) as usize % WORDS, 1 << (ctr % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The same, said as simply as possible: remember everything.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn check(&self, ctr: u64) -> Result<(), Refusal> {
            match self.0.last() {
                Some(&high) if ctr + REPLAY_WINDOW <= high => Err(Refusal::TooOld),
                _ if self.0.contains(&ctr) => Err(Refusal::Replayed),
                _ => Ok(()),
            }
        }
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn the_window_agrees_with_remembering_everything(
            steps in proptest::collection::vec(
                prop_oneof![
                    6 => -40i64..40,
                    2 => -1100i64..1100,
                    1 => -5000i64..5000,
                    1 => -(1i64 << 46)..1 << 46,
                ],
                1..600,
            ),
            authentic in proptest::collection::vec(any::<bool>(), 600),
        ) {
            let (mut window, mut model) = (ReplayWindow::default(), Model::default());
            let mut at = 10_000u64;
            for (step, authentic) in steps.into_iter().zip(authentic) {
                at = at.saturating_add_signed(step);
                prop_assert_eq!(window.check(at), model.check(at), "{}", at);
                if window.check(at).is_ok() && authentic {
                    window.record(at);
                    model.0.insert(at);
                }
            }
        }
    }

    #[test]
    fn the_border_is_exact() {
        let mut w = ReplayWindow::default();
        w.record(5000);
        assert_eq!(w.check(5000), Err(Refusal::Replayed));
        assert_eq!(w.check(5000 - 1023), Ok(()));
        assert_eq!(w.check(5000 - 1024), Err(Refusal::TooOld));
    }
}
