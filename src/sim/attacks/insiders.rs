//! Attacks by members: on the roster, on credentials, on each other's voices.

use super::circle::{Circle, Person, check, staged};
use super::world::{World, bytes_of};
use super::{Lab, LabError, Outcome, setup};
use crate::group::forge::{Forgery, external_commit};
use crate::group::{Ack, Agreement, Group, ReceiveError, Received};
use crate::seal::{Receipt, Sealers};
use crate::wire::link::{LinkEvent, MemberId};
use crate::wire::sframe::{Header, Kid, StreamKind};

/// Was it refused by policy, and was this member named?
fn named(refused: &Result<(), ReceiveError>, who: MemberId) -> bool {
    matches!(refused, Err(ReceiveError::Policy(violation)) if violation.by == who)
}

/// What a member makes of some bytes: a commit it would merge, a proposal it stored – or a refusal.
fn judged(group: &mut Group, bytes: &[u8]) -> Result<(), ReceiveError> {
    match group.receive(bytes, &check)? {
        Received::Commit(_) | Received::Proposal { .. } => Ok(()),
        Received::Duplicate => Err(ReceiveError::Kind),
    }
}

/// An external commit with a leaked GroupInfo lets nobody in.
pub(super) fn external(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let info = circle.groups[0].leak_group_info().map_err(setup)?;
    let mallory = Person::new(lab, "Mallory");
    let forms = external_commit(&info, mallory.local()?).map_err(setup)?;
    let mut unread = true;
    for (bundled, bytes) in forms.iter().enumerate() {
        for member in 0..3 {
            let judged = judged(&mut circle.groups[member], bytes);
            unread &= bundled == 1 || matches!(judged, Err(ReceiveError::NotPrivate));
            outcome.eve.add(judged.is_ok());
        }
    }
    outcome.sees("refused unread, as not encrypted to the group", unread);
    outcome.sees("the group goes on", circle.goes_on());
    // Control: a member whose rules are those of the MLS library alone.
    let mut lax = Circle::of(lab, &["Ada", "Ben"])?;
    let info = lax.groups[0].leak_group_info().map_err(setup)?;
    let mallory = Person::new(lab, "Mallory");
    let [bare, _] = external_commit(&info, mallory.local()?).map_err(setup)?;
    outcome.control.add(lax.groups[1].library_takes(&bare));
    outcome.evidence = format!(
        "{} deliveries of an external commit: {} accepted; by the MLS library without our rules: \
         {} of {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// A member can't add a ghost, and whom the host adds is named before anything is sealed for it.
pub(super) fn ghost_from_inside(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let (package, _) = Person::new(lab, "Ghost").key_package()?;
    let mut all_named = true;
    for forgery in [Forgery::CommitAdd(&package), Forgery::ProposeAdd(&package)] {
        let bytes = circle.groups[1].forge(forgery, &check).map_err(setup)?;
        for member in [0, 2] {
            let judged = judged(&mut circle.groups[member], &bytes);
            all_named &= named(&judged, MemberId(1));
            outcome.eve.add(judged.is_ok());
        }
    }
    // As sequencer she still is neither host nor admitter.
    let pending = circle.groups[0].hand_over(&[], &check).map_err(setup)?;
    circle.spread(pending)?;
    let bytes = circle.groups[1].forge(Forgery::CommitAdd(&package), &check).map_err(setup)?;
    for member in [0, 2] {
        let judged = judged(&mut circle.groups[member], &bytes);
        all_named &= named(&judged, MemberId(1));
        outcome.eve.add(judged.is_ok());
    }
    outcome.sees("the adder is named every time", all_named);

    // The host may add; who has not seen the new name seals nothing.
    let mut world = World::call_of(lab, &["Ben Nevis"])?;
    world.parties[1].shows = false;
    let invite = world.invite(0)?;
    let ghost = world.join("Ghost", invite)?;
    world.run(1000)?;
    world.talk(&[1], 30)?;
    outcome.eve.tried += world.said(1);
    outcome.eve.got += world.heard_of(ghost, 1);
    let listed = world.names(1).len() == 3;
    outcome.sees("the ghost stands in the roster, with who added it", listed);
    let view = world.call(1)?.view();
    let by = view.members.iter().find(|m| m.name == "Ghost").and_then(|m| m.added_by);
    outcome.sees("added by Ada", by == Some(MemberId(0)));

    // Control: the host's own seat; and the roster on Ben's screen.
    let mut host = Circle::of(lab, &["Ada", "Ben"])?;
    let bytes = host.groups[0].forge(Forgery::CommitAdd(&package), &check).map_err(setup)?;
    outcome.control.add(staged(&mut host.groups[1], &bytes).is_ok());
    show(&mut world, 1)?;
    let before = world.said(1);
    world.talk(&[1], 30)?;
    outcome.control.tried += world.said(1) - before;
    outcome.control.got += world.heard_of(ghost, 1);
    outcome.evidence = format!(
        "ghost commits, proposals and unseen frames: {} of {} passed; from the host's seat, and \
         once the roster was shown: {} of {}",
        outcome.eve.got, outcome.eve.tried, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// A participant's screen shows what it has not shown so far.
pub(super) fn show(world: &mut World, party: usize) -> Result<(), LabError> {
    use crate::call::{Event, Input};
    world.parties[party].shows = true;
    let shown: Vec<_> = world.parties[party]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Epoch { epoch, roster, .. } => Some(Receipt::shown(*epoch, *roster)),
            _ => None,
        })
        .collect();
    for receipt in shown {
        world.input(party, Input::RosterShown(receipt))?;
    }
    Ok(())
}

/// Every member holds everybody's keys; none can speak as another.
pub(super) fn another_voice(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    let (ada, ben, cleo) = (0, 1, 2);
    world.talk(&[ada, ben, cleo], 10)?;
    let heard = world.heard_of(ada, ben);

    // Ben's own frames once more, on Cleo's connection; and frames made with his key.
    let true_frame = world.media_since(0).into_iter().rev().find(|t| t.from == ben && t.to == ada);
    let true_frame = true_frame.and_then(|t| bytes_of(&t.event).cloned());
    let true_frame = true_frame.ok_or_else(|| setup("Ben said nothing"))?;
    let forged = forged_as(&world, cleo, ben, &true_frame)?;
    for frame in [&true_frame, &forged[0], &forged[1]] {
        let before = world.heard_of(ada, ben);
        world.inject(cleo, ada, LinkEvent::Datagram(frame.clone()))?;
        outcome.eve.add(world.heard_of(ada, ben) > before);
    }
    let view = world.call(ada)?.view();
    let blamed = view.members.iter().find(|m| m.name == "Cleo Stone").map_or(0, |m| m.forged);
    outcome.sees("Cleo is blamed for each", blamed == outcome.eve.tried);
    outcome.sees("Ben is not", view.members.iter().all(|m| m.name != "Ben Nevis" || m.forged == 0));

    // Control: the same frame on Ben's own connection.
    let before = world.heard_of(ada, ben);
    world.inject(ben, ada, LinkEvent::Datagram(forged[0].clone()))?;
    outcome.control.add(world.heard_of(ada, ben) > before);
    outcome.evidence = format!(
        "{} frames as Ben on Cleo's connection: {} heard, {blamed} blamed on Cleo; on Ben's own \
         connection: {} (true packets heard before: {heard})",
        outcome.eve.tried, outcome.eve.got, outcome.control.got
    );
    Ok(outcome)
}

/// Two frames sealed with `as_whom`'s key, which every member holds.
fn forged_as(
    world: &World,
    by: usize,
    as_whom: usize,
    like: &[u8],
) -> Result<[bytes::Bytes; 2], LabError> {
    let member = world.call(as_whom)?.me().ok_or_else(|| setup("not in the call"))?;
    let keys = world.call(by)?.surrender_opener(member).ok_or_else(|| setup("no keys"))?;
    let (header, _) = Header::decode(like).map_err(setup)?;
    let kid = Kid::from_u64(header.kid).map_err(setup)?;
    let epoch = world.epoch(by);
    let receipt = Receipt::shown(epoch, [0; 32]);
    let base = keys.base().duplicate();
    let mut sealers = Sealers::new(base, epoch, kid.leaf, &receipt, &[0; 32]).map_err(setup)?;
    let said = crate::media::frame::CodedAudio {
        seq: 9999,
        at: crate::time::MediaTime(1),
        millis: 20,
        level: 10,
        bytes: vec![super::world::voice(as_whom); 60].into(),
    };
    let plaintext = crate::wire::media::encode_audio(&said, 0);
    let mut newest = None;
    let mut before = None;
    // Ahead of everything Ben has sealed himself.
    for _ in 0..=header.ctr + 8 {
        before = newest;
        newest = Some(sealers.of(StreamKind::Audio).seal(&plaintext).map_err(setup)?.bytes);
    }
    match (newest, before) {
        (Some(newest), Some(before)) => Ok([newest, before]),
        _ => Err(setup("nothing sealed")),
    }
}

/// A name can't be changed within a call.
pub(super) fn swapped_credential(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let mut all_named = true;
    // The leader swaps its own name by commit, another member by proposal; both sign the new
    // credential properly.
    let mut led = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let new = led.people[0].credential("The Bank", led.people[0].leaf_key())?;
    let by_commit = led.groups[0].forge(Forgery::CommitSwap(&new), &check).map_err(setup)?;
    let new = circle.people[1].credential("The Bank", circle.people[1].leaf_key())?;
    let by_proposal = circle.groups[1].forge(Forgery::ProposeSwap(&new), &check).map_err(setup)?;
    for judge in [1, 2] {
        let judged = judged(&mut led.groups[judge], &by_commit);
        all_named &= named(&judged, MemberId(0));
        outcome.eve.add(judged.is_ok());
    }
    for judge in [0, 2] {
        let judged = judged(&mut circle.groups[judge], &by_proposal);
        all_named &= named(&judged, MemberId(1));
        outcome.eve.add(judged.is_ok());
    }
    outcome.sees("the swapper is named every time", all_named);
    outcome.sees("the group goes on", circle.goes_on());

    let mut lax = Circle::of(lab, &["Ada", "Ben"])?;
    let new = lax.people[0].credential("The Bank", lax.people[0].leaf_key())?;
    let bytes = lax.groups[0].forge(Forgery::CommitSwap(&new), &check).map_err(setup)?;
    outcome.control.add(lax.groups[1].library_takes(&bytes));
    outcome.evidence = format!(
        "{} deliveries of a swapped name: {} accepted; by the MLS library without our rules: {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got
    );
    Ok(outcome)
}

/// Proposals nobody could commit, and acknowledgements nobody gave, change nothing.
pub(super) fn poison(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let mut lax = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let (package, _) = Person::new(lab, "Ghost").key_package()?;
    let forgeries = [
        Forgery::ProposeAdd(&package),
        Forgery::ProposeRemove(MemberId(2)),
        Forgery::ProposeTakeOver,
    ];
    let mut all_named = true;
    for forgery in forgeries {
        let bytes = circle.groups[1].forge(forgery, &check).map_err(setup)?;
        let judged = judged(&mut circle.groups[0], &bytes);
        all_named &= named(&judged, MemberId(1));
        outcome.eve.add(judged.is_ok());
        // Control: the library alone takes it.
        let bytes = lax.groups[1].forge(forgery, &check).map_err(setup)?;
        outcome.control.add(lax.groups[0].library_takes(&bytes));
    }
    outcome.sees("the proposer is named every time", all_named);
    outcome.sees("the group goes on", circle.goes_on());

    // Acknowledgements: in another's name, and with anything changed.
    let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let pending = circle.groups[0].update(&check).map_err(setup)?;
    circle.spread(pending)?;
    let acks: Vec<Ack> = circle.groups.iter().map(Group::sign_ack).collect();
    let same = |circle: &Circle, who: u32, ack: &Ack| {
        circle.groups[0].verify_ack(MemberId(who), ack) == Ok(Agreement::Same)
    };
    let mine = acks[1];
    outcome.eve.add(same(&circle, 2, &mine));
    outcome.eve.add(same(&circle, 1, &Ack { epoch: mine.epoch + 1, ..mine }));
    outcome.eve.add(same(&circle, 1, &Ack { statement: None, ..mine }));
    outcome.eve.add(same(&circle, 1, &Ack { auth_hash: [7; 32], ..mine }));
    outcome.control.add(same(&circle, 1, &mine));
    outcome.evidence = format!(
        "{} poisoned proposals and false acks: {} accepted; without our rules, and the true ack: \
         {} of {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// Somebody outside with the whole tap can't put anybody into the roster.
pub(super) fn ghost_from_outside(lab: &mut Lab) -> Result<Outcome, LabError> {
    use crate::wire::control::Control;
    let mut outcome = Outcome::default();
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    let members = world.names(1);
    // A group of her own under the same id and epoch, led by her, to which she adds a ghost.
    let id = world.invite(0)?.group_id();
    let mut own = outsider(lab, id, world.epoch(1))?;
    let pending = own.update(&lenient).map_err(setup)?;
    let mut fakes = vec![Control::Bundle(pending.bundle.clone().into())];
    // True commits of this very call, bit by bit altered; and her own bytes under other kinds.
    let marks = world.tape.len();
    world.user(0, crate::call::Command::Rekey)?;
    world.run(500)?;
    let commits: Vec<_> = world.tape[marks..]
        .iter()
        .filter_map(|t| match bytes_of(&t.event).and_then(|b| Control::decode(b).ok()) {
            Some(Control::Bundle(bundle)) => Some(bundle),
            _ => None,
        })
        .collect();
    for bundle in commits.iter().take(1) {
        for bit in (0..bundle.len() * 8).step_by(997) {
            let mut bytes = bundle.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fakes.push(Control::Bundle(bytes.into()));
        }
        fakes.push(Control::Bundle(bundle.clone()));
        fakes.push(Control::Proposal(bundle.clone()));
        fakes.push(Control::Welcome(bundle.clone()));
    }
    let epoch = world.epoch(1);
    for fake in &fakes {
        for from in [0, 2] {
            // Put into the very stream of a member, as if TLS were broken; where that made the
            // receiver drop the connection, it is made anew.
            for _ in 0..100 {
                if world.link(1, from).is_some() {
                    break;
                }
                world.run(100)?;
            }
            world.inject(from, 1, LinkEvent::Control(fake.encode().into()))?;
            outcome.eve.add(world.epoch(1) != epoch || world.names(1) != members);
        }
    }
    world.run(200)?;
    // A connection of her own in a member's place, and the tape played on it.
    let eve = world.eve(None);
    let link = world.eve_dials(eve, 1, None)?;
    world.run(100)?;
    for taped in world.tape.clone().iter().take(50) {
        world.eve_says(eve, link, taped.event.clone());
    }
    world.run(100)?;
    let seat = world.link(1, eve).and_then(|link| world.call(1).ok()?.member_of(link));
    outcome.eve.add(seat.is_some());

    // Control: the founder's seat.
    let mut free = World::call_of(lab, &["Ben Nevis"])?;
    let invite = free.invite(0)?;
    free.join("Ghost", invite)?;
    free.run(1000)?;
    outcome.control.add(free.names(1).iter().any(|n| n == "Ghost"));
    outcome.evidence = format!(
        "{} forged and altered commits put into members' own streams: {} changed the roster; from \
         the founder's seat: {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got
    );
    Ok(outcome)
}

fn lenient(
    credential: &[u8],
) -> Result<crate::group::CheckedCredential, crate::group::CredentialRefused> {
    let read = crate::identity::Credential::decode(credential);
    let read = read.map_err(|e| crate::group::CredentialRefused(e.to_string()))?;
    Ok(crate::group::CheckedCredential { identity: read.identity.0, leaf_key: read.leaf_key })
}

fn outsider(lab: &Lab, id: [u8; 16], epoch: u64) -> Result<Group, LabError> {
    let mut group =
        Group::create(Person::new(lab, "Mallory").local()?, id, &lenient).map_err(setup)?;
    while group.epoch() < epoch {
        let pending = group.update(&lenient).map_err(setup)?;
        group.merge_pending(pending).map_err(setup)?;
    }
    Ok(group)
}
