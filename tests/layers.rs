//! The layer table of the house, checked against every path the sources name.
//!
//! In one package the compiler lets any module use any other. This test holds the table instead:
//! a room uses lower layers only, never another room of its own layer. It reads `crate::{a, b}`,
//! `super::`, `self::`, child modules, `pub use` and (in programs) `facetty::`, and fails naming
//! file, line and the two rooms. Code under `#[cfg(test)]` may look anywhere.

mod reader;

use reader::{Path, Source};
use std::path::PathBuf;

/// Path prefix below `src/` → layer. The longest matching prefix wins. All of layer 0 is one room:
/// values may be built from values.
const LAYERS: &[(&str, u8)] = &[
    // 0: values, byte layouts, parsing
    ("wire", 0),
    ("invite", 0),
    ("secret", 0),
    ("time", 0),
    ("keys", 0),
    ("config", 0),
    ("media", 0),
    ("media/colour", 0),
    ("media/frame", 0),
    ("media/seams", 0),
    ("media/scale", 0),
    ("media/ssim", 0),
    ("media/stoi", 0),
    ("media/wav", 0),
    ("media/y4m", 0),
    ("media/marker", 0),
    // 1: pure engines
    ("identity", 1),
    ("group", 1),
    ("seal", 1),
    ("ledger", 1),
    ("media/apm", 1),
    ("media/codec", 1),
    ("media/dsp", 1),
    ("media/playout", 1),
    ("media/rate", 1),
    ("paint", 1),
    ("reach", 1),
    ("share", 1),
    ("transfer", 1),
    // 2: sessions without I/O
    ("call", 2),
    ("media/engine", 2),
    // 3: drivers
    ("transport", 3),
    ("media/device", 3),
    ("media/source", 3),
    ("media/sink", 3),
    ("media/device", 3),
    ("term", 3),
    ("store", 3),
    // 4: the loop
    ("node", 4),
    // 5: screen, simulation
    ("tui", 5),
    ("sim", 5),
    // 6: the program around a call
    ("app", 6),
    ("prove", 6),
    // 7: entry (main calls cli and nothing else)
    ("cli", 7),
    ("main", 8),
];

/// Functions only some rooms may call: what is called, and where.
const CALLERS: &[(&str, &[&str])] = &[
    // A member's frame keys leave the member through one method of the call, see
    // `keys_leave_a_member_only_towards_a_simulations_witness`.
    ("Opener::surrender", &["call", "sim"]),
    // "The roster was shown": only who shows it may say so.
    ("Receipt::shown", &["node", "tui", "app", "sim"]),
];

/// The only files with `unsafe` code.
const UNSAFE: &[&str] =
    &["src/media/codec/ffi.rs", "src/media/codec/opus_ffi.rs", "src/paint/simd.rs"];

/// What layers 0–2 must not name: they do no I/O, start no thread, read no clock.
const IMPURE: &[&str] = &["tokio", "quinn", "std::fs", "std::thread", "std::process"];

/// Lines of a file before its tests.
const LINES: usize = 800;

#[test]
fn every_room_uses_lower_layers_only() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for source in sources("src") {
        let Some((own, own_layer)) = room(&source.module) else {
            wrong.push(format!("{}: in no room of the table", source.file));
            continue;
        };
        seen += 1;
        for path in source.paths() {
            if let Some(complaint) = judge(&source.file, own, own_layer, &path) {
                wrong.push(complaint);
            }
        }
    }
    assert!(seen > 20, "only {seen} files read: is the test looking at the right place?");
    report(&wrong);
}

#[test]
fn named_functions_are_called_where_the_table_says() {
    let mut wrong = Vec::new();
    for source in sources("src").into_iter().chain(sources("examples")) {
        let own = room(&source.module).map_or("examples", |(name, _)| name);
        for (function, allowed) in CALLERS {
            for line in source.calls(function) {
                // Examples show rosters; tests pretend to.
                let shows = own == "examples" || source.file.ends_with("tests.rs");
                let excused = shows && *function == "Receipt::shown";
                if !allowed.contains(&own) && !excused {
                    wrong.push(format!(
                        "{}:{line}: {own} calls {function}; only {} may",
                        source.file,
                        allowed.join(", ")
                    ));
                }
            }
        }
    }
    report(&wrong);
}

/// Only a simulation has a witness, and only a witness is told keys: `call` and `join` run without.
#[test]
fn keys_leave_a_member_only_towards_a_simulations_witness() {
    let places: &[(&str, &[&str])] = &[
        (".surrender_opener(", &["src/node/driver.rs", "src/sim/attacks/"]),
        ("fn surrender_opener(", &["src/call/epochs.rs"]),
        // Two commits for one epoch: only a simulated cheat makes them.
        (".forge_commit(", &["src/sim/mesh/"]),
        ("fn forge_commit(", &["src/call/equivocation.rs"]),
        (" Witness for ", &["src/sim/"]),
        ("witness: Some(", &["src/app/demo.rs", "src/sim/"]),
        // Media keys reach a file from a demonstration only.
        ("fn export_key(", &["src/sim/evidence.rs"]),
        ("Evidence::open(", &["src/app/demo.rs"]),
        (".base()", &["src/sim/", "src/seal/"]),
        ("Opener::from_surrendered(", &["src/sim/", "src/seal/"]),
        // What only an attacker makes.
        ("group::forge", &["src/sim/attacks/", "src/call/tests/"]),
        (".forge(", &["src/sim/attacks/", "src/call/tests/"]),
        ("fn forge(", &["src/group/forge.rs"]),
    ];
    let mut wrong = Vec::new();
    for source in sources("src") {
        let text = std::fs::read_to_string(&source.file).expect("it was read before");
        for (what, allowed) in places {
            let here = allowed.iter().any(|a| source.file.starts_with(a));
            if text.contains(what) && !here {
                wrong.push(format!("{}: `{what}` belongs to {}", source.file, allowed.join(", ")));
            }
        }
    }
    report(&wrong);
}

#[test]
fn unsafe_code_lives_in_three_files() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        for line in source.words(&["unsafe", "unsafe_code"]) {
            if !UNSAFE.contains(&source.file.as_str()) {
                wrong.push(format!("{}:{line}: unsafe outside {}", source.file, UNSAFE.join(", ")));
            }
        }
    }
    report(&wrong);
}

#[test]
fn layers_0_to_2_do_no_input_and_output() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        if room(&source.module).is_none_or(|(_, layer)| layer > 2) {
            continue;
        }
        for path in source.named() {
            if let Some(bad) = IMPURE.iter().find(|bad| path.starts_with(bad)) {
                wrong.push(format!("{}:{}: names {bad}", source.file, path.line));
            }
        }
    }
    report(&wrong);
}

#[test]
fn only_group_names_the_mls_library() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        if room(&source.module).is_some_and(|(name, _)| name == "group") {
            continue;
        }
        for path in source.named() {
            if path.segments.first().is_some_and(|first| first.starts_with("openmls")) {
                wrong.push(format!("{}:{}: names {}", source.file, path.line, path.text()));
            }
        }
    }
    report(&wrong);
}

#[test]
fn no_file_is_longer_than_800_lines_before_its_tests() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let lines = source.lines_before_tests();
        if lines > LINES {
            wrong.push(format!("{}: {lines} lines", source.file));
        }
    }
    report(&wrong);
}

/// The room a module path (`media/engine/audio`) lies in, by the longest prefix, and its layer.
fn room(module: &str) -> Option<(&'static str, u8)> {
    LAYERS
        .iter()
        .filter(|(prefix, _)| {
            module.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|(prefix, _)| prefix.len())
        .copied()
}

/// What is wrong with `path`, named in a file of room `own`.
fn judge(file: &str, own: &str, own_layer: u8, path: &Path) -> Option<String> {
    let (other, layer) = room(&path.segments.join("/"))?;
    if other == own || (layer == 0 && own_layer == 0) || layer < own_layer {
        return None;
    }
    let rule = if layer == own_layer { "a room of its own layer" } else { "a higher layer" };
    Some(format!(
        "{file}:{}: {own} (layer {own_layer}) uses {other} (layer {layer}), {rule}: {}",
        path.line,
        path.text()
    ))
}

/// All Rust files below `folder` but the crate's root, which has no room, and files of modules
/// that are only there for tests.
fn sources(folder: &str) -> Vec<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.expect("readable folder").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let all: Vec<Source> = files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("readable source");
            let file = path.strip_prefix(&root).expect("below the root").display().to_string();
            Source::new(&file, &text)
        })
        .filter(|source| source.file != "src/lib.rs")
        .collect();
    let tests: Vec<String> = all.iter().flat_map(|s| s.test_modules.clone()).collect();
    let is_test = |module: &str| {
        tests.iter().any(|test| {
            module.strip_prefix(test).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    all.into_iter().filter(|source| !is_test(&source.module)).collect()
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

mod the_checker {
    use super::*;

    fn complaints(file: &str, text: &str) -> Vec<String> {
        let source = Source::new(file, text);
        let (own, layer) = room(&source.module).expect("a room");
        source.paths().iter().filter_map(|p| judge(file, own, layer, p)).collect()
    }

    #[test]
    fn names_file_line_and_both_rooms() {
        let found = complaints("src/seal/x.rs", "\nuse crate::{secret::Secret, call::Call};\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(
            "src/seal/x.rs:2: seal (layer 1) uses call (layer 2), a higher layer: call::Call"
        ));
    }

    #[test]
    fn sees_rooms_of_the_same_layer() {
        assert_eq!(complaints("src/seal/x.rs", "use crate::group::Group;").len(), 1);
        assert_eq!(complaints("src/seal/x.rs", "fn f() { crate::group::go() }").len(), 1);
    }

    #[test]
    fn resolves_super_and_nested_modules() {
        assert_eq!(complaints("src/media/codec/h264.rs", "use super::super::dsp::Mixer;").len(), 1);
        assert!(complaints("src/media/codec/h264.rs", "use super::ffi::x;").is_empty());
        let inline = "mod a { mod b { use super::super::super::super::source::camera; } }";
        assert_eq!(complaints("src/media/codec/h264.rs", inline).len(), 1);
    }

    #[test]
    fn sees_re_exports_of_child_modules() {
        assert_eq!(complaints("src/media/mod.rs", "pub mod sink; pub use sink::wav::W;").len(), 1);
    }

    #[test]
    fn sees_a_program_naming_the_crate() {
        let source = Source::new("src/main.rs", "fn main() { facetty::cli::run() }");
        assert_eq!(source.paths()[0].text(), "cli::run");
    }

    #[test]
    fn skips_comments_strings_and_tests() {
        let text =
            "// crate::call::X\n/* crate::call /* nested */ */ const S: &str = \"crate::call\";
            const R: &str = r#\"crate::call \" \"#; const C: char = '\"'; struct L<'a>(&'a str);
            #[cfg(test)] mod tests { use crate::call::Call; }";
        assert!(complaints("src/seal/x.rs", text).is_empty());
    }

    #[test]
    fn knows_the_files_that_are_only_there_for_tests() {
        let text = "mod real; #[cfg(test)] pub(crate) mod samples; #[cfg(test)] mod tests { }";
        assert_eq!(Source::new("src/call/mod.rs", text).test_modules, ["call/samples"]);
    }

    #[test]
    fn finds_calls_of_named_functions() {
        let text = "fn f(o: Opener) { o.surrender(); Opener::surrender(&o); }\nfn surrender() {}";
        assert_eq!(Source::new("src/call/x.rs", text).calls("Opener::surrender"), [1, 1]);
        let text = "fn f() {\n seal::Receipt::shown(1, d) }";
        assert_eq!(Source::new("src/call/x.rs", text).calls("Receipt::shown"), [2]);
    }
}
