//! Attacks on a call that goes on, one key each: what the viewer of the demonstration can start.
//! Each ends by itself after some seconds, and says what Eve did and how far she got.

use super::{LabError, instant, setup};
use crate::call::{Admit, Call, EndReason, Tracks};
use crate::group::{CheckedCredential, CredentialRefused, Group, LocalMember};
use crate::identity::{Credential, DisplayName, IdentityKey, LeafKey};
use crate::invite::Invite;
use crate::media::apm::ApmConfig;
use crate::media::frame::{Size, Want};
use crate::media::sink::null::Null;
use crate::node::{Clock, MediaEnds, Node, NodeCommand, NodeConfig, NodeHandle, Runner};
use crate::sim::eve::Eve;
use crate::sim::line::Line;
use crate::sim::model::Dice;
use crate::sim::net::Fate;
use crate::time::Wall;
use crate::transport::{Endpoint, EndpointOptions, Link, Socket};
use crate::wire::control::Control;
use crate::wire::link::{LinkDown, LinkEvent, Send};
use bytes::Bytes;
use rand::{CryptoRng, TryRngCore as _};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long an attack lasts.
const LASTS: Duration = Duration::from_secs(8);
/// Packets Eve keeps, to repeat them.
const KEPT: usize = 200;
/// Datagrams of a flood.
const FLOOD: u32 = 10_000;

/// What Eve can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Flips bits.
    Flip,
    /// Repeats packets.
    Replay,
    /// Sends Ada's sealed frames to Ben herself.
    Splice,
    /// Knocks with a copied invite, under Ben's name.
    Knock,
    /// Ends TLS on both sides of a newcomer's handshake.
    MiddleMan,
    /// Drops three packets in ten.
    Drop,
    /// Brings a commit of her own.
    Commit,
    /// Doubles packets and changes their order.
    Reorder,
    /// Floods Ada with datagrams.
    Flood,
}

impl Trick {
    /// All, in the order of their keys.
    pub const ALL: [Self; 9] = [
        Self::Flip,
        Self::Replay,
        Self::Splice,
        Self::Knock,
        Self::MiddleMan,
        Self::Drop,
        Self::Commit,
        Self::Reorder,
        Self::Flood,
    ];

    /// The trick of a key, 1 to 9.
    pub fn of(key: u8) -> Option<Self> {
        Self::ALL.get(usize::from(key).checked_sub(1)?).copied()
    }

    /// Its key.
    pub fn key(self) -> u8 {
        Self::ALL.iter().position(|t| *t == self).map_or(0, |n| n as u8 + 1)
    }
}

/// An attack, as far as it has come.
#[derive(Clone, Debug)]
pub struct Doing {
    /// Which.
    pub trick: Trick,
    /// What she did: packets, connections.
    pub count: u64,
    /// Successes.
    pub got: u64,
    /// What became of it, where that is more than numbers.
    pub note: String,
    /// Began then.
    pub since: Instant,
    /// Over then, if it is.
    pub over: Option<Instant>,
}

/// What Eve is up to; shared between her and the screen.
#[derive(Clone, Default)]
pub struct Mischief(Arc<Mutex<Option<Doing>>>);

impl Mischief {
    fn lock(&self) -> MutexGuard<'_, Option<Doing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest attack.
    pub fn now(&self) -> Option<Doing> {
        self.lock().clone()
    }

    fn begin(&self, trick: Trick) {
        let since = instant();
        *self.lock() =
            Some(Doing { trick, count: 0, got: 0, note: String::new(), since, over: None });
    }

    fn change(&self, change: impl FnOnce(&mut Doing)) {
        if let Some(doing) = &mut *self.lock() {
            change(doing);
        }
    }

    fn count(&self) {
        self.change(|doing| doing.count += 1);
    }

    fn end(&self) {
        self.change(|doing| doing.over = Some(instant()));
    }
}

/// Where everybody is.
pub struct Setting {
    /// The line Eve sits on.
    pub line: Arc<Line>,
    /// Eve, and what she kept.
    pub eve: Arc<Mutex<Eve>>,
    /// Ada's own address.
    pub ada: SocketAddr,
    /// Ben's own address.
    pub ben: SocketAddr,
    /// The invite, copied.
    pub invite: Invite,
}

fn rng() -> Box<dyn CryptoRng + std::marker::Send> {
    Box::new(rand::rngs::OsRng.unwrap_err())
}

/// Does what it is told, one trick at a time; a new one ends the one before. Within a local set.
pub async fn serve(setting: Setting, mut tricks: mpsc::Receiver<Trick>, mischief: Mischief) {
    let setting = Arc::new(setting);
    let mut running: Option<tokio::task::JoinHandle<()>> = None;
    while let Some(trick) = tricks.recv().await {
        if let Some(running) = running.take() {
            running.abort();
        }
        setting.line.intercept(None);
        mischief.begin(trick);
        let (setting, mischief) = (Arc::clone(&setting), mischief.clone());
        running = Some(tokio::task::spawn_local(async move {
            if let Err(error) = play(trick, &setting, &mischief).await {
                mischief.change(|doing| doing.note = error.to_string());
            }
            setting.line.intercept(None);
            mischief.end();
        }));
    }
}

async fn play(trick: Trick, setting: &Setting, mischief: &Mischief) -> Result<(), LabError> {
    match trick {
        Trick::Flip | Trick::Replay | Trick::Drop | Trick::Reorder => {
            on_the_line(trick, setting, mischief.clone());
            tokio::time::sleep(LASTS).await;
            Ok(())
        }
        Trick::Splice => splice(setting, mischief).await,
        Trick::Knock => knock(setting, mischief).await,
        Trick::MiddleMan => middle_man(setting, mischief).await,
        Trick::Commit => commit(setting, mischief).await,
        Trick::Flood => flood(setting, mischief).await,
    }
}

fn on_the_line(trick: Trick, setting: &Setting, mischief: Mischief) {
    let mut dice = Dice::new(u64::from(trick.key()), 9);
    let mut kept: BTreeMap<(SocketAddr, SocketAddr), VecDeque<Bytes>> = BTreeMap::new();
    setting.line.intercept(Some(Box::new(move |datagram| {
        let bytes = &datagram.bytes;
        let way = kept.entry((datagram.from, datagram.to)).or_default();
        let fate = match trick {
            Trick::Flip if dice.chance(0.05) => {
                let mut spoiled = bytes.to_vec();
                let at = usize::try_from(dice.roll() % spoiled.len().max(1) as u64).unwrap_or(0);
                spoiled[at] ^= 1 << (dice.roll() % 8);
                Fate::Replace(vec![spoiled.into()])
            }
            Trick::Drop if dice.chance(0.3) => Fate::Drop,
            Trick::Replay => {
                way.push_back(bytes.clone());
                let old = if way.len() > KEPT { way.pop_front() } else { None };
                match old {
                    Some(old) => Fate::Replace(vec![bytes.clone(), old]),
                    None => return Fate::Forward,
                }
            }
            Trick::Reorder => match way.pop_front() {
                Some(held) => Fate::Replace(vec![bytes.clone(), held.clone(), held]),
                None => {
                    way.push_back(bytes.clone());
                    Fate::Drop
                }
            },
            _ => return Fate::Forward,
        };
        mischief.count();
        fate
    })));
}

/// An endpoint of Eve's on loopback.
fn endpoint(leaf: &LeafKey) -> Result<Endpoint, LabError> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(setup)?;
    socket.set_nonblocking(true).map_err(setup)?;
    let options = EndpointOptions::default();
    Endpoint::bind(Socket::Udp(socket), leaf.seed_for_tls_or_mls(), options).map_err(setup)
}

/// Ada's frames, as QUIC delivered them, on a connection of Eve's own to Ben.
async fn splice(setting: &Setting, mischief: &Mischief) -> Result<(), LabError> {
    let frames = setting.eve.lock().unwrap_or_else(PoisonError::into_inner).kept(KEPT);
    let eve = endpoint(&LeafKey::generate(&mut *rng()))?;
    let link = eve.dial(setting.ben).await.map_err(setup)?;
    let end = tokio::time::Instant::now() + LASTS;
    for frame in frames.iter().cycle() {
        let deadline = instant() + Duration::from_secs(1);
        let whole = Send::Frame { bytes: frame.clone(), priority: 0, deadline, supersedes: false };
        let small = frame.slice(..frame.len().min(1000));
        if link.send(whole).is_ok() && link.send(Send::Datagram(small)).is_ok() {
            mischief.count();
        }
        match timeout(Duration::from_millis(40), link.event()).await {
            Ok(LinkEvent::Down(why)) => {
                mischief.change(|doing| doing.note = closed(why).into());
                return Ok(());
            }
            _ if tokio::time::Instant::now() > end => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn closed(why: LinkDown) -> &'static str {
    match why {
        LinkDown::ClosedByPeer(crate::wire::link::close::TIMEOUT) => "closed: no member's",
        LinkDown::ClosedByPeer(_) => "closed by the other side",
        _ => "closed",
    }
}

/// A whole participant without camera and microphone.
fn joiner(name: &str, invite: Invite) -> Result<(Node, NodeHandle), LabError> {
    let mut rng = rng();
    let now = Clock::Real.now();
    let identity = Arc::new(IdentityKey::generate(&mut *rng));
    let config = super::world::config(name, Admit::Nobody);
    let call = Call::join(config, identity, invite, now, &mut *rng)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(setup)?;
    socket.set_nonblocking(true).map_err(setup)?;
    let leaf = call.leaf_key().seed_for_tls_or_mls();
    let endpoint =
        Endpoint::bind(Socket::Udp(socket), leaf, EndpointOptions::default()).map_err(setup)?;
    let size = Size::new(80, 48);
    let want = Want { size, decifps: 100, max_kbps: 0, paused: false, focus: false };
    let ends = MediaEnds {
        apm: ApmConfig::OFF,
        video: None,
        view: Box::new(Null::new(want)),
        mic: None,
        speaker: None,
        origin: now.mono,
        decifps: 100,
    };
    let config = NodeConfig { runner: Runner::Inline, clock: Clock::Real, witness: None, rng };
    let tracks = Tracks { mic: false, camera: false };
    Node::new(call, endpoint, ends, tracks, config).map_err(setup)
}

/// Knocks with the copied invite, calling herself Ben; nobody lets her in.
async fn knock(setting: &Setting, mischief: &Mischief) -> Result<(), LabError> {
    let (node, handle) = joiner("Ben Nevis", setting.invite.duplicate())?;
    mischief.count();
    let running = tokio::task::spawn_local(node.run());
    let end = tokio::time::Instant::now() + LASTS;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let view = handle.view.borrow().clone();
        let mine = view.call.my_fingerprint.to_string();
        let keys = view.call.members.len() as u64;
        mischief.change(|doing| (doing.note, doing.got) = (mine, keys));
    }
    let leave = NodeCommand::Call(crate::call::Command::Leave);
    let _ = handle.commands.send(leave).await;
    let _ = timeout(Duration::from_secs(1), running).await;
    Ok(())
}

/// A newcomer who dials Eve's address; she passes everything on over TLS of her own.
async fn middle_man(setting: &Setting, mischief: &Mischief) -> Result<(), LabError> {
    let eve = endpoint(&LeafKey::generate(&mut *rng()))?;
    let mut lure = setting.invite.duplicate();
    lure.addresses = vec![eve.local_addr().map_err(setup)?];
    let ada = setting.ada;
    let counted = mischief.clone();
    let relaying = tokio::task::spawn_local(async move {
        let Some(from) = eve.accept().await else { return };
        let Ok(to) = eve.dial(ada).await else { return };
        tokio::join!(pass_on(&from, &to, &counted), pass_on(&to, &from, &counted));
    });
    let (node, _handle) = joiner("Cleo Stone", lure)?;
    let ended = timeout(LASTS, node.run()).await;
    let note = match ended {
        Ok(EndReason::WrongIdentity(_)) => "Cleo is told it isn't Ada",
        Ok(EndReason::Refused(_) | EndReason::LostHost(_)) => "Ada turned it away",
        Ok(_) => "Cleo is not in",
        Err(_) => "no answer",
    };
    mischief.change(|doing| doing.note = note.into());
    relaying.abort();
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}

async fn pass_on(from: &Link, to: &Link, mischief: &Mischief) {
    loop {
        match from.event().await {
            LinkEvent::Control(bytes) => {
                mischief.count();
                if to.send(Send::Control(bytes)).is_err() {
                    return;
                }
            }
            LinkEvent::Down(LinkDown::ClosedByPeer(code)) => return to.close(code),
            LinkEvent::Down(_) => return to.close(0),
            _ => {}
        }
    }
}

/// Commits of a group of Eve's own under the call's id, on connections of her own.
async fn commit(setting: &Setting, mischief: &Mischief) -> Result<(), LabError> {
    let id = setting.invite.group_id();
    let eve = endpoint(&LeafKey::generate(&mut *rng()))?;
    for _ in 0..10 {
        let bundle = own_commit(id)?;
        let link = eve.dial(setting.ada).await.map_err(setup)?;
        let forged = Control::Bundle(bundle.into()).encode();
        let _ = link.send(Send::Control(forged.into()));
        mischief.count();
        // Counted as taken unless Ada closes the connection, as she does with any stranger in time.
        let closed = timeout(Duration::from_secs(8), async {
            while !matches!(link.event().await, LinkEvent::Down(_)) {}
        });
        let taken = closed.await.is_err();
        mischief.change(|doing| doing.got += u64::from(taken));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

fn own_commit(id: [u8; 16]) -> Result<Vec<u8>, LabError> {
    let mut rng = rng();
    let identity = IdentityKey::generate(&mut *rng);
    let leaf = LeafKey::generate(&mut *rng);
    let end = Wall(Clock::Real.now().wall.0 + 3_600_000);
    let name = DisplayName::sanitise("Ada Byron");
    let credential = Credential::issue(&identity, name, leaf.public(), id, end).map_err(setup)?;
    let (who, leaf_key) = (identity.public().0, leaf.public());
    let check = move |_: &[u8]| -> Result<CheckedCredential, CredentialRefused> {
        Ok(CheckedCredential { identity: who, leaf_key })
    };
    let local = LocalMember {
        credential: credential.encode(),
        leaf_seed: leaf.seed_for_tls_or_mls(),
        leaf_key,
    };
    let mut group = Group::create(local, id, &check).map_err(setup)?;
    let first = group.update(&check).map_err(setup)?;
    group.merge_pending(first).map_err(setup)?;
    Ok(group.update(&check).map_err(setup)?.bundle.clone())
}

/// Ten thousand datagrams at Ada's own address; half of them look like QUIC.
async fn flood(setting: &Setting, mischief: &Mischief) -> Result<(), LabError> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(setup)?;
    socket.set_nonblocking(true).map_err(setup)?;
    let mut dice = Dice::new(9, 9);
    for n in 0..FLOOD {
        let long = dice.chance(0.5);
        let length = if long { 1200 } else { 1 + usize::try_from(dice.roll() % 1200).unwrap_or(0) };
        let mut bytes: Vec<u8> = (0..length).map(|_| (dice.roll() >> 24) as u8).collect();
        if long {
            bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        }
        if socket.send_to(&bytes, setting.ada).is_ok() {
            mischief.count();
        }
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
