//! Pictures from a Y4M file, played at the rate its header says and repeated for ever: scripted
//! calls last longer than their clips.

use crate::media::frame::RawFrame;
use crate::media::seams::{FrameSource, SourceLost};
use crate::media::source::OpenError;
use crate::media::y4m::{self, Header, Y4mError};
use crate::time::{MediaTime, Now};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// Reads the pictures of a stream one after the other; memory is bounded by one picture.
pub(super) struct Stream<R> {
    input: R,
    header: Header,
    planes: Vec<u8>,
}

/// Why the next picture of a stream can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The operating system's word.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Bytes that aren't Y4M.
    #[error("{0}")]
    Format(#[from] Y4mError),
    /// Nothing at all came.
    #[error("it is empty")]
    Empty,
}

impl<R: BufRead> Stream<R> {
    /// Reads the header.
    pub(super) fn begin(mut input: R) -> Result<Self, StreamError> {
        let line = read_line(&mut input)?.ok_or(StreamError::Empty)?;
        let header = Header::parse(&line)?;
        Ok(Self { input, header, planes: vec![0; header.frame_bytes()] })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The next picture, or `None` at the end (an incomplete last picture counts as the end).
    pub(super) fn picture(&mut self, at: MediaTime) -> Result<Option<RawFrame>, StreamError> {
        if !self.frame_line()? {
            return Ok(None);
        }
        match self.input.read_exact(&mut self.planes) {
            Ok(()) => Ok(self.header.picture(&self.planes, at)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn frame_line(&mut self) -> Result<bool, StreamError> {
        match read_line(&mut self.input)? {
            Some(line) => Ok(y4m::parse_frame_line(&line).map(|()| true)?),
            None => Ok(false),
        }
    }
}

impl<R: BufRead + Seek> Stream<R> {
    /// Passes over one picture without reading it; false at the end.
    fn skip(&mut self) -> Result<bool, StreamError> {
        if !self.frame_line()? {
            return Ok(false);
        }
        let bytes = i64::try_from(self.planes.len()).unwrap_or(i64::MAX);
        self.input.seek_relative(bytes)?;
        Ok(true)
    }
}

/// One line without its line feed; `None` at the end of input. Never holds more than the limit.
fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, StreamError> {
    let mut line = Vec::new();
    let limit = y4m::MAX_LINE as u64 + 1;
    input.take(limit).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => {
            line.pop();
            Ok(Some(line))
        }
        // A header cut short says most about what kind of file this is.
        Some(_) if line.len() as u64 == limit && line.starts_with(b"YUV4MPEG2") => {
            Err(Y4mError::LineTooLong.into())
        }
        Some(_) => Ok(Some(line.into_iter().take(y4m::MAX_LINE).collect())),
    }
}

/// `--video y4m:FILE`. Picture *k* is due *k* frame times after the first one was asked for; late
/// polls skip pictures instead of slowing the clip down.
pub struct Y4mFile {
    name: String,
    origin: Instant,
    stream: Stream<BufReader<File>>,
    first_picture: u64,
    /// Pictures in the file, known after the first pass.
    length: Option<u64>,
    /// Index within the file of the picture the reader stands before.
    position: u64,
    started: Option<Instant>,
    next_index: u64,
    on: bool,
}

impl Y4mFile {
    /// Opens the file and checks header and first picture.
    pub fn open(path: &Path, origin: Instant) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let invalid = |why: String| OpenError::InvalidInput { what: name.clone(), why };
        let file = File::open(path).map_err(|e| invalid(e.to_string()))?;
        let meta = file.metadata().map_err(|e| invalid(e.to_string()))?;
        if !meta.is_file() {
            let why = "not a regular file; streams are read with pipe:'cat FILE'";
            return Err(invalid(why.into()));
        }
        let mut stream = Stream::begin(BufReader::new(file)).map_err(|e| invalid(e.to_string()))?;
        let first_picture = stream.input.stream_position().map_err(|e| invalid(e.to_string()))?;
        match stream.picture(MediaTime::default()) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(invalid("it holds no complete picture".into())),
            Err(e) => return Err(invalid(e.to_string())),
        }
        let mut this = Self {
            name: name.clone(),
            origin,
            stream,
            first_picture,
            length: None,
            position: 0,
            started: None,
            next_index: 0,
            on: true,
        };
        this.rewind().map_err(|e| invalid(e.to_string()))?;
        Ok(this)
    }

    fn rewind(&mut self) -> Result<(), StreamError> {
        self.stream.input.seek(SeekFrom::Start(self.first_picture))?;
        self.position = 0;
        Ok(())
    }

    /// The picture of running index `index`, at `at`.
    fn picture(&mut self, index: u64, at: MediaTime) -> Result<Option<RawFrame>, StreamError> {
        // Unknown length: walk on; the end of the file tells.
        let mut ahead = match self.length {
            Some(length) => {
                let wanted = index % length.max(1);
                if wanted < self.position {
                    self.rewind()?;
                }
                wanted - self.position
            }
            None => index.saturating_sub(self.position),
        };
        while ahead > 0 {
            if !self.stream.skip()? {
                return self.wrapped(index, at);
            }
            self.position += 1;
            ahead -= 1;
        }
        match self.stream.picture(at)? {
            Some(frame) => {
                self.position += 1;
                Ok(Some(frame))
            }
            None => self.wrapped(index, at),
        }
    }

    /// The end of the file came where picture `index` should be: it starts again.
    fn wrapped(&mut self, index: u64, at: MediaTime) -> Result<Option<RawFrame>, StreamError> {
        if self.length.is_some() || self.position == 0 {
            return Ok(None);
        }
        // Seeking runs past the end without noticing, so count whole pictures again by size.
        self.length = Some(self.count()?);
        self.rewind()?;
        self.picture(index, at)
    }

    /// Whole pictures in the file.
    fn count(&mut self) -> Result<u64, StreamError> {
        self.rewind()?;
        let end = self.stream.input.get_ref().metadata()?.len();
        let mut count = 0;
        while self.stream.skip()? && self.stream.input.stream_position()? <= end {
            count += 1;
        }
        Ok(count)
    }
}

impl FrameSource for Y4mFile {
    fn due(&self) -> Option<Instant> {
        let started = self.started.unwrap_or(self.origin);
        self.on.then(|| started + self.stream.header().time_of(self.next_index))
    }

    fn next(&mut self, now: Now) -> Result<Option<RawFrame>, SourceLost> {
        if !self.on {
            return Ok(None);
        }
        let started = *self.started.get_or_insert(now.mono);
        let elapsed = now.mono.saturating_duration_since(started);
        let index = self.stream.header().index_at(elapsed);
        if index < self.next_index {
            return Ok(None);
        }
        self.next_index = index + 1;
        let due: Duration = self.stream.header().time_of(index);
        let at = MediaTime::since(self.origin, started + due);
        let why = match self.picture(index, at) {
            Ok(Some(frame)) => return Ok(Some(frame)),
            Ok(None) => "the file has become shorter while it was played".into(),
            Err(e) => e.to_string(),
        };
        Err(SourceLost { what: self.name.clone(), why })
    }

    fn enable(&mut self, on: bool, _now: Now) {
        self.on = on;
    }

    fn describe(&self) -> String {
        let header = self.stream.header();
        let fps = f64::from(header.rate.0) / f64::from(header.rate.1.max(1));
        format!("{}, {} at {fps:.1} fps", self.name, header.size())
    }
}
