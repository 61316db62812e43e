//! The network of a scenario: in memory, or real sockets with a line before each participant.

use super::LoopbackError;
use crate::sim::bulk::{self, Flow};
use crate::sim::line::{Line, LineOptions};
use crate::sim::measure::{Bench, Leak};
use crate::sim::model::{Bursts, Jitter, LinkModel, Queue, Reorder, Shape};
use crate::sim::net::{Datagram, Happened, Network, Tapped};
use crate::sim::pcapng::PcapWriter;
use crate::sim::scenario::{AccessSpec, Action, Change, FlowSpec, LinkSpec, Moment, Scenario};
use crate::time::Wall;
use crate::transport::Socket;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Port of every virtual participant.
const PORT: u16 = 4433;
/// Mean length of a burst of losses unless the scenario says otherwise.
const BURST: Duration = Duration::from_millis(80);
/// How long a packet that is overtaken is held back.
const HELD: Duration = Duration::from_millis(20);
/// Queue before a bottleneck unless the scenario says otherwise.
const QUEUE: Duration = Duration::from_millis(200);

/// Where participants meet.
pub(super) struct Net {
    kind: Kind,
    links: BTreeMap<(usize, usize), LinkSpec>,
    access: Vec<AccessSpec>,
    wall: Wall,
}

enum Kind {
    Virtual {
        network: Network,
        /// Where each participant is now.
        places: Vec<Whereabouts>,
    },
    /// One line before each participant, opened when it joins.
    Real { lines: Vec<Option<Line>>, seed: u64, bench: Option<Bench>, capture: Option<Capture> },
}

/// Where a virtual participant is: each network it moves to and each port a router gives it is
/// another one.
#[derive(Clone, Copy)]
struct Whereabouts {
    index: usize,
    networks: u8,
    ports: u16,
}

impl Whereabouts {
    fn ip(self) -> IpAddr {
        let host = u8::try_from(self.index + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, self.networks, 0, host).into()
    }

    fn address(self) -> SocketAddr {
        SocketAddr::new(self.ip(), PORT + self.ports)
    }
}

/// A participant's place in the network.
pub(super) struct Place {
    /// For its endpoint.
    pub(super) socket: Socket,
    /// Where its packets come from.
    pub(super) own: SocketAddr,
    /// Where others reach it.
    pub(super) public: SocketAddr,
}

impl Net {
    pub(super) fn new(
        scenario: &Scenario,
        seed: u64,
        real: bool,
        wall: Wall,
    ) -> Result<Self, LoopbackError> {
        let links: BTreeMap<_, _> = scenario.links.iter().copied().collect();
        let access: Vec<_> = scenario.participants.iter().map(|p| p.access).collect();
        let kind = if real {
            check_real(scenario)?;
            let lines = scenario.participants.iter().map(|_| None).collect();
            Kind::Real { lines, seed, bench: None, capture: None }
        } else {
            let places =
                (0..access.len()).map(|index| Whereabouts { index, networks: 0, ports: 0 });
            Kind::Virtual { network: Network::new(seed), places: places.collect() }
        };
        let net = Self { kind, links, access, wall };
        net.links.keys().for_each(|pair| net.lay_path(*pair));
        (0..net.access.len()).for_each(|index| net.lay_access(index));
        Ok(net)
    }

    /// Everything that passes is measured, and written to `out`.
    pub(super) fn tap(
        &mut self,
        bench: Bench,
        out: Option<Box<dyn Write + Send>>,
    ) -> io::Result<Option<Capture>> {
        let capture = out.map(|out| Capture::new(out, self.wall)).transpose()?;
        match &mut self.kind {
            Kind::Virtual { network, .. } => network.tap(tap(bench, capture.clone())),
            Kind::Real { bench: for_lines, capture: to, .. } => {
                *for_lines = Some(bench);
                to.clone_from(&capture);
            }
        }
        Ok(capture)
    }

    /// Sends bytes over the line that the sender should have sealed.
    pub(super) fn leak(&self) -> Option<Leak> {
        let Kind::Virtual { network, places } = &self.kind else { return None };
        let (network, places) = (network.clone(), places.clone());
        Some(Arc::new(move |index, bytes| {
            // Nobody listens there: only the tap gets it.
            let to = SocketAddr::new(Ipv4Addr::new(10, 0, 1, 1).into(), PORT);
            let Some(from) = places.get(index).map(|place| place.address()) else { return };
            for chunk in bytes.chunks(1200) {
                let bytes = Bytes::copy_from_slice(chunk);
                network.inject(Datagram { from, to, ecn: 0, bytes });
            }
        }))
    }

    /// Gives a participant that comes back another port: its old socket may still be there.
    pub(super) fn place_again(&mut self, index: usize) -> io::Result<Place> {
        if let Kind::Virtual { places, .. } = &mut self.kind
            && let Some(place) = places.get_mut(index)
        {
            place.ports += 1;
        }
        self.place(index)
    }

    /// Gives a participant its socket.
    pub(super) fn place(&mut self, index: usize) -> io::Result<Place> {
        match &mut self.kind {
            Kind::Virtual { network, places } => {
                let place = places.get(index).ok_or(io::ErrorKind::NotFound)?;
                let own = place.address();
                let socket = Socket::Custom(network.socket(own)?);
                Ok(Place { socket, own, public: own })
            }
            Kind::Real { lines, seed, bench, capture } => {
                let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.set_nonblocking(true)?;
                let own = socket.local_addr()?;
                let (towards, back) = both_ways(&self.links, index);
                let line = Line::open(LineOptions {
                    towards,
                    back,
                    seed: super::derived(*seed, "line", index),
                    opened: self.wall,
                    ..LineOptions::default()
                });
                if let Some(bench) = bench {
                    line.tap(tap(bench.clone(), capture.clone()));
                }
                let public = line.door(own)?;
                if let Some(place) = lines.get_mut(index) {
                    *place = Some(line);
                }
                Ok(Place { socket: Socket::Udp(socket), own, public })
            }
        }
    }

    /// A link changes.
    pub(super) fn change(&mut self, pair: (usize, usize), spec: LinkSpec) {
        let Some(link) = self.links.get_mut(&pair) else { return };
        *link = spec.over(*link);
        self.lay_path(pair);
        if let Kind::Real { lines, .. } = &self.kind {
            for index in [pair.0, pair.1] {
                let (towards, back) = both_ways(&self.links, index);
                if let Some(line) = lines.get(index).and_then(Option::as_ref) {
                    line.set_models(towards, back);
                }
            }
        }
    }

    /// A participant's own line changes.
    pub(super) fn change_access(&mut self, index: usize, spec: AccessSpec) {
        let Some(access) = self.access.get_mut(index) else { return };
        *access = spec.over(*access);
        self.lay_access(index);
    }

    /// Starts a download beside the call; in the virtual network only.
    pub(super) fn flow(&self, number: usize, flow: FlowSpec) -> io::Result<Option<Flow>> {
        let Kind::Virtual { network, places } = &self.kind else { return Ok(None) };
        let place = |index: usize| places.get(index).ok_or(io::ErrorKind::NotFound);
        let (from, to) = (place(flow.from)?.ip(), place(flow.to)?.ip());
        let port = bulk::PORTS.start() + u16::try_from(number).unwrap_or(0);
        Flow::start(network, from, to, port).map(Some)
    }

    /// A participant's address changes; returns the new one, if it is in the virtual network.
    pub(super) fn move_to(&mut self, index: usize, how: Action) -> io::Result<Option<SocketAddr>> {
        let Kind::Virtual { network, places } = &mut self.kind else { return Ok(None) };
        let Some(place) = places.get_mut(index) else { return Ok(None) };
        let old = place.address();
        match how {
            Action::NatRebind => place.ports += 1,
            _ => (place.networks, place.ports) = (place.networks.wrapping_add(1), place.ports + 1),
        }
        let new = place.address();
        match how {
            Action::NatRebind => network.renumber(old, new)?,
            _ => network.relocate(old, new)?,
        }
        if old.ip() != new.ip() {
            let mine = |pair: &&(usize, usize)| pair.0 == index || pair.1 == index;
            self.links.keys().filter(mine).for_each(|pair| self.lay_path(*pair));
            self.lay_access(index);
        }
        Ok(Some(new))
    }

    /// In the virtual network: what lies between two participants where they are now.
    fn lay_path(&self, pair: (usize, usize)) {
        let Kind::Virtual { network, places } = &self.kind else { return };
        let Some(spec) = self.links.get(&pair) else { return };
        if let (Some(from), Some(to)) = (places.get(pair.0), places.get(pair.1)) {
            network.set_path(from.ip(), to.ip(), model(spec));
        }
    }

    /// In the virtual network: a participant's own line where it is now, as far as it limits
    /// anything.
    fn lay_access(&self, index: usize) {
        let Kind::Virtual { network, places } = &self.kind else { return };
        let (Some(place), Some(spec)) = (places.get(index), self.access.get(index)) else { return };
        let line =
            |rate_kbps, queue_ms| model(&LinkSpec { rate_kbps, queue_ms, ..LinkSpec::default() });
        if spec.up_kbps.is_some() {
            network.set_uplink(place.ip(), line(spec.up_kbps, spec.up_queue_ms));
        }
        if spec.down_kbps.is_some() {
            network.set_downlink(place.ip(), line(spec.down_kbps, spec.down_queue_ms));
        }
    }
}

/// What a scenario asks for that only the virtual network has.
/// Can it be played over real sockets, by the clock?
pub fn check_real(scenario: &Scenario) -> Result<(), LoopbackError> {
    let with_line = scenario.participants.iter().find(|p| p.access != AccessSpec::default());
    let changed = scenario.timeline.iter().find_map(|moment| match moment.change {
        Change::Access(index, _) => scenario.participants.get(index),
        _ => None,
    });
    if let Some(participant) = with_line.or(changed) {
        return Err(LoopbackError::Scenario(format!(
            "the own line of {:?} (up_kbps, down_kbps) is there in virtual time only: on real \
             sockets no two of its packets share a queue; leave out --real-time",
            participant.name
        )));
    }
    if !scenario.flows.is_empty() {
        let why = "[[flow]] runs in virtual time only; leave out --real-time";
        return Err(LoopbackError::Scenario(why.into()));
    }
    let of_the_world = |moment: &Moment| match moment.change {
        Change::Act(_, Action::ChangeAddress | Action::NatRebind) => Some("addresses change"),
        Change::Act(_, Action::Suspend | Action::Resume) => Some("processes stop"),
        _ => None,
    };
    if let Some((s, what)) = scenario.timeline.iter().find_map(|m| Some((m.s, of_the_world(m)?))) {
        return Err(LoopbackError::Scenario(format!(
            "[[at]] s = {s}: {what} in virtual time only; leave out --real-time"
        )));
    }
    check_lines(scenario)
}

/// On real sockets all callers of a participant share one line: they must have the same links.
/// Callers are those after it.
fn check_lines(scenario: &Scenario) -> Result<(), LoopbackError> {
    let spec = |pair| scenario.links.iter().find(|(p, _)| *p == pair).map(|(_, spec)| *spec);
    let n = scenario.participants.len();
    for index in 0..n {
        let differs = |other: usize| {
            spec((other, index)) != spec((index + 1, index))
                || spec((index, other)) != spec((index, index + 1))
        };
        if (index + 1..n).any(differs) {
            let name = scenario.participants.get(index).map_or("", |p| &p.name);
            return Err(LoopbackError::Scenario(format!(
                "in real time all links of {name:?} to those after it must be equal; \
                 without --real-time they may differ"
            )));
        }
    }
    Ok(())
}

/// Models of a participant's line: from those who call it, and back to them.
fn both_ways(links: &BTreeMap<(usize, usize), LinkSpec>, index: usize) -> (LinkModel, LinkModel) {
    let of = |pair| links.get(&pair).map_or_else(LinkModel::default, model);
    (of((index + 1, index)), of((index, index + 1)))
}

/// The model a specification stands for.
fn model(spec: &LinkSpec) -> LinkModel {
    let ms = |v: f64| Duration::from_secs_f64(v / 1000.0);
    let share = |v: Option<f64>| v.filter(|v| *v > 0.0).map(|v| v / 100.0);
    LinkModel {
        up: !spec.down.unwrap_or(false),
        delay: spec.delay_ms.map_or(Duration::ZERO, ms),
        jitter: spec.jitter_ms.filter(|j| *j > 0.0).map(|j| Jitter {
            shape: Shape::Exponential(ms(j)),
            keep_order: !spec.jitter_reorders.unwrap_or(false),
        }),
        loss: share(spec.loss_pct).unwrap_or(0.0),
        bursts: share(spec.burst_pct)
            .map(|share| Bursts { share, mean: spec.burst_ms.map_or(BURST, ms) }),
        rate: spec.rate_kbps.filter(|r| *r > 0.0).map(|r| (r * 1000.0) as u64),
        queue: Queue::Time(spec.queue_ms.map_or(QUEUE, ms)),
        reorder: share(spec.reorder_pct).map(|chance| Reorder { chance, by: HELD }),
        duplicate: share(spec.duplicate_pct).unwrap_or(0.0),
        ..LinkModel::default()
    }
}

/// A capture file that several taps write to.
#[derive(Clone)]
pub(super) struct Capture(Arc<Mutex<Writing>>);

struct Writing {
    writer: PcapWriter<Box<dyn Write + Send>>,
    wall: Wall,
    lost: Option<io::Error>,
}

impl Capture {
    fn new(out: Box<dyn Write + Send>, wall: Wall) -> io::Result<Self> {
        let writer = PcapWriter::new(out, "line")?;
        Ok(Self(Arc::new(Mutex::new(Writing { writer, wall, lost: None }))))
    }

    fn add(&self, tapped: Tapped<'_>) {
        let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.lost.is_some() {
            return;
        }
        let since = u64::try_from(tapped.at.as_micros()).unwrap_or(u64::MAX / 2);
        let micros = writing.wall.0 * 1000 + since;
        let Datagram { from, to, bytes, .. } = tapped.datagram;
        writing.lost = writing.writer.datagram(micros, *from, *to, bytes).err();
    }

    /// Hands everything to the system; the first error of writing, if there was one.
    pub(super) fn finish(&self) -> Option<io::Error> {
        let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = writing.writer.flush();
        writing.lost.take().or(flushed.err())
    }
}

fn tap(bench: Bench, capture: Option<Capture>) -> crate::sim::net::Tap {
    Box::new(move |tapped| {
        if let Some(capture) = capture.as_ref().filter(|_| tapped.what == Happened::Sent) {
            capture.add(tapped);
        }
        // Somebody else's download is no part of the call.
        let Datagram { from, to, .. } = tapped.datagram;
        if !bulk::PORTS.contains(&from.port()) && !bulk::PORTS.contains(&to.port()) {
            bench.tapped(tapped);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_becomes_the_model_it_describes() {
        let spec = LinkSpec {
            delay_ms: Some(50.0),
            loss_pct: Some(5.0),
            burst_pct: Some(40.0),
            rate_kbps: Some(300.0),
            queue_ms: Some(300.0),
            jitter_ms: Some(20.0),
            ..LinkSpec::default()
        };
        let model = model(&spec);
        assert_eq!(model.delay, Duration::from_millis(50));
        assert_eq!((model.loss, model.rate), (0.05, Some(300_000)));
        assert_eq!(model.queue, Queue::Time(Duration::from_millis(300)));
        assert!(model.bursts.is_some_and(|b| b.share == 0.4 && b.mean == BURST));
        assert!(model.jitter.is_some_and(|j| j.keep_order));
        assert_eq!(super::model(&LinkSpec::default()), LinkModel::default());
        assert!(!super::model(&LinkSpec { down: Some(true), ..spec }).up);
    }
}
