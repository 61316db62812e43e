//! A receiver's report to one sender: which of its frames arrived, and when. What the sender's
//! delay-based rate estimate lives on; sent often, so it is small: two to three bytes a frame.
//!
//! Layout: lost and late counters, number of entries; then (if any) the KIDs with their first counter,
//! the first arrival, and per frame one varint of `zigzag(counter step − 1) · kids + kid index` and
//! one of the arrival's distance from the one before.

use crate::wire::varint::{MAX, ParseError, Reader, Writer, unzigzag, zigzag};

/// Most frames one report tells about.
pub const MAX_ENTRIES: usize = 64;
/// Most KIDs one report tells about.
pub const MAX_KIDS: usize = 8;
/// Step of arrival times on the wire, in microseconds.
pub const TICK_US: u64 = 125;
/// Longest encoding accepted, in bytes.
pub const CAP: usize = 2048;

/// One frame that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its KID (12 bits).
    pub kid: u16,
    /// Its counter.
    pub ctr: u64,
    /// When, in microseconds on a clock of the receiver's own choice; only differences mean
    /// something. On the wire in steps of [`TICK_US`], rounded to the nearest.
    pub arrival_us: u64,
}

/// What arrived since the last report, in order of arrival, and running totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames that arrived, earliest first.
    pub entries: Vec<Arrival>,
    /// Frames given up as lost since the beginning.
    pub lost: u32,
    /// Frames that came too late to be used since the beginning.
    pub late: u32,
}

impl Report {
    /// Encodes. Entries are put in order of arrival; of more than [`MAX_ENTRIES`] only the latest
    /// go out, and of more than [`MAX_KIDS`] KIDs only the frames of the first ones.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|e| e.arrival_us);
        entries.drain(..entries.len().saturating_sub(MAX_ENTRIES));
        let mut kids: Vec<(u16, u64)> = Vec::with_capacity(MAX_KIDS);
        entries.retain(|e| {
            if kids.iter().any(|k| k.0 == e.kid) {
                return true;
            }
            let room = kids.len() < MAX_KIDS;
            if room {
                kids.push((e.kid, e.ctr));
            }
            room
        });

        let mut w = Writer::with_capacity(24 + 4 * entries.len());
        w.varint(u64::from(self.lost)).varint(u64::from(self.late));
        w.varint(entries.len() as u64);
        let Some(first) = entries.first() else { return w.finish() };
        w.varint(kids.len() as u64);
        for &(kid, ctr) in &kids {
            w.u16(kid).varint(ctr);
        }
        let mut clock = to_ticks(first.arrival_us);
        w.varint(clock);
        // The first frame of a KID has step 0, written as −1; frames after it usually step by 1.
        let count = kids.len() as u64;
        for e in &entries {
            let Some(slot) = kids.iter().position(|k| k.0 == e.kid) else { continue };
            let Some((_, last)) = kids.get_mut(slot) else { continue };
            let step = e.ctr.wrapping_sub(*last) as i64;
            *last = e.ctr;
            let now = to_ticks(e.arrival_us);
            w.varint((zigzag(step.wrapping_sub(1)).min(MAX / 16)) * count + slot as u64);
            w.varint(now - clock);
            clock = now;
        }
        w.finish()
    }

    /// Decodes; nothing may follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(bytes);
        let lost = r.varint_u32("lost frames")?;
        let late = r.varint_u32("late frames")?;
        let length = r.varint_max("report", MAX_ENTRIES)?;
        if length == 0 {
            r.finish()?;
            return Ok(Self { entries: Vec::new(), lost, late });
        }
        let count = r.varint_max("list of KIDs", MAX_KIDS)?;
        if count == 0 {
            return Err(ParseError::Invalid("report"));
        }
        let mut kids = Vec::with_capacity(count);
        for _ in 0..count {
            let (kid, ctr) = (r.u16()?, r.varint()?);
            if kid > 0xfff {
                return Err(ParseError::Invalid("KID"));
            }
            kids.push((kid, ctr));
        }
        let mut clock = r.varint()?;
        let mut entries = Vec::with_capacity(length);
        for _ in 0..length {
            let packed = r.varint()?;
            let slot = (packed % count as u64) as usize;
            let (kid, last) = kids.get_mut(slot).ok_or(ParseError::Invalid("report"))?;
            let step = unzigzag(packed / count as u64) + 1;
            *last = last.checked_add_signed(step).ok_or(ParseError::Invalid("counter"))?;
            clock = clock.checked_add(r.varint()?).ok_or(ParseError::Invalid("time"))?;
            let arrival_us = clock.checked_mul(TICK_US).ok_or(ParseError::Invalid("time"))?;
            entries.push(Arrival { kid: *kid, ctr: *last, arrival_us });
        }
        r.finish()?;
        Ok(Self { entries, lost, late })
    }
}

const fn to_ticks(us: u64) -> u64 {
    us.saturating_add(TICK_US / 2) / TICK_US
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn report() -> impl Strategy<Value = Report> {
        let entry = (0usize..4, 0u64..1 << 48, 0u64..1 << 40);
        (vec(entry, 0..=MAX_ENTRIES), any::<u32>(), any::<u32>()).prop_map(|(raw, lost, late)| {
            let mut entries: Vec<Arrival> = raw
                .into_iter()
                .map(|(kid, ctr, ticks)| Arrival {
                    kid: [0, 0x3ff, 0x400, 0xfff][kid],
                    ctr,
                    arrival_us: ticks * TICK_US,
                })
                .collect();
            entries.sort_by_key(|e| e.arrival_us);
            Report { entries, lost, late }
        })
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn reports_round_trip_and_truncated_ones_are_refused(report in report()) {
            let bytes = report.encode();
            prop_assert!(bytes.len() <= CAP);
            prop_assert_eq!(Report::decode(&bytes), Ok(report.clone()));
            for cut in 0..bytes.len() {
                prop_assert!(Report::decode(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn what_is_accepted_is_written_again_with_the_same_meaning(
            report in report(), at in any::<usize>(), byte in any::<u8>(), cut in 0usize..4,
        ) {
            let mut bytes = report.encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            if let Ok(read) = Report::decode(&bytes)
                && read.entries.iter().all(|entry| entry.ctr < 1 << 48)
            {
                prop_assert_eq!(Report::decode(&read.encode()), Ok(read));
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Report::decode(&bytes);
        }

        #[test]
        fn any_entries_are_encoded_into_something_readable(
            raw in vec((any::<u16>(), any::<u64>(), any::<u64>()), 0..100),
        ) {
            let entries = raw
                .into_iter()
                .map(|(kid, ctr, arrival_us)| Arrival { kid: kid & 0xfff, ctr, arrival_us })
                .collect();
            let bytes = Report { entries, lost: 0, late: 0 }.encode();
            if let Ok(read) = Report::decode(&bytes) {
                prop_assert!(read.entries.len() <= MAX_ENTRIES);
            }
        }
    }

    #[test]
    fn fifty_milliseconds_of_sound_and_pictures_cost_at_most_three_bytes_a_frame() {
        let mut entries = Vec::new();
        for i in 0..10u64 {
            let at = 3_600_000_000 + i * 20_000;
            entries.push(Arrival { kid: 0x010, ctr: 180_000 + i, arrival_us: at });
            entries.push(Arrival { kid: 0x410, ctr: 54_000 + i, arrival_us: at + 700 });
        }
        let report = Report { entries, lost: 3, late: 1 };
        let fixed = 2 + 2 + 2 * (2 + 4) + 4;
        assert!(report.encode().len() <= fixed + 3 * 20, "{}", report.encode().len());
    }

    #[test]
    fn of_too_many_entries_the_latest_go_out() {
        let entries: Vec<_> =
            (0..100).map(|i| Arrival { kid: 1, ctr: i, arrival_us: i * TICK_US }).collect();
        let read = Report::decode(&Report { entries, lost: 0, late: 0 }.encode()).unwrap();
        assert_eq!(read.entries.len(), MAX_ENTRIES);
        assert_eq!(read.entries.last().unwrap().ctr, 99);
    }
}
