//! Proposals and commits no honest member would make.

use super::*;
use openmls::messages::external_proposals::JoinProposal;
use openmls::prelude::{
    CredentialWithKey, Extensions, ExternalCommitBuilder, KeyPackage, LeafNodeIndex,
    LeafNodeParameters, MlsMessageIn, MlsMessageOut, NewSignerBundle, PreSharedKeyProposal,
    Proposal, ProtocolMessage, tls_codec::DeserializeBytes as _,
};
use openmls::schedule::{ExternalPsk, PreSharedKeyId, psk::Psk};

/// A note about one removal.
fn removing(leaf: u8, why: Reason) -> Vec<u8> {
    note::Note { removals: [(leaf, why)].into(), ..Default::default() }.encode()
}

fn newcomer(who: u8) -> KeyPackage {
    let (bytes, _) = key_package(local(who), GROUP, &check).unwrap();
    join_parse(&bytes)
}

fn as_other(group: &Group, who: u8) -> CredentialWithKey {
    provider::credential_with_key(&credential(who, group.signer.public()), group.signer.public())
}

pub(super) fn psk_proposal(group: &Group, id: &[u8]) -> Proposal {
    let external = Psk::External(ExternalPsk::new(id.to_vec()));
    let id = PreSharedKeyId::new(provider::SUITE, group.provider.rand(), external).unwrap();
    id.store(&group.provider, &[7; 32]).unwrap();
    Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)))
}

fn leaf(n: u32) -> LeafNodeIndex {
    LeafNodeIndex::new(n)
}

/// A proposal message straight from the library, and nothing left behind in it.
fn proposed<E: std::fmt::Debug>(
    group: &mut Group,
    propose: impl FnOnce(&mut Group) -> Result<MlsMessageOut, E>,
) -> Vec<u8> {
    let bytes = propose(group).unwrap().to_bytes().unwrap();
    group.clear_library_proposals();
    bytes
}

#[test]
fn a_commit_by_somebody_else_than_the_sequencer_is_refused() {
    let mut groups = call(3);
    let (bundle, _) = forged(&mut groups[2], &[], |b| b);
    assert_eq!(violation(&mut groups[0], &bundle), (2, Violation::NotSequencer));
    assert_eq!(violation(&mut groups[1], &bundle), (2, Violation::NotSequencer));
    assert_alive(&mut groups);
}

#[test]
fn a_commit_that_swaps_the_credential_is_refused_although_mls_would_merge_it() {
    let mut groups = call(3);
    let swapped =
        LeafNodeParameters::builder().with_credential_with_key(as_other(&groups[0], 9)).build();
    let (bundle, _) = forged(&mut groups[0], &[], |b| b.leaf_node_parameters(swapped));
    assert_eq!(violation(&mut groups[1], &bundle), (0, Violation::Swapped));

    // Control: the library alone accepts it.
    let commit = Bundle::parse(&bundle).unwrap().commit.to_vec();
    let group = &mut groups[2];
    let message = group.private(&commit, openmls::prelude::ContentType::Commit).unwrap();
    assert!(group.mls.process_message(&group.provider, message).is_ok());
    assert_alive(&mut groups);
}

#[test]
fn a_commit_that_changes_the_signature_key_is_refused() {
    let mut groups = call(2);
    let other = LeafSigner::new(secret(3));
    let with_key = provider::credential_with_key(&groups[0].people[&0].credential, other.public());
    let group = &mut groups[0];
    let bundle_out = group
        .mls
        .commit_builder()
        .load_psks(group.provider.storage())
        .unwrap()
        .build_with_new_signer(
            group.provider.rand(),
            group.provider.crypto(),
            &group.signer,
            NewSignerBundle { signer: &other, credential_with_key: with_key },
            |_| true,
        )
        .unwrap()
        .stage_commit(&group.provider)
        .unwrap();
    group.discard_pending();
    let bytes = bundle(&groups[0], None, &[], &bundle_out.commit().to_bytes().unwrap());
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::Swapped));
    assert_alive(&mut groups);
}

#[test]
fn an_update_that_swaps_the_credential_is_refused_alone_and_inside_a_commit() {
    let mut groups = call(4);
    let swapped =
        LeafNodeParameters::builder().with_credential_with_key(as_other(&groups[1], 9)).build();
    let update = proposed(&mut groups[1], |g| {
        g.mls.propose_self_update(&g.provider, &g.signer, swapped).map(|(message, _)| message)
    });
    assert_eq!(violation(&mut groups[2], &update), (1, Violation::Swapped));

    // A sequencer in league with it commits it all the same: the bundle is refused at its proposal.
    let group = &mut groups[0];
    let message = group.private(&update, openmls::prelude::ContentType::Proposal).unwrap();
    let processed = group.mls.process_message(&group.provider, message).unwrap();
    let openmls::prelude::ProcessedMessageContent::ProposalMessage(queued) =
        processed.into_content()
    else {
        panic!()
    };
    group.mls.store_pending_proposal(group.provider.storage(), *queued.clone()).unwrap();
    let (alone, _) = forged(group, &[], |b| b);
    let commit = Bundle::parse(&alone).unwrap().commit.to_vec();
    let with_it = bundle(&groups[0], None, &[&update], &commit);
    assert_eq!(violation(&mut groups[3], &with_it), (1, Violation::Swapped));
    // Without it MLS misses the proposal; with it smuggled past the first judgement, the commit
    // itself is refused and its committer named.
    assert!(matches!(groups[2].receive(&alone, &check), Err(ReceiveError::Mls(_))));
    groups[2].pool.insert(MemberId(1), Ask::Update, &update, *queued, 9).unwrap();
    assert_eq!(violation(&mut groups[2], &with_it), (0, Violation::Swapped));
    groups.remove(1);
    assert_alive(&mut groups);
}

#[test]
fn proposals_of_other_kinds_are_refused_before_they_are_stored() {
    let mut groups = call(3);
    let add = newcomer(9);
    let add = proposed(&mut groups[1], |g| {
        g.mls.propose_add_member(&g.provider, &g.signer, &add).map(|(message, _)| message)
    });
    assert_eq!(violation(&mut groups[0], &add), (1, Violation::MayNotAdd));

    let remove = proposed(&mut groups[1], |g| {
        g.mls.propose_remove_member(&g.provider, &g.signer, leaf(2)).map(|(message, _)| message)
    });
    assert_eq!(violation(&mut groups[0], &remove), (1, Violation::MayNotRemove));

    let mut state = groups[1].state.clone();
    state.sequencer = MemberId(1);
    let extensions = context(&state);
    let takeover = proposed(&mut groups[1], |g| {
        g.mls
            .propose_group_context_extensions(&g.provider, extensions, &g.signer)
            .map(|(message, _)| message)
    });
    assert_eq!(violation(&mut groups[0], &takeover), (1, Violation::Kind));

    let id = PreSharedKeyId::external(INVITE.to_vec(), vec![0; 32]);
    let psk = proposed(&mut groups[1], |g| {
        g.mls.propose_pre_shared_key(&g.provider, &g.signer, id).map(|(message, _)| message)
    });
    assert_eq!(violation(&mut groups[0], &psk), (1, Violation::Kind));

    groups[1].mls.set_aad(vec![1]);
    let noted = proposed(&mut groups[1], |g| g.mls.leave_group(&g.provider, &g.signer));
    assert_eq!(violation(&mut groups[0], &noted), (1, Violation::Note));
    assert_alive(&mut groups);
}

#[test]
fn external_commits_and_proposals_are_refused_although_mls_would_merge_them() {
    let mut groups = call(2);
    // A leaked GroupInfo, and a stranger with a key of its own.
    let info = groups[0]
        .mls
        .export_group_info(groups[0].provider.crypto(), &groups[0].signer, true)
        .unwrap()
        .to_bytes()
        .unwrap();
    let info = match MlsMessageIn::tls_deserialize_exact_bytes(&info).unwrap().extract() {
        openmls::prelude::MlsMessageBodyIn::GroupInfo(info) => info,
        _ => panic!(),
    };
    let stranger = Provider::new().unwrap();
    let signer = LeafSigner::new(secret(9));
    let credential =
        provider::credential_with_key(&credential(9, signer.public()), signer.public());
    let parameters =
        LeafNodeParameters::builder().with_capabilities(provider::capabilities()).build();
    let (_, commit) = ExternalCommitBuilder::new()
        .with_config(provider::join_config())
        .build_group(&stranger, info, credential)
        .unwrap()
        .leaf_node_parameters(parameters)
        .load_psks(stranger.storage())
        .unwrap()
        .build(stranger.rand(), stranger.crypto(), &signer, |_| true)
        .unwrap()
        .finalize(&stranger)
        .unwrap();
    let commit = commit.commit().to_bytes().unwrap();
    for bytes in [commit.clone(), bundle(&groups[0], None, &[], &commit)] {
        assert!(matches!(groups[1].receive(&bytes, &check), Err(ReceiveError::NotPrivate)));
    }
    // Control: the library alone accepts it.
    let message = MlsMessageIn::tls_deserialize_exact_bytes(&commit).unwrap();
    let message: ProtocolMessage = message.try_into_protocol_message().unwrap();
    let group = &mut groups[1];
    assert!(group.mls.process_message(&group.provider, message).is_ok());

    let proposal = JoinProposal::new::<storage::Vault>(
        newcomer(9),
        group.mls.group_id().clone(),
        group.mls.epoch(),
        &signer,
    );
    if let Ok(proposal) = proposal {
        let bytes = proposal.to_bytes().unwrap();
        assert!(matches!(groups[1].receive(&bytes, &check), Err(ReceiveError::NotPrivate)));
    }
    assert_alive(&mut groups);
}

#[test]
fn a_state_that_does_not_follow_from_the_commit_is_refused() {
    let changes: [Change; 8] = [
        ("admitter", |s| {
            s.admitters.insert([9; 32]);
        }),
        ("host", |s| s.host = [9; 32]),
        ("lock", |s| s.lock = Some([[0; 32]].into())),
        ("uses", |s| {
            s.uses.insert(INVITE, 9);
        }),
        ("serial", |s| s.next_serial += 1),
        ("since", |s| s.order[1].since_epoch += 1),
        ("order", |s| {
            s.order.pop();
        }),
        ("skips the successor", |s| (s.term, s.sequencer) = (1, MemberId(2))),
    ];
    let mut groups = call(3);
    for (what, change) in changes {
        let mut state = groups[0].state.clone();
        change(&mut state);
        let extensions = context(&state);
        let (bytes, _) = forged(&mut groups[0], &[], |b| {
            b.propose_group_context_extensions(extensions).unwrap()
        });
        assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::State), "{what}");
    }
    assert_alive(&mut groups);
}

#[test]
fn a_state_rewritten_without_need_or_left_alone_in_need_is_refused() {
    let mut groups = call(3);
    let same = context(&groups[0].state);
    let (bytes, _) =
        forged(&mut groups[0], &[], |b| b.propose_group_context_extensions(same).unwrap());
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::State));

    let aad = removing(2, Reason::Lost);
    let (bytes, _) = forged(&mut groups[0], &aad, |b| b.propose_removals([leaf(2)]));
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::State));
    assert_alive(&mut groups);
}

#[test]
fn other_group_context_extensions_are_refused() {
    let mut groups = call(2);
    let only_state = Extensions::from_vec(vec![Extension::Unknown(
        state::EXTENSION,
        UnknownExtension(groups[0].state.encode()),
    )])
    .unwrap();
    let mut longer = groups[0].state.encode();
    longer.push(0);
    // Requirements dropped, state dropped, state malformed.
    let mut no_state = context(&groups[0].state);
    no_state.remove(openmls::prelude::ExtensionType::Unknown(state::EXTENSION));
    let mut tried = 0;
    for extensions in [only_state, no_state, context_bytes(longer), context_bytes(vec![])] {
        let group = &mut groups[0];
        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            forged(group, &[], |b| b.propose_group_context_extensions(extensions).unwrap())
        }));
        // The library refuses to make some of these itself.
        let Ok((bytes, _)) = built else { continue };
        assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::Context));
        tried += 1;
    }
    assert!(tried >= 2, "{tried}");
    assert_alive(&mut groups);
}

#[test]
fn removals_need_a_reason_the_committer_may_give() {
    let mut groups = call(3);
    let state = groups[0].state.clone();
    let after = |removed: u8| {
        let removed = [(removed, (Reason::Lost, identity(removed)))].into();
        context(&state.after(&state::Changes { removed, ..changes(&groups[0]) }).unwrap())
    };
    let after = [after(1), after(2)];
    for (aad, violation_expected) in [
        (vec![], Violation::Note),
        (vec![9, 9], Violation::Note),
        (removing(1, Reason::Lost), Violation::Note),
        (removing(2, Reason::Left), Violation::Note),
        // A decision is an order, not a word in a note; and nobody came for the seat.
        (removing(2, Reason::Decision), Violation::MayNotRemove),
        (removing(2, Reason::Replaced), Violation::MayNotRemove),
    ] {
        let (bytes, _) = forged(&mut groups[0], &aad, |b| {
            b.propose_removals([leaf(2)])
                .propose_group_context_extensions(after[1].clone())
                .unwrap()
        });
        assert_eq!(violation(&mut groups[1], &bytes), (0, violation_expected));
    }
    // A note without its removal.
    let (bytes, _) = forged(&mut groups[0], &removing(2, Reason::Lost), |b| b);
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::Note));
    assert_alive(&mut groups);
}

#[test]
fn a_ghost_added_by_a_sequencer_that_may_not_add_is_refused() {
    let mut groups = call(3);
    let pending = groups[0].hand_over(&[], &check).unwrap();
    merge_all(&mut groups, 0, pending);
    let state = groups[1].state.clone();
    let ghost = state::Changes { added: added(1, 9), ..changes(&groups[1]) };
    let after = state.after(&ghost).unwrap();
    let (bytes, _) = forged(&mut groups[1], &[], |b| {
        b.propose_adds([newcomer(9)]).propose_group_context_extensions(context(&after)).unwrap()
    });
    assert_eq!(violation(&mut groups[0], &bytes), (1, Violation::MayNotAdd));

    // Control: an admitter may.
    let mut groups = call_with(3, |state| {
        state.admitters.insert(identity(1));
    });
    let pending = groups[0].hand_over(&[], &check).unwrap();
    merge_all(&mut groups, 0, pending);
    let (key_package, _) = key_package(local(9), GROUP, &check).unwrap();
    let pending = groups[1].add(&key_package, None, &check).unwrap();
    merge_all(&mut groups, 1, pending);
}

#[test]
fn a_locked_group_lets_in_only_those_on_its_list() {
    let mut groups = call_with(2, |state| state.lock = Some([identity(1), identity(5)].into()));
    assert!(groups[1].roster().locked);
    let mut ghost = |who: u8| {
        let add = newcomer(who);
        let changes = state::Changes { added: added(0, who), ..changes(&groups[0]) };
        let after = groups[0].state.after(&changes).unwrap();
        let (bytes, _) = forged(&mut groups[0], &[], |b| {
            b.propose_adds([add]).propose_group_context_extensions(context(&after)).unwrap()
        });
        forget_statements(&mut groups[1]);
        groups[1].receive(&bytes, &check)
    };
    match ghost(9) {
        Err(ReceiveError::Policy(PolicyViolation { by: MemberId(0), what: Violation::Locked })) => {
        }
        _ => panic!("let in"),
    }
    assert!(matches!(ghost(5), Ok(Received::Commit(_))), "control");
}

#[test]
fn additions_with_a_wrong_leaf_credential_or_count_are_refused() {
    let mut groups = call(2);
    let changes = state::Changes { added: added(0, 8), ..changes(&groups[0]) };
    let after = context(&groups[0].state.after(&changes).unwrap());
    let mut add = |key_packages: Vec<KeyPackage>| {
        let (bytes, _) = forged(&mut groups[0], &[], |b| {
            b.propose_adds(key_packages).propose_group_context_extensions(after.clone()).unwrap()
        });
        violation(&mut groups[1], &bytes).1
    };
    let custom = |credential: Vec<u8>, capabilities| {
        let signer = LeafSigner::new(secret(8));
        KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .key_package_lifetime(provider::lifetime())
            .build(
                provider::SUITE,
                &Provider::new().unwrap(),
                &signer,
                provider::credential_with_key(&credential, signer.public()),
            )
            .unwrap()
            .into_key_package()
    };
    let public = LeafSigner::new(secret(8)).public();
    assert_eq!(add(vec![newcomer(8), newcomer(9)]), Violation::Kind);
    assert_eq!(add(vec![newcomer(1)]), Violation::IdentityTwice);
    let names_another_key = custom(credential(8, [1; 32]), provider::capabilities());
    assert_eq!(add(vec![names_another_key]), Violation::Swapped);
    let not_a_credential = custom(b"hello".to_vec(), provider::capabilities());
    assert!(matches!(add(vec![not_a_credential]), Violation::Credential(_)));
    let more = openmls::prelude::Capabilities::new(
        None,
        Some(&[provider::SUITE]),
        Some(&[
            openmls::prelude::ExtensionType::Unknown(state::EXTENSION),
            openmls::prelude::ExtensionType::ApplicationId,
        ]),
        None,
        None,
    );
    assert_eq!(add(vec![custom(credential(8, public), more)]), Violation::Leaf);
    assert_alive(&mut groups);
}

#[test]
fn a_commit_without_new_keys_is_refused() {
    let mut groups = call(2);
    let psk = psk_proposal(&groups[0], b"not an invite's");
    // Only a PSK: MLS asks for no path there.
    let (bytes, _) = forged(&mut groups[0], &[], |b| b.force_self_update(false).add_proposal(psk));
    let external = PreSharedKeyId::external(b"not an invite's".to_vec(), vec![]);
    external.store(&groups[1].provider, &[7; 32]).unwrap();
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::NoPath));

    for (id, what) in [(&b"not an invite's"[..], Violation::Psk), (&INVITE[..], Violation::Psk)] {
        let psk = psk_proposal(&groups[0], id);
        let (bytes, _) = forged(&mut groups[0], &[], |b| b.add_proposal(psk));
        let external = PreSharedKeyId::external(id.to_vec(), vec![]);
        external.store(&groups[1].provider, &[7; 32]).unwrap();
        assert_eq!(violation(&mut groups[1], &bytes), (0, what));
    }
    assert_alive(&mut groups);
}

#[test]
fn a_wrong_or_missing_psk_in_a_bundle_is_refused_and_the_true_bundle_still_works() {
    let mut groups = call(3);
    let (key_package, _) = key_package(local(9), GROUP, &check).unwrap();
    let true_psk = secret(1);
    let psk = Some(InvitePsk { invite: INVITE, secret: &true_psk });
    let pending = groups[0].add(&key_package, psk, &check).unwrap();
    let parsed = Bundle::parse(&pending.bundle).unwrap();
    assert!(parsed.psk.is_some());

    let missing = bundle(&groups[0], None, &parsed.proposals, parsed.commit);
    assert!(matches!(groups[1].receive(&missing, &check), Err(ReceiveError::Mls(_))));
    let offer = message::PskOffer { invite: INVITE, secret: secret(2) };
    let other = groups[0].seal_psk(&offer).unwrap();
    let wrong = bundle(&groups[0], Some(&other), &parsed.proposals, parsed.commit);
    assert!(matches!(groups[1].receive(&wrong, &check), Err(ReceiveError::Mls(_))));
    // Not the sequencer's.
    let offer = message::PskOffer { invite: INVITE, secret: secret(1) };
    let foreign = groups[2].seal_psk(&offer).unwrap();
    let foreign = bundle(&groups[0], Some(&foreign), &parsed.proposals, parsed.commit);
    assert_eq!(violation(&mut groups[1], &foreign), (2, Violation::Psk));
    // Not a PSK at all; and a PSK is not a message.
    let chat = groups[0].seal_message(b"hi").unwrap();
    let chat = bundle(&groups[0], Some(&chat), &parsed.proposals, parsed.commit);
    assert!(matches!(groups[1].receive(&chat, &check), Err(ReceiveError::Kind)));
    assert!(groups[2].open_message(parsed.psk.unwrap()).is_err());

    let pending_bundle = pending.bundle.clone();
    let Ok(Received::Commit(staged)) = groups[1].receive(&pending_bundle, &check) else { panic!() };
    groups[1].merge(*staged).unwrap();
    groups[0].merge_pending(pending).unwrap();
    assert_eq!(groups[0].authenticator(), groups[1].authenticator());
    assert_eq!(groups[1].state.uses[&INVITE], 3);
    assert!(groups[1].psks.is_empty());
}

#[test]
fn one_poisoned_proposal_does_not_block_the_sequencer_and_is_named() {
    let mut groups = call(4);
    let update = groups[1].propose_update().unwrap();
    groups[0].receive(&update, &check).unwrap();
    // A proposal that passed judgement somehow, but that MLS can't commit: an added key twice.
    let twice = newcomer(9);
    let (message, queued) = {
        let g = &mut groups[2];
        let (message, _) = g.mls.propose_add_member(&g.provider, &g.signer, &twice).unwrap();
        let bytes = message.to_bytes().unwrap();
        let queued = g.mls.pending_proposals().last().cloned().unwrap();
        g.clear_library_proposals();
        (bytes, queued)
    };
    groups[0].pool.insert(MemberId(2), Ask::Update, &message, queued, 9).unwrap();

    let pending = groups[0].update(&check).unwrap();
    let [dropped] = &pending.dropped[..] else { panic!("{:?}", pending.dropped) };
    assert_eq!(dropped.by, MemberId(2));
    assert!(matches!(dropped.what, Violation::Poisoned(_)));
    merge_all(&mut groups, 0, pending);
    assert_alive(&mut groups);
}

#[test]
fn a_member_that_floods_proposals_is_named_and_bounded() {
    let mut groups = call(2);
    let mut named = None;
    for _ in 0..40 {
        let update = proposed(&mut groups[1], |g| {
            let parameters = LeafNodeParameters::default();
            g.mls.propose_self_update(&g.provider, &g.signer, parameters).map(|(m, _)| m)
        });
        if let Err(ReceiveError::Policy(violation)) = groups[0].receive(&update, &check) {
            named = Some(violation);
        }
    }
    assert_eq!(named, Some(PolicyViolation { by: MemberId(1), what: Violation::TooMany }));
}

#[test]
fn a_flood_to_one_member_does_not_keep_it_from_following_the_sequencer() {
    let mut groups = call(3);
    for i in 0..33 {
        let update = proposed(&mut groups[1], |g| {
            let parameters = LeafNodeParameters::default();
            g.mls.propose_self_update(&g.provider, &g.signer, parameters).map(|(m, _)| m)
        });
        // All but the last to the victim, the last to the sequencer.
        groups[if i < 32 { 2 } else { 0 }].receive(&update, &check).unwrap();
    }
    for i in 0..16u8 {
        let offer = message::PskOffer { invite: [i; 8], secret: secret(i) };
        let offer = groups[0].seal_psk(&offer).unwrap();
        groups[2].admit_psk(&offer, &check).unwrap();
    }
    let pending = groups[0].update(&check).unwrap();
    deliver(&mut groups[2], &pending.bundle);
}

#[test]
fn what_is_stored_does_not_outlive_its_use() {
    let mut groups = call(3);
    for _ in 0..3 {
        groups[1].propose_update().unwrap();
    }
    let leave = groups[2].propose_leave().unwrap();
    groups[0].receive(&leave, &check).unwrap();
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    // Only the epoch's own keys are left; nothing at all at the one who left.
    assert_eq!(groups[0].provider.storage().len(), 1);
    assert_eq!(groups[1].provider.storage().len(), 1);
    assert!(groups[2].is_evicted());
    assert_eq!(groups[2].provider.storage().len(), 0);
}

#[test]
fn noise_is_refused_whatever_it_begins_with() {
    let mut groups = call(2);
    let mut noise = [0u8; 600];
    for round in 0..2000usize {
        rand::Rng::fill(&mut rand::rng(), &mut noise[..]);
        match round % 5 {
            0 => noise[0] = 0xB3,
            3 => noise[0] = 0xB2,
            1 => noise[..6].copy_from_slice(&[0, 1, 0, 2, 16, 0x67]),
            2 => noise[..2].copy_from_slice(&[0xB3, 0]),
            _ => {}
        }
        assert!(groups[1].receive(&noise[..round % 600], &check).is_err());
        assert!(groups[1].open_message(&noise[..round % 600]).is_err());
    }
    assert_alive(&mut groups);
}
