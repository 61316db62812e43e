//! Bare `facetty`: how to begin.

use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;

const TEXT: &str = "\
facetty: end-to-end encrypted video calls in the terminal

  facetty demo     watch a call from both ends, and what an eavesdropper gets of it
  facetty call     open a call and get an invite to send to somebody
  facetty join     join a call: paste the invite you were sent

facetty doctor checks this machine; facetty --help has the rest.";

pub(super) fn run() -> Result<Exit, Failure> {
    let mut out = Out::default();
    out.line(TEXT);
    out.end(Exit::Ended)
}
