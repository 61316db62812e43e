//! Listens in on a call: plays ten virtual seconds of two people, keeps the capture, and looks for
//! everything that must not be in it – with the same search that finds it all before the seal.
//!
//! `cargo run --example tap_the_wire` writes `tapped.pcapng` into the temporary directory; open it
//! with any packet analyser.
#![expect(clippy::disallowed_macros, reason = "an example prints")]

use facetty::sim::loopback::{Options, play};
use facetty::sim::scenario::Scenario;
use std::fs::File;
use std::io::BufWriter;

const CALL: &str = r#"
name = "tapped"
seconds = 10
[[participant]]
name = "ada"
[[participant]]
name = "ben"
[link]
delay_ms = 20
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join("tapped.pcapng");
    let scenario = Scenario::parse(CALL)?;
    for copying_sealer in [false, true] {
        // Only the real call is worth keeping.
        let tap: Option<Box<dyn std::io::Write + Send>> = match copying_sealer {
            false => Some(Box::new(BufWriter::new(File::create(&path)?))),
            true => None,
        };
        let report = play(&scenario, Options { tap, copying_sealer, ..Options::default() })?;
        let tap = report.tap;
        println!("{}", if copying_sealer { "a sealer that copies:" } else { "as it is:" });
        println!("  {} datagrams, {} bytes on the line", tap.packets, tap.bytes);
        println!("  found before the seal: {}", tap.control_hits);
        println!("  found on the line:     {}", tap.plaintext_hits);
    }
    println!("capture: {}", path.display());
    Ok(())
}
