//! Welcomes no honest sequencer would make.

use super::*;

/// A Welcome whose group state was changed by its maker, and what the joiner makes of it.
fn attempt(change: impl FnOnce(&mut GroupState)) -> Result<MemberId, JoinError> {
    let mut groups = call(2);
    let (bytes, joining) = key_package(local(9), GROUP, &check).unwrap();
    let add = super::join_parse(&bytes);
    let changes = state::Changes { added: added(0, 9), ..changes(&groups[0]) };
    let mut state = groups[0].state.after(&changes).unwrap();
    change(&mut state);
    let (_, welcome) = forged(&mut groups[0], &[], |b| {
        b.propose_adds([add]).propose_group_context_extensions(context(&state)).unwrap()
    });
    let expect = Expect { psk: None, host: identity(0) };
    joining.join(&welcome.unwrap(), &expect, &check).map(|group| group.me())
}

#[test]
fn a_state_that_does_not_fit_the_tree_is_refused() {
    assert!(matches!(attempt(|_| ()), Ok(MemberId(2))), "control");
    let changes: [Change; 6] = [
        ("own leaf", |s| s.order[2].leaf = 7),
        ("leaves swapped", |s| (s.order[1].leaf, s.order[2].leaf) = (2, 1)),
        ("epoch", |s| s.order[2].since_epoch = 1),
        ("adder", |s| s.order[2].added_by = None),
        ("a member without a seat", |s| {
            s.order.remove(1);
        }),
        ("serial", |s| s.next_serial = 7),
    ];
    for (what, change) in changes {
        assert!(matches!(attempt(change), Err(JoinError::State)), "{what}");
    }
    let other_sequencer = attempt(|s| s.sequencer = MemberId(1));
    assert!(matches!(other_sequencer, Err(JoinError::State | JoinError::NotFromSequencer)));
    // The founder may have left; whose invite it is must be there (see `Expect`).
    assert!(attempt(|s| s.host = [5; 32]).is_ok());
}

#[test]
fn a_member_whose_credential_does_not_pass_spoils_the_welcome() {
    let mut groups = call(2);
    let (bytes, joining) = key_package(local(9), GROUP, &check).unwrap();
    let welcome = groups[0].add(&bytes, None, &check).unwrap().welcome.unwrap();
    let not_the_second = |credential: &[u8]| {
        let checked = check(credential)?;
        if checked.identity == identity(1) {
            return Err(CredentialRefused("expired".into()));
        }
        Ok(checked)
    };
    let expect = Expect { psk: None, host: identity(0) };
    assert!(matches!(
        joining.join(&welcome, &expect, &not_the_second),
        Err(JoinError::Credential(_))
    ));
}

#[test]
fn two_members_with_one_identity_spoil_the_welcome() {
    let mut groups = call(2);
    let (bytes, joining) = key_package(local(9), GROUP, &check).unwrap();
    let welcome = groups[0].add(&bytes, None, &check).unwrap().welcome.unwrap();
    let all_one = |credential: &[u8]| {
        let checked = check(credential)?;
        Ok(CheckedCredential { identity: identity(0), ..checked })
    };
    let expect = Expect { psk: None, host: identity(0) };
    assert!(matches!(joining.join(&welcome, &expect, &all_one), Err(JoinError::Credential(_))));
}
