//! temp
#![allow(missing_docs)]
use crate::media::codec::{VideoEncoder, h264::H264Encoder};
use crate::media::frame::*;
use crate::media::rate::ladder;
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
struct Enc {
    enc: H264Encoder,
    number: u32,
    next: Option<Instant>,
    key: bool,
    had: BTreeSet<MemberId>,
    bps: u32,
    decifps: u16,
}
pub struct VideoSend {
    plans: BTreeMap<MemberId, ladder::Plan>,
    encs: BTreeMap<Size, Enc>,
}
impl VideoSend {
    pub fn new(_o: Instant) -> Self {
        Self { plans: BTreeMap::new(), encs: BTreeMap::new() }
    }
    pub fn members(&mut self, wants: &BTreeMap<MemberId, (Want, u64)>, _now: Instant) {
        self.plans =
            wants.iter().filter_map(|(m, (w, b))| Some((*m, ladder::plan(w, *b)?))).collect();
        let sizes: BTreeSet<_> = self.plans.values().map(|p| p.size).collect();
        self.encs.retain(|s, _| sizes.contains(s));
    }
    pub fn keyframe(&mut self, m: MemberId, _now: Instant) {
        if let Some(p) = self.plans.get(&m)
            && let Some(e) = self.encs.get_mut(&p.size)
        {
            e.key = true;
        }
    }
    pub fn step(
        &mut self,
        f: &RawFrame,
        now: Instant,
        ready: &BTreeSet<MemberId>,
    ) -> Vec<(Vec<MemberId>, CodedVideo)> {
        let mut by: BTreeMap<Size, Vec<MemberId>> = BTreeMap::new();
        for (m, p) in &self.plans {
            by.entry(p.size).or_default().push(*m);
        }
        let mut out = vec![];
        for (size, ms) in by {
            let p = self.plans[&ms[0]];
            let e = match self.encs.entry(size) {
                std::collections::btree_map::Entry::Occupied(o) => o.into_mut(),
                std::collections::btree_map::Entry::Vacant(v) => {
                    let Ok(enc) = H264Encoder::new(size, p.decifps, p.bits_per_second) else {
                        continue;
                    };
                    v.insert(Enc {
                        enc,
                        number: 0,
                        next: None,
                        key: true,
                        had: BTreeSet::new(),
                        bps: p.bits_per_second,
                        decifps: p.decifps,
                    })
                }
            };
            if e.bps != p.bits_per_second || e.decifps != p.decifps {
                e.bps = p.bits_per_second;
                e.decifps = p.decifps;
                let _ = e.enc.set_rate(p.bits_per_second, p.decifps);
            }
            if ms.iter().any(|m| !e.had.contains(m)) {
                e.key = true;
                e.had = ms.iter().copied().collect();
            }
            let to: Vec<_> = ms.iter().copied().filter(|m| ready.contains(m)).collect();
            if to.len() < ms.len() {
                continue;
            }
            let gap = std::time::Duration::from_micros(10_000_000 / u64::from(p.decifps.max(1)));
            if e.next.is_some_and(|t| now + gap / 4 < t) {
                continue;
            }
            e.next =
                Some(e.next.map_or(now + gap, |t| if t + gap < now { now + gap } else { t + gap }));
            let scaled = crate::media::scale::resize(f, size);
            match e.enc.step(&scaled, e.key) {
                Ok(Some(pic)) => {
                    let c = CodedVideo {
                        number: e.number,
                        at: f.at,
                        keyframe: pic.keyframe,
                        size,
                        bytes: pic.bytes,
                    };
                    e.number += 1;
                    if c.keyframe {
                        e.key = false;
                    }
                    out.push((to, c));
                }
                _ => {}
            }
        }
        out
    }
}
