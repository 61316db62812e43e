//! `facetty id attest`, `facetty id check-attest`: an SSH key says whose an identity is.
//!
//! Many people's SSH keys are known already: on a server, on a code host's page. A signature by
//! such a key over the identity lets others check the identity offline, before a first call. The
//! identity signs in turn: nobody attests to somebody else's key as their own.

use crate::app::exit::{Exit, Failure};
use crate::app::identity;
use crate::app::out::Out;
use crate::app::paths::Paths;
use crate::identity::{Fingerprint, IdentityPublic, verify};
use crate::store::file;
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Namespace of the SSH signature (ssh-keygen -Y): good for nothing else.
const NAMESPACE: &str = "facetty-identity";
/// Purpose of the identity's own signature.
const PURPOSE: &str = "attestation";
const HEADER: &str = "facetty-attestation 1";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
/// Longest attestation and longest list of keys read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Writes an attestation to standard output.
pub(super) fn attest(paths: &Paths, ssh_key: &Path, mut out: Out) -> Result<Exit, Failure> {
    let own = identity::own(paths)?;
    let message = message(&own.key.public());
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-Y", "sign", "-q", "-n", NAMESPACE, "-f"]).arg(ssh_key);
    let (ok, signature, complaint) = run(keygen, message.as_bytes())?;
    if !ok || !signature.contains(BEGIN) {
        return Err(Failure::new(Exit::Failed, "ssh-keygen made no signature")
            .cause(complaint.trim())
            .next(
                "give the SSH key whose public half others know, as in --ssh ~/.ssh/id_ed25519",
            ));
    }
    let own_word = own.key.sign(PURPOSE, &[message.as_bytes(), signature.as_bytes()]);
    let own_word: String = own_word.iter().map(|b| format!("{b:02x}")).collect();
    out.raw(format_args!("{message}signed {own_word}\n{signature}"));
    out.end(Exit::Ended)
}

/// Checks an attestation against SSH public keys that the user trusts.
pub(super) fn check(
    paths: &Paths,
    file: &Path,
    keys: &Path,
    as_json: bool,
    mut out: Out,
) -> Result<Exit, Failure> {
    let text = read(file)?;
    let keys = signers(&read(keys)?);
    if keys.is_empty() {
        return Err(Failure::new(Exit::Usage, "there is no SSH public key in that file")
            .next("give a .pub file, an authorized_keys, or what a code host shows as USER.keys"));
    }
    let Attestation { identity, message, signature, own_word } = parse(&text)
        .ok_or_else(|| Failure::new(Exit::Usage, "not an attestation, or cut short"))?;
    let forged = |cause: &str| {
        Failure::new(Exit::Untrusted, "the attestation does not hold").cause(cause.trim())
    };
    verify(&identity, PURPOSE, &[message.as_bytes(), signature.as_bytes()], &own_word)
        .map_err(|_| forged("the identity did not sign it: somebody attests to another's key"))?;
    let dir = Scratch::new(paths)?;
    let (allowed, sig) = (dir.write("signers", &keys)?, dir.write("signature", &signature)?);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-Y", "verify", "-q", "-n", NAMESPACE, "-I", "signer", "-f"]).arg(allowed);
    keygen.arg("-s").arg(sig);
    let (ok, _, complaint) = run(keygen, message.as_bytes())?;
    if !ok {
        let cause =
            if complaint.trim().is_empty() { "none of these SSH keys made it" } else { &complaint };
        return Err(forged(cause));
    }
    let fingerprint = Fingerprint::of(&identity);
    if as_json {
        out.line(json!({
            "fingerprint": fingerprint.to_string(),
            "fingerprint_full": fingerprint.full(),
            "attested": true,
        }));
    } else {
        out.line(format_args!(
            "one of these SSH keys says that it is the same person as\n{fingerprint}"
        ));
        out.line(format_args!("in full  {}", fingerprint.full()));
        out.line(format_args!("to call nobody else: --expect {fingerprint}"));
    }
    out.end(Exit::Ended)
}

struct Attestation {
    identity: IdentityPublic,
    message: String,
    signature: String,
    own_word: [u8; 64],
}

/// What both keys sign.
fn message(identity: &IdentityPublic) -> String {
    let hex: String = identity.0.iter().map(|b| format!("{b:02x}")).collect();
    format!("{HEADER}\nidentity {hex}\nfingerprint {}\n", Fingerprint::of(identity).full())
}

fn parse(text: &str) -> Option<Attestation> {
    let text = text.trim_start().replace("\r\n", "\n");
    let key = text.strip_prefix(HEADER)?.strip_prefix("\nidentity ")?.get(..64)?;
    let identity = IdentityPublic(unhex(key)?);
    let message = message(&identity);
    let rest = text.strip_prefix(&message)?.strip_prefix("signed ")?;
    let (own_word, signature) = rest.split_once('\n')?;
    let own_word = unhex(own_word.trim_end())?;
    let signature = format!("{}\n", signature.trim_end());
    signature.starts_with(BEGIN).then_some(Attestation { identity, message, signature, own_word })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

/// Public keys, one a line, as a list of allowed signers (ssh-keygen(1), ALLOWED SIGNERS).
fn signers(keys: &str) -> String {
    keys.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let kind = words.find(|w| {
                w.starts_with("ssh-") || w.starts_with("ecdsa-") || w.starts_with("sk-")
            })?;
            Some(format!("signer {kind} {}\n", words.next()?))
        })
        .collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    let unusable = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format_args!("{}: {e}", path.display()))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| unusable(&e))?;
    file.take(LONGEST).read_to_string(&mut text).map_err(|e| unusable(&e))?;
    Ok(text)
}

/// Runs ssh-keygen with `input`: whether it agreed, what it wrote, what it complained.
fn run(mut command: Command, input: &[u8]) -> Result<(bool, String, String), Failure> {
    let broken = |e: std::io::Error| {
        Failure::new(Exit::Failed, format_args!("ssh-keygen can't be run: {e}"))
            .next("install OpenSSH 8.2 or later")
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends early says why itself.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(broken)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let complaint: String = text(&output.stderr).chars().filter(|c| !c.is_control()).collect();
    Ok((output.status.success(), text(&output.stdout), complaint))
}

/// A private folder for what ssh-keygen reads from files; gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(paths: &Paths) -> Result<Self, Failure> {
        let dir = paths.log.with_file_name(format!("attest-{}", std::process::id()));
        file::private_dir(&dir).map_err(|e| Failure::new(Exit::Config, e))?;
        Ok(Self(dir))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        file::replace(&path, text.as_bytes()).map_err(|e| Failure::new(Exit::Config, e))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_found_in_the_usual_files() {
        let text = "# mine\nssh-ed25519 AAAA ada@host\nno-pty,from=\"*\" ssh-rsa BBBB\n\nrubbish\n";
        assert_eq!(signers(text), "signer ssh-ed25519 AAAA\nsigner ssh-rsa BBBB\n");
    }

    #[test]
    fn a_text_that_was_changed_or_cut_is_no_attestation() {
        let identity = IdentityPublic([7; 32]);
        let good = format!("{}signed {}\n{BEGIN}\nabc\n", message(&identity), "0".repeat(128));
        assert!(parse(&good).is_some());
        assert!(parse(&good.replace('\n', "\r\n")).is_some(), "line ends of mail");
        assert!(parse(&good.replace("identity 07", "identity 08")).is_none());
        for cut in 0..good.len() - BEGIN.len() - 5 {
            assert!(parse(&good[..cut]).is_none(), "cut at {cut}");
        }
    }
}
