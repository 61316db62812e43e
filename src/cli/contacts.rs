//! `facetty contacts`: whom this machine has met, under which names, and whether keys were compared.

use crate::app::contacts::today;
use crate::app::exit::{Exit, Failure};
use crate::app::identity;
use crate::app::out::Out;
use crate::app::paths::Paths;
use crate::identity::words::{SafetyWords, safety_words};
use crate::identity::{DisplayName, Fingerprint, IdentityPublic};
use crate::store::contacts::{Contact, Contacts, How, WhoError};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// List the people you have met in calls; name them, verify them, forget them
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty contacts                          everybody, with when and how they were verified
  facetty contacts name k7qd-2mzr-x4vb-hn5t Ben
                                            call this key Ben, whatever it calls itself
  facetty contacts words Ben                twelve safety words: Ben sees the same for you
  facetty contacts verify Ben --words \"volcano fox …\"
                                            Ben read his to you over another channel

WHO is a petname, a name claimed in a call, or a fingerprint.")]
pub(super) struct ContactsArgs {
    #[command(subcommand)]
    command: Option<Action>,

    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Everybody (the same as without a word)
    List,
    /// One contact, with everything known
    Show {
        /// Whom
        who: String,
    },
    /// Give a contact a name of your own; without PETNAME: take it away
    Name {
        /// Whom
        who: String,
        /// What you call them
        #[arg(value_parser = DisplayName::parse)]
        petname: Option<DisplayName>,
    },
    /// Show the safety words you share with a contact
    Words {
        /// Whom
        who: String,
    },
    /// Compare the safety words a contact read to you; if they match, the contact is verified
    Verify {
        /// Whom
        who: String,
        /// The twelve words as they were read to you
        #[arg(long)]
        words: String,
    },
    /// Forget a contact: next time they are somebody new
    Forget {
        /// Whom
        who: String,
    },
}

pub(super) fn run(args: ContactsArgs, paths: &Paths) -> Result<Exit, Failure> {
    let contacts = Contacts::load(&paths.contacts)?;
    let mut out = Out::default();
    match args.command.unwrap_or(Action::List) {
        Action::List => list(&contacts, args.json, &mut out),
        Action::Show { who } => {
            let (key, contact) = find(&contacts, &who)?;
            show(&key, contact, args.json, &mut out);
        }
        Action::Name { who, petname } => {
            let (key, _) = find(&contacts, &who)?;
            let changed = Contacts::update(&paths.contacts, |c| c.name(&key, petname.as_ref()))?;
            changed.map_err(|e| not_found(&who, &e))?;
            done(&Contacts::load(&paths.contacts)?, &key, args.json, &mut out);
        }
        Action::Words { who } => {
            let (key, contact) = find(&contacts, &who)?;
            words(&shared_words(paths, &key)?, contact, args.json, &mut out);
        }
        Action::Verify { who, words } => {
            let (key, contact) = find(&contacts, &who)?;
            compare(&shared_words(paths, &key)?, &words, contact)?;
            Contacts::update(&paths.contacts, |c| c.verify(&key, How::SafetyWords, &today()))?;
            done(&Contacts::load(&paths.contacts)?, &key, args.json, &mut out);
        }
        Action::Forget { who } => {
            let (key, contact) = find(&contacts, &who)?;
            Contacts::update(&paths.contacts, |c| c.forget(&key))?;
            if args.json {
                out.line(json!({"forgotten": contact.fingerprint}));
            } else {
                out.line(format_args!("forgotten: {} ({})", contact.name(), contact.fingerprint));
            }
        }
    }
    out.end(Exit::Ended)
}

/// The contact meant by `who`, or a message that says what would be right.
pub(super) fn find<'c>(
    contacts: &'c Contacts,
    who: &str,
) -> Result<([u8; 32], &'c Contact), Failure> {
    contacts.who(who).map_err(|e| not_found(who, &e))
}

fn not_found(who: &str, error: &WhoError) -> Failure {
    let what = match error {
        WhoError::Taken(_) => error.to_string(),
        other => format!("“{}”: {other}", who.escape_debug()),
    };
    let failure = Failure::new(Exit::Usage, what);
    match error {
        WhoError::Nobody => failure.next("facetty contacts lists everybody you have met"),
        WhoError::Several(_) => failure.next("use one of these fingerprints"),
        WhoError::Taken(_) => failure.next("choose another name, or rename the other contact"),
    }
}

fn list(contacts: &Contacts, as_json: bool, out: &mut Out) {
    let mut all: Vec<_> = contacts.iter().collect();
    all.sort_by_key(|(key, c)| (c.name().to_lowercase(), **key));
    if as_json {
        let all: Vec<_> = all.iter().map(|(key, c)| value(key, c)).collect();
        return out.line(json!({ "contacts": all }));
    }
    if all.is_empty() {
        return out.line("no contacts yet: whoever you meet in a call is noted here");
    }
    let width = all.iter().map(|(_, c)| c.name().chars().count()).max().unwrap_or(0);
    for (_, contact) in all {
        let (name, note) = (contact.name(), contact.note());
        out.line(format_args!("{}  {name:<width$}  {note}", contact.fingerprint));
    }
}

fn done(contacts: &Contacts, key: &[u8; 32], as_json: bool, out: &mut Out) {
    if let Some(contact) = contacts.find(key) {
        show(key, contact, as_json, out);
    }
}

fn show(key: &[u8; 32], contact: &Contact, as_json: bool, out: &mut Out) {
    if as_json {
        return out.line(value(key, contact));
    }
    let mut row = |label: &str, text: String| out.hanging(&format!("{label:<12} "), &text);
    if let Some(petname) = &contact.petname {
        row("you call", petname.clone());
    }
    row("calls itself", contact.names.join(", "));
    row("fingerprint", contact.fingerprint.clone());
    row("in full", Fingerprint::of(&IdentityPublic(*key)).full());
    row("met", contact.met.clone());
    row(
        "verified",
        match &contact.verified {
            Some(verified) => format!("{}, {}", verified.on, verified.how.words()),
            None => "no".into(),
        },
    );
    let addresses: Vec<_> = contact.addresses.iter().rev().map(ToString::to_string).collect();
    row("last reached", if addresses.is_empty() { "–".into() } else { addresses.join(", ") });
}

fn value(key: &[u8; 32], contact: &Contact) -> Value {
    json!({
        "name": contact.name(),
        "petname": contact.petname,
        "claimed": contact.names,
        "fingerprint": contact.fingerprint,
        "fingerprint_full": Fingerprint::of(&IdentityPublic(*key)).full(),
        "met": contact.met,
        "verified": contact.verified.as_ref().map(|v| json!({"on": v.on, "how": v.how.words()})),
        "addresses": contact.addresses.iter().rev().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn shared_words(paths: &Paths, key: &[u8; 32]) -> Result<SafetyWords, Failure> {
    let own = identity::own_public(paths)?;
    Ok(safety_words(&own, &IdentityPublic(*key)))
}

fn words(words: &SafetyWords, contact: &Contact, as_json: bool, out: &mut Out) {
    if as_json {
        return out.line(json!({
            "fingerprint": contact.fingerprint,
            "safety_words": words.to_string(),
        }));
    }
    for four in words.words.chunks(4) {
        out.line(four.join(" "));
    }
}

/// The words as read, in any spelling of spaces, dots and capital letters.
fn compare(words: &SafetyWords, read: &str, contact: &Contact) -> Result<(), Failure> {
    let read: Vec<String> = read
        .split(|c: char| !c.is_alphabetic())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    if read.len() != words.words.len() {
        let what = format!("safety words are {}, not {}", words.words.len(), read.len());
        return Err(Failure::new(Exit::Usage, what)
            .next("have them read to you again, all of: facetty contacts words YOU"));
    }
    if read.iter().ne(words.words.iter()) {
        let who = contact.name();
        return Err(Failure::new(
            Exit::Untrusted,
            format_args!("the words do not match: {who} is not verified"),
        )
        .cause("a word was misheard, or somebody else's key is in your contacts under this name")
        .next("read all twelve again, slowly, over a channel on which you know each other"));
    }
    Ok(())
}
