//! `facetty play`.

use super::args::{Contrast, PlayArgs, StatsArg};
use super::has_terminal;
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, PlayOptions, StatsAs};
use crate::config::VideoSpec;
use crate::paint::Tones;
use std::path::Path;

pub(super) fn run(args: PlayArgs, base: Base) -> Result<Exit, Failure> {
    if args.size.is_none() && !has_terminal() {
        return Err(Failure::new(Exit::Device, "there is no terminal to play on")
            .cause("standard output is a pipe or a file, or TERM is \"dumb\"")
            .next("run it in a terminal, or say for which size to paint: --size 200x60"));
    }
    crate::app::play::run(PlayOptions {
        base,
        source: source(&args.source)?,
        graphics: args.graphics.unwrap_or_default(),
        tones: Tones { stretch: args.contrast == Some(Contrast::Auto), tint: args.tint },
        depth: args.colours,
        decifps: args.fps,
        budget: args.budget,
        lambda: args.lambda,
        frames: args.frames,
        letterbox: args.letterbox,
        stats: args.stats.map(|stats| match stats {
            StatsArg::Text => StatsAs::Text,
            StatsArg::Json => StatsAs::Json,
        }),
        size: args.size,
        cell: args.cell,
    })
}

/// A source as everywhere, or a file by its bare name.
fn source(text: &str) -> Result<VideoSpec, Failure> {
    if Path::new(text).is_file() {
        return Ok(VideoSpec::Y4m(text.into()));
    }
    let failure = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format_args!("cannot play {text:?}: {e}"))
            .next("a Y4M file, camera, pattern, or pipe:COMMAND that writes Y4M")
    };
    match text.parse() {
        Ok(VideoSpec::None) => Err(failure(&"there is nothing to see")),
        Ok(spec) => Ok(spec),
        Err(error) => Err(failure(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_or_a_word() {
        assert!(matches!(source("pattern"), Ok(VideoSpec::Pattern(_))));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("a name");
        assert!(matches!(source(path), Ok(VideoSpec::Y4m(p)) if p == file.path()));
        assert_eq!(source("nothing.mp4").err().map(|f| f.exit), Some(Exit::Usage));
        assert_eq!(source("none").err().map(|f| f.exit), Some(Exit::Usage));
    }
}
