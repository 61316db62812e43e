#!/usr/bin/env python3
"""Opens the frames of a demonstration with nothing of facetty's own code.

    facetty demo --plain --tap-quic inside.pcapng --export-keys keys.jsonl > said.txt
    python3 examples/verify.py inside.pcapng keys.jsonl said.txt

Reads what QUIC delivered (pcapng), the exported base keys, and what the demonstration printed.
Derives every frame key as RFC 9605 says, under the private-use suite 0xF001
CHACHA20_POLY1305_SHA256_128, opens every frame, tries every frame with a changed bit and with
another sender's key, and compares senders and counts with what was printed.

Needs Python 3.8 and the package "cryptography" (AEAD and HKDF; everything else is here).
Exits with 0 if everything agrees, 1 if not, 2 if an input can't be read.
"""

import json
import struct
import sys
from collections import Counter

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SUITE = 0xF001
STREAMS = {0: "audio", 1: "video", 2: "screen", 3: "data"}
CONTROL, DATAGRAM, FRAME = 1, 2, 3
SEALED = 12  # kind of the control message that carries a sealed one
COPY = 0xFF


def objects(data):
    """(kind, receiver, bytes) of every object in a capture: pcapng, link type 147."""
    at = 0
    link_type = None
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            raise ValueError(f"damaged block at {at}")
        if struct.unpack_from("<I", data, at + length - 4)[0] != length:
            raise ValueError(f"the two lengths of the block at {at} differ")
        body = data[at + 8 : at + length - 4]
        if kind == 1:
            link_type = struct.unpack_from("<H", body)[0]
        elif kind == 6:
            if link_type != 147:
                raise ValueError("not a capture of what QUIC delivered: use --tap-quic")
            captured = struct.unpack_from("<I", body, 12)[0]
            packet = body[20 : 20 + captured]
            yield packet[0], packet[1], packet[2:]
        at += length


def header(frame):
    """KID, CTR and length of an SFrame header (RFC 9605, section 4.3)."""

    def field(nibble, at):
        if nibble & 8 == 0:
            return nibble, at
        n = (nibble & 7) + 1
        if at + n > len(frame):
            raise ValueError("short header")
        return int.from_bytes(frame[at : at + n], "big"), at + n

    kid, at = field(frame[0] >> 4, 1)
    ctr, at = field(frame[0] & 15, at)
    return kid, ctr, at


def frame_key(base, kid):
    """Key and salt of one KID (RFC 9605, section 4.4.2)."""
    extract = hmac.HMAC(b"\0" * 32, hashes.SHA256())
    extract.update(base)
    secret = extract.finalize()
    tail = struct.pack(">QH", kid, SUITE)

    def expand(label, n):
        return HKDFExpand(hashes.SHA256(), n, label + tail).derive(secret)

    return expand(b"SFrame 1.0 Secret key ", 32), expand(b"SFrame 1.0 Secret salt ", 12)


def open_frame(base, frame):
    """The plaintext; raises InvalidTag."""
    kid, ctr, at = header(frame)
    key, salt = frame_key(base, kid)
    nonce = bytes(a ^ b for a, b in zip(salt, ctr.to_bytes(12, "big")))
    return ChaCha20Poly1305(key).decrypt(nonce, frame[at:], frame[:at])


def opens(base, frame):
    try:
        open_frame(base, frame)
        return True
    except InvalidTag:
        return False


def main(capture, exported, said):
    with open(exported) as lines:
        keys = [json.loads(line) for line in lines if line.strip()]
    if any(key["suite"] != SUITE for key in keys):
        raise ValueError("keys of another suite")
    bases = {(k["epoch"] % 16, k["leaf"]): bytes.fromhex(k["base_key"]) for k in keys}
    with open(capture, "rb") as file:
        data = file.read()

    opened, failed, unknown = Counter(), Counter(), Counter()
    altered = swapped = tried = controls = copies = 0
    nonces = {}
    epochs = set()
    for kind, _receiver, body in objects(data):
        if kind == CONTROL:
            controls += 1
            if body[:1] != bytes([SEALED]):
                continue
            body = body[1:]
        # A frame sent again, to the byte, behind a mark: checked like any other, counted apart.
        copy = kind != CONTROL and body[:1] == bytes([COPY])
        if copy:
            body = body[1:]
            copies += 1
        kid, ctr, _ = header(body)
        stream, leaf, epoch = STREAMS[kid >> 10], kid >> 4 & 63, kid & 15
        base = bases.get((epoch, leaf))
        who = (leaf, stream)
        if base is None:
            unknown[who] += 1
            continue
        if not opens(base, body):
            failed[who] += 1
            continue
        if not copy:
            opened[who] += 1
        epochs.add(epoch)
        # The same nonce twice must be the same frame twice: a second copy, not a second message.
        if nonces.setdefault((kid, ctr), body) != body:
            raise SystemExit(f"verify: nonce {ctr} of KID {kid} was used for two frames")
        # Every tenth frame with one bit changed, and with every other sender's key.
        if sum(opened.values()) % 10 == 0:
            tried += 1
            spoilt = bytearray(body)
            spoilt[-1] ^= 1
            altered += opens(base, bytes(spoilt))
            others = [b for b in bases.values() if b != base]
            swapped += any(opens(b, body) for b in others)

    printed, roster = Counter(), []
    with open(said) as lines:
        for line in lines:
            words = line.split()
            if words[:2] == ["delivered", "leaf"]:
                printed[(int(words[2]), words[3])] = int(words[4])
            elif words[:1] == ["roster"]:
                roster = [name.strip() for name in line[len("roster ") :].split(",")]

    seen = opened + failed + unknown
    leaves = sorted({leaf for leaf, _ in opened})
    print(f"roster {', '.join(roster)}; senders found: leaves {leaves}; epochs {sorted(epochs)}")
    for who in sorted(seen | printed):
        leaf, stream = who
        print(
            f"leaf {leaf} {stream:6} captured {seen[who]:6} printed {printed[who]:6} "
            f"opened {opened[who]:6} failed {failed[who]} without key {unknown[who]}"
        )
    print(f"{controls} control messages; {copies} copies; {tried} frames tried altered: {altered} opened, "
          f"with others' keys: {swapped} opened")
    verdicts = {
        "frames were opened": sum(opened.values()) > 0,
        "every frame opens with its sender's key": not failed and not unknown,
        "no altered frame opens": tried > 0 and altered == 0,
        "no frame opens with another's key": swapped == 0,
        "counts are those the demonstration printed": seen == printed,
        "senders are those on the roster": len(leaves) == len(roster) > 0,
    }
    for what, holds in verdicts.items():
        print(f"{'yes' if holds else 'NO '} {what}")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        print(f"verify: {error}", file=sys.stderr)
        sys.exit(2)
