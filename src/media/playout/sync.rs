//! Lip sync: when a picture is due. Sound is the master: ears notice a gap that eyes forgive.
//!
//! One clock of the sender stamps pictures and sound. While sound is played, a picture is due when
//! the sound of the same capture time is heard. Without sound there is nothing to wait for, and a
//! picture is due on arrival, smoothed by a small allowance for jitter.

use super::history::History;
use super::line::MinLine;
use crate::time::MediaTime;
use std::time::{Duration, Instant};

/// A picture this much behind the sound is not worth showing when a newer one is there.
pub const TOO_LATE: Duration = Duration::from_millis(200);
/// Sound that was last heard of longer ago than this no longer rules.
const SOUND_HOLDS: Duration = Duration::from_secs(1);
/// Allowance for jitter without sound: half a picture at 15 fps.
const ALONE: Duration = Duration::from_millis(30);
/// No picture waits longer than this, whatever the clocks say.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// When a picture is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Show it then (now, if that has passed).
    At(Instant),
    /// More than 200 ms behind the sound: show only if there is nothing newer.
    Late,
}

/// Maps one member's capture times to local instants of showing.
#[derive(Clone, Debug, Default)]
pub struct AvSync {
    line: MinLine,
    sound: Option<(Instant, Instant)>,
    history: History,
}

impl AvSync {
    /// Takes a picture's arrival into account.
    pub fn arrived(&mut self, at: MediaTime, now: Instant) {
        self.line.arrived(at, now);
    }

    /// The sound of media time zero is (would be) heard at `zero`, as of `now`.
    pub fn sound(&mut self, zero: Instant, now: Instant) {
        self.sound = Some((zero, now));
    }

    /// When the sound of media time zero was (would have been) heard, as last known.
    pub fn zero(&self) -> Option<Instant> {
        self.sound.map(|(zero, _)| zero)
    }

    /// This process stood still until `now`: what was captured before is history.
    pub fn stood_still(&mut self, now: Instant) {
        self.history.stood_still(&self.line, now);
    }

    /// Is a picture that came in while this process stood still more than `past` late?
    pub fn is_history(&self, at: MediaTime, now: Instant, past: Duration) -> bool {
        self.history.holds(at, now, past)
    }

    /// When the picture captured at `at` is due.
    pub fn due(&self, at: MediaTime, now: Instant) -> Due {
        let wait = Duration::from_micros(at.0.min(1 << 50));
        if let Some((zero, heard)) = self.sound
            && now.saturating_duration_since(heard) < SOUND_HOLDS
            && let Some(due) = zero.checked_add(wait)
        {
            if now.saturating_duration_since(due) > TOO_LATE {
                return Due::Late;
            }
            return Due::At(due.min(now + LONGEST_WAIT));
        }
        let due = self.line.arrival(at).and_then(|fastest| fastest.checked_add(ALONE));
        Due::At(due.unwrap_or(now).min(now + LONGEST_WAIT))
    }

    /// How long after its fastest possible arrival sound of the same capture time is heard: what
    /// waiting for the sound costs a picture. `None` unless both are known.
    pub fn audio_delay(&self) -> Option<Duration> {
        let (zero, _) = self.sound?;
        Some(zero.saturating_duration_since(self.line.zero()?))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }
    fn at(n: u64) -> MediaTime {
        MediaTime(n * 1000)
    }

    #[test]
    fn pictures_wait_for_the_sound_of_their_capture_time() {
        let start = Instant::now();
        let mut sync = AvSync::default();
        sync.arrived(at(100), start + ms(105));
        sync.sound(start + ms(80), start + ms(100));
        assert_eq!(sync.due(at(100), start + ms(105)), Due::At(start + ms(180)));
        assert_eq!(sync.audio_delay(), Some(ms(75)));
    }

    #[test]
    fn a_picture_200_ms_behind_the_sound_is_late() {
        let start = Instant::now();
        let mut sync = AvSync::default();
        sync.sound(start + ms(80), start + ms(450));
        assert_eq!(sync.due(at(160), start + ms(441)), Due::Late);
        assert_eq!(sync.due(at(260), start + ms(441)), Due::At(start + ms(340)));
    }

    #[test]
    fn without_sound_pictures_go_by_their_own_fastest_arrivals() {
        let start = Instant::now();
        let mut sync = AvSync::default();
        sync.sound(start, start);
        sync.arrived(at(2000), start + ms(2050));
        assert_eq!(sync.due(at(2040), start + ms(2110)), Due::At(start + ms(2120)));
    }

    #[test]
    fn a_member_with_an_absurd_clock_delays_nothing_by_more_than_half_a_second() {
        let start = Instant::now();
        let mut sync = AvSync::default();
        sync.sound(start, start);
        sync.arrived(at(0), start);
        assert_eq!(sync.due(MediaTime(u64::MAX), start), Due::At(start + ms(500)));
    }
}
