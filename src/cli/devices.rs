//! `facetty devices`: what is there, each with the flag to paste.

use super::args::DevicesArgs;
use super::inventory::{self, Found};
use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;
use serde_json::json;

pub(super) fn run(args: DevicesArgs) -> Result<Exit, Failure> {
    let (microphones, loudspeakers) = inventory::sound();
    let all = [
        ("cameras", inventory::cameras()),
        ("microphones", microphones),
        ("loudspeakers", loudspeakers),
        ("without devices", inventory::synthetic()),
    ];
    let mut out = Out::default();
    if args.json {
        let mut object = serde_json::Map::new();
        for (kind, found) in &all {
            object.insert(kind.replace(' ', "_"), as_json(found));
        }
        out.line(serde_json::Value::Object(object));
        return out.end(Exit::Ended);
    }
    for (kind, found) in &all {
        out.line(kind);
        match found {
            Ok(devices) if devices.is_empty() => out.line("  none found"),
            Ok(devices) => {
                for device in devices {
                    out.hanging(&format!("  {:<22} ", device.flag), &device.name);
                }
            }
            Err(why) => out.hanging("  ", why),
        }
    }
    out.end(Exit::Ended)
}

fn as_json(found: &Found) -> serde_json::Value {
    match found {
        Ok(devices) => devices.iter().map(|d| json!({"flag": d.flag, "name": d.name})).collect(),
        Err(why) => json!({ "error": why }),
    }
}
