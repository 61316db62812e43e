//! `facetty man`: manual pages for packagers.

use super::args::{ManArgs, command};
use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;

pub(super) fn run(args: ManArgs) -> Result<Exit, Failure> {
    let mut all = command();
    all.build();
    let page = match &args.subcommand {
        None => all,
        Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::new(Exit::Usage, format_args!("there is no subcommand \"{name}\""))
                .next("facetty --help lists them")
        })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|e| Failure::new(Exit::Bug, format_args!("the manual can't be made: {e}")))?;
    let mut out = Out::default();
    out.raw(String::from_utf8_lossy(&text));
    out.end(Exit::Ended)
}
