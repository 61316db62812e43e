//! `facetty doctor`: is this machine ready for a call? Ends in one verdict line.

use super::args::DoctorArgs;
use super::{inventory, selftest};
use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;
use crate::app::paths::Paths;
use crate::paint::{Look, Protocol};
use crate::store;
use crate::term::{Options, Terminal};
use serde_json::json;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Works, but not as well as it could.
    Note,
    /// A call won't work.
    Bad,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        }
    }
}

struct Check {
    what: &'static str,
    state: State,
    found: String,
    next: Option<String>,
}

fn check(what: &'static str, state: State, found: impl Into<String>) -> Check {
    Check { what, state, found: found.into(), next: None }
}

impl Check {
    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

pub(super) fn run(args: DoctorArgs, paths: &Paths) -> Result<Exit, Failure> {
    let mut checks = vec![codec()];
    checks.extend(terminal());
    checks.extend(devices());
    checks.extend(network());
    checks.extend(files(paths));
    checks.extend(cryptography());
    let (exit, verdict) = verdict(&checks);

    let mut out = Out::default();
    if args.json {
        let rows: Vec<_> = checks
            .iter()
            .map(|c| {
                json!({"check": c.what, "state": c.state.word(), "found": c.found, "next": c.next})
            })
            .collect();
        let ok = exit == Exit::Ended;
        out.line(json!({"version": env!("CARGO_PKG_VERSION"), "ok": ok, "verdict": verdict, "checks": rows}));
    } else {
        for c in &checks {
            out.hanging(&format!("{:<5} {:<13} ", c.state.word(), c.what), &c.found);
            if let Some(next) = &c.next {
                out.hanging(&format!("{:20}→ ", ""), next);
            }
        }
        out.hanging("", &verdict);
    }
    out.end(exit)
}

fn verdict(checks: &[Check]) -> (Exit, String) {
    let bad: Vec<&str> = checks.iter().filter(|c| c.state == State::Bad).map(|c| c.what).collect();
    let notes = checks.iter().filter(|c| c.state == State::Note).count();
    match (bad.is_empty(), notes) {
        (false, _) => (Exit::Failed, format!("verdict: not ready for calls: {}", bad.join(", "))),
        (true, 0) => (Exit::Ended, "verdict: ready for calls".into()),
        (true, 1) => (Exit::Ended, "verdict: ready for calls, with one note above".into()),
        (true, n) => (Exit::Ended, format!("verdict: ready for calls, with {n} notes above")),
    }
}

fn codec() -> Check {
    if crate::media::codec::has_assembler() {
        check("video codec", State::Ok, "H.264 built with assembler")
    } else {
        check("video codec", State::Note, "H.264 built without assembler: 2.5 times the work")
            .next("install nasm, then: cargo clean -p openh264-sys2 && cargo build --release")
    }
}

fn terminal() -> Vec<Check> {
    if !std::io::stdout().is_terminal() {
        return vec![
            check("terminal", State::Note, "output is not a terminal: nothing to judge")
                .next("run facetty doctor in the terminal you use"),
        ];
    }
    let entered = Terminal::enter(Options::default());
    let (probe, (columns, lines)) = match entered {
        Ok(mut terminal) => {
            let found = (terminal.probe(), terminal.size());
            terminal.leave();
            found
        }
        Err(e) => return vec![check("terminal", State::Bad, e.to_string())],
    };
    if !probe.usable {
        return vec![
            check("terminal", State::Bad, "TERM is not set or \"dumb\"")
                .next("facetty demo --plain and call --json work without a screen"),
        ];
    }
    let name = if probe.terminal.is_empty() { "unnamed" } else { &probe.terminal };
    let size = format!("{name}, {columns}x{lines}");
    let size = if columns < 80 || lines < 24 {
        check("terminal", State::Note, size).next("80x24 at least shows everything")
    } else {
        check("terminal", State::Ok, size)
    };
    let mut pictures = format!("{}, {}", probe.look(), probe.depth.name());
    let chosen = |p: &Protocol| probe.look() != Look::Pixels(*p);
    let others: Vec<_> = probe.protocols().into_iter().filter(chosen).map(Protocol::name).collect();
    if !others.is_empty() {
        pictures.push_str(&format!("; on request: {}", others.join(", ")));
    }
    let mut checks = vec![size, check("pictures", State::Ok, pictures)];
    checks.extend(probe.why.iter().map(|why| check("", State::Ok, why.clone())));
    checks
}

fn devices() -> Vec<Check> {
    let one = |what, found: inventory::Found, without: &str| match found {
        Ok(devices) if devices.is_empty() => {
            check(what, State::Note, "none found").next(without.to_string())
        }
        Ok(devices) => {
            let first = devices.first().map_or("", |d| d.name.as_str());
            let more = match devices.len() {
                1 => String::new(),
                n => format!(" and {} more: facetty devices", n - 1),
            };
            check(what, State::Ok, format!("{first}{more}"))
        }
        Err(why) => check(what, State::Note, why).next(without.to_string()),
    };
    let (microphones, loudspeakers) = inventory::sound();
    vec![
        one("cameras", inventory::cameras(), "--video pattern works without"),
        one("microphones", microphones, "--audio voice works without"),
        one("loudspeakers", loudspeakers, "--speaker wav:FILE works without"),
    ]
}

fn network() -> Vec<Check> {
    let mut checks = Vec::new();
    let v4 = loops(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let v6 = loops(IpAddr::V6(Ipv6Addr::LOCALHOST));
    checks.push(match (&v4, &v6) {
        (Ok(()), Ok(())) => check("UDP", State::Ok, "sockets work, IPv4 and IPv6"),
        (Ok(()), Err(e)) => check("UDP", State::Note, format!("IPv4 works, IPv6 does not: {e}")),
        (Err(e), Ok(())) => check("UDP", State::Note, format!("IPv6 works, IPv4 does not: {e}")),
        (Err(e), Err(_)) => check("UDP", State::Bad, format!("no socket works: {e}"))
            .next("a firewall or sandbox forbids UDP: allow it"),
    });
    let addresses: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|i| !i.is_loopback())
        .map(|i| i.ip())
        .filter(|ip| !is_link_local(*ip))
        .collect();
    let list = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    checks.push(if addresses.is_empty() {
        check("addresses", State::Note, "none but this machine's own")
            .next("connect to a network to call other machines")
    } else if addresses.iter().all(|ip| is_private(*ip)) {
        check("addresses", State::Note, format!("{list}: only private ones"))
            .next("works on the same LAN or VPN; else forward a UDP port and use --advertise")
    } else {
        check("addresses", State::Ok, list)
    });
    checks
}

/// Sends one datagram to itself.
fn loops(ip: IpAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to(b"facetty", socket.local_addr()?)?;
    let mut buffer = [0; 16];
    let (length, _) = socket.recv_from(&mut buffer)?;
    if buffer.get(..length) == Some(b"facetty".as_slice()) {
        return Ok(());
    }
    Err(std::io::Error::other("a datagram came back changed"))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        // RFC 1918, and the shared space of carriers (RFC 6598).
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

fn files(paths: &Paths) -> Vec<Check> {
    let identity = match store::identity::load(&paths.identity) {
        Ok(Some(_)) => check("identity", State::Ok, paths.identity.display().to_string()),
        Ok(None) => {
            check("identity", State::Ok, "none yet: the first call, or facetty id, makes it")
        }
        Err(e) => failed("identity", e.into()),
    };
    let contacts = match store::contacts::Contacts::load(&paths.contacts) {
        Ok(contacts) => check("contacts", State::Ok, contacts.iter().count().to_string()),
        Err(e) => failed("contacts", e.into()),
    };
    let settings = match store::settings::Settings::load(&paths.settings) {
        Ok(_) => check("settings", State::Ok, paths.settings.display().to_string()),
        Err(e) => failed("settings", e.into()),
    };
    vec![identity, contacts, settings]
}

fn failed(what: &'static str, failure: Failure) -> Check {
    let row = check(what, State::Bad, failure.what);
    match failure.next {
        Some(next) => row.next(next),
        None => row,
    }
}

fn cryptography() -> Vec<Check> {
    let vectors = selftest::all();
    let wrong: Vec<&str> = vectors.iter().filter(|v| !v.passed).map(|v| v.name).collect();
    vec![if wrong.is_empty() {
        let names: Vec<&str> = vectors.iter().map(|v| v.name).collect();
        check("cryptography", State::Ok, format!("{} correct: {}", names.len(), names.join(", ")))
    } else {
        check("cryptography", State::Bad, format!("wrong results: {}", wrong.join(", ")))
            .next("do not use this build: the compiler or the machine is faulty")
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_check_decides_the_verdict() {
        let ok = || check("a", State::Ok, "");
        let note = || check("b", State::Note, "");
        assert_eq!(verdict(&[ok()]).1, "verdict: ready for calls");
        assert_eq!(verdict(&[ok(), note()]).0, Exit::Ended);
        let (exit, line) = verdict(&[ok(), note(), check("UDP", State::Bad, "")]);
        assert_eq!((exit, line.as_str()), (Exit::Failed, "verdict: not ready for calls: UDP"));
    }

    #[test]
    fn private_addresses_are_known() {
        for ip in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["203.0.113.9", "100.128.0.1", "2001:db8::1"] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }
}
