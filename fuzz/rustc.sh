#!/bin/sh
# Instead of rustc (RUSTC_WRAPPER): coverage for everything that reads bytes from outside, not for
# crypto, codecs and pixels, where the fuzzer has nothing to choose and would only be slowed down.
set -eu
rustc=$1
shift
case " $* " in
*" --target "*) ;;
*) exec "$rustc" "$@" ;; # build scripts and macros
esac
case "${CARGO_PKG_NAME:-}" in
aes* | argon2 | aws-lc* | blake2* | chacha20* | core-models | crypto-bigint | ctr | curve25519* | \
    ecdsa | ed25519* | elliptic-curve | fast_image_resize | ghash | hacl* | hkdf | hmac | keccak | \
    libcrux* | libfuzzer-sys | openh264* | opus | p256 | p384 | poly1305 | polyval | primeorder | \
    rand* | ring | rustls | sha2 | sha3 | subtle | quinn* | tokio* | yuv | zeroize)
    exec "$rustc" "$@"
    ;;
esac
exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0
