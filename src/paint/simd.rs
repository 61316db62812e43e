//! Run-time choice of the instruction set for pixel loops. The loops are plain Rust; compiled a
//! second time with AVX2 (and the bit counting that came with it) allowed they run about three
//! times as fast. No fused multiply-add is used, so both give the same bits.

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
    if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("lzcnt")
        && std::arch::is_x86_feature_detected!("popcnt")
    {
        #[expect(unsafe_code, reason = "the CPU was asked for all of it on the lines above")]
        // SAFETY: `avx2` requires only that the CPU has these, which was just checked.
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
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn avx2<W: Work>(work: W) -> W::Out {
    work.run()
}

/// Which of 16 bytes are alike in both, as bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "SSE2 belongs to x86-64")]
pub(crate) fn same(a: &[u8; 16], b: &[u8; 16]) -> u16 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x};
    let halves = |bytes: &[u8; 16]| {
        let both = u128::from_le_bytes(*bytes);
        ((both >> 64) as i64, both as i64)
    };
    let (a, b) = (halves(a), halves(b));
    // SAFETY: these need only SSE2, which every x86-64 CPU has; nothing is read but arguments.
    unsafe {
        let (a, b) = (_mm_set_epi64x(a.0, a.1), _mm_set_epi64x(b.0, b.1));
        _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) as u16
    }
}

/// Which of 16 bytes are alike in both, as bits.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn same(a: &[u8; 16], b: &[u8; 16]) -> u16 {
    plain_same(a, b)
}

/// Which of 16 bytes are not zero, as bits.
#[inline(always)]
pub(crate) fn not_zero(bytes: &[u8; 16]) -> u16 {
    !same(bytes, &[0; 16])
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn plain_same(a: &[u8; 16], b: &[u8; 16]) -> u16 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let both = u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b);
    let bits = |x: u64| {
        // The upper bit of each byte that is zero (H. S. Warren, "Hacker's Delight", 6-1).
        let zero = !(((x & LOW) + LOW) | x | LOW);
        ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u16
    };
    bits(both as u64) | bits((both >> 64) as u64) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_alike_with_and_without_vectors() {
        let mut state = 1u32;
        let mut dice = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..2000 {
            let a: [u8; 16] = std::array::from_fn(|_| dice());
            let b = a.map(|byte| if dice() < 128 { byte } else { dice() });
            let expected = (0..16).fold(0, |bits, i| bits | u16::from(a[i] == b[i]) << i);
            assert_eq!(same(&a, &b), expected);
            assert_eq!(plain_same(&a, &b), expected);
        }
        assert_eq!(not_zero(&std::array::from_fn(|i| (i % 3 == 0) as u8 * 200)), 0x9249);
    }
}
