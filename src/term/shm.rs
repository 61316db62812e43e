//! Shared memory for pictures: POSIX objects that a terminal on this machine opens by name.

use crate::paint::Shelf;
use rustix::fs::Mode;
use rustix::shm::{self, OFlags};
use std::fs::File;
use std::io::{Error, Write};

/// Puts pictures into POSIX shared memory, readable by this user only. The terminal removes each
/// name when it has read it (kitty's protocol, `t=s`).
pub struct SharedMemory {
    prefix: String,
    count: u64,
    open: Option<File>,
}

impl SharedMemory {
    /// `tile`: a number that no other tile of this process has.
    pub fn new(tile: u32) -> Self {
        let prefix = format!("/facetty-{}-{tile}", std::process::id());
        Self { prefix, count: 0, open: None }
    }
}

impl Shelf for SharedMemory {
    fn begin(&mut self, _bytes: usize) -> std::io::Result<String> {
        let name = format!("{}-{}", self.prefix, self.count);
        self.count += 1;
        // Exclusive: whoever guessed the name and made it first gets no pictures.
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let fd = shm::open(&name, flags, Mode::RUSR | Mode::WUSR)?;
        self.open = Some(File::from(fd));
        Ok(name)
    }

    fn append(&mut self, part: &[u8]) -> std::io::Result<()> {
        match &mut self.open {
            Some(file) => file.write_all(part),
            None => Err(Error::other("no picture was begun")),
        }
    }

    fn remove(&mut self, name: &str) {
        // Most are gone already.
        let _ = shm::unlink(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_was_appended_is_read_under_the_name_until_it_is_removed() {
        let mut shelf = SharedMemory::new(4_000_000_001);
        for part in [b"abc", b"xyz"] {
            let name = shelf.begin(6).expect("shared memory");
            shelf.append(part).expect("room");
            shelf.append(part).expect("room");
            let fd = shm::open(&name, OFlags::RDONLY, Mode::empty()).expect("there");
            let mut read = Vec::new();
            File::from(fd).read_to_end(&mut read).expect("readable");
            assert_eq!(read, [&part[..], &part[..]].concat());
            shelf.remove(&name);
            assert!(shm::open(&name, OFlags::RDONLY, Mode::empty()).is_err());
            shelf.remove(&name);
        }
    }

    #[test]
    fn a_name_that_exists_already_gets_no_picture() {
        let mut a = SharedMemory::new(4_000_000_002);
        let mut b = SharedMemory::new(4_000_000_002);
        let name = a.begin(1).expect("shared memory");
        assert!(b.begin(1).is_err());
        a.remove(&name);
    }
}
