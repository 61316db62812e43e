//! `assets/setup.sh` on machines that lack things: it runs with a PATH of its own, where compiler,
//! package manager and cargo are small scripts that play their part and write down their arguments.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A pretended machine.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    /// With everything there is to want; not root, no sudo.
    fn complete() -> Self {
        let machine = Self { dir: tempfile::tempdir().expect("a folder") };
        fs::create_dir(machine.bin()).expect("a folder");
        for tool in
            ["sh", "dirname", "sed", "mktemp", "rm", "grep", "ls", "sort", "tail", "cat", "touch"]
        {
            let found = ["/bin", "/usr/bin"].iter().map(|d| Path::new(d).join(tool));
            let found = found.into_iter().find(|p| p.exists()).expect(tool);
            symlink(found, machine.bin().join(tool)).expect("a link");
        }
        machine.tool("uname", "echo Linux");
        machine.tool("id", "echo 1000");
        machine.tool("getconf", "echo 4");
        for tool in ["cc", "c++", "make", "cmake", "nasm", "pkg-config"] {
            machine.tool(tool, "exit 0");
        }
        machine.tool("ldconfig", "echo '  libclang-14.so.1 => /usr/lib/libclang-14.so.1'");
        machine.cargo("1.95.0", true);
        machine
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    fn tool(&self, name: &str, body: &str) {
        let path = self.bin().join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    fn without(&self, name: &str) {
        fs::remove_file(self.bin().join(name)).expect("was there");
    }

    /// A cargo that writes down what it is asked, and "builds" a program that does the same.
    fn cargo(&self, version: &str, nextest: bool) {
        let log = self.log().display().to_string();
        let target = self.dir.path().join("target").display().to_string();
        let nextest = if nextest { "exit 0" } else { "exit 101" };
        self.tool(
            "cargo",
            &format!(
                r#"case "$*" in
--version) echo 'cargo {version} (abc 2026-01-01)'; exit 0 ;;
"nextest --version") {nextest} ;;
esac
echo "cargo $*" >>{log}
case "$1" in build)
    d={target}/demo; [ -d "$d" ] || /bin/mkdir -p "$d"
    printf '#!/bin/sh\necho "facetty $*" >>{log}\n' >"$d/facetty"; /bin/chmod +x "$d/facetty" ;;
esac"#
            ),
        );
    }

    /// Where it looks for libclang beside what `ldconfig` says.
    fn libraries(&self) -> PathBuf {
        self.dir.path().join("lib")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn run(&self, args: &[&str]) -> (Output, String) {
        let shell = if Path::new("/bin/dash").exists() { "/bin/dash" } else { "/bin/sh" };
        let out = Command::new(shell)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/setup.sh"))
            .args(args)
            .env_clear()
            .env("PATH", self.bin())
            .env("HOME", self.dir.path())
            .env("CARGO_TARGET_DIR", self.dir.path().join("target"))
            // The real machine's libclang must not help the pretended one.
            .env("LIBCLANG_PATH", "")
            .env("FACETTY_SETUP_LIBS", self.libraries())
            .stdin(Stdio::null())
            .output()
            .expect("the shell runs");
        (out, fs::read_to_string(self.log()).unwrap_or_default())
    }
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn where_nothing_is_missing_it_is_silent_and_runs() {
    let machine = Machine::complete();
    fs::create_dir_all(machine.dir.path().join("target/debug/deps")).expect("a folder");
    fs::create_dir_all(machine.dir.path().join("target/demo/deps")).expect("a folder");
    let (out, log) = machine.run(&["test", "some_filter"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert_eq!(said(&out), "");
    assert_eq!(log, "cargo nextest run --locked some_filter\n");
    let (out, log) = machine.run(&["demo", "--plain"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert_eq!(said(&out), "");
    assert!(log.ends_with(
        "cargo build --quiet --locked --profile demo --bin facetty\nfacetty demo --plain\n"
    ));
}

#[test]
fn a_first_build_says_how_long_it_takes() {
    let (out, _) = Machine::complete().run(&["demo"]);
    assert!(said(&out).contains("first build: about 3 minute(s) on 4 core(s)"), "{}", said(&out));
}

#[test]
fn without_nextest_the_tests_run_by_cargo() {
    let machine = Machine::complete();
    machine.cargo("1.95.0", false);
    assert_eq!(machine.run(&["test"]).1, "cargo test --locked\n");
}

#[test]
fn an_unknown_word_is_a_usage_error() {
    for args in [&[][..], &["install"]] {
        let (out, log) = Machine::complete().run(args);
        assert_eq!((out.status.code(), log.as_str()), (Some(2), ""));
        assert!(said(&out).contains("usage:"));
    }
}

#[test]
fn without_rust_or_with_an_old_one_it_prints_the_line_to_type() {
    let machine = Machine::complete();
    machine.cargo("1.90.1", true);
    let (out, _) = machine.run(&["test"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(said(&out).contains("Rust 1.91 or newer is needed; this is 1.90.1"), "{}", said(&out));
    machine.tool("rustup", "exit 0");
    assert!(said(&machine.run(&["test"]).0).contains("rustup update stable"));
    machine.without("cargo");
    let (out, _) = machine.run(&["test"]);
    assert_eq!(out.status.code(), Some(3));
    assert!(said(&out).contains("https://sh.rustup.rs"));
}

#[test]
fn a_missing_compiler_that_cannot_be_installed_ends_with_the_line_to_type() {
    for tool in ["cc", "c++", "make", "cmake"] {
        let machine = Machine::complete();
        machine.tool("apt-get", "exit 1");
        machine.tool("apt-cache", "exit 1");
        machine.without(tool);
        let (out, log) = machine.run(&["test"]);
        assert_eq!((out.status.code(), log.as_str()), (Some(3), ""), "{tool}");
        assert!(said(&out).contains("sudo apt-get update && sudo apt-get install -y"), "{tool}");
    }
}

#[test]
fn a_compiler_that_cannot_link_counts_as_missing() {
    let machine = Machine::complete();
    machine.tool("cc", "exit 1");
    assert_eq!(machine.run(&["test"]).0.status.code(), Some(3));
}

#[test]
fn without_alsa_it_goes_on_without_devices_and_says_so_loudly() {
    let machine = Machine::complete();
    machine.tool("pkg-config", "exit 1");
    let (out, log) = machine.run(&["test"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert_eq!(log, "cargo nextest run --locked --no-default-features\n");
    assert!(said(&out).contains("==== WITHOUT CAMERA, MICROPHONE AND LOUDSPEAKER"));
}

#[test]
fn root_installs_what_is_missing_after_refreshing_the_lists() {
    let machine = Machine::complete();
    let log = machine.log().display().to_string();
    let bin = machine.bin().display().to_string();
    machine.tool("id", "echo 0");
    machine.without("cmake");
    machine.without("nasm");
    machine.tool("env", "while :; do case $1 in *=*) shift ;; *) break ;; esac; done; exec \"$@\"");
    machine.tool(
        "apt-get",
        &format!(
            "echo \"apt-get $*\" >>{log}\ncase \"$*\" in *install*)\n\
             for t in cmake nasm; do printf '#!/bin/sh\\n' >{bin}/$t; /bin/chmod +x {bin}/$t; done ;;\nesac"
        ),
    );
    let (out, log) = machine.run(&["test"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert_eq!(
        log,
        "apt-get -qq update\n\
         apt-get -qq install -y --no-install-recommends cmake nasm\n\
         cargo nextest run --locked\n"
    );
}

#[test]
fn one_unknown_package_does_not_stop_the_others() {
    let machine = Machine::complete();
    let log = machine.log().display().to_string();
    machine.tool("sudo", "while [ \"$1\" = -n ]; do shift; done; exec \"$@\"");
    machine.tool("true", "exit 0");
    machine.tool("env", "while :; do case $1 in *=*) shift ;; *) break ;; esac; done; exec \"$@\"");
    machine.without("nasm");
    machine.tool("pkg-config", "exit 1");
    machine.tool(
        "apt-get",
        &format!("echo \"apt-get $*\" >>{log}\ncase \"$*\" in *libasound2-dev*) exit 100 ;; esac"),
    );
    let (out, log) = machine.run(&["test"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(log.contains("install -y --no-install-recommends nasm\n"), "{log}");
    assert!(said(&out).contains("could not install libasound2-dev"));
    assert!(log.ends_with("cargo nextest run --locked --no-default-features\n"), "{log}");
}

#[test]
fn it_installs_nothing_when_told_not_to() {
    let machine = Machine::complete();
    machine.tool("id", "echo 0");
    let log = machine.log().display().to_string();
    machine.tool("apt-get", &format!("echo apt-get >>{log}"));
    machine.without("nasm");
    machine.tool("env", "exit 1");
    let shell = Command::new("/bin/sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/setup.sh"))
        .arg("test")
        .env_clear()
        .env("PATH", machine.bin())
        .env("FACETTY_SETUP_INSTALL", "no")
        .env("CARGO_TARGET_DIR", machine.dir.path().join("target"))
        .output()
        .expect("runs");
    assert_eq!(shell.status.code(), Some(0));
    assert!(!fs::read_to_string(machine.log()).expect("cargo ran").contains("apt-get"));
    assert!(said(&shell).contains("nasm is missing"));
}

#[test]
fn another_clang_library_is_no_libclang() {
    let machine = Machine::complete();
    machine.tool("ldconfig", "echo '  libclang-cpp.so.14 => /usr/lib/libclang-cpp.so.14'");
    fs::create_dir(machine.libraries()).expect("a folder");
    let library = |name: &str| fs::write(machine.libraries().join(name), "").expect("writes");
    library("libclang-cpp.so.14");
    library("libclangTooling.a");
    let (out, _) = machine.run(&["demo"]);
    assert!(said(&out).contains("missing libclang"), "{}", said(&out));
    library("libclang-14.so.1");
    let (out, _) = machine.run(&["demo"]);
    assert!(!said(&out).contains("missing"), "{}", said(&out));
}
