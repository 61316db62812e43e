//! What membership changes cost, in time (criterion) and bytes (printed first), at 2, 8 and 16
//! members: the sequencer's add, update and remove, the joiner's join, a member's processing.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use facetty::group::*;
use facetty::secret::Secret;
use facetty::wire::link::MemberId;
use std::cell::RefCell;
use std::hint::black_box;

const GROUP: [u8; 16] = [0x67; 16];
const INVITE: [u8; 8] = *b"invite 1";

/// Credentials as long as real ones: identity ‖ leaf key ‖ what the rest takes.
fn check(credential: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
    match credential.split_first_chunk::<32>() {
        Some((identity, rest)) if rest.len() >= 32 => Ok(CheckedCredential {
            identity: *identity,
            leaf_key: *rest.first_chunk().ok_or(CredentialRefused(String::new()))?,
        }),
        _ => Err(CredentialRefused("layout".into())),
    }
}

fn local(who: u8) -> LocalMember {
    let leaf_seed = Secret::build(|seed| rand::Rng::fill(&mut rand::rng(), seed));
    let leaf_key =
        ed25519_dalek::SigningKey::from_bytes(leaf_seed.expose()).verifying_key().to_bytes();
    let credential = [&[who; 32][..], &leaf_key, &[0; 100]].concat();
    LocalMember { credential, leaf_seed, leaf_key }
}

fn psk() -> Secret<32> {
    Secret::build(|bytes| bytes.fill(0x42))
}

/// A call of `n`, every path of the tree filled by an update of every member.
fn call(n: u8) -> Vec<Group> {
    let mut groups = vec![Group::create(local(0), GROUP, &check).unwrap()];
    for who in 1..n {
        let (pending, joining) = admitted(&mut groups[0], who);
        let welcome = pending.welcome.clone().unwrap();
        merge_all(&mut groups, pending);
        groups.push(joined(joining, &welcome));
    }
    for i in 1..groups.len() {
        let update = groups[i].propose_update().unwrap();
        groups[0].receive(&update, &check).unwrap();
    }
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, pending);
    groups
}

fn admitted(sequencer: &mut Group, who: u8) -> (Pending, PendingJoin) {
    let (bytes, joining) = key_package(local(who), GROUP, &check).unwrap();
    let secret = psk();
    let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
    (sequencer.add(&bytes, psk, &check).unwrap(), joining)
}

fn joined(joining: PendingJoin, welcome: &[u8]) -> Group {
    let secret = psk();
    let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
    joining.join(welcome, &Expect { psk, host: [0; 32] }, &check).unwrap()
}

fn merge(group: &mut Group, bundle: &[u8]) {
    match group.receive(bundle, &check).unwrap() {
        Received::Commit(staged) => group.merge(*staged).unwrap(),
        _ => unreachable!("a new commit"),
    }
}

fn merge_all(groups: &mut [Group], pending: Pending) {
    let bundle = pending.bundle.clone();
    groups[1..].iter_mut().for_each(|group| merge(group, &bundle));
    groups[0].merge_pending(pending).unwrap();
}

#[expect(clippy::disallowed_macros, reason = "a benchmark reports on the terminal")]
fn print_bytes() {
    println!(
        "members   add  welcome  update  heal(all update)  remove  key package  application 32 B"
    );
    for n in [2u8, 8, 16] {
        let mut groups = call(n - 1);
        let (pending, _) = admitted(&mut groups[0], 77);
        let (add, welcome) = (pending.bundle.len(), pending.welcome.as_ref().map_or(0, Vec::len));
        let mut groups = call(n);
        let update = groups[0].update(&check).unwrap().bundle.len();
        let last = MemberId(u32::from(n) - 1);
        let remove = groups[0].remove_lost(&[last], &check).unwrap().bundle.len();
        let message = groups[1].seal_message(&[0; 32]).unwrap().len();
        for i in 1..groups.len() {
            let update = groups[i].propose_update().unwrap();
            groups[0].receive(&update, &check).unwrap();
        }
        let heal = groups[0].update(&check).unwrap().bundle.len();
        let (key_package, _) = key_package(local(9), GROUP, &check).unwrap();
        let key_package = key_package.len();
        println!(
            "{n:>7} {add:>5} {welcome:>8} {update:>7} {heal:>17} {remove:>7} {key_package:>12} {message:>17}"
        );
    }
}

fn group(c: &mut Criterion) {
    print_bytes();
    for n in [2u8, 8, 16] {
        let mut bench = c.benchmark_group(format!("group/{n}"));
        bench.sample_size(20);

        let sequencer = RefCell::new(call(n - 1).swap_remove(0));
        bench.bench_function("add", |b| {
            b.iter_batched(
                || key_package(local(77), GROUP, &check).unwrap().0,
                |bytes| {
                    let secret = psk();
                    let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
                    black_box(sequencer.borrow_mut().add(&bytes, psk, &check).unwrap())
                },
                BatchSize::PerIteration,
            )
        });
        bench.bench_function("join", |b| {
            b.iter_batched(
                || admitted(&mut sequencer.borrow_mut(), 77),
                |(pending, joining)| joined(joining, pending.welcome.as_ref().unwrap()),
                BatchSize::PerIteration,
            )
        });

        let mut groups = call(n);
        let member = groups.pop().unwrap();
        let mut sequencer = groups.swap_remove(0);
        let last = [member.me()];
        let member = RefCell::new(member);
        bench.bench_function("process", |b| {
            b.iter_batched(
                || {
                    let pending = sequencer.update(&check).unwrap();
                    let bundle = pending.bundle.clone();
                    sequencer.merge_pending(pending).unwrap();
                    bundle
                },
                |bundle| merge(&mut member.borrow_mut(), &bundle),
                BatchSize::PerIteration,
            )
        });
        bench.bench_function("bases", |b| {
            b.iter_batched(
                || {
                    let pending = sequencer.update(&check).unwrap();
                    let bundle = pending.bundle.clone();
                    sequencer.merge_pending(pending).unwrap();
                    merge(&mut member.borrow_mut(), &bundle);
                },
                |()| member.borrow_mut().bases().unwrap(),
                BatchSize::PerIteration,
            )
        });
        // Last: commits that nobody merges run the sender's ratchet far ahead of the members.
        bench.bench_function("update", |b| b.iter(|| sequencer.update(&check).unwrap()));
        bench
            .bench_function("remove", |b| b.iter(|| sequencer.remove_lost(&last, &check).unwrap()));
        bench.finish();
    }
}

criterion_group!(benches, group);
criterion_main!(benches);
