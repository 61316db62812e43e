//! Claims about pictures that come from files and commands.

use facetty::media::frame::{RawFrame, Size};
use facetty::media::seams::FrameSource;
use facetty::media::source::pipe::Pipe;
use facetty::media::source::y4m::Y4mFile;
use facetty::media::source::{OpenError, VideoOptions};
use facetty::media::y4m;
use facetty::time::{MediaTime, Now, Wall};
use std::io::Write;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const SIZE: Size = Size::new(8, 4);

/// A clip of `pictures` pictures at 10 fps; picture *n* has luma 20 + *n*.
fn clip(pictures: u8) -> Vec<u8> {
    let mut bytes = y4m::header(SIZE, 100);
    for n in 0..pictures {
        let mut frame = RawFrame::black(SIZE, MediaTime(0));
        frame.y.fill(20 + n);
        y4m::write_frame(&frame, &mut bytes);
    }
    bytes
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn origin() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn at(origin: Instant, millis: u64) -> Now {
    Now { mono: origin + Duration::from_millis(millis), wall: Wall(millis) }
}

fn luma(source: &mut Y4mFile, now: Now) -> Option<u8> {
    source.next(now).unwrap().map(|frame| frame.y[0])
}

fn open(bytes: &[u8]) -> Result<Y4mFile, OpenError> {
    Y4mFile::open(file(bytes).path(), origin())
}

#[test]
fn a_clip_plays_at_its_own_rate_and_repeats() {
    let origin = origin();
    let mut source = Y4mFile::open(file(&clip(3)).path(), origin).unwrap();
    assert_eq!(source.due(), Some(origin));
    let mut played = Vec::new();
    for step in 0..8u64 {
        // Starts half a second after the clock's origin: the first picture doesn't wait for it.
        let now = at(origin, 500 + step * 100);
        let frame = source.next(now).unwrap().unwrap();
        assert_eq!(frame.at, MediaTime(500_000 + step * 100_000));
        assert_eq!(source.next(now).unwrap(), None, "once only");
        assert_eq!(source.due(), Some(at(origin, 600 + step * 100).mono));
        played.push(frame.y[0]);
    }
    assert_eq!(played, [20, 21, 22, 20, 21, 22, 20, 21]);
}

#[test]
fn late_polls_skip_pictures_instead_of_slowing_the_clip() {
    let origin = origin();
    let mut source = Y4mFile::open(file(&clip(5)).path(), origin).unwrap();
    assert_eq!(luma(&mut source, at(origin, 0)), Some(20));
    assert_eq!(luma(&mut source, at(origin, 350)), Some(23));
    assert_eq!(luma(&mut source, at(origin, 1250)), Some(22));
    assert_eq!(luma(&mut source, at(origin, 99_900)), Some(24));
}

#[test]
fn a_cut_off_last_picture_is_left_out() {
    let origin = origin();
    let mut bytes = clip(3);
    bytes.truncate(bytes.len() - 5);
    let mut source = Y4mFile::open(file(&bytes).path(), origin).unwrap();
    let played: Vec<_> = (0..5).map(|n| luma(&mut source, at(origin, n * 100)).unwrap()).collect();
    assert_eq!(played, [20, 21, 20, 21, 20]);
    assert_eq!(luma(&mut source, at(origin, 2_500)), Some(21));
}

#[test]
fn a_source_switched_off_has_nothing_due() {
    let origin = origin();
    let mut source = Y4mFile::open(file(&clip(3)).path(), origin).unwrap();
    source.enable(false, at(origin, 0));
    assert_eq!(source.due(), None);
    assert_eq!(source.next(at(origin, 0)).unwrap(), None);
    source.enable(true, at(origin, 100));
    assert!(source.next(at(origin, 100)).unwrap().is_some());
}

#[test]
fn files_that_are_no_y4m_are_refused_as_bad_input() {
    let header_only = y4m::header(SIZE, 100);
    let no_frame = [header_only.clone(), b"FRAMXX\n".to_vec(), vec![0; 100]].concat();
    let endless = [b"YUV4MPEG2 X".to_vec(), vec![b'x'; 100_000]].concat();
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not a Y4M"),
        (&[0; 5000], "not a Y4M"),
        (&header_only, "no complete picture"),
        (&no_frame, "no FRAME"),
        (&endless, "longer than"),
        (b"YUV4MPEG2 W60000 H60000 F30:1\nFRAME\n", "60000x60000"),
    ];
    for (bytes, says) in cases {
        let Err(OpenError::InvalidInput { why, .. }) = open(bytes) else { panic!("{says}") };
        assert!(why.contains(says), "{why:?} should say {says:?}");
    }
}

#[test]
fn missing_files_and_things_that_are_no_files_are_refused() {
    for path in ["/nonexistent/clip.y4m", "/", "/dev/null"] {
        let refused = Y4mFile::open(path.as_ref(), origin());
        assert!(matches!(refused, Err(OpenError::InvalidInput { .. })), "{path}");
    }
}

#[test]
fn a_damaged_picture_in_mid_file_loses_the_source_with_the_reason() {
    let origin = origin();
    let mut bytes = clip(1);
    bytes.extend(b"GARBAGE\n");
    bytes.extend(clip(3));
    let mut source = Y4mFile::open(file(&bytes).path(), origin).unwrap();
    assert_eq!(luma(&mut source, at(origin, 0)), Some(20));
    let lost = source.next(at(origin, 100)).unwrap_err();
    assert!(lost.why.contains("damaged"), "{lost}");
}

#[cfg(unix)]
mod pipe {
    use super::*;

    struct Piped {
        pipe: Pipe,
        rung: mpsc::Receiver<()>,
    }

    fn spawn(command: &str) -> Result<Piped, OpenError> {
        let (ring, rung) = mpsc::sync_channel(1000);
        let mut options = VideoOptions::new(origin());
        options.wake = Some(Arc::new(move || {
            let _ = ring.try_send(());
        }));
        Ok(Piped { pipe: Pipe::spawn(command, options)?, rung })
    }

    fn error(command: &str) -> OpenError {
        spawn(command).err().expect("must be refused")
    }

    #[test]
    fn a_commands_pictures_arrive_stamped_and_its_end_is_a_loss() {
        let clip = file(&clip(2));
        let mut piped = spawn(&format!("cat '{}'", clip.path().display())).unwrap();
        let mut stamps = Vec::new();
        let lost = loop {
            piped.rung.recv().unwrap();
            match piped.pipe.next(at(origin(), 0)) {
                Ok(Some(frame)) => stamps.push(frame.at),
                Ok(None) => {}
                Err(lost) => break lost,
            }
        };
        assert!(!stamps.is_empty() && stamps.is_sorted());
        assert!(lost.why.contains("ended"), "{lost}");
        assert!(piped.pipe.describe().contains("8x4"), "{}", piped.pipe.describe());
    }

    #[test]
    fn a_dead_command_is_a_device_error_and_garbage_is_bad_input() {
        assert!(matches!(error("exit 3"), OpenError::Device { .. }));
        assert!(matches!(error("facetty-no-such-command 2>/dev/null"), OpenError::Device { .. }));
        assert!(matches!(error("printf 'YUV4MPEG2 W8 H4\\n'"), OpenError::Device { .. }));
        assert!(matches!(error("echo hello"), OpenError::InvalidInput { .. }));
        let Err(OpenError::InvalidInput { why, .. }) =
            spawn("printf 'YUV4MPEG2 W9000 H9000\\nFRAME\\n'; cat /dev/zero").map(drop)
        else {
            panic!("too large a picture must be refused");
        };
        assert!(why.contains("9000x9000"));
    }

    #[test]
    fn dropping_the_source_ends_the_command_and_its_children() {
        // The shell's child holds the write end of a second pipe; its closing proves its death.
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("alive");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let clip = file(&clip(1));
        let (clip, alive) = (clip.path().display(), fifo.display());
        let piped =
            spawn(&format!("cat '{clip}'; exec 3<>'{alive}'; echo up >&3; sleep 1000 & wait"));
        let piped = piped.unwrap();
        let mut held = std::io::BufReader::new(std::fs::File::open(&fifo).unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut held, &mut line).unwrap();
        assert_eq!(line, "up\n");
        drop(piped);
        // End of file comes only when nobody holds the other end.
        line.clear();
        assert_eq!(std::io::BufRead::read_line(&mut held, &mut line).unwrap(), 0);
    }
}
