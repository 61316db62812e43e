//! Every claim of `facetty prove`, attacked live, each with its control.

use facetty::sim::attacks::{Lab, Shown, claim};

fn held(id: u8) {
    let claim = claim(id).expect("a claim of this number");
    let Shown::Live(attack) = claim.shown else { panic!("{} is not shown live", claim.claim) };
    let outcome = attack(&mut Lab::new(false, 1)).expect("the lab works");
    println!("{id}: {}", outcome.evidence);
    assert!(outcome.held(), "{}: {:?}\n{}", claim.claim, outcome.wanting(), outcome.evidence);
}

macro_rules! claims {
    ($($name:ident $id:literal)*) => {$(
        #[test]
        fn $name() {
            held($id);
        }
    )*};
}

claims! {
    claim_01 1 claim_02 2 claim_06 6 claim_19 19 claim_25 25 claim_28 28 claim_29 29
    claim_03 3 claim_04 4 claim_05 5 claim_07 7 claim_08 8 claim_09 9
    claim_11 11 claim_13 13 claim_14 14 claim_15 15 claim_16 16 claim_17 17 claim_18 18
    claim_20 20 claim_23 23 claim_26 26 claim_27 27
}
