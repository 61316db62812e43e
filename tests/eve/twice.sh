#!/bin/sh
# Is a program what its sources say? Builds them twice, from two copies in two folders that share
# nothing, and compares byte for byte. Control: a copy with one letter of one source changed must
# give another program, or the comparison would show nothing.
#
#   sh tests/eve/twice.sh            both builds here
#   sh tests/eve/twice.sh PROGRAM    one build, compared with a program made by this script elsewhere
#
# TWICE_PROFILE names another profile than release, TWICE_OPTIONS more options of cargo build.
# Equal programs need equal tools: Rust, linker, C compiler, nasm or none. Takes two whole builds
# and the end of a third. Ends with 1 if the programs differ or the control fails. The program stays
# in target/twice/one/.
set -eu

cd "$(dirname "$0")/../.."
profile=${TWICE_PROFILE:-release}
options=${TWICE_OPTIONS:-}
scratch=$(pwd)/target/twice
built=$profile
[ "$profile" = dev ] && built=debug

say() { printf '%s\n' "twice: $*"; }
sum() { sha256sum "$1" | cut -c1-64; }

# The sources as they are now, without anything that was built from them.
copy() {
    rm -rf "$1"
    mkdir -p "$1/sources"
    git ls-files -z --cached --others --exclude-standard |
        tar -c --null -T - -f - | tar -x -C "$1/sources"
}

# Where sources, libraries and results lie must not show: every such folder gets one name.
build() {
    (
        cd "$1/sources"
        home=${CARGO_HOME:-$HOME/.cargo}
        CFLAGS="-ffile-prefix-map=$1=/facetty -ffile-prefix-map=$home=/cargo"
        CXXFLAGS=$CFLAGS
        CARGO_ENCODED_RUSTFLAGS=$(printf '%s\037%s' \
            "--remap-path-prefix=$1=/facetty" "--remap-path-prefix=$home=/cargo")
        CARGO_TARGET_DIR=$1/target
        export CFLAGS CXXFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR
        # shellcheck disable=SC2086
        cargo build --quiet --locked --profile "$profile" --bin facetty $options
    )
    cp "$1/target/$built/facetty" "$1/facetty"
}

copy "$scratch/another"
if [ $# -gt 0 ]; then
    one=$1
else
    copy "$scratch/one"
    say "building"
    build "$scratch/one"
    one=$scratch/one/facetty
fi
say "building again, elsewhere"
build "$scratch/another"
another=$scratch/another/facetty
first=$(sum "$one")
second=$(sum "$another")
say "first    $first"
say "second   $second"
result=0
if [ "$first" = "$second" ]; then
    say "the sources give this program"
else
    say "they differ, in $(cmp -l "$one" "$another" | wc -l) bytes"
    result=1
fi

say "building once more, one letter changed"
changed=src/app/prove.rs
sed 's/not shown here/not shown herf/' "$scratch/another/sources/$changed" >"$scratch/changed"
cp "$scratch/changed" "$scratch/another/sources/$changed"
build "$scratch/another"
third=$(sum "$another")
say "changed  $third"
if [ "$second" = "$third" ]; then
    say "the control failed: a changed source gives the same program"
    result=1
fi
exit $result
