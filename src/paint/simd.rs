//! Run-time choice of the instruction set for pixel loops. The loops are plain Rust; compiled a
//! second time with AVX2 allowed they run about three times as fast. No fused multiply-add is
//! used, so both give the same bits.

/// A piece of work whose `run` (marked `#[inline(always)]`, like everything it calls) is compiled
/// once per instruction set.
pub(crate) trait Work {
    /// What it returns.
    type Out;
    /// Does it.
    fn run(self) -> Self::Out;
}

/// Runs `work` with the best instruction set this machine has.
#[inline]
pub(crate) fn dispatch<W: Work>(work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the CPU was asked for AVX2 on the line above")]
        // SAFETY: `avx2` requires only that the CPU has AVX2, which was just checked.
        return unsafe { avx2(work) };
    }
    work.run()
}

/// Runs `work` as compiled for the baseline of the target.
#[cfg(test)]
pub(crate) fn baseline<W: Work>(work: W) -> W::Out {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<W: Work>(work: W) -> W::Out {
    work.run()
}
