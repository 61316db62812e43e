//! The invite: what a host hands to somebody who may knock.
//!
//! `facetty1` and base32 of `version ‖ flags and count ‖ host key ‖ secret ‖ expiry ‖ uses ‖
//! [group] ‖ families ‖ addresses ‖ checksum`: at most 150 characters with two IPv4 addresses, so that its
//! QR code fits an 80x24 terminal. Whoever holds the text may knock once, as itself; it cannot
//! play the host, read, or add anybody.
//!
//! Four independent keys come from the secret (HKDF-SHA256, RFC 5869). All but the group number
//! are bound to host, expiry and uses: an edited invite opens no door.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use crate::keys::IdentityPublic;
use crate::secret::Secret;
use crate::time::Wall;
use crate::wire::base32::{self, Base32Error};
use crate::wire::varint::{ParseError, Reader, Writer};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use zeroize::Zeroizing;

/// Version of the layout this build writes, and the only one it reads.
pub const VERSION: u8 = 1;
/// Most addresses an invite carries.
pub const ADDRESSES_CAP: usize = 8;

const PREFIX: &str = "facetty";
const MARK: &str = "facetty1";
const CHECK: &[u8] = b"facetty invite check 1";
const HAS_GROUP: u8 = 0x80;
const SUM: usize = 4;

/// An invite. Holds a secret: no `Debug`, no `Clone`.
pub struct Invite {
    /// The host's identity key: the joiner accepts nobody else.
    pub host: IdentityPublic,
    /// What the holder proves to have.
    pub secret: Secret<16>,
    /// Not valid after this; whole seconds.
    pub expires: Wall,
    /// How many people may join with it.
    pub uses: u8,
    /// Where the host can be reached, best first.
    pub addresses: Vec<SocketAddr>,
    /// The group this invite leads to, unless it is the one derived from the secret (the first
    /// invite of a call makes the group; later ones name it).
    group: Option<[u8; 16]>,
}

/// Why a text isn't a usable invite, in words for whoever pasted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Doesn't begin like an invite.
    #[error("not an invite: it should begin with “{MARK}”")]
    NotAnInvite,
    /// Begins like an invite of a later version.
    #[error("this invite was made by a newer facetty: please update")]
    Newer,
    /// A character that never occurs in invites.
    #[error("not a valid invite: character {place}, ‘{found}’, can't be right{}", hint(*.found))]
    Character {
        /// Place in the text as given, counted from 1 without white space.
        place: usize,
        /// The character found there.
        found: char,
    },
    /// The checksum doesn't fit.
    #[error("not a valid invite: a character is missing or wrong; copy the whole text again")]
    Damaged,
    /// The checksum fits and the content doesn't: made by something that isn't facetty.
    #[error("not a valid invite: {0}")]
    Malformed(ParseError),
}

/// 0, 1, 8 and 9 are not used, because people take them for letters.
fn hint(found: char) -> &'static str {
    match found {
        '0' => " (perhaps ‘o’)",
        '1' => " (perhaps ‘l’ or ‘i’)",
        '8' => " (perhaps ‘b’)",
        '9' => " (perhaps ‘g’)",
        _ => "",
    }
}

impl Invite {
    /// An invite to the group its own secret names. `expires` is cut to whole seconds, addresses
    /// to the first [`ADDRESSES_CAP`].
    pub fn new(
        host: IdentityPublic,
        secret: Secret<16>,
        expires: Wall,
        uses: u8,
        mut addresses: Vec<SocketAddr>,
    ) -> Self {
        addresses.truncate(ADDRESSES_CAP);
        let expires = Wall(expires.secs().min(u64::from(u32::MAX)) * 1000);
        Self { host, secret, expires, uses, addresses, group: None }
    }

    /// The same, leading to a group that exists already.
    pub fn for_group(mut self, group_id: [u8; 16]) -> Self {
        self.group = Some(group_id).filter(|g| *g != self.own_group());
        self
    }

    /// The text to hand over, lower case. Secret: whoever reads it may knock.
    pub fn to_text(&self) -> String {
        // Large enough for all: a growing vector would leave unwiped copies behind.
        let mut w = Writer::with_capacity(256);
        let group = if self.group.is_some() { HAS_GROUP } else { 0 };
        let addresses = self.addresses.get(..ADDRESSES_CAP).unwrap_or(&self.addresses);
        w.u8(VERSION).u8(group | addresses.len() as u8);
        w.raw(&self.host.0).raw(self.secret.expose());
        w.u32(self.expires.secs() as u32).u8(self.uses);
        if let Some(group) = self.group {
            w.raw(&group);
        }
        let families = addresses
            .iter()
            .enumerate()
            .fold(0u8, |bits, (i, a)| bits | u8::from(a.is_ipv6()) << i);
        w.u8(families);
        for address in addresses {
            match address.ip() {
                IpAddr::V4(ip) => w.raw(&ip.octets()),
                IpAddr::V6(ip) => w.raw(&ip.octets()),
            };
            w.u16(address.port());
        }
        let sum = check(w.as_slice());
        w.raw(&sum);
        format!("{MARK}{}", base32::encode(&Zeroizing::new(w.finish())))
    }

    /// The same in upper case, which QR codes hold in fewer squares (alphanumeric mode).
    pub fn to_qr_text(&self) -> String {
        self.to_text().to_ascii_uppercase()
    }

    /// Reads an invite, in either case, with white space around or line breaks inside.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (mark, body) = text.split_at_checked(MARK.len()).ok_or(InviteError::NotAnInvite)?;
        if !mark.eq_ignore_ascii_case(MARK) {
            let newer = mark.get(..PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(PREFIX))
                && mark.ends_with(|c: char| c.is_ascii_digit());
            return Err(if newer { InviteError::Newer } else { InviteError::NotAnInvite });
        }
        let bytes = base32::decode(body).map(Zeroizing::new).map_err(|e| match e {
            Base32Error::Character { place, found } => {
                InviteError::Character { place: place + MARK.len(), found }
            }
            Base32Error::Length => InviteError::Damaged,
        })?;
        let (payload, sum) = bytes.split_last_chunk::<SUM>().ok_or(InviteError::Damaged)?;
        if check(payload) != *sum {
            return Err(InviteError::Damaged);
        }
        if payload.first() != Some(&VERSION) {
            return Err(InviteError::Newer);
        }
        Self::decode(payload).map_err(InviteError::Malformed)
    }

    fn decode(payload: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(payload);
        let (_version, flags) = (r.u8()?, r.u8()?);
        let count = usize::from(flags & !HAS_GROUP);
        if count > ADDRESSES_CAP {
            return Err(ParseError::TooLarge { what: "list of addresses", cap: ADDRESSES_CAP });
        }
        let host = IdentityPublic(r.array()?);
        let secret = Secret::take(&mut r.array()?);
        let expires = Wall(u64::from(r.u32()?) * 1000);
        let uses = r.u8()?;
        let group = if flags & HAS_GROUP == 0 { None } else { Some(r.array()?) };
        let families = r.u8()?;
        if u32::from(families) >> count != 0 {
            return Err(ParseError::Invalid("address family"));
        }
        let mut addresses = Vec::with_capacity(count);
        for i in 0..count {
            let ip: IpAddr = match families >> i & 1 {
                0 => r.array::<4>()?.into(),
                _ => r.array::<16>()?.into(),
            };
            addresses.push(SocketAddr::new(ip, r.u16()?));
        }
        r.finish()?;
        Ok(Self { host, secret, expires, uses, addresses, group })
    }

    /// Whether `now` is past the expiry.
    pub fn is_expired(&self, now: Wall) -> bool {
        now > self.expires
    }

    /// The group this invite leads to.
    pub fn group_id(&self) -> [u8; 16] {
        self.group.unwrap_or_else(|| self.own_group())
    }

    /// The invite's public number, for KNOCK; says nothing about the secret.
    pub fn id(&self) -> [u8; 8] {
        *self.derive::<8>(b"id").expose()
    }

    /// Proves to a host, and from it, that both hold this invite.
    pub fn k_proof(&self) -> Secret<32> {
        self.derive(b"proof")
    }

    /// The external pre-shared key mixed into the holder's Add (RFC 9420 §8.4).
    pub fn psk(&self) -> Secret<32> {
        self.derive(b"psk")
    }

    /// A second copy, for a host that keeps what it hands out.
    pub fn duplicate(&self) -> Self {
        Self {
            host: self.host,
            secret: self.secret.duplicate(),
            expires: self.expires,
            uses: self.uses,
            addresses: self.addresses.clone(),
            group: self.group,
        }
    }

    fn own_group(&self) -> [u8; 16] {
        *expand::<16>(&self.secret, &[b"group id"]).expose()
    }

    fn derive<const N: usize>(&self, label: &[u8]) -> Secret<N> {
        let expires = (self.expires.secs() as u32).to_be_bytes();
        expand(&self.secret, &[label, &[0, VERSION], &self.host.0, &expires, &[self.uses]])
    }
}

/// HKDF-SHA256 with the protocol's name as salt.
fn expand<const N: usize>(secret: &Secret<16>, info: &[&[u8]]) -> Secret<N> {
    let hkdf = Hkdf::<Sha256>::new(Some(b"facetty invite 1"), secret.expose());
    Secret::build(|out| {
        let done = hkdf.expand_multi_info(info, out);
        debug_assert!(done.is_ok(), "HKDF gives up to 8160 bytes");
    })
}

fn check(payload: &[u8]) -> [u8; SUM] {
    let hash = Sha256::new().chain_update(CHECK).chain_update(payload).finalize();
    let mut sum = [0; SUM];
    sum.iter_mut().zip(hash).for_each(|(s, h)| *s = h);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn invite(addresses: Vec<SocketAddr>) -> Invite {
        Invite::new(
            IdentityPublic([7; 32]),
            Secret::take(&mut [9; 16]),
            Wall(1_800_000_000_123),
            1,
            addresses,
        )
    }

    fn two_addresses() -> Vec<SocketAddr> {
        vec![
            SocketAddr::from(([192, 168, 1, 20], 4433)),
            SocketAddr::from(([203, 0, 113, 9], 50_000)),
        ]
    }

    #[test]
    fn an_invite_with_two_addresses_fits_150_characters_even_when_it_names_a_group() {
        assert!(invite(two_addresses()).to_text().len() <= 150);
        assert!(invite(two_addresses()).for_group([1; 16]).to_text().len() <= 150);
    }

    #[test]
    fn the_text_of_an_invite_never_changes() {
        let own = invite(vec![SocketAddr::from(([10, 0, 0, 1], 443))]);
        assert_eq!(own.to_text(), include_str!("../tests/vectors/invite.txt").trim());
    }

    /// Values computed with Python's hmac module.
    #[test]
    fn the_derived_keys_are_those_of_another_implementation() {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let own = invite(vec![]);
        assert_eq!(hex(&own.group_id()), "22091c334a7e368b85844f94aedc00ac");
        assert_eq!(hex(&own.id()), "353d427f6e7620eb");
        assert_eq!(
            hex(own.k_proof().expose()),
            "54784c3da6844c1b13ff9ae7433d222abba3907b8edfdfb131cbdb3265a2bbbb"
        );
        assert_eq!(
            hex(own.psk().expose()),
            "1380b8adceefcdf30465550f40392875593dc4293f2fb1a763fe99adf6b01882"
        );
    }

    #[test]
    fn upper_case_white_space_and_line_breaks_do_no_harm() {
        let text = invite(two_addresses()).to_qr_text();
        let (a, b) = text.split_at(60);
        let read = Invite::parse(&format!(" \t{a}\n  {b}\r\n")).ok().unwrap();
        assert_eq!(read.to_text(), invite(two_addresses()).to_text());
        assert_eq!(read.expires, Wall(1_800_000_000_000));
    }

    #[test]
    fn every_single_wrong_missing_or_doubled_character_is_noticed() {
        let text = invite(two_addresses()).to_text();
        for i in MARK.len()..text.len() {
            for with in ["", "a", "q", "7", &text[i..=i].repeat(2)] {
                let mut wrong = text.clone();
                wrong.replace_range(i..=i, with);
                if wrong != text {
                    assert_eq!(Invite::parse(&wrong).err(), Some(InviteError::Damaged), "{wrong}");
                }
            }
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let text = invite(vec![]).to_text();
        let say = |t: &str| Invite::parse(t).err().unwrap().to_string();
        assert_eq!(say("hello"), "not an invite: it should begin with “facetty1”");
        assert_eq!(say("https://example.org/facetty"), say(""));
        assert_eq!(
            say(&text.replacen("facetty1", "facetty2", 1)),
            "this invite was made by a newer facetty: please update"
        );
        let mut wrong = text.clone();
        wrong.replace_range(9..10, "0");
        assert_eq!(
            say(&wrong),
            "not a valid invite: character 10, ‘0’, can't be right (perhaps ‘o’)"
        );
        wrong.replace_range(9..10, "é");
        assert!(say(&wrong).contains("character 10, ‘é’"));
        wrong.truncate(40);
        wrong.replace_range(9..11, "a");
        assert_eq!(
            say(&wrong),
            "not a valid invite: a character is missing or wrong; copy the whole text again"
        );
    }

    #[test]
    fn a_later_layout_inside_the_same_mark_is_called_newer() {
        let mut payload = vec![VERSION + 1, 0, 1, 2, 3];
        payload.extend(check(&payload));
        let text = format!("{MARK}{}", base32::encode(&payload));
        assert_eq!(Invite::parse(&text).err(), Some(InviteError::Newer));
    }

    #[test]
    fn a_right_checksum_over_wrong_content_is_refused() {
        for payload in [vec![VERSION], vec![VERSION; 57], vec![VERSION; 200]] {
            let mut payload = payload;
            payload.extend(check(&payload));
            let text = format!("{MARK}{}", base32::encode(&payload));
            assert!(matches!(Invite::parse(&text), Err(InviteError::Malformed(_))));
        }
    }

    #[test]
    fn the_four_keys_differ_and_depend_on_the_secret() {
        let (a, b) = (invite(vec![]), {
            let mut b = invite(vec![]);
            b.secret = Secret::take(&mut [8; 16]);
            b
        });
        assert_ne!(a.k_proof().expose(), a.psk().expose());
        assert_ne!(a.k_proof().expose()[..16], a.group_id());
        assert_ne!(a.k_proof().expose()[..8], a.id());
        assert_ne!(a.k_proof().expose(), b.k_proof().expose());
        assert_ne!(a.psk().expose(), b.psk().expose());
        assert_ne!(a.group_id(), b.group_id());
        assert_ne!(a.id(), b.id());
    }

    #[test]
    fn an_edited_invite_proves_nothing() {
        let honest = invite(two_addresses());
        let edits: [fn(&mut Invite); 3] = [
            |i| i.expires = Wall(i.expires.0 + 3_600_000),
            |i| i.uses = 200,
            |i| i.host = IdentityPublic([6; 32]),
        ];
        for edit in edits {
            let mut edited = honest.duplicate();
            edit(&mut edited);
            assert_ne!(edited.id(), honest.id());
            assert_ne!(edited.k_proof().expose(), honest.k_proof().expose());
            assert_ne!(edited.psk().expose(), honest.psk().expose());
        }
        // Addresses may change on the way (another network); they are not part of the proof.
        assert_eq!(invite(vec![]).k_proof().expose(), honest.k_proof().expose());
    }

    #[test]
    fn an_invite_is_valid_up_to_its_last_second() {
        let i = invite(vec![]);
        assert!(!i.is_expired(i.expires));
        assert!(i.is_expired(Wall(i.expires.0 + 1)));
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn invites_round_trip(
            host in any::<[u8; 32]>(), mut secret in any::<[u8; 16]>(), secs in any::<u32>(),
            uses in any::<u8>(), group in proptest::option::of(any::<[u8; 16]>()),
            raw in proptest::collection::vec((any::<bool>(), any::<[u8; 16]>(), any::<u16>()), 0..=8),
        ) {
            let addresses: Vec<SocketAddr> = raw
                .into_iter()
                .map(|(six, ip, port)| match six {
                    true => SocketAddr::from((ip, port)),
                    false => SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port)),
                })
                .collect();
            let secret = Secret::take(&mut secret);
            let expires = Wall(u64::from(secs) * 1000);
            let mut a = Invite::new(IdentityPublic(host), secret, expires, uses, addresses);
            if let Some(group) = group {
                a = a.for_group(group);
            }
            let b = Invite::parse(&a.to_text()).ok().unwrap();
            prop_assert_eq!(a.host, b.host);
            prop_assert_eq!(a.secret.expose(), b.secret.expose());
            prop_assert_eq!(a.expires, b.expires);
            prop_assert_eq!(a.uses, b.uses);
            prop_assert_eq!(&a.addresses, &b.addresses);
            prop_assert_eq!(a.group_id(), b.group_id());
            prop_assert_eq!(a.id(), b.id());
            prop_assert_eq!(a.to_text(), b.to_text());
        }

        #[test]
        fn whatever_is_behind_a_right_checksum_is_refused_or_has_just_this_text(
            mut payload in proptest::collection::vec(any::<u8>(), 0..120), flags in 0u8..=9,
            group in any::<bool>(), families in any::<u8>(), fit in any::<bool>(),
        ) {
            // Likely values and lengths where random ones would never pass.
            let at_families = 55 + if group { 16 } else { 0 };
            let families = families & ((1u16 << flags) - 1) as u8;
            if fit {
                let addresses = usize::from(flags) * 6 + families.count_ones() as usize * 12;
                payload.resize(at_families + 1 + addresses, 5);
            }
            let flags = flags | if group { HAS_GROUP } else { 0 };
            let likely = [(0, VERSION), (1, flags), (at_families, families)];
            for (at, value) in likely {
                if let Some(byte) = payload.get_mut(at) {
                    *byte = value;
                }
            }
            payload.extend(check(&payload));
            let text = format!("{MARK}{}", base32::encode(&payload));
            if let Ok(invite) = Invite::parse(&text) {
                prop_assert_eq!(invite.to_text(), text);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(facetty[12])?[a-z2-7é ]{0,200}") {
            let _ = Invite::parse(&text);
        }
    }
}
