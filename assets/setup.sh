#!/bin/sh
# facetty on a machine that has nothing yet.
#
#   sh assets/setup.sh demo [arguments of facetty demo]
#   sh assets/setup.sh test [arguments of the test runner]
#
# Each does everything by itself: checks Rust and the packages the C libraries need, installs what
# is missing if it may (root, or sudo without a question), builds, runs. It asks nothing when nobody
# is there to answer. Where nothing is missing it adds a second at most and prints nothing.
#
# FACETTY_SETUP_INSTALL=no only checks. CARGO names another cargo, FACETTY_SETUP_LIBS other folders
# to look for libclang in.

set -eu

# What Cargo.toml says in "rust-version".
RUST_MAJOR=1
RUST_MINOR=91

say() { printf '%s\n' "setup: $*" >&2; }
die() { printf '%s\n' "setup: $1" >&2; shift; for l in "$@"; do printf '%s\n' "       $l" >&2; done; exit 3; }
have() { command -v "$1" >/dev/null 2>&1; }

usage() {
    printf '%s\n' "usage: sh assets/setup.sh demo|test [arguments]" \
        "  demo  build and watch a call from both ends, and through the eavesdropper's eyes" \
        "  test  build and run every test" >&2
    exit 2
}

# --- what is there ------------------------------------------------------------------------------

# The C compiler links a program, not only exists.
compiles() {
    have "${1%% *}" || return 1
    d=$(mktemp -d) || return 1
    printf '%s\n' 'int main(void) { return 0; }' >"$d/a.$2"
    # shellcheck disable=SC2086
    if $1 -o "$d/a" "$d/a.$2" >/dev/null 2>&1; then r=0; else r=1; fi
    rm -rf "$d"
    return $r
}

has_pkg_config() { have pkg-config || have pkgconf; }

has_alsa() {
    [ "$(uname -s)" != Linux ] && return 0
    has_pkg_config || return 1
    if have pkg-config; then pkg-config --exists alsa; else pkgconf --exists alsa; fi
}

# bindgen loads libclang while building the camera backend.
has_libclang() {
    [ "$(uname -s)" != Linux ] && return 0
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    ld=ldconfig
    have ldconfig || ld=/sbin/ldconfig
    have "$ld" && "$ld" -p 2>/dev/null | grep -q 'libclang[-.0-9]*\.so' && return 0
    llvm=
    if have llvm-config; then llvm=$(llvm-config --libdir); fi
    # libclang-cpp, which other packages bring, is another library.
    for d in $llvm ${FACETTY_SETUP_LIBS:-/usr/lib/llvm-*/lib /usr/lib/* /usr/lib /usr/lib64 /usr/local/lib}; do
        for f in "$d"/libclang.so* "$d"/libclang-[0-9]*.so*; do
            [ -e "$f" ] && return 0
        done
    done
    return 1
}

# What is missing, as words: cc cxx make cmake pkgconfig alsa libclang nasm.
missing() {
    m=
    compiles "${CC:-cc}" c || m="$m cc"
    compiles "${CXX:-c++}" cc || m="$m cxx"
    have make || m="$m make"
    have cmake || m="$m cmake"
    [ "$(uname -s)" != Linux ] || has_pkg_config || m="$m pkgconfig"
    has_alsa || m="$m alsa"
    has_libclang || m="$m libclang"
    have nasm || m="$m nasm"
    printf '%s' "$m"
}

# --- installing ---------------------------------------------------------------------------------

manager() {
    for p in apt-get dnf pacman zypper brew; do
        if have "$p"; then printf '%s' "$p"; return; fi
    done
}

# Words of `missing` → package names of manager $1.
packages() {
    p=$1; shift
    for w in "$@"; do
        case $p:$w in
        apt-get:cc) printf ' gcc libc6-dev' ;;
        apt-get:cxx) printf ' g++' ;;
        apt-get:pkgconfig) printf ' pkg-config' ;;
        apt-get:alsa) printf ' libasound2-dev' ;;
        apt-get:libclang)
            # Older releases only have it with a number in its name.
            if apt-cache show libclang-dev >/dev/null 2>&1; then printf ' libclang-dev'
            else printf ' %s' "$(apt-cache pkgnames libclang1- 2>/dev/null | sort -V | tail -1)"; fi ;;
        dnf:cc) printf ' gcc glibc-devel' ;;
        dnf:cxx) printf ' gcc-c++' ;;
        dnf:pkgconfig) printf ' pkgconf-pkg-config' ;;
        dnf:alsa) printf ' alsa-lib-devel' ;;
        dnf:libclang) printf ' clang-devel' ;;
        pacman:cc | pacman:cxx) printf ' gcc' ;;
        pacman:pkgconfig) printf ' pkgconf' ;;
        pacman:alsa) printf ' alsa-lib' ;;
        pacman:libclang) printf ' clang' ;;
        zypper:cc) printf ' gcc glibc-devel' ;;
        zypper:cxx) printf ' gcc-c++' ;;
        zypper:pkgconfig) printf ' pkgconf-pkg-config' ;;
        zypper:alsa) printf ' alsa-devel' ;;
        zypper:libclang) printf ' clang-devel' ;;
        brew:cc | brew:cxx | brew:make) ;; # the command line tools bring them
        brew:pkgconfig | brew:alsa | brew:libclang) ;;
        *) printf ' %s' "$w" ;;
        esac
    done
}

# The line to type, for manager $1 and packages $2….
line() {
    p=$1; shift
    case $p in
    apt-get) printf 'sudo apt-get update && sudo apt-get install -y --no-install-recommends %s' "$*" ;;
    dnf) printf 'sudo dnf install -y %s' "$*" ;;
    pacman) printf 'sudo pacman -Sy --needed --noconfirm %s' "$*" ;;
    zypper) printf 'sudo zypper --non-interactive install %s' "$*" ;;
    brew) printf 'brew install %s' "$*" ;;
    *) printf 'install with your package manager: %s' "$*" ;;
    esac
}

# Runs a command as root if that needs no answer from anybody.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1; fi
}

may_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

# Package managers talk a lot: their words go to a file, of which only a failure shows the end.
quietly() {
    log=$(mktemp) || { "$@" </dev/null >&2; return; }
    if "$@" </dev/null >"$log" 2>&1; then r=0; else r=$?; tail -n 15 "$log" >&2; fi
    rm -f "$log"
    return $r
}

install() {
    p=$1; shift
    case $p in
    apt-get)
        quietly as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install -y --no-install-recommends "$@" ;;
    dnf) quietly as_root dnf -q install -y "$@" ;;
    pacman) quietly as_root pacman -S --needed --noconfirm "$@" ;;
    zypper) quietly as_root zypper --quiet --non-interactive install "$@" ;;
    brew) quietly env HOMEBREW_NO_ASK=1 brew install "$@" ;;
    *) return 1 ;;
    esac
}

refresh() {
    case $1 in
    apt-get) quietly as_root apt-get -qq update ;;
    dnf) quietly as_root dnf -q makecache ;;
    pacman) quietly as_root pacman -Sy --noconfirm ;;
    zypper) quietly as_root zypper --quiet --non-interactive refresh ;;
    *) ;;
    esac
}

prepare_packages() {
    want=$(missing)
    [ -n "$want" ] || return 0
    p=$(manager)
    if [ "${FACETTY_SETUP_INSTALL:-yes}" != no ] && { [ "$p" = brew ] || { [ -n "$p" ] && may_be_root; }; }; then
        say "missing:$want"
        say "refreshing the package lists ($p)"
        refresh "$p" || say "the package lists could not be refreshed; going on with the old ones"
        # shellcheck disable=SC2046,SC2086
        set -- $(packages "$p" $want)
        if [ $# -gt 0 ]; then
            say "installing: $*"
            # Together first; one by one if that fails, so that one unknown name stops nothing else.
            install "$p" "$@" || for one in "$@"; do install "$p" "$one" || say "could not install $one"; done
        fi
        want=$(missing)
    fi
    [ -n "$want" ] || return 0
    # shellcheck disable=SC2046,SC2086
    todo=$(line "$p" $(packages "$p" $want))
    case " $want " in
    *" cc "* | *" cxx "* | *" make "* | *" cmake "*)
        die "a C/C++ compiler, make and cmake are needed; missing:$want" "type this, then start again:" "$todo" ;;
    esac
    case " $want " in
    *" alsa "* | *" libclang "* | *" pkgconfig "*)
        FEATURES=--no-default-features
        say "==== WITHOUT CAMERA, MICROPHONE AND LOUDSPEAKER: missing$want ===="
        say "everything else is built and tested. For devices, type: $todo" ;;
    *" nasm "*)
        say "nasm is missing: video costs about twice the work. Later: $todo, then build anew" ;;
    esac
}

# --- Rust ---------------------------------------------------------------------------------------

prepare_rust() {
    CARGO=${CARGO:-cargo}
    if ! have "$CARGO" && [ -x "${HOME:-/nowhere}/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
        export PATH
    fi
    need="Rust $RUST_MAJOR.$RUST_MINOR or newer is needed"
    how="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    have "$CARGO" || die "$need; there is no cargo. Type this, then start again:" "$how"
    version=$("$CARGO" --version | sed 's/^cargo \([0-9.]*\).*/\1/')
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    if [ "$major" -lt $RUST_MAJOR ] || { [ "$major" -eq $RUST_MAJOR ] && [ "$minor" -lt $RUST_MINOR ]; }; then
        have rustup && how="rustup update stable"
        die "$need; this is $version. Type this, then start again:" "$how"
    fi
}

# Says how long the first build takes; $1 is the profile's folder, $2 the minutes of two cores.
announce() {
    t=${CARGO_TARGET_DIR:-target}
    [ -d "$t/$1/deps" ] && return 0
    cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    [ "$cores" -gt 0 ] || cores=2
    minutes=$((($2 * 2 + cores - 1) / cores))
    [ "$minutes" -ge 1 ] || minutes=1
    say "first build: about $minutes minute(s) on $cores core(s)"
}

# --- the two commands ---------------------------------------------------------------------------

[ $# -ge 1 ] || usage
what=$1
shift
case $what in demo | test) ;; *) usage ;; esac

cd "$(dirname "$0")/.."
FEATURES=
prepare_rust
prepare_packages

case $what in
demo)
    announce demo 5
    # shellcheck disable=SC2086
    "$CARGO" build --quiet --locked --profile demo --bin facetty $FEATURES
    exec "${CARGO_TARGET_DIR:-target}/demo/facetty" demo "$@"
    ;;
test)
    announce debug 12
    if "$CARGO" nextest --version >/dev/null 2>&1; then
        # shellcheck disable=SC2086
        exec "$CARGO" nextest run --locked $FEATURES "$@"
    fi
    # shellcheck disable=SC2086
    exec "$CARGO" test --locked $FEATURES "$@"
    ;;
esac
