//! What members tell each other inside a seal.

use super::{ADDRESSES_CAP, MEMBERS_CAP};
use crate::media::frame::{Size, Want};
use crate::wire::link::MemberId;
use crate::wire::report::Report;
use crate::wire::varint::{ParseError, Reader, Writer};
use std::net::{IpAddr, SocketAddr};

/// What members tell each other inside a seal of stream `Data`, on the control stream (reliable)
/// or in a datagram (reports).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberMessage {
    /// The picture I can use from you.
    Want(Want),
    /// I can't go on without a keyframe.
    KeyframePlease,
    /// What I send: so that a muted microphone or a closed camera is shown as such.
    Tracks {
        /// Microphone on.
        mic: bool,
        /// Camera on.
        camera: bool,
    },
    /// Where members can be reached, for those who just joined.
    Addresses(Vec<(MemberId, Vec<SocketAddr>)>),
    /// What of yours arrived here, and when.
    Report(Report),
}

const WANT: u8 = 1;
const KEYFRAME: u8 = 2;
const TRACKS: u8 = 3;
const ADDRESSES: u8 = 4;
const REPORT: u8 = 5;

impl MemberMessage {
    /// Encodes: one byte of kind, then the body. Lists beyond [`MEMBERS_CAP`] and
    /// [`ADDRESSES_CAP`] are cut there.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Want(want) => {
                w.u8(WANT)
                    .u16(want.size.width)
                    .u16(want.size.height)
                    .u16(want.decifps)
                    .u16(want.max_kbps)
                    .u8(u8::from(want.paused) | u8::from(want.focus) << 1);
            }
            Self::KeyframePlease => {
                w.u8(KEYFRAME);
            }
            Self::Tracks { mic, camera } => {
                w.u8(TRACKS).u8(u8::from(*mic) | u8::from(*camera) << 1);
            }
            Self::Addresses(list) => {
                w.u8(ADDRESSES).varint(list.len().min(MEMBERS_CAP) as u64);
                for (member, addresses) in list.iter().take(MEMBERS_CAP) {
                    w.varint(u64::from(member.0));
                    put_addresses(&mut w, addresses);
                }
            }
            Self::Report(report) => {
                w.u8(REPORT).raw(&report.encode());
            }
        }
        w.finish()
    }

    /// Decodes one whole message.
    pub fn decode(message: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(message);
        let decoded = match r.u8()? {
            WANT => {
                let (width, height) = (r.u16()?, r.u16()?);
                if width % 2 != 0 || height % 2 != 0 {
                    return Err(ParseError::Invalid("picture size"));
                }
                let (decifps, max_kbps) = (r.u16()?, r.u16()?);
                let [paused, focus] = two_flags(&mut r)?;
                Self::Want(Want { size: Size { width, height }, decifps, max_kbps, paused, focus })
            }
            KEYFRAME => Self::KeyframePlease,
            TRACKS => {
                let [mic, camera] = two_flags(&mut r)?;
                Self::Tracks { mic, camera }
            }
            ADDRESSES => {
                let members = r.varint_max("list of members", MEMBERS_CAP)?;
                let mut list = Vec::with_capacity(members);
                for _ in 0..members {
                    let member = MemberId(r.varint_u32("member number")?);
                    list.push((member, addresses(&mut r)?));
                }
                Self::Addresses(list)
            }
            REPORT => Self::Report(Report::decode(r.rest("report", crate::wire::report::CAP)?)?),
            kind => return Err(ParseError::UnknownKind(u64::from(kind))),
        };
        r.finish()?;
        Ok(decoded)
    }
}

fn two_flags(r: &mut Reader<'_>) -> Result<[bool; 2], ParseError> {
    match r.u8()? {
        flags @ 0..=3 => Ok([flags & 1 != 0, flags & 2 != 0]),
        _ => Err(ParseError::Invalid("flags")),
    }
}

/// A count and that many addresses; more than [`ADDRESSES_CAP`] are cut there.
pub(super) fn put_addresses(w: &mut Writer, addresses: &[SocketAddr]) {
    w.varint(addresses.len().min(ADDRESSES_CAP) as u64);
    for address in addresses.iter().take(ADDRESSES_CAP) {
        put_address(w, address);
    }
}

/// The same, read.
pub(super) fn addresses(r: &mut Reader<'_>) -> Result<Vec<SocketAddr>, ParseError> {
    let count = r.varint_max("list of addresses", ADDRESSES_CAP)?;
    (0..count).map(|_| address(r)).collect()
}

/// Family byte (4 or 6), address, port. Flow labels and scopes mean nothing to others.
fn put_address(w: &mut Writer, address: &SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => w.u8(4).raw(&ip.octets()),
        IpAddr::V6(ip) => w.u8(6).raw(&ip.octets()),
    };
    w.u16(address.port());
}

fn address(r: &mut Reader<'_>) -> Result<SocketAddr, ParseError> {
    let ip: IpAddr = match r.u8()? {
        4 => r.array::<4>()?.into(),
        6 => r.array::<16>()?.into(),
        _ => return Err(ParseError::Invalid("address family")),
    };
    Ok(SocketAddr::new(ip, r.u16()?))
}
