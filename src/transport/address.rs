//! UDP addresses: binding a socket, finding the addresses others may reach it at, and telling how
//! far an address reaches.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Kernel buffers of the socket, in bytes: a keyframe from each of 15 members at once must fit.
const KERNEL_BUFFER: usize = 512 * 1024;

/// Why no socket could be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has the port.
    #[error("UDP port {port} is already in use on {ip}; choose another one, or 0 for any free one")]
    InUse {
        /// The address asked for.
        ip: IpAddr,
        /// The port asked for.
        port: u16,
    },
    /// The address isn't one of this machine's.
    #[error("{0} is not an address of this machine")]
    NotHere(IpAddr),
    /// The system forbids it (ports below 1024 need a privilege).
    #[error("the system does not allow listening on {0}")]
    Forbidden(SocketAddr),
    /// Anything else the system said.
    #[error("cannot open a UDP socket on {addr}: {source}")]
    System {
        /// The address asked for.
        addr: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The TLS key or configuration was not usable.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl BindError {
    pub(crate) fn from_io(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { ip: addr.ip(), port: addr.port() },
            io::ErrorKind::AddrNotAvailable => Self::NotHere(addr.ip()),
            io::ErrorKind::PermissionDenied => Self::Forbidden(addr),
            _ => Self::System { addr, source },
        }
    }
}

/// Binds the call's UDP socket. `None`: any free port on all addresses of the machine, IPv4 and
/// IPv6 on one socket where the system has both. An unspecified IPv6 address (`[::]:7000`) means
/// both families too.
pub fn bind_udp(listen: Option<SocketAddr>) -> Result<UdpSocket, BindError> {
    if let Some(addr) = listen {
        return bind(addr).map_err(|e| BindError::from_io(addr, e));
    }
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    bind(both).or_else(|_| bind(v4)).map_err(|e| BindError::from_io(v4, e))
}

fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    // Best effort: the system may grant less.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// This machine only.
    Loopback,
    /// One network segment only (and needs an interface number): no use in an invite.
    LinkLocal,
    /// The same LAN or VPN (RFC 1918, RFC 4193), or behind a provider's address sharing
    /// (RFC 6598, also used by VPNs).
    Private,
    /// The whole internet, unless a firewall stands before it.
    Global,
}

/// How far `ip` reaches.
pub fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() => Reach::Loopback,
        IpAddr::V4(v4) if v4.is_link_local() => Reach::LinkLocal,
        IpAddr::V4(v4) if v4.is_private() || shared(v4) => Reach::Private,
        IpAddr::V6(v6) if v6.is_loopback() => Reach::Loopback,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Reach::LinkLocal,
        IpAddr::V6(v6) if v6.is_unique_local() => Reach::Private,
        _ => Reach::Global,
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && b & 0xc0 == 64
}

/// No address reaches beyond the same LAN or VPN: worth saying when an invite is shown.
pub fn only_private(addresses: &[SocketAddr]) -> bool {
    addresses.iter().all(|a| reach(a.ip()) < Reach::Global)
}

/// The addresses under which others may reach a socket bound to `local`, best first: those given
/// by the user (`advertise`), then global, then private ones. Loopback only when there is nothing
/// else, so that two programs on a machine without network can still call each other.
pub fn usable_addresses(local: SocketAddr, advertise: &[SocketAddr]) -> Vec<SocketAddr> {
    let interfaces = if local.ip().is_unspecified() { interfaces() } else { Vec::new() };
    rank(local, advertise, &interfaces)
}

#[cfg(unix)]
fn interfaces() -> Vec<(String, IpAddr)> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter().filter(|i| i.is_oper_up()).map(|i| (i.name.clone(), i.ip())).collect()
}

#[cfg(not(unix))]
fn interfaces() -> Vec<(String, IpAddr)> {
    // The address the system would use towards the internet; connecting UDP sends nothing.
    let probe = |any: SocketAddr, far: SocketAddr| -> io::Result<IpAddr> {
        let socket = UdpSocket::bind(any)?;
        socket.connect(far)?;
        Ok(socket.local_addr()?.ip())
    };
    let v4 = probe((Ipv4Addr::UNSPECIFIED, 0).into(), ([192, 0, 2, 1], 9).into());
    let v6 = probe(
        (Ipv6Addr::UNSPECIFIED, 0).into(),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
    );
    v4.into_iter().chain(v6).map(|ip| (String::new(), ip)).collect()
}

fn rank(
    local: SocketAddr,
    advertise: &[SocketAddr],
    interfaces: &[(String, IpAddr)],
) -> Vec<SocketAddr> {
    let mut found: Vec<(u8, SocketAddr)> = Vec::new();
    if local.ip().is_unspecified() {
        for (name, ip) in interfaces {
            if ip.is_ipv6() && local.is_ipv4() {
                continue;
            }
            let class = match (reach(*ip), internal(name)) {
                (Reach::Global, _) => 0,
                (Reach::Private, false) => 1,
                // Bridges of containers and virtual machines: hardly ever reachable from outside.
                (Reach::Private, true) => 2,
                (Reach::Loopback | Reach::LinkLocal, _) => continue,
            };
            found.push((class, SocketAddr::new(*ip, local.port())));
        }
        if found.iter().any(|(class, _)| *class < 2) {
            found.retain(|(class, _)| *class < 2);
        }
        if found.is_empty() && advertise.is_empty() {
            found.push((3, SocketAddr::from((Ipv4Addr::LOCALHOST, local.port()))));
        }
    } else {
        found.push((0, local));
    }
    // IPv4 first inside a class: shorter in an invite, and fewer firewalls drop it unasked.
    found.sort_by_key(|(class, addr)| (*class, addr.is_ipv6()));
    let mut result = advertise.to_vec();
    for (_, addr) in found {
        if !result.contains(&addr) {
            result.push(addr);
        }
    }
    result
}

fn internal(interface: &str) -> bool {
    ["docker", "br-", "veth", "virbr", "vnet", "lxc", "podman", "cni"]
        .iter()
        .any(|prefix| interface.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("test address")
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("test address")
    }

    #[test]
    fn a_busy_port_is_named() {
        let first = bind_udp(Some(addr("127.0.0.1:0"))).expect("loopback");
        let taken = first.local_addr().expect("bound");
        let error = bind_udp(Some(taken)).expect_err("taken");
        assert!(matches!(error, BindError::InUse { port, .. } if port == taken.port()));
        assert!(error.to_string().contains(&taken.port().to_string()));
    }

    #[test]
    fn a_foreign_address_is_refused_by_name() {
        let error = bind_udp(Some(addr("192.0.2.1:0"))).expect_err("not ours");
        assert!(matches!(error, BindError::NotHere(_)), "{error}");
    }

    #[test]
    fn the_default_socket_has_a_port() {
        let socket = bind_udp(None).expect("any port");
        assert_ne!(socket.local_addr().expect("bound").port(), 0);
    }

    #[test]
    fn addresses_are_classified_by_how_far_they_reach() {
        for (text, expected) in [
            ("127.0.0.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("169.254.1.1", Reach::LinkLocal),
            ("fe80::1", Reach::LinkLocal),
            ("10.0.0.1", Reach::Private),
            ("172.16.3.4", Reach::Private),
            ("192.168.1.2", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.128.0.1", Reach::Global),
            ("fd00::1", Reach::Private),
            ("::ffff:192.168.1.2", Reach::Private),
            ("8.8.8.8", Reach::Global),
            ("2a00::1", Reach::Global),
        ] {
            assert_eq!(reach(ip(text)), expected, "{text}");
        }
        assert!(only_private(&[addr("192.168.1.2:7"), addr("[fd00::1]:7")]));
        assert!(!only_private(&[addr("192.168.1.2:7"), addr("8.8.8.8:7")]));
    }

    #[test]
    fn global_addresses_come_first_and_container_bridges_only_when_alone() {
        let interfaces = [
            ("docker0".to_string(), ip("172.17.0.1")),
            ("wlan0".to_string(), ip("192.168.1.2")),
            ("wlan0".to_string(), ip("fe80::1")),
            ("wlan0".to_string(), ip("2a00::1")),
            ("lo".to_string(), ip("127.0.0.1")),
        ];
        let all = rank(addr("[::]:9"), &[], &interfaces);
        assert_eq!(all, [addr("[2a00::1]:9"), addr("192.168.1.2:9")]);
        let v4 = rank(addr("0.0.0.0:9"), &[addr("203.0.113.5:80")], &interfaces);
        assert_eq!(v4, [addr("203.0.113.5:80"), addr("192.168.1.2:9")]);
        assert_eq!(rank(addr("[::]:9"), &[], &interfaces[..1]), [addr("172.17.0.1:9")]);
        assert_eq!(rank(addr("[::]:9"), &[], &[]), [addr("127.0.0.1:9")]);
        assert_eq!(rank(addr("127.0.0.1:9"), &[], &interfaces), [addr("127.0.0.1:9")]);
    }
}
