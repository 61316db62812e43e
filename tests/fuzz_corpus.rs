//! The fuzz targets' corpora, replayed: every kept input – seeds, and whatever once failed – and a
//! few thousand seeded changes of them. `cargo fuzz` does the same without end, see `fuzz/README.md`.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;
use targets::{ALL, run, seeds};

/// Longest kept input, and all of them, in bytes.
const LONGEST: u64 = 2048;
const ALL_BYTES: u64 = 500 * 1024;

/// Changes tried on a target: fewer where each costs key exchanges, a decoder or a file.
fn changes(target: &str) -> usize {
    match target {
        "mls_welcome" | "call_member" | "h264" => 500,
        "mls_receive" | "key_package" | "call_stranger" | "signed" | "stored" | "opus" => 2000,
        _ => 8000,
    }
}

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The kept inputs of a target with their names, in order.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = corpus(target);
    let listed = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut inputs: Vec<_> = listed
        .map(|entry| {
            let path = entry.expect("listed").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read(&path).expect("readable"))
        })
        .collect();
    inputs.sort();
    inputs
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize
    }

    fn below(&mut self, n: usize) -> usize {
        self.roll() % n.max(1)
    }
}

/// Changes an input as fuzzers do: bits, bytes, favourite values, cuts, repeats, and a piece of
/// another input.
fn change(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let len = dice.below((bytes.len() - at).min(16)) + 1;
        let end = (at + len).min(bytes.len());
        match dice.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = dice.roll() as u8,
            2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let from = dice.below(other.len());
                let piece = other[from..(from + len).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.insert(at, dice.roll() as u8),
        }
    }
    bytes.truncate(4096);
    bytes
}

fn replay(name: &str) {
    let inputs = kept(name);
    assert!(!inputs.is_empty(), "{name} has no kept inputs");
    for (_, input) in &inputs {
        run(name, input);
    }
    run(name, &[]);
    let mut dice = Dice(name.bytes().fold(7u64, |seed, b| seed.wrapping_mul(31) ^ u64::from(b)));
    for _ in 0..changes(name) {
        let input = &inputs[dice.below(inputs.len())].1;
        let other = &inputs[dice.below(inputs.len())].1;
        let changed = change(input, other, &mut dice);
        // A failure prints the input that caused it, ready to be kept.
        let outcome = std::panic::catch_unwind(|| run(name, &changed));
        assert!(outcome.is_ok(), "{name} fails for {changed:?}");
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        /// One test for each target, so that they run beside each other.
        mod corpora_and_changes_of_them_pass {
            $(#[test]
            fn $name() {
                super::replay(stringify!($name));
            })*
        }
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

replayed! {
    call_member call_stranger control group_state h264 handshake invite key_package media
    mls_receive mls_welcome opus report scenario sframe signed stored terminal texts wav y4m
}

#[test]
fn every_target_has_its_program_its_entry_and_its_replay() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("manifest");
    let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, REPLAYED);
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in Cargo.toml");
        let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")));
        assert!(program.expect("a program").contains(&format!("\"{name}\"")), "{name}");
    }
    assert_eq!(fs::read_dir(fuzz.join("fuzz_targets")).expect("listed").count(), names.len());
}

#[test]
fn kept_inputs_are_few_and_small() {
    let mut all = 0;
    for (name, _) in ALL {
        for (file, input) in kept(name) {
            let length = input.len() as u64;
            assert!(length <= LONGEST, "{name}/{file} has {length} bytes");
            all += length;
        }
    }
    assert!(all <= ALL_BYTES, "{all} bytes are kept");
}

/// Writes the seeds anew. Inputs kept because they once failed have other names and stay.
#[test]
#[ignore = "writes into the source tree; run by hand after a layout changed"]
fn write_seeds() {
    for (name, _) in ALL {
        let dir = corpus(name);
        fs::create_dir_all(&dir).expect("a folder");
        for (number, seed) in seeds::of(name).iter().enumerate() {
            fs::write(dir.join(format!("seed-{number:02}")), seed).expect("written");
        }
    }
}
