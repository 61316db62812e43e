//! A line from the terminal that isn't shown: a passphrase. Asked on the controlling terminal, so
//! that it works with standard input and output redirected, and never comes from a pipe by mistake.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Longest line taken, in bytes.
const LONGEST: usize = 1024;

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The process has no terminal.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// Ctrl-C, or the end of input.
    #[error("interrupted")]
    Interrupted,
    /// The system refused.
    #[error("the terminal can't be used: {0}")]
    Io(#[from] std::io::Error),
}

/// Asks for a line without showing it. It is wiped when dropped.
pub fn ask(prompt: &str) -> Result<Zeroizing<String>, AskError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let tty =
        rustix::fs::open("/dev/tty", flags, Mode::empty()).map_err(|_| AskError::NoTerminal)?;
    let quiet = Quiet::begin(tty)?;
    quiet.write(prompt.as_bytes())?;
    let line = quiet.line();
    quiet.write(b"\n")?;
    line
}

/// The terminal without echo; as before when dropped. Signals of keys are off too: a process
/// killed meanwhile would leave the shell without echo.
struct Quiet {
    tty: OwnedFd,
    before: Termios,
}

impl Quiet {
    fn begin(tty: OwnedFd) -> Result<Self, AskError> {
        let before = tcgetattr(&tty).map_err(std::io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        quiet.input_modes |= InputModes::ICRNL;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let it = Self { tty, before };
        tcsetattr(&it.tty, OptionalActions::Flush, &quiet).map_err(std::io::Error::from)?;
        Ok(it)
    }

    fn line(&self) -> Result<Zeroizing<String>, AskError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        loop {
            let mut byte = [0u8; 1];
            match rustix::io::read(self.tty.as_fd(), &mut byte) {
                Ok(0) => return Err(AskError::Interrupted),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(e) => return Err(AskError::Io(e.into())),
            }
            match byte[0] {
                b'\n' | b'\r' => break,
                0x03 => return Err(AskError::Interrupted),
                0x04 if bytes.is_empty() => return Err(AskError::Interrupted),
                0x7f | 0x08 => back(&mut bytes),
                0x15 => bytes.clear(),
                b if b >= b' ' && bytes.len() < LONGEST => bytes.push(b),
                _ => {}
            }
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            AskError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, "not UTF-8"))
        })?;
        Ok(Zeroizing::new(text.to_string()))
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), AskError> {
        while !bytes.is_empty() {
            match rustix::io::write(self.tty.as_fd(), bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(e) => return Err(AskError::Io(e.into())),
            }
        }
        Ok(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
    }
}

/// Takes the last character back, whole.
fn back(bytes: &mut Vec<u8>) {
    while let Some(byte) = bytes.pop() {
        if byte & 0xc0 != 0x80 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_character_is_taken_back_whole() {
        let mut bytes = "aé日".as_bytes().to_vec();
        super::back(&mut bytes);
        assert_eq!(bytes, "aé".as_bytes());
        super::back(&mut bytes);
        super::back(&mut bytes);
        super::back(&mut bytes);
        assert!(bytes.is_empty());
    }
}
