//! Every claim of `facetty prove`, attacked live, each with its control.

use facetty::sim::attacks::{CLAIMS, Claim, Lab, Shown, claim};

fn held(id: u8) {
    let claim = claim(id).expect("a claim of this number");
    let Shown::Live(attack) = claim.shown else { panic!("{} is not shown live", claim.claim) };
    let outcome = attack(&mut Lab::new(false, 1)).expect("the lab works");
    assert!(outcome.held(), "{}: {:?}\n{}", claim.claim, outcome.wanting(), outcome.evidence);
}

macro_rules! claims {
    ($($name:ident $id:literal)*) => {
        const TESTS: &[(&str, u8)] = &[$((stringify!($name), $id)),*];
        $(
            #[test]
            fn $name() {
                held($id);
            }
        )*
    };
}

claims! {
    claim_01 1 claim_02 2 claim_03 3 claim_04 4 claim_05 5 claim_06 6 claim_07 7 claim_08 8
    claim_09 9 claim_10 10 claim_11 11 claim_12 12 claim_13 13 claim_14 14 claim_15 15
    claim_16 16 claim_17 17 claim_18 18 claim_19 19 claim_20 20 claim_21 21 claim_22 22
    claim_23 23 claim_24 24 claim_25 25 claim_26 26 claim_27 27 claim_28 28 claim_29 29
    claim_30 30
}

/// README's table and `facetty prove` say the same, row by row: nothing more, nothing less.
#[test]
fn the_readme_has_the_table_of_the_program() {
    let row = |claim: &Claim| {
        let Claim { id, claim: promise, attack, control, .. } = claim;
        let test = claim.test();
        let test = test.strip_prefix("prove::").unwrap_or(&test);
        format!("| {id} | {promise} | {attack} | {control} | `{test}` |")
    };
    let program: Vec<String> = CLAIMS.iter().map(row).collect();
    let heading = "| | guarantee | Eve | the control gets | test |";
    let table = include_str!("../README.md").lines().skip_while(|line| *line != heading);
    let readme: Vec<&str> = table.skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(readme, program);
}

/// Every test or script that a claim names is there, and tests the claim of its name.
#[test]
fn every_claim_names_its_own_test() {
    for claim in CLAIMS {
        match claim.shown {
            Shown::Live(_) => {
                let test = claim.test();
                let found = TESTS.iter().find(|(name, _)| test == format!("prove::{name}"));
                assert_eq!(found.map(|(_, id)| *id), Some(claim.id), "{test}");
            }
            Shown::InCi(script) => {
                let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
                assert!(path.is_file(), "{script}");
            }
        }
    }
    let live = CLAIMS.iter().filter(|claim| matches!(claim.shown, Shown::Live(_)));
    assert_eq!(live.count(), TESTS.len());
    assert!(CLAIMS.iter().map(|claim| claim.id).eq(1..=31), "every number of the list, in order");
}

/// For every claim shown live there is a change of the product that must turn it red, and every
/// such change still applies: `python3 tests/eve/run.py` carries them out.
mod mutations {
    use facetty::sim::attacks::{CLAIMS, Shown};
    use serde::Deserialize;
    use std::collections::BTreeSet;

    #[derive(Deserialize)]
    struct All {
        mutation: Vec<Mutation>,
    }

    #[derive(Deserialize)]
    struct Mutation {
        claim: u8,
        what: String,
        #[serde(flatten)]
        edit: Option<Edit>,
        #[serde(default)]
        edits: Vec<Edit>,
    }

    #[derive(Deserialize)]
    struct Edit {
        file: String,
        line: String,
        with: String,
    }

    fn all() -> Vec<Mutation> {
        let all: All = toml::from_str(include_str!("eve/mutations.toml")).expect("TOML");
        all.mutation
    }

    #[test]
    fn every_line_to_be_changed_is_there_exactly_once() {
        let mut wrong = Vec::new();
        for mutation in all() {
            let edits: Vec<_> = mutation.edit.iter().chain(&mutation.edits).collect();
            assert!(!edits.is_empty(), "{}", mutation.what);
            for edit in edits {
                let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&edit.file);
                let text = std::fs::read_to_string(path).expect("readable source");
                let found = text.lines().filter(|line| *line == edit.line).count();
                if found != 1 || edit.with == edit.line {
                    wrong.push(format!(
                        "{} {}: {found} times: {}",
                        mutation.claim, edit.file, edit.line
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    #[test]
    fn every_claim_shown_live_has_one() {
        let broken: BTreeSet<u8> = all().iter().map(|m| m.claim).collect();
        let live = CLAIMS.iter().filter(|c| matches!(c.shown, Shown::Live(_)));
        let missing: Vec<u8> = live.map(|c| c.id).filter(|id| !broken.contains(id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
