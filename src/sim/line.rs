//! A line with somebody on it, on real sockets: a forwarder both parties talk through as through
//! any router, which sees every datagram and may change, delay or lose it. The demonstration's Eve
//! sits here, and a call in real time gets its network from here.
//!
//! Each party to be reached gets a *door*: a UDP address of the line that stands in its place. Who
//! sends to the door gets a return socket of their own, as behind a NAT, so that any number of
//! parties can use one door.

use super::model::{Cause, Dice, LinkModel, Pipe};
use super::net::{Datagram, Fate, Happened, Intercept, Tap, Tapped};
use super::pcapng::PcapWriter;
use crate::time::Wall;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// Return sockets of one door; more parties than that are not served.
const CALLERS: usize = 64;
/// Largest datagram.
const LARGEST: usize = 65_536;

/// How a line is set up.
pub struct LineOptions {
    /// Address the doors are opened on.
    pub ip: IpAddr,
    /// What happens on the way to a door's target.
    pub towards: LinkModel,
    /// What happens on the way back.
    pub back: LinkModel,
    /// Seed of the models' dice.
    pub seed: u64,
    /// Wall time at the opening, for the capture.
    pub opened: Wall,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            ip: Ipv4Addr::LOCALHOST.into(),
            towards: LinkModel::default(),
            back: LinkModel::default(),
            seed: 0,
            opened: Wall(0),
        }
    }
}

/// The line. Everything stops when it is dropped.
pub struct Line {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    options: LineOptions,
    origin: Instant,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    towards: LinkModel,
    back: LinkModel,
    ways: BTreeMap<(usize, Way), Pipe<Outgoing>>,
    doors: usize,
    tap: Option<Tap>,
    intercept: Option<Intercept>,
    capture: Option<PcapWriter<Box<dyn Write + Send>>>,
    capture_lost: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Towards,
    Back,
}

/// The sending half of a socket. Not the runtime's: that one refuses to send until it has once
/// heard from the system that it may, which would lose the first packets of every caller.
type Sender = Arc<std::net::UdpSocket>;

#[derive(Clone)]
struct Outgoing {
    datagram: Datagram,
    through: Sender,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Line {
    /// A line without doors. Must be called within a tokio runtime, which drives it.
    pub fn open(options: LineOptions) -> Self {
        let state = State {
            towards: options.towards.clone(),
            back: options.back.clone(),
            ways: BTreeMap::new(),
            doors: 0,
            tap: None,
            intercept: None,
            capture: None,
            capture_lost: None,
        };
        let shared = Arc::new(Shared {
            options,
            origin: now(),
            state: Mutex::new(state),
            changed: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_time(shared.clone()));
        Self { shared, tasks: Mutex::new(tasks) }
    }

    /// Opens a door to `target` and returns the address that stands in its place.
    pub fn door(&self, target: SocketAddr) -> io::Result<SocketAddr> {
        let (front, sender) = bind(self.shared.options.ip)?;
        let address = front.local_addr()?;
        let number = {
            let mut state = lock(&self.shared.state);
            let number = state.doors;
            state.doors += 1;
            for (way, model) in
                [(Way::Towards, state.towards.clone()), (Way::Back, state.back.clone())]
            {
                let seed = Dice::new(self.shared.options.seed, (number * 2 + way as usize) as u64);
                state.ways.insert((number, way), Pipe::new(model, seed.clone().roll()));
            }
            number
        };
        let shared = Arc::downgrade(&self.shared);
        lock(&self.tasks).spawn(serve_door(shared, number, front, sender, target));
        Ok(address)
    }

    /// Changes what happens to packets from now on, at every door.
    pub fn set_models(&self, towards: LinkModel, back: LinkModel) {
        let now = now();
        let mut state = lock(&self.shared.state);
        for ((_, way), pipe) in &mut state.ways {
            let model = if *way == Way::Towards { &towards } else { &back };
            pipe.set_model(model.clone(), now);
        }
        state.towards = towards;
        state.back = back;
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Watches every datagram from now on: as it comes in, and what became of it. Addresses are
    /// those of the two parties, not of the line. The callback must not call the line.
    pub fn tap(&self, tap: Tap) {
        lock(&self.shared.state).tap = Some(tap);
    }

    /// Puts somebody on the line who may change, take away, or repeat; `None` removes them. The
    /// callback must not call the line.
    pub fn intercept(&self, intercept: Option<Intercept>) {
        lock(&self.shared.state).intercept = intercept;
    }

    /// Writes everything that comes in to a packet capture (pcapng).
    pub fn capture(&self, out: Box<dyn Write + Send>) -> io::Result<()> {
        let writer = PcapWriter::new(out, "line")?;
        lock(&self.shared.state).capture = Some(writer);
        Ok(())
    }

    /// Hands the capture to the system; reports the first error of writing it, which ended it.
    pub fn flush_capture(&self) -> io::Result<()> {
        let mut state = lock(&self.shared.state);
        if let Some(error) = state.capture_lost.take() {
            return Err(error);
        }
        state.capture.as_mut().map_or(Ok(()), PcapWriter::flush)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        lock(&self.tasks).abort_all();
        let _ = self.flush_capture();
    }
}

fn bind(ip: IpAddr) -> io::Result<(UdpSocket, Sender)> {
    let socket = std::net::UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    let sender = Arc::new(socket.try_clone()?);
    Ok((UdpSocket::from_std(socket)?, sender))
}

/// Takes what comes to a door; every new sender gets a return socket.
async fn serve_door(
    line: Weak<Shared>,
    door: usize,
    front: UdpSocket,
    answers: Sender,
    target: SocketAddr,
) {
    let mut callers: BTreeMap<SocketAddr, Sender> = BTreeMap::new();
    let mut returns = JoinSet::new();
    let mut buffer = vec![0; LARGEST];
    loop {
        // Errors of a UDP socket concern single packets (a port was closed), not the socket.
        let Ok((length, from)) = front.recv_from(&mut buffer).await else { continue };
        let Some(line) = line.upgrade() else { return };
        let through = match callers.get(&from) {
            Some(sender) => sender.clone(),
            None if callers.len() >= CALLERS => continue,
            None => {
                let Ok((socket, sender)) = bind(line.options.ip) else { continue };
                callers.insert(from, sender.clone());
                returns.spawn(serve_return(
                    Arc::downgrade(&line),
                    door,
                    socket,
                    answers.clone(),
                    target,
                    from,
                ));
                sender
            }
        };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        line.pass((door, Way::Towards), Datagram { from, to: target, ecn: 0, bytes }, through);
    }
}

/// Takes the target's answers to one caller.
async fn serve_return(
    line: Weak<Shared>,
    door: usize,
    socket: UdpSocket,
    answers: Sender,
    target: SocketAddr,
    caller: SocketAddr,
) {
    let mut buffer = vec![0; LARGEST];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if from != target {
            continue;
        }
        let Some(line) = line.upgrade() else { return };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        let datagram = Datagram { from: target, to: caller, ecn: 0, bytes };
        line.pass((door, Way::Back), datagram, answers.clone());
    }
}

/// Lets delayed packets go when they are due.
async fn keep_time(line: Arc<Shared>) {
    loop {
        let next = lock(&line.state).release(now(), line.origin);
        tokio::select! {
            biased;
            () = line.changed.notified() => {}
            () = async {
                match next {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

impl Shared {
    fn pass(&self, way: (usize, Way), datagram: Datagram, through: Sender) {
        let now = now();
        let mut state = lock(&self.state);
        state.record(self.options.opened, self.origin, now, &datagram);
        state.see(self.origin, now, &datagram, Happened::Sent);
        let fate = state.intercept.as_mut().map_or(Fate::Forward, |someone| someone(&datagram));
        let instead = match fate {
            Fate::Forward => vec![datagram],
            Fate::Drop => {
                let lost = Happened::Lost(Cause::Intercepted);
                return state.see(self.origin, now, &datagram, lost);
            }
            Fate::Replace(others) => {
                others.into_iter().map(|bytes| Datagram { bytes, ..datagram.clone() }).collect()
            }
        };
        for datagram in instead {
            let length = datagram.bytes.len();
            let outgoing = Outgoing { datagram, through: through.clone() };
            let Some(pipe) = state.ways.get_mut(&way) else { return };
            if let Err((outgoing, cause)) = pipe.offer(outgoing, length, now) {
                state.see(self.origin, now, &outgoing.datagram, Happened::Lost(cause));
            }
        }
        if state.release(now, self.origin).is_some() {
            self.changed.notify_one();
        }
    }
}

impl State {
    /// Sends what is due; returns when the next is.
    fn release(&mut self, now: Instant, origin: Instant) -> Option<Instant> {
        loop {
            let due = self.ways.iter().filter_map(|(way, pipe)| pipe.next().map(|at| (at, *way)));
            let (at, way) = due.min()?;
            if at > now {
                return Some(at);
            }
            while let Some((outgoing, _)) = self.ways.get_mut(&way).and_then(|pipe| pipe.poll(at)) {
                let datagram = &outgoing.datagram;
                let sent = outgoing.through.send_to(&datagram.bytes, datagram.to);
                let what = match sent {
                    Ok(_) => Happened::Delivered,
                    Err(_) => Happened::Lost(Cause::InboxFull),
                };
                self.see(origin, now, datagram, what);
            }
        }
    }

    fn see(&mut self, origin: Instant, now: Instant, datagram: &Datagram, what: Happened) {
        if let Some(tap) = &mut self.tap {
            tap(Tapped { at: now.saturating_duration_since(origin), datagram, what });
        }
    }

    fn record(&mut self, opened: Wall, origin: Instant, now: Instant, datagram: &Datagram) {
        let Some(capture) = &mut self.capture else { return };
        let since = now.saturating_duration_since(origin).as_micros();
        let micros = opened.0 * 1000 + u64::try_from(since).unwrap_or(u64::MAX / 2);
        let written = capture.datagram(micros, datagram.from, datagram.to, &datagram.bytes);
        if let Err(error) = written {
            self.capture_lost.get_or_insert(error);
            self.capture = None;
        }
    }
}
