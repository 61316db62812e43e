//! Shared memory for pictures: POSIX objects that a terminal on this machine opens by name.

use crate::paint::{Shelf, base64};
use rustix::fs::Mode;
use rustix::shm::{self, OFlags};
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::Seek;
use std::io::{Error, Write};

/// Objects that take turns: the terminal has read a picture long before its memory is needed again
/// (one picture is under way at a time).
const TURNS: u64 = 4;
/// Where Linux keeps the objects as files.
#[cfg(target_os = "linux")]
const PLACE: &str = "/dev/shm";

/// Puts pictures into POSIX shared memory, readable by this user only. The terminal removes each
/// name when it has read it (kitty's protocol, `t=s`).
///
/// Taking fresh memory for each picture would cost as much as all the rest, so on Linux a few
/// objects stay, under names of their own, and get another name for each picture.
pub struct SharedMemory {
    prefix: String,
    count: u64,
    kept: Vec<File>,
    open: Option<File>,
}

impl SharedMemory {
    /// `tile`: a number that no other tile of this process has.
    pub fn new(tile: u32) -> Self {
        let prefix = format!("/facetty-{}-{tile}", std::process::id());
        Self { prefix, count: 0, kept: Vec::new(), open: None }
    }

    fn own_name(&self, turn: u64) -> String {
        format!("{}-own-{turn}", self.prefix)
    }

    /// An object that has had its turn before, under a new name.
    #[cfg(target_os = "linux")]
    fn again(&mut self, name: &str, bytes: usize) -> std::io::Result<File> {
        let turn = self.count % TURNS;
        let own = self.own_name(turn);
        if self.kept.len() as u64 == turn {
            let file = create(&own)?;
            self.kept.push(file);
        }
        let Some(file) = self.kept.get(turn as usize) else {
            return Err(Error::other("no turn"));
        };
        let mut file = file.try_clone()?;
        file.set_len(bytes as u64)?;
        file.rewind()?;
        std::fs::hard_link(format!("{PLACE}{own}"), format!("{PLACE}{name}"))?;
        Ok(file)
    }

    #[cfg(not(target_os = "linux"))]
    fn again(&mut self, name: &str, _bytes: usize) -> std::io::Result<File> {
        create(name)
    }
}

/// A pixel in shared memory, for asking a terminal whether it can read there.
pub(super) struct Sample {
    name: String,
    coded: String,
}

impl Sample {
    /// `None`: there is no shared memory here.
    pub(super) fn new() -> Option<Self> {
        sweep();
        let name = format!("/facetty-{}-sample", std::process::id());
        let _ = shm::unlink(&name);
        let mut coded = Vec::new();
        base64(&mut coded, name.as_bytes());
        let sample = Self { coded: String::from_utf8(coded).ok()?, name };
        create(&sample.name).ok()?.write_all(&[0; 3]).ok()?;
        Some(sample)
    }

    /// Its name in base64.
    pub(super) fn coded_name(&self) -> &str {
        &self.coded
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = shm::unlink(&self.name);
    }
}

/// Removes what programs left that were killed: pictures of calls don't stay in memory.
#[cfg(target_os = "linux")]
fn sweep() {
    let Ok(objects) = std::fs::read_dir(PLACE) else { return };
    for object in objects.flatten() {
        let name = object.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("facetty-")?.split('-').next());
        let gone = |pid: &str| {
            pid.parse::<u32>().is_ok() && !std::path::Path::new("/proc").join(pid).exists()
        };
        if pid.is_some_and(gone) {
            // Another user's stays: that is no error.
            let _ = std::fs::remove_file(object.path());
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn sweep() {}

/// A new object. Exclusive: whoever guessed the name and made it first gets no pictures.
fn create(name: &str) -> std::io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    Ok(File::from(shm::open(name, flags, Mode::RUSR | Mode::WUSR)?))
}

impl Shelf for SharedMemory {
    fn begin(&mut self, bytes: usize) -> std::io::Result<String> {
        let name = format!("{}-{}", self.prefix, self.count);
        let file = self.again(&name, bytes)?;
        self.open = Some(file);
        self.count += 1;
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

impl Drop for SharedMemory {
    fn drop(&mut self) {
        for turn in 0..self.kept.len() as u64 {
            let _ = shm::unlink(self.own_name(turn));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_was_appended_is_read_under_the_name_until_it_is_removed() {
        let mut shelf = SharedMemory::new(4_000_000_001);
        for part in [b"abc", b"xyz", b"123", b"456", b"789", b"ABC"] {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn what_killed_programs_left_is_removed_and_what_lives_stays() {
        // No process has the number 2^32 - 2; this test's own is alive.
        let dead = "/facetty-4294967294-1-own-0";
        let alive = format!("/facetty-{}-sweep", std::process::id());
        for name in [dead, &alive] {
            let _ = shm::unlink(name);
            create(name).expect("shared memory");
        }
        sweep();
        assert!(shm::open(dead, OFlags::RDONLY, Mode::empty()).is_err());
        assert!(shm::unlink(&alive).is_ok());
    }

    #[test]
    fn nothing_is_left_behind() {
        let mut shelf = SharedMemory::new(4_000_000_003);
        let names: Vec<String> = (0..6).map(|_| shelf.begin(1).expect("shared memory")).collect();
        let own: Vec<String> = (0..TURNS).map(|turn| shelf.own_name(turn)).collect();
        for name in &names {
            shelf.remove(name);
        }
        drop(shelf);
        for name in names.iter().chain(&own) {
            assert!(shm::open(name, OFlags::RDONLY, Mode::empty()).is_err());
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
