//! The list of claims, in the protocol's order.

use super::{
    Attack, Claim, Shown, apart, crowd, door, insiders, keys, line, memory, mesh, order, people,
    records, tls,
};

/// Everything promised.
pub const CLAIMS: &[Claim] = &[
    live(
        1,
        "Who carries every packet reads nothing, even if TLS were broken",
        "searches every byte for frames, names and keys, and tries to open and paint",
        "the bytes before the seal; Ben's key",
        line::tap,
    ),
    live(
        2,
        "A middle-man who ends TLS on both sides gets nothing",
        "relays a handshake, and answers one herself",
        "Ada's identity key",
        tls::middle_man,
    ),
    live(
        3,
        "A copied invite lets its holder only knock, as itself",
        "knocks with a copied invite, before and after its use, and plays the host with it",
        "Ada lets her in",
        door::copied_invite,
    ),
    live(
        4,
        "A knock is worth nothing on another connection",
        "replays a recorded KNOCK and PROOF",
        "the recorded connection's TLS exporter and key",
        door::replayed_proof,
    ),
    live(
        5,
        "Nobody can knock as somebody else",
        "presents Ben's key package, and one in his name, and relays his handshake",
        "Ben's leaf key in TLS",
        door::borrowed_identity,
    ),
    live(
        6,
        "What a relay changes is never heard",
        "flips, drops, doubles and delays packets",
        "Ada's key",
        line::blind_relay,
    ),
    live(
        7,
        "Nobody outside can change the roster",
        "puts commits of her own, and altered true ones, into members' streams",
        "the founder's seat",
        insiders::ghost_from_outside,
    ),
    live(
        8,
        "Nobody can let themselves in",
        "makes an external commit from a leaked GroupInfo",
        "a member without our rules",
        insiders::external,
    ),
    live(
        9,
        "No member adds a ghost, and nothing is sealed for anybody not shown",
        "forges the adding; has somebody added while Ben does not look",
        "the host's seat; the roster on Ben's screen",
        insiders::ghost_from_inside,
    ),
    live(
        10,
        "Nobody is added while the group is locked",
        "forges an Add",
        "the lock's list",
        order::locked,
    ),
    live(
        11,
        "Who is removed reads nothing on",
        "keeps all her state and the whole tap",
        "a remaining member's key",
        keys::ex_member,
    ),
    live(
        12,
        "Who was removed neither leads nor comes back by a branch",
        "leads a branch of her own, comes back without invite",
        "a member that was only lost",
        order::removed_comes_back,
    ),
    live(
        13,
        "Who joins late reads nothing of before",
        "joins, then tries the whole tap",
        "Ben's key of then",
        keys::late_joiner,
    ),
    live(
        14,
        "A copied state heals",
        "copies a member's whole state and listens",
        "no healing yet",
        keys::copied_state,
    ),
    live(
        15,
        "A machine seized after the call tells nothing of it",
        "takes every key that outlives the call, and the tap",
        "the epoch's keys, kept",
        keys::seized_afterwards,
    ),
    live(
        16,
        "No member speaks as another",
        "seals as Ben with his key, which she holds, on her own connection",
        "Ben's connection",
        insiders::another_voice,
    ),
    live(
        17,
        "Nothing can be said twice",
        "replays everything in every direction and in the next epoch",
        "a receiver without replay window",
        keys::replay,
    ),
    live(
        18,
        "No nonce repeats",
        "looks for one through all frames, epochs, restarts",
        "a sealer that was stored",
        keys::nonces,
    ),
    live(
        19,
        "Nothing weaker is ever agreed on",
        "offers other protocols, key exchanges, suites and keys, edits invites",
        "the one protocol",
        tls::downgrade,
    ),
    live(
        20,
        "No name changes within a call",
        "swaps a credential by commit and by update",
        "members without our rules",
        insiders::swapped_credential,
    ),
    live(
        21,
        "A sequencer that tells two stories is proved and named",
        "commits twice for one epoch",
        "one commit",
        order::two_stories,
    ),
    live(
        22,
        "A sequencer that is silent or censors loses its role",
        "says nothing, holds commits back, sends one late, divides the votes",
        "members that heard her in time",
        mesh::bad_sequencer,
    ),
    live(
        23,
        "Poisoned proposals and false acks change nothing",
        "makes them",
        "members without our rules; the true ack",
        insiders::poison,
    ),
    live(
        24,
        "Partitions and sleepers heal, and nothing old is taken",
        "cuts the mesh, keeps packets and news of her removal, lets a sleeper wake",
        "neither cut nor sleep",
        apart::apart,
    ),
    alone(live(
        25,
        "No crowd at the door disturbs the call",
        "sends floods, malformed messages, knocks without invite, sentences without end",
        "an invite",
        crowd::flood,
    )),
    live(
        26,
        "No name does anything to a terminal",
        "calls herself escape sequences, bidi overrides, zero-width characters",
        "an ordinary name",
        people::names,
    ),
    live(
        27,
        "Words can't be made to fit",
        "guesses",
        "one word behind a fast hash",
        people::ground_words,
    ),
    live(
        28,
        "Sizes and times don't tell speech from silence",
        "tells them apart by packets a second, bytes, largest packet, variance",
        "an encoder with variable rate",
        line::sizes,
    ),
    alone(live(
        29,
        "No key outlives the call in memory",
        "reads all memory of the process after hanging up",
        "the same search during the call",
        memory::wiped,
    )),
    live(
        30,
        "A changed ledger is noticed",
        "changes, drops, reorders lines of a ledger",
        "the ledger as it was",
        records::tampered,
    ),
    elsewhere(
        31,
        "What is built is what is in the sources",
        "builds it twice and compares",
        "a changed source",
        Shown::InCi("tests/eve/twice.sh"),
    ),
];

const fn live(
    id: u8,
    claim: &'static str,
    attack: &'static str,
    control: &'static str,
    run: Attack,
) -> Claim {
    Claim { id, claim, attack, control, shown: Shown::Live(run), alone: false }
}

/// One that measures the whole process.
const fn alone(claim: Claim) -> Claim {
    Claim { alone: true, ..claim }
}

const fn elsewhere(
    id: u8,
    claim: &'static str,
    attack: &'static str,
    control: &'static str,
    shown: Shown,
) -> Claim {
    Claim { id, claim, attack, control, shown, alone: false }
}

/// The claim of this number.
pub fn claim(id: u8) -> Option<&'static Claim> {
    CLAIMS.iter().find(|claim| claim.id == id)
}
