//! Calendar days in UTC, for files and the screen ("met 2026-08-29").

use crate::time::Wall;

/// `YYYY-MM-DD` of a moment.
pub fn day(at: Wall) -> String {
    let (year, month, day) = civil(at.secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Whether `text` has the form `YYYY-MM-DD` with a month and day that exist.
pub fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .filter(|t| t.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|t| t.parse().ok())
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    let leap: bool = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last: u32 = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
}

/// Days since 1970-01-01 → year, month, day. Counts in 400-year cycles of the Gregorian calendar
/// with years that begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (cycle, of_cycle) = (days / 146_097, days % 146_097);
    let of_cycle_year =
        (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * of_cycle_year + of_cycle_year / 4 - of_cycle_year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (cycle * 400 + of_cycle_year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_come_out_right() {
        let at = |secs: u64| day(Wall(secs * 1000));
        assert_eq!(at(0), "1970-01-01");
        assert_eq!(at(951_782_400), "2000-02-29");
        assert_eq!(at(951_868_800), "2000-03-01");
        assert_eq!(at(1_735_689_599), "2024-12-31");
        assert_eq!(at(4_107_542_400), "2100-03-01");
    }

    #[test]
    fn every_day_of_a_century_is_a_day() {
        let mut last = String::new();
        for n in 0..40_000 {
            let today = day(Wall(n * 86_400_000));
            assert!(is_day(&today) && today > last, "{last} {today}");
            last = today;
        }
    }

    #[test]
    fn impossible_days_are_refused() {
        for text in ["", "2023-02-29", "2024-13-01", "2024-00-10", "2024-1-010", "2024-01-+1"] {
            assert!(!is_day(text), "{text}");
        }
    }
}
