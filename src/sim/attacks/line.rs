//! Attacks from the line: reading, changing, and telling speech from silence.

use super::stack::{Brings, Stack, virtually, wait};
use super::world::{Taped, World, bytes_of};
use super::{Lab, LabError, Outcome, Tally, setup};
use crate::media::frame::CodedAudio;
use crate::media::seams::PcmSource as _;
use crate::media::source::voice::{Speech, Voice};
use crate::node::NodeCommand;
use crate::seal::{Opener, Receipt, Sealers};
use crate::sim::model::{Dice, LinkModel, Reorder};
use crate::sim::net::{Fate, Happened};
use crate::time::{Now, Wall};
use crate::wire::link::{LinkEvent, MemberId};
use crate::wire::media;
use crate::wire::sframe::{Header, StreamKind};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Who carries every packet reads nothing, even if TLS were broken.
pub(super) fn tap(lab: &mut Lab) -> Result<Outcome, LabError> {
    let lab = &*lab;
    virtually(async {
        let mut outcome = Outcome::default();
        let stack = Stack::two(lab, Brings::Both).await?;
        wait(3000).await;
        {
            let eve = stack.eve();
            let found = eve.findings();
            let (line, quic) = (&found.line, &found.quic);
            outcome.eve = Tally::many(
                line.packets + quic.packets + found.tried + found.decoded_raw,
                line.found() + quic.found() + found.opened + found.pictures_raw,
            );
            outcome.sees("sealed pictures were tried", found.tried > 20);
            outcome.sees("pictures were shown", stack.painted() > 40);
            outcome.control = Tally::many(found.control.packets, found.control.found());
            outcome.evidence = format!(
                "{} needles searched in {} datagrams and {} messages and frames: {} found (before \
                 the seal: {}); {} sealed pictures tried: {} opened",
                eve.needles(),
                line.packets,
                quic.packets,
                line.found() + quic.found(),
                found.control.found(),
                found.tried,
                found.opened,
            );
        }
        // Ben's key for Ada's frames, handed over.
        stack.tell(1, NodeCommand::TellWitness(MemberId(0))).await;
        wait(500).await;
        let given = stack.eve().findings().opened_with_given;
        outcome.control.tried += given;
        outcome.control.got = if given > 0 { outcome.control.got + given } else { 0 };
        outcome.evidence.push_str(&format!("; with Ben's key: {given}"));
        Ok(outcome)
    })
}

/// Flips a bit in some, drops, repeats, holds back.
fn spoiled(dice: &mut Dice, bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let bit = usize::try_from(dice.roll() % (bytes.len() as u64 * 8).max(1)).unwrap_or(0);
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    bytes.into()
}

/// A relay that changes, drops, repeats and reorders alters nothing that is heard.
pub(super) fn blind_relay(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let seeds = if lab.full { 50 } else { 3 };
    let mut spoilt = 0;
    for seed in 0..seeds {
        // Behind broken TLS: every media packet may be hit.
        let mut world = World::call_of(lab, &["Ben Nevis"])?;
        let counter = Arc::new(Mutex::new(0u64));
        let counted = Arc::clone(&counter);
        let mut dice = Dice::new(lab.seed + seed, 6);
        world.meddle = Some(Box::new(move |taped: &Taped| {
            let event = taped.event.clone();
            let (LinkEvent::Datagram(bytes) | LinkEvent::Frame(bytes)) = &event else {
                return vec![(Duration::ZERO, event)];
            };
            let late = Duration::from_millis(dice.roll() % 80);
            *counted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            match dice.roll() % 10 {
                0..4 => vec![(late, LinkEvent::Datagram(spoiled(&mut dice, bytes)))],
                4 => Vec::new(),
                5 => vec![(Duration::ZERO, event.clone()), (late, event)],
                6 => vec![
                    (late, event.clone()),
                    (late, LinkEvent::Datagram(spoiled(&mut dice, bytes))),
                ],
                _ => vec![(late, event)],
            }
        }));
        world.talk(&[0, 1], 150)?;
        world.run(500)?;
        let [ada, ben] = [world.heard(0), world.heard(1)];
        outcome.eve.got += ada.altered + ada.twice + ben.altered + ben.twice;
        let total = *counter.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.eve.tried += total;
        spoilt += total;
        let heard = ada.packets + ben.packets;
        outcome.sees("what arrived whole was heard", heard > 60 && heard < 300);
        outcome.sees("the call goes on", world.names(0).len() == 2 && world.names(1).len() == 2);
    }
    let painted = on_the_line(lab)?;
    outcome.sees("over QUIC the call goes on", painted > 40);
    // Control: with Ada's key the same relay alters what Ben hears.
    outcome.control = with_key(lab)?;
    outcome.evidence = format!(
        "{spoilt} packets flipped, dropped, doubled or delayed behind TLS: {} altered or heard \
         twice; UDP with the same: {painted} pictures painted; with Ada's key: {} of {} altered",
        outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// The same on the UDP datagrams of a whole call; pictures painted meanwhile.
fn on_the_line(lab: &Lab) -> Result<u64, LabError> {
    virtually(async {
        let stack = Stack::two(lab, Brings::Both).await?;
        let mut dice = Dice::new(lab.seed, 61);
        let model = LinkModel {
            reorder: Some(Reorder { chance: 0.1, by: Duration::from_millis(15) }),
            duplicate: 0.05,
            delay: Duration::from_millis(10),
            ..LinkModel::default()
        };
        stack.net.set_path_between(super::stack::host(0).ip(), super::stack::host(1).ip(), model);
        stack.net.intercept(Some(Box::new(move |datagram| match dice.roll() % 100 {
            0..4 => Fate::Drop,
            4..7 => Fate::Replace(vec![spoiled(&mut dice, &datagram.bytes)]),
            7..10 => Fate::Replace(vec![datagram.bytes.clone(); 2]),
            _ => Fate::Forward,
        })));
        let before = stack.painted();
        wait(4000).await;
        Ok(stack.painted() - before)
    })
}

/// The relay, given Ada's key: it opens, changes, and seals again.
fn with_key(lab: &Lab) -> Result<Tally, LabError> {
    let mut world = World::call_of(lab, &["Ben Nevis"])?;
    world.talk(&[0], 3)?;
    let keys = world.call(1)?.surrender_opener(MemberId(0)).ok_or_else(|| setup("no keys"))?;
    let (epoch, leaf) = (world.epoch(1), 0);
    let receipt = Receipt::shown(epoch, [0; 32]);
    let base = keys.base().duplicate();
    let mut sealers = Sealers::new(base, epoch, leaf, &receipt, &[0; 32]).map_err(setup)?;
    let mut opener = Opener::from_surrendered(keys);
    world.meddle = Some(Box::new(move |taped: &Taped| {
        let mine = changed(&mut opener, &mut sealers, taped);
        vec![(Duration::ZERO, mine.unwrap_or_else(|| taped.event.clone()))]
    }));
    world.talk(&[0], 30)?;
    world.run(200)?;
    Ok(Tally::many(30, world.heard(1).altered))
}

fn changed(opener: &mut Opener, sealers: &mut Sealers, taped: &Taped) -> Option<LinkEvent> {
    let frame = bytes_of(&taped.event).filter(|_| taped.from == 0)?;
    let (header, _) = Header::decode(frame).ok()?;
    let plaintext = opener.open(header, frame).ok()?;
    let Ok(crate::media::frame::Coded::Audio(said)) = media::decode(StreamKind::Audio, &plaintext)
    else {
        return None;
    };
    let mut bytes = said.bytes.to_vec();
    bytes[10] ^= 0xff;
    let lie = media::encode_audio(&CodedAudio { bytes: bytes.into(), ..said }, 0);
    let audio = sealers.of(StreamKind::Audio);
    // A relay that has the key can't take a counter twice either: it goes on from Ada's.
    while audio.sealed() < header.ctr {
        audio.seal(b"").ok()?;
    }
    Some(LinkEvent::Datagram(audio.seal(&lie).ok()?.bytes))
}

/// Windows in which speech has to be told from silence.
const WINDOW: Duration = Duration::from_millis(500);

/// What an observer counts in a window: packets, bytes, largest, smallest.
type Sizes = Vec<usize>;

/// Best that a threshold on any of an observer's figures does in telling the two kinds of windows
/// apart: .5 is a coin, 1 is certain.
fn told_apart(speech: &[Sizes], silence: &[Sizes]) -> f64 {
    let figures: [fn(&Sizes) -> f64; 4] = [
        |s| s.len() as f64,
        |s| s.iter().sum::<usize>() as f64,
        |s| s.iter().max().copied().unwrap_or(0) as f64,
        |s| variance(s),
    ];
    let mut best: f64 = 0.5;
    for figure in figures {
        let one: Vec<f64> = speech.iter().map(figure).collect();
        let other: Vec<f64> = silence.iter().map(figure).collect();
        for threshold in one.iter().chain(&other) {
            let above = |list: &[f64]| {
                list.iter().filter(|v| *v > threshold).count() as f64 / list.len().max(1) as f64
            };
            let right = 0.5 + (above(&one) - above(&other)).abs() / 2.0;
            best = best.max(right);
        }
    }
    best
}

fn variance(sizes: &Sizes) -> f64 {
    let mean = sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64;
    sizes.iter().map(|s| (*s as f64 - mean).powi(2)).sum::<f64>() / sizes.len().max(1) as f64
}

/// Sizes and times of packets don't tell speech from silence, or from a muted microphone.
pub(super) fn sizes(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let rounds = if lab.full { 20 } else { 6 };
    let mut evidence = Vec::new();
    let (spoken, muted) = windows_on_the_line(lab, rounds)?;
    let [first, second] = [&spoken, &muted].map(|w| w.iter().flatten().count());
    let right = told_apart(&spoken, &muted);
    // Twelve windows of noise are told apart by the best of many thresholds now and then; a leak
    // is told apart nearly always.
    outcome.eve.add(right > 0.85);
    evidence.push(format!(
        "speech and muted on the line: {first} and {second} packets, told apart {:.0} % of the time",
        right * 100.0
    ));
    let (spoken, silent) = windows_of_encoder(false)?;
    let right = told_apart(&spoken, &silent);
    outcome.eve.add(right > 0.85);
    evidence.push(format!("speech and silence of the encoder: {:.0} %", right * 100.0));
    let (spoken, silent) = windows_of_encoder(true)?;
    let right = told_apart(&spoken, &silent);
    outcome.control.add(right > 0.85);
    evidence.push(format!("of an encoder with variable rate: {:.0} %", right * 100.0));
    outcome.evidence = evidence.join("; ");
    Ok(outcome)
}

/// UDP sizes from Ben's machine while he speaks and while he is muted, in turns.
fn windows_on_the_line(lab: &Lab, rounds: u32) -> Result<(Vec<Sizes>, Vec<Sizes>), LabError> {
    virtually(async {
        let stack = Stack::two(lab, Brings::Voice).await?;
        let seen: Arc<Mutex<Vec<(Duration, usize)>>> = Arc::default();
        let tapped = Arc::clone(&seen);
        let ben = super::stack::host(1);
        stack.net.tap(Box::new(move |t| {
            if t.what == Happened::Sent && t.datagram.from == ben {
                let mut seen = tapped.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push((t.at, t.datagram.bytes.len()));
            }
        }));
        wait(1000).await;
        let (mut spoken, mut muted) = (Vec::new(), Vec::new());
        for round in 0..rounds * 2 {
            let mute = round % 2 == 1;
            stack.tell(1, NodeCommand::Mic(!mute)).await;
            // The change itself is a message; what is compared is what follows.
            wait(500).await;
            let from = stack.net.elapsed();
            wait(2000).await;
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let mut windows: BTreeMap<u128, Sizes> = BTreeMap::new();
            for (at, size) in seen.iter().filter(|(at, _)| *at >= from) {
                let window = (*at - from).as_millis() / WINDOW.as_millis();
                windows.entry(window.min(3)).or_default().push(*size);
            }
            if mute { &mut muted } else { &mut spoken }.extend(windows.into_values());
        }
        Ok((spoken, muted))
    })
}

/// Sizes of the packets of our encoder – or of one with variable rate – for speech and silence.
fn windows_of_encoder(variable: bool) -> Result<(Vec<Sizes>, Vec<Sizes>), LabError> {
    let mut ours = crate::media::codec::opus::OpusEncoder::new(16_000, 20).map_err(setup)?;
    let mut theirs =
        opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).map_err(setup)?;
    theirs.set_vbr(true).map_err(setup)?;
    theirs.set_bitrate(opus::Bitrate::Bits(16_000)).map_err(setup)?;
    let origin = super::instant();
    let mut voice = Voice::new(Speech::new(5, 0, 1), origin);
    let mut at = Now { mono: origin, wall: Wall(0) };
    let mut step = |speaks: bool| -> Result<usize, LabError> {
        let mut pcm = Vec::with_capacity(960);
        for _ in 0..2 {
            at.mono += Duration::from_millis(10);
            let block = voice.read(at).map_err(setup)?;
            match block.filter(|_| speaks) {
                Some(block) => pcm.extend_from_slice(&block[..]),
                None => pcm.extend([0.0; 480]),
            }
        }
        if variable {
            let mut packet = [0; 1500];
            theirs.encode_float(&pcm, &mut packet).map_err(setup)
        } else {
            ours.step(&pcm).map(|bytes| bytes.len()).map_err(setup)
        }
    };
    let mut windows = |speaks| -> Result<Vec<Sizes>, LabError> {
        let mut all = Vec::new();
        for _ in 0..12 {
            let window: Result<Sizes, _> = (0..25).map(|_| step(speaks)).collect();
            all.push(window?);
        }
        Ok(all)
    };
    Ok((windows(true)?, windows(false)?))
}
