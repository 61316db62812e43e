//! Copies: sealed frames that go out a second time, later, before anybody asks.
//!
//! A copy is the sealed frame itself, to the byte: nothing is sealed twice, the receiver opens
//! whichever comes first, and each path gets as many as its own losses call for ([`Repeats`]). Copies ride
//! in the packets of later sound, where they cost no headers of their own; pictures too large for that go
//! as a second stream.

use crate::media::rate::redundancy::Repeats;
use crate::wire::link::{LinkId, Send};
use crate::wire::media::encode_copy;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets of sound kept: the latest copy is 120 ms behind, of packets of 10 ms.
const KEPT: usize = 12;
/// Larger frames have no place beside a packet of sound, in bytes.
const BESIDE_SOUND: usize = 900;
/// Larger pictures are not sent twice, in bytes.
const STREAM_MOST: usize = 8192;
/// Copies of pictures that may wait at once.
const WAITING: usize = 128;
/// A copy that no sound came by for goes alone after this time.
const ALONE: Duration = Duration::from_millis(15);
/// The second stream of a large picture follows the first after this time.
const STREAM_AFTER: Duration = Duration::from_millis(20);

/// What is kept for sending again, and what waits.
#[derive(Default)]
pub(super) struct Copies {
    /// Key and bytes of the last packets of sound, oldest first; of one key only.
    sound: VecDeque<(u64, Bytes)>,
    /// Pictures: when, to whom, what.
    waiting: Vec<(Instant, LinkId, Send)>,
}

impl Copies {
    /// A packet of sound was sealed. An earlier key's are forgotten: who holds only the new key
    /// has no use for them.
    pub(super) fn sound_sealed(&mut self, kid: u64, bytes: Bytes) {
        if self.sound.back().is_some_and(|(before, _)| *before != kid) {
            self.sound.clear();
        }
        if self.sound.len() == KEPT {
            self.sound.pop_front();
        }
        self.sound.push_back((kid, bytes));
    }

    /// The copies that go beside the packet of sound just sealed (see [`Copies::sound_sealed`]).
    pub(super) fn beside_sound(&self, repeats: &Repeats) -> impl Iterator<Item = Bytes> {
        let newest = self.sound.len().wrapping_sub(1);
        let earlier = repeats.after().iter().filter_map(move |after| newest.checked_sub(*after));
        earlier.filter_map(|place| Some(encode_copy(&self.sound.get(place)?.1)))
    }

    /// A picture was sent over `link` at `now`; `times` says how long after it its copies go.
    pub(super) fn picture(
        &mut self,
        link: LinkId,
        sent: &Send,
        times: impl Iterator<Item = Duration>,
        now: Instant,
    ) {
        let Send::Frame { bytes, priority, deadline, .. } = sent else { return };
        if bytes.len() <= BESIDE_SOUND {
            let copy = encode_copy(bytes);
            for after in times.take(WAITING.saturating_sub(self.waiting.len())) {
                self.waiting.push((now + after, link, Send::Datagram(copy.clone())));
            }
        } else if bytes.len() <= STREAM_MOST && self.waiting.len() < WAITING && times.count() > 0 {
            let (bytes, priority, deadline) = (bytes.clone(), *priority, *deadline);
            let copy = Send::Frame { bytes, priority, deadline, supersedes: false };
            self.waiting.push((now + STREAM_AFTER, link, copy));
        }
    }

    /// The pictures' copies that are due at `now`: those for `link`, or (`None`) those that have
    /// waited for company long enough.
    pub(super) fn due(&mut self, link: Option<LinkId>, now: Instant) -> Vec<(LinkId, Send)> {
        let mut due = Vec::new();
        self.waiting.retain(|(at, to, send)| {
            let goes = match link {
                Some(link) => *to == link && *at <= now,
                None => *at + patience(send) <= now,
            };
            if goes {
                due.push((*to, send.clone()));
            }
            !goes
        });
        due
    }

    /// When [`Copies::due`] has to be asked without company.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.waiting.iter().map(|(at, _, send)| *at + patience(send)).min()
    }

    /// Nothing goes out again.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn patience(send: &Send) -> Duration {
    if matches!(send, Send::Datagram(_)) { ALONE } else { Duration::ZERO }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;
    use crate::media::rate::redundancy::LossTrace;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn picture(length: usize, now: Instant) -> Send {
        let bytes = Bytes::from(vec![7; length]);
        Send::Frame { bytes, priority: 1, deadline: now + ms(400), supersedes: true }
    }

    /// A plan with one copy, in the next packet.
    fn next_packet() -> Repeats {
        let mut trace = LossTrace::default();
        for i in 0..500 {
            trace.push(i * 20_000, i % 10 == 0);
        }
        Repeats::default().replan(&trace, 0.0, 20, 1)
    }

    #[test]
    fn sound_of_an_earlier_key_is_never_sent_again() {
        let mut copies = Copies::default();
        let repeats = next_packet();
        assert_eq!(repeats.after(), [1]);
        copies.sound_sealed(5, Bytes::from_static(b"one"));
        assert_eq!(copies.beside_sound(&repeats).count(), 0);
        copies.sound_sealed(5, Bytes::from_static(b"two"));
        let sent: Vec<_> = copies.beside_sound(&repeats).collect();
        assert_eq!(sent, [Bytes::from_static(b"\xffone")]);
        copies.sound_sealed(6, Bytes::from_static(b"three"));
        assert_eq!(copies.beside_sound(&repeats).count(), 0);
    }

    #[test]
    fn small_pictures_wait_for_company_and_go_alone_in_the_end() {
        let (mut copies, now, link) = (Copies::default(), Instant::now(), LinkId(3));
        copies.picture(link, &picture(300, now), [ms(20), ms(60)].into_iter(), now);
        assert_eq!(copies.due(Some(link), now + ms(10)).len(), 0);
        assert_eq!(copies.due(Some(LinkId(4)), now + ms(21)).len(), 0);
        assert_eq!(copies.due(Some(link), now + ms(21)).len(), 1);
        assert_eq!(copies.wake_at(), Some(now + ms(75)));
        assert_eq!(copies.due(None, now + ms(74)).len(), 0);
        let last = copies.due(None, now + ms(75));
        assert!(matches!(&last[..], [(LinkId(3), Send::Datagram(b))] if b.len() == 301));
    }

    #[test]
    fn large_pictures_go_as_one_second_stream_that_resets_nothing() {
        let (mut copies, now, link) = (Copies::default(), Instant::now(), LinkId(3));
        copies.picture(link, &picture(3000, now), [ms(20), ms(60)].into_iter(), now);
        copies.picture(link, &picture(3000, now), std::iter::empty(), now);
        copies.picture(link, &picture(9000, now), [ms(20)].into_iter(), now);
        let sent = copies.due(None, now + ms(20));
        assert!(matches!(&sent[..], [(_, Send::Frame { supersedes: false, .. })]));
        for _ in 0..1000 {
            copies.picture(link, &picture(300, now), [ms(20), ms(60)].into_iter(), now);
        }
        assert!(copies.waiting.len() <= WAITING);
    }
}
