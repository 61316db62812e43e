//! What a seal does: Alice seals a frame, Bob opens it, and everything else fails.
//!
//! `cargo run --example seal_and_open`
//!
//! The base keys are made up here; in a call the group's safe exporter makes them anew for every
//! epoch (RFC 9420), and the receipt comes from the screen.

use facetty::seal::{Opener, Receipt, Sealers};
use facetty::secret::Secret;
use facetty::wire::sframe::{Header, Kid, StreamKind};
use std::error::Error;
use std::io::Write;

const ALICE: u8 = 0;
const BOB: u8 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let epoch = 7;
    let roster = [0x42; 32];

    writeln!(out, "The gate: no sealer before the roster of just this epoch was shown")?;
    let early = Sealers::new(base(ALICE), epoch, ALICE, &Receipt::shown(6, roster), &roster);
    writeln!(out, "  receipt of epoch 6       {}", outcome(early.map(|_| ())))?;
    let ghost = Sealers::new(base(ALICE), epoch, ALICE, &Receipt::shown(7, [0; 32]), &roster);
    writeln!(out, "  receipt of another list  {}", outcome(ghost.map(|_| ())))?;
    let mut alice = Sealers::new(base(ALICE), epoch, ALICE, &Receipt::shown(7, roster), &roster)?;
    writeln!(out, "  the right receipt        sealers for audio, video, screen and data")?;

    writeln!(out, "\nAlice seals her first picture")?;
    let picture = b"all that is in the picture: codec, size, time, pixels";
    let sealed = alice.of(StreamKind::Video).seal(picture)?;
    let (header, _) = Header::decode(&sealed.bytes)?;
    let kid = Kid::from_u64(header.kid)?;
    writeln!(out, "  {} bytes became {}", picture.len(), sealed.bytes.len())?;
    writeln!(
        out,
        "  outside the seal: {:?} of leaf {}, epoch {} (mod 16), frame {}",
        kid.stream, kid.leaf, kid.epoch, header.ctr
    )?;
    writeln!(out, "  and then {}…", hex(sealed.bytes.get(3..27).unwrap_or_default()))?;

    writeln!(out, "\nBob opens it with Alice's base key")?;
    let mut bob = Opener::new(&base(ALICE), epoch, ALICE);
    let opened = bob.open(header, &sealed.bytes)?;
    writeln!(out, "  “{}”", String::from_utf8_lossy(&opened))?;

    writeln!(out, "\nEve tries")?;
    let again = bob.open(header, &sealed.bytes);
    writeln!(out, "  the same frame again     {}", outcome(again))?;
    let mut flipped = alice.of(StreamKind::Video).seal(picture)?.bytes.to_vec();
    if let Some(byte) = flipped.last_mut() {
        *byte ^= 1;
    }
    let flipped = bob.open(Header::decode(&flipped)?.0, &flipped);
    writeln!(out, "  one bit flipped          {}", outcome(flipped))?;
    let cut = alice.of(StreamKind::Video).seal(picture)?.bytes;
    let cut = cut.slice(..cut.len() - 1);
    let cut = bob.open(Header::decode(&cut)?.0, &cut);
    writeln!(out, "  one byte missing         {}", outcome(cut))?;
    let mut posing = Sealers::new(base(BOB), epoch, BOB, &Receipt::shown(7, roster), &roster)?;
    let posing = posing.of(StreamKind::Video).seal(b"I am Alice")?;
    let posing = bob.open(Header::decode(&posing.bytes)?.0, &posing.bytes);
    writeln!(out, "  another member's key     {}", outcome(posing))?;
    let next = alice.of(StreamKind::Video).seal(picture)?;
    let mut eve = Opener::new(&base(9), epoch, ALICE);
    let guess = eve.open(Header::decode(&next.bytes)?.0, &next.bytes);
    writeln!(out, "  reading without the key  {}", outcome(guess))?;
    let mut later = Opener::new(&base(ALICE), epoch + 1, ALICE);
    let later = later.open(Header::decode(&next.bytes)?.0, &next.bytes);
    writeln!(out, "  the next epoch's opener  {}", outcome(later))?;

    writeln!(out, "\nAnd nothing Eve did moved anything: Bob opens Alice's next frame")?;
    let opened = bob.open(Header::decode(&next.bytes)?.0, &next.bytes)?;
    writeln!(out, "  {} bytes", opened.len())?;
    Ok(())
}

/// A made-up base key per leaf.
fn base(leaf: u8) -> Secret<32> {
    Secret::build(|key| key.fill(0xa0 | leaf))
}

fn outcome<T, E: Error>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "WORKED, which it must not".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
