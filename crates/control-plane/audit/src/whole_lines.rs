//! Appending whole lines to a file that may have no room for all of one: half an event would be glued to the next, and whoever reads the
//! log would lose both.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// What can be appended to, and cut off.
pub(crate) trait Growing: Write {
    fn bytes(&self) -> io::Result<u64>;
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl Growing for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// A file that consists of whole lines.
pub(crate) struct WholeLines<F> {
    file: F,
    /// Whether the last line has its end. It has none where a server was ended while it wrote, or where half a line could not be cut off.
    is_whole: bool,
}

impl<F: Growing> WholeLines<F> {
    pub(crate) fn new(file: F, is_whole: bool) -> Self {
        Self { file, is_whole }
    }

    /// Appends all lines, or leaves the file as it was.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.is_whole {
            self.file.write_all(b"\n")?;
            self.is_whole = true;
        }
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return self.broken(written, ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.broken(written, error),
            }
        }
        Ok(())
    }

    /// Takes back what was written of lines that have no room. The file is asked how long it is: others may have cut it off (logrotate).
    fn broken(&mut self, written: usize, error: io::Error) -> io::Result<()> {
        if written > 0 {
            let before = self.file.bytes().map(|bytes| bytes.saturating_sub(written as u64));
            self.is_whole = before.and_then(|before| self.file.cut(before)).is_ok();
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on paper that has so much room, and may refuse to cut a file off.
    struct Paper {
        written: Vec<u8>,
        room: usize,
        cuts: bool,
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.written.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Growing for Paper {
        fn bytes(&self) -> io::Result<u64> {
            Ok(self.written.len() as u64)
        }

        fn cut(&mut self, bytes: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(ErrorKind::Unsupported.into());
            }
            self.room += self.written.len() - bytes as usize;
            self.written.truncate(bytes as usize);
            Ok(())
        }
    }

    fn written(cuts: bool) -> String {
        let mut lines = WholeLines::new(Paper { written: Vec::new(), room: 10, cuts }, true);
        lines.append(b"first\n").unwrap();
        for _ in 0..2 {
            assert_eq!(lines.append(b"second\n").unwrap_err().kind(), ErrorKind::StorageFull);
        }
        lines.file.room = 100;
        lines.append(b"third\n").unwrap();
        lines.append(b"fourth\n").unwrap();
        String::from_utf8(lines.file.written).unwrap()
    }

    #[test]
    fn what_has_no_room_is_taken_back() {
        assert_eq!(written(true), "first\nthird\nfourth\n");
    }

    #[test]
    fn half_a_line_that_stays_gets_an_end() {
        assert_eq!(written(false), "first\nseco\nthird\nfourth\n");
    }
}
