//! Bytes alive of each thread: an allocator that counts, so that neither what an allocator keeps
//! for later nor other programs matter. A test runs on one thread: what it allocates, it frees.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
}

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

fn add(bytes: usize, sign: isize) {
    // A thread that is ending counts no more.
    let _ = BLOCKS.try_with(|blocks| blocks.set(blocks.get() + sign));
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + sign * bytes as isize);
        let _ = MOST.try_with(|most| most.set(most.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells
// without destructor, so that counting never allocates.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size(), 1);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        add(layout.size(), -1);
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Bytes alive now.
pub fn live() -> isize {
    LIVE.get()
}

/// Allocations alive now.
pub fn blocks() -> isize {
    BLOCKS.get()
}

/// The most bytes that were alive since this was last asked.
pub fn most() -> isize {
    MOST.replace(live())
}
