//! `facetty call`: with an invite for somebody, or straight to a contact.

use super::{args::CallArgs, contacts, party};
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, CallOptions, Callee, RingOptions};
use crate::identity::IdentityPublic;
use crate::store::contacts::Contacts;

pub(super) fn run(args: CallArgs, base: Base) -> Result<Exit, Failure> {
    let Some(who) = args.who else {
        return crate::app::run::call(CallOptions { party: party::validate(args.party, base)? });
    };
    let contacts = Contacts::load(&base.paths.contacts)?;
    let (key, contact) = contacts::find(&contacts, &who)?;
    let callee = Callee {
        identity: IdentityPublic(key),
        name: contact.name().to_owned(),
        addresses: contact.addresses.iter().rev().copied().collect(),
    };
    crate::app::run::ring(RingOptions { party: party::validate(args.party, base)?, callee })
}
