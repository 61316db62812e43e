//! Display names: what a stranger calls itself, made safe to show in a terminal. A name proves
//! nothing; petnames and fingerprints do.

use std::fmt;
use unicode_width::UnicodeWidthChar;

/// A printable name of 1 to 64 bytes (UTF-8): no control, direction-changing, invisible or
/// private-use characters, no space at either end or twice in a row, at most two combining marks
/// in a row and none at the start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisplayName(String);

/// Why a text can't be a display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or nothing but spaces.
    #[error("the name is empty")]
    Empty,
    /// More than [`DisplayName::MAX_BYTES`].
    #[error("the name is longer than 64 bytes")]
    TooLong,
    /// A character that controls, hides or reorders text.
    #[error("the name holds U+{0:04X}, which can't be shown safely")]
    Character(u32),
    /// Spaces at an end or twice in a row, or too many combining marks.
    #[error("the name has stray spaces or marks")]
    Shape,
}

/// Most combining marks in a row.
const MARKS: usize = 2;

impl DisplayName {
    /// Longest name in bytes of UTF-8.
    pub const MAX_BYTES: usize = 64;

    /// Accepts a safe name as it is, refuses any other.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(c) = text.chars().find(|&c| !is_showable(c)) {
            return Err(NameError::Character(c as u32));
        }
        if Self::tidied(text).as_deref() != Some(text) {
            return Err(NameError::Shape);
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes a name out of anything (a login name, a file): drops what [`DisplayName::parse`]
    /// refuses; "somebody" if nothing is left.
    pub fn sanitise(text: &str) -> Self {
        let spaced: String =
            text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        Self(Self::tidied(&spaced).unwrap_or_else(|| "somebody".to_owned()))
    }

    /// `text` without unsafe characters, stray spaces and surplus marks, cut to size.
    fn tidied(text: &str) -> Option<String> {
        let mut tidy = String::with_capacity(Self::MAX_BYTES);
        let mut marks = 0;
        for c in text.chars().filter(|&c| is_showable(c)) {
            let mark = c.width() == Some(0);
            marks = if mark { marks + 1 } else { 0 };
            let bare = tidy.is_empty() || tidy.ends_with(' ');
            if (bare && (mark || c == ' ')) || marks > MARKS {
                continue;
            }
            if tidy.len() + c.len_utf8() > Self::MAX_BYTES {
                break;
            }
            tidy.push(c);
        }
        tidy.truncate(tidy.trim_end().len());
        Some(tidy).filter(|t| !t.is_empty())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of the name when everything that is easily overlooked is taken away: case,
    /// accents, spaces, punctuation, look-alikes of other scripts. Two people with one skeleton
    /// are pointed out to the user. It errs on the side of pointing out.
    pub fn skeleton(&self) -> String {
        let mut bare = String::with_capacity(self.0.len());
        for c in self.0.chars().flat_map(char::to_lowercase) {
            match look_alike(c) {
                Some(same) => bare.push_str(same),
                None if c.is_alphanumeric() && c.width() != Some(0) => bare.push(c),
                None => {}
            }
        }
        bare.replace("rn", "m").replace("vv", "w").replace("cl", "d")
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a character shows itself, in its place, and nothing else.
fn is_showable(c: char) -> bool {
    if c.is_control() || (c.is_whitespace() && c != ' ') {
        return false;
    }
    !matches!(
        c as u32,
        0x00ad | 0x034f | 0x0600..=0x0605 | 0x061c | 0x06dd | 0x070f | 0x08e2
        | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f // zero width, direction marks
        | 0x2028..=0x202e // separators, direction embeddings and overrides
        | 0x2060..=0x206f // invisible operators, direction isolates
        | 0x2800 // blank that isn't white space
        | 0x3164 | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
        | 0xfff0..=0xffff
        | 0x110bd | 0x110cd | 0x13430..=0x1345f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
        | 0x1fffe..=0x1ffff | 0x2fffe..=0x2ffff | 0x3fffe..=0x10ffff // tags, selectors, private use
    )
}

/// The plain Latin form of a character that can be taken for it (after lower-casing), for the
/// scripts where that happens in practice.
fn look_alike(c: char) -> Option<&'static str> {
    Some(match c {
        // One stroke.
        '1' | 'i' | '|' | '!' | 'ı' | 'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'і' | 'ї'
        | 'ι' | 'ί' | 'ϊ' | 'ӏ' | 'ł' | 'ĺ' | 'ļ' | 'ľ' | 'ⅼ' | 'ⅰ' | 'ɩ' | 'ǀ' => {
            "l"
        }
        '0' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'о' | 'ο' | 'ό' | 'σ' | 'օ'
        | 'ỏ' | 'ọ' | 'ơ' | '०' | '۰' | '٥' => "o",
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'а' | 'α' | 'ά' | 'ạ' | 'ả' | '@'
        | 'ɑ' => "a",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'е' | 'ё' | 'є' | 'ε' | 'έ' | 'ẹ'
        | 'ẽ' | '3' => "e",
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'υ' | 'ύ' | 'ս' | 'ư' => {
            "u"
        }
        'ý' | 'ÿ' | 'ŷ' | 'у' | 'γ' | 'ү' | 'ỳ' | 'ỹ' => "y",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' | 'с' | 'ϲ' | 'ⅽ' => "c",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'η' | 'ή' | 'п' | 'ո' => "n",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' | 'ѕ' | '5' | '$' => "s",
        'ź' | 'ż' | 'ž' | 'ʐ' => "z",
        'ď' | 'đ' | 'ԁ' | 'ɗ' | 'ⅾ' => "d",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' | 'ǧ' | 'ɡ' | 'ց' => "g",
        'ĥ' | 'ħ' | 'һ' | 'հ' => "h",
        'ĵ' | 'ј' | 'ϳ' => "j",
        'ķ' | 'к' | 'κ' | 'ĸ' => "k",
        'м' | 'ⅿ' => "m",
        'р' | 'ρ' | 'þ' => "p",
        'ԛ' => "q",
        'ŕ' | 'ŗ' | 'ř' | 'г' => "r",
        'ţ' | 'ť' | 'ŧ' | 'ț' | 'т' | 'τ' => "t",
        'ν' | 'ѵ' | 'ⅴ' => "v",
        'ŵ' | 'ԝ' | 'ω' | 'ώ' | 'ш' => "w",
        'х' | 'χ' | 'ⅹ' | '×' => "x",
        'в' | 'ь' | 'β' => "b",
        'ß' => "ss",
        'æ' | 'ӕ' => "ae",
        'œ' => "oe",
        // Full-width forms.
        'ａ'..='ｚ' => {
            const LATIN: &str = "abcdefghijklmnopqrstuvwxyz";
            let i = (c as usize).saturating_sub('ａ' as usize);
            let letter = LATIN.get(i..=i)?;
            if letter == "i" { "l" } else { letter }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_are_accepted_as_they_are() {
        for name in [
            "Alice",
            "Łukasz Żak",
            "O'Brien-Smith 3",
            "李小龍",
            "Ольга",
            "محمد",
            "अमित",
            "ไทย",
            "José",
            "Jose\u{301}",
            "🙂 Bo",
            "a",
        ] {
            assert_eq!(DisplayName::parse(name).unwrap().as_str(), name);
            assert_eq!(DisplayName::sanitise(name).as_str(), name);
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_or_hides_gets_through() {
        for bad in [
            '\u{1b}',
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{7f}',
            '\u{9b}',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{feff}',
            '\u{ad}',
            '\u{2028}',
            '\u{3000}',
            '\u{a0}',
            '\u{e000}',
            '\u{fe0f}',
            '\u{e0041}',
            '\u{10fffd}',
            '\u{3164}',
            '\u{2800}',
        ] {
            let name = format!("Al{bad}ice");
            assert_eq!(DisplayName::parse(&name), Err(NameError::Character(bad as u32)));
            let clean = DisplayName::sanitise(&name);
            assert!(["Alice", "Al ice"].contains(&clean.as_str()), "{clean}");
        }
    }

    #[test]
    fn stray_spaces_and_stacked_marks_are_refused() {
        for name in [" a", "a ", "a  b", "\u{301}a", "a\u{301}\u{301}\u{301}", "a \u{301}b"] {
            assert_eq!(DisplayName::parse(name), Err(NameError::Shape), "{name:?}");
        }
        assert_eq!(DisplayName::parse(""), Err(NameError::Empty));
        assert_eq!(DisplayName::parse("  "), Err(NameError::Empty));
        assert_eq!(DisplayName::parse(&"a".repeat(65)), Err(NameError::TooLong));
        assert_eq!(DisplayName::sanitise(" \u{1b} ").as_str(), "somebody");
    }

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        let skeleton = |n: &str| DisplayName::parse(n).unwrap().skeleton();
        for (a, b) in [
            ("Alice", "alice"),
            ("Alice", "AIice"), // capital I for l
            ("Alice", "Аlісе"), // Cyrillic
            ("Alice", "A l i c e"),
            ("Alice", "Alícé"),
            ("Alice", "Ａｌｉｃｅ"),
            ("bernie", "bemie"),
            ("Bob", "B0b"),
            ("Bob", "Воb"),
            ("Paul", "Pau1."),
            ("Jose\u{301}", "Jose"),
            ("William", "VVilliam"),
        ] {
            assert_eq!(skeleton(a), skeleton(b), "{a} {b}");
        }
        for (a, b) in [("Alice", "Alicia"), ("Bob", "Rob"), ("李", "王"), ("Ann", "Anna")] {
            assert_ne!(skeleton(a), skeleton(b), "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn whatever_is_sanitised_is_then_accepted(text in ".{0,100}") {
            let name = DisplayName::sanitise(&text);
            prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
        }
    }
}
