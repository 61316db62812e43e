//! `facetty id`.

use super::args::IdArgs;
use crate::app::exit::{Exit, Failure};
use crate::app::identity;
use crate::app::out::Out;
use crate::app::paths::Paths;
use crate::identity::Fingerprint;
use serde_json::json;

pub(super) fn run(args: IdArgs, paths: &Paths) -> Result<Exit, Failure> {
    let own = identity::own(paths)?;
    let fingerprint = Fingerprint::of(&own.key.public());
    let mut out = Out::default();
    if args.json {
        out.line(json!({
            "fingerprint": fingerprint.to_string(),
            "fingerprint_full": fingerprint.full(),
            "path": paths.identity,
            "created": own.created,
        }));
    } else {
        out.line(format_args!("fingerprint  {fingerprint}"));
        out.line(format_args!("in full      {}", fingerprint.full()));
        let made = if own.created { " (made just now)" } else { "" };
        out.line(format_args!("key file     {}{made}", paths.identity.display()));
    }
    out.end(Exit::Ended)
}
