//! A bad line for any program that talks UDP: the forwarder and the link models of the scenarios,
//! without facetty, root rights or a packet filter. It opens a door, prints its address, and passes
//! on to `--to` – and back – what the models let through, until Ctrl-C:
//!
//! ```text
//! cargo run --release --example bad_line -- --to 127.0.0.1:5000 --delay-ms 50 --loss-pct 20
//! cargo run --release --example bad_line -- --to 127.0.0.1:5000 \
//!     --rate-kbps 2000 --queue-ms 300 --at 20:rate-kbps=300 --at 45:rate-kbps=2000
//! ```
//!
//! Both directions are alike, each with a queue and dice of its own. `--at` counts seconds from the
//! first packet; what it doesn't name stays. `--to` may be repeated: every target gets a door.
//! Standard output has a line for each door, `door 127.0.0.1:40000 to 127.0.0.1:5000`, one when the
//! first packet comes, and at the end what became of them all.

#![expect(clippy::disallowed_macros, reason = "an example prints")]

use facetty::sim::line::{Line, LineOptions};
use facetty::sim::model::{Bursts, Cause, Jitter, LinkModel, Queue, Reorder, Shape};
use facetty::sim::net::Happened;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a packet that is overtaken is held back, as in the scenarios.
const HELD: Duration = Duration::from_millis(20);

const USAGE: &str = "\
bad_line --to ADDR [--to ADDR …] [options]

  --to ADDR            where packets go, e.g. 127.0.0.1:5000
  --ip IP              where doors are opened (127.0.0.1)
  --seed N             of the dice (0)
  --delay-ms T         delay of every packet (0)
  --jitter-ms T        mean of an exponential further delay, order kept (0)
  --loss-pct P         lost at random (0)
  --burst-pct P        share of the time in which everything is lost (0)
  --burst-ms T         mean length of such a time (80)
  --rate-kbps R        bottleneck, IP and UDP headers included; 0: none (0)
  --queue-ms T         queue before it, in time; what doesn't fit is lost (200)
  --reorder-pct P      held back 20 ms, to be overtaken (0)
  --duplicate-pct P    twice (0)
  --mtu N              largest UDP payload that passes (1472)
  --at S:NAME=VALUE    S seconds after the first packet one of the above changes: 20:rate-kbps=300";

/// The conditions of both directions, in the units of the options.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Conditions {
    delay_ms: f64,
    jitter_ms: f64,
    loss_pct: f64,
    burst_pct: f64,
    burst_ms: f64,
    rate_kbps: f64,
    queue_ms: f64,
    reorder_pct: f64,
    duplicate_pct: f64,
    mtu: f64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay_ms: 0.0,
            jitter_ms: 0.0,
            loss_pct: 0.0,
            burst_pct: 0.0,
            burst_ms: 80.0,
            rate_kbps: 0.0,
            queue_ms: 200.0,
            reorder_pct: 0.0,
            duplicate_pct: 0.0,
            mtu: 1472.0,
        }
    }
}

impl Conditions {
    /// Sets what is called `name`, without dashes before it; false when nothing is.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let (place, most) = match name {
            "delay-ms" => (&mut self.delay_ms, 1e6),
            "jitter-ms" => (&mut self.jitter_ms, 1e6),
            "loss-pct" => (&mut self.loss_pct, 100.0),
            "burst-pct" => (&mut self.burst_pct, 99.0),
            "burst-ms" => (&mut self.burst_ms, 1e6),
            "rate-kbps" => (&mut self.rate_kbps, 1e8),
            "queue-ms" => (&mut self.queue_ms, 1e6),
            "reorder-pct" => (&mut self.reorder_pct, 100.0),
            "duplicate-pct" => (&mut self.duplicate_pct, 100.0),
            "mtu" => (&mut self.mtu, 65_507.0),
            _ => return Ok(false),
        };
        let number: f64 = parse(name, value)?;
        if !(0.0..=most).contains(&number) {
            return Err(format!("--{name} {value}: between 0 and {most}"));
        }
        *place = number;
        Ok(true)
    }

    fn model(&self) -> LinkModel {
        let ms = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        let share = |percent: f64| (percent > 0.0).then_some(percent / 100.0);
        LinkModel {
            up: true,
            delay: ms(self.delay_ms),
            jitter: (self.jitter_ms > 0.0).then(|| Jitter {
                shape: Shape::Exponential(ms(self.jitter_ms)),
                keep_order: true,
            }),
            loss: self.loss_pct / 100.0,
            bursts: share(self.burst_pct).map(|share| Bursts { share, mean: ms(self.burst_ms) }),
            rate: (self.rate_kbps > 0.0).then_some((self.rate_kbps * 1000.0) as u64),
            queue: Queue::Time(ms(self.queue_ms)),
            reorder: share(self.reorder_pct).map(|chance| Reorder { chance, by: HELD }),
            duplicate: self.duplicate_pct / 100.0,
            mtu: self.mtu as usize,
        }
    }
}

/// A change of the conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    /// Seconds after the first packet.
    s: f64,
    /// From then on.
    conditions: Conditions,
}

#[derive(Debug)]
struct Options {
    to: Vec<SocketAddr>,
    ip: IpAddr,
    seed: u64,
    start: Conditions,
    changes: Vec<Change>,
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|e| format!("--{name} {value:?}: {e}"))
}

impl Options {
    /// Reads the words of a command line; `None` asks for help.
    fn read(words: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            to: Vec::new(),
            ip: Ipv4Addr::LOCALHOST.into(),
            seed: 0,
            start: Conditions::default(),
            changes: Vec::new(),
        };
        let mut moments: Vec<(f64, String, String)> = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            let name = word.strip_prefix("--").ok_or_else(|| format!("what is {word:?}?"))?;
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match name {
                "to" => options.to.push(parse(name, &value)?),
                "ip" => options.ip = parse(name, &value)?,
                "seed" => options.seed = parse(name, &value)?,
                "at" => moments.push(moment(&value)?),
                _ if options.start.set(name, &value)? => {}
                _ => return Err(format!("no option {word:?}")),
            }
        }
        if options.to.is_empty() {
            return Err("--to ADDR is missing: where shall packets go?".into());
        }
        moments.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut conditions = options.start;
        for (s, name, value) in moments {
            if !conditions.set(&name, &value)? {
                return Err(format!("--at {s}:{name}={value}: {name:?} is no condition"));
            }
            options.changes.push(Change { s, conditions });
        }
        Ok(Some(options))
    }
}

/// Reads `S:NAME=VALUE`.
fn moment(text: &str) -> Result<(f64, String, String), String> {
    let wrong = || format!("--at {text:?}: write SECONDS:NAME=VALUE, as in 20:rate-kbps=300");
    let (s, change) = text.split_once(':').ok_or_else(wrong)?;
    let (name, value) = change.split_once('=').ok_or_else(wrong)?;
    let s: f64 = s.parse().map_err(|_| wrong())?;
    if !(0.0..=86_400.0).contains(&s) {
        return Err(wrong());
    }
    Ok((s, name.to_owned(), value.to_owned()))
}

/// What became of the packets of one direction.
#[derive(Clone, Debug, Default)]
struct Count {
    sent: u64,
    bytes: u64,
    delivered: u64,
    delivered_bytes: u64,
    lost: BTreeMap<Cause, u64>,
}

impl Count {
    fn note(&mut self, bytes: usize, what: Happened) {
        match what {
            Happened::Sent => {
                self.sent += 1;
                self.bytes += bytes as u64;
            }
            Happened::Delivered => {
                self.delivered += 1;
                self.delivered_bytes += bytes as u64;
            }
            Happened::Lost(cause) => *self.lost.entry(cause).or_default() += 1,
        }
    }
}

/// Forwards until Ctrl-C; returns what became of the packets to the targets and back.
async fn forward(options: Options) -> Result<[Count; 2], String> {
    let model = options.start.model();
    let line = Line::open(LineOptions {
        ip: options.ip,
        towards: model.clone(),
        back: model,
        seed: options.seed,
        ..LineOptions::default()
    });
    let counts = Arc::new(Mutex::new([Count::default(), Count::default()]));
    let first = Arc::new(Notify::new());
    line.tap({
        let (counts, first, targets) = (counts.clone(), first.clone(), options.to.clone());
        Box::new(move |tapped| {
            let back = usize::from(!targets.contains(&tapped.datagram.to));
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts[back].note(tapped.datagram.bytes.len(), tapped.what);
            first.notify_one();
        })
    });
    for target in &options.to {
        let door = line.door(*target).map_err(|e| format!("no door on {}: {e}", options.ip))?;
        println!("door {door} to {target}");
    }
    let weather = async {
        first.notified().await;
        let start = tokio::time::Instant::now();
        println!("first packet");
        for change in &options.changes {
            tokio::time::sleep_until(start + Duration::from_secs_f64(change.s)).await;
            line.set_models(change.conditions.model(), change.conditions.model());
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = weather => {}
        end = tokio::signal::ctrl_c() => end.map_err(|e| format!("no signals here: {e}"))?,
    }
    drop(line);
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(counts)
}

fn run() -> Result<(), String> {
    let Some(options) = Options::read(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime: {e}"))?;
    let counts = runtime.block_on(forward(options))?;
    for (way, count) in ["towards", "back"].iter().zip(&counts) {
        let lost: Vec<_> = count.lost.iter().map(|(c, n)| format!(", {c:?} {n}")).collect();
        println!(
            "{way}: {} packets, {} bytes sent; {} packets, {} bytes delivered{}",
            count.sent,
            count.bytes,
            count.delivered,
            count.delivered_bytes,
            lost.concat()
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bad_line: {why} (--help lists the options)");
            ExitCode::from(2)
        }
    }
}
