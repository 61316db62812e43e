//! A minimal writer of packet captures (pcapng, draft-ietf-opsawg-pcapng): UDP datagrams with
//! synthesised IP headers, so that any analyser can be pointed at what the line saw.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// Raw IP, no link-layer header.
const LINKTYPE_RAW: u16 = 101;
/// For private use: objects with a header of our own.
const LINKTYPE_USER0: u16 = 147;
const UDP: u8 = 17;

/// Writes a capture. The header is written at once; [`PcapWriter::flush`] what must be on disk.
pub struct PcapWriter<W: Write> {
    out: W,
    identification: u16,
}

impl<W: Write> PcapWriter<W> {
    /// Starts a capture: section header and one interface named `interface`.
    pub fn new(out: W, interface: &str) -> io::Result<Self> {
        Self::with_link_type(out, interface, LINKTYPE_RAW)
    }

    /// Starts a capture of objects that are no IP packets: see [`PcapWriter::object`].
    pub fn objects(out: W, interface: &str) -> io::Result<Self> {
        Self::with_link_type(out, interface, LINKTYPE_USER0)
    }

    fn with_link_type(mut out: W, interface: &str, link_type: u16) -> io::Result<Self> {
        let mut section = Vec::new();
        section.extend(0x1a2b_3c4d_u32.to_le_bytes()); // byte order
        section.extend(1u16.to_le_bytes()); // version 1.0
        section.extend(0u16.to_le_bytes());
        section.extend(u64::MAX.to_le_bytes()); // section length: not given
        option(&mut section, 4, b"facetty"); // shb_userappl
        end_of_options(&mut section);
        block(&mut out, 0x0a0d_0d0a, &section)?;

        let mut description = Vec::new();
        description.extend(link_type.to_le_bytes());
        description.extend(0u16.to_le_bytes());
        description.extend(0u32.to_le_bytes()); // snap length: none
        option(&mut description, 2, interface.as_bytes()); // if_name
        option(&mut description, 9, &[6]); // if_tsresol: microseconds
        end_of_options(&mut description);
        block(&mut out, 1, &description)?;
        Ok(Self { out, identification: 0 })
    }

    /// Adds one datagram seen `micros` after 1970-01-01 00:00 UTC. Payloads over 65,000 bytes
    /// can't be UDP and are refused.
    pub fn datagram(
        &mut self,
        micros: u64,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> io::Result<()> {
        if payload.len() > 65_000 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let packet = self.ip_packet(from, to, payload);
        self.object(micros, &packet)
    }

    /// Adds bytes as they are, seen `micros` after 1970-01-01 00:00 UTC.
    pub fn object(&mut self, micros: u64, packet: &[u8]) -> io::Result<()> {
        let length = (packet.len() as u32).to_le_bytes();
        let mut body = Vec::with_capacity(packet.len() + 24);
        body.extend(0u32.to_le_bytes()); // interface 0
        body.extend(((micros >> 32) as u32).to_le_bytes());
        body.extend((micros as u32).to_le_bytes());
        body.extend(length); // captured
        body.extend(length); // original
        body.extend(packet);
        pad(&mut body);
        block(&mut self.out, 6, &body)
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn ip_packet(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let udp_length = (payload.len() + 8) as u16;
        let mut udp = Vec::with_capacity(payload.len() + 8);
        udp.extend(from.port().to_be_bytes());
        udp.extend(to.port().to_be_bytes());
        udp.extend(udp_length.to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(payload);

        let mut packet = Vec::with_capacity(udp.len() + 40);
        let mut pseudo = Vec::with_capacity(40);
        match (from.ip().to_canonical(), to.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.identification = self.identification.wrapping_add(1);
                packet.extend([0x45, 0]);
                packet.extend((udp_length + 20).to_be_bytes());
                packet.extend(self.identification.to_be_bytes());
                packet.extend([0x40, 0, 64, UDP, 0, 0]); // don't fragment, TTL 64
                packet.extend(from.octets());
                packet.extend(to.octets());
                let sum = checksum(&packet);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                pseudo.extend(from.octets());
                pseudo.extend(to.octets());
                pseudo.extend([0, UDP]);
                pseudo.extend(udp_length.to_be_bytes());
            }
            (from, to) => {
                let (from, to) = (in_v6(from), in_v6(to));
                packet.extend([0x60, 0, 0, 0]);
                packet.extend(udp_length.to_be_bytes());
                packet.extend([UDP, 64]);
                packet.extend(from);
                packet.extend(to);
                pseudo.extend(from);
                pseudo.extend(to);
                pseudo.extend(u32::from(udp_length).to_be_bytes());
                pseudo.extend([0, 0, 0, UDP]);
            }
        }
        pseudo.extend(&udp);
        // Zero means "no checksum", so a sum of zero is sent as all ones (RFC 768).
        let sum = match checksum(&pseudo) {
            0 => 0xffff,
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        packet.extend(udp);
        packet
    }
}

fn in_v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    block.extend(code.to_le_bytes());
    block.extend((value.len() as u16).to_le_bytes());
    block.extend(value);
    pad(block);
}

fn end_of_options(block: &mut Vec<u8>) {
    block.extend([0; 4]);
}

fn block(out: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length)?;
    out.write_all(body)?;
    out.write_all(&length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    }

    /// Splits a capture into (block type, body), checking both length fields.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = u32_at(bytes, 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(u32_at(bytes, length - 4) as usize, length);
            found.push((u32_at(bytes, 0), bytes[8..length - 4].to_vec()));
            bytes = &bytes[length..];
        }
        found
    }

    fn capture(from: &str, to: &str, payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut file = Vec::new();
        let mut writer = PcapWriter::new(&mut file, "line").expect("memory");
        let address = |text: &str| text.parse().expect("test address");
        writer.datagram(0x5_0000_0007, address(from), address(to), payload).expect("memory");
        writer.flush().expect("memory");
        blocks(&file)
    }

    #[test]
    fn a_capture_has_a_section_an_interface_and_a_packet_with_its_time() {
        let blocks = capture("10.0.0.1:1000", "10.0.0.2:2000", b"hello");
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6]);
        assert_eq!(u32_at(&blocks[0].1, 0), 0x1a2b_3c4d);
        assert_eq!(u32_at(&blocks[1].1, 0), u32::from(LINKTYPE_RAW));
        let packet = &blocks[2].1;
        assert_eq!((u32_at(packet, 4), u32_at(packet, 8)), (5, 7));
        assert_eq!((u32_at(packet, 12), u32_at(packet, 16)), (33, 33));
        assert_eq!(packet.len(), 20 + 36);
    }

    #[test]
    fn ipv4_and_udp_checksums_are_right_for_odd_and_even_payloads() {
        for payload in [&b"hello"[..], b"hello!", b""] {
            let ip = capture("10.0.0.1:1000", "[::ffff:10.0.0.2]:2000", payload)[2].1[20..]
                [..28 + payload.len()]
                .to_vec();
            assert_eq!(ip[0], 0x45);
            assert_eq!(checksum(&ip[..20]), 0, "IP header");
            let mut pseudo = ip[12..20].to_vec();
            pseudo.extend([0, UDP]);
            pseudo.extend(&ip[24..26]);
            pseudo.extend(&ip[20..]);
            assert_eq!(checksum(&pseudo), 0, "UDP");
            assert_eq!(&ip[28..], payload);
        }
    }

    #[test]
    fn ipv6_udp_checksums_are_right() {
        let ip = capture("[fd00::1]:1000", "[fd00::2]:2000", b"hello")[2].1[20..][..53].to_vec();
        assert_eq!(ip[0], 0x60);
        let mut pseudo = ip[8..40].to_vec();
        pseudo.extend([0, 0, 0, 13, 0, 0, 0, UDP]);
        pseudo.extend(&ip[40..]);
        assert_eq!(checksum(&pseudo), 0);
    }

    #[test]
    fn the_known_example_of_the_internet_checksum() {
        // RFC 1071 §3.
        assert_eq!(!checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }
}
