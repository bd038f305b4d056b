//! An archive as a plain tar file that can be read at any position.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::ImportError;
use crate::store::Core;
use crate::unpack::{Compression, Decoder};

/// The file itself, or what it holds when it is compressed.
pub(super) fn open(core: &Core, path: &Path) -> Result<File, ImportError> {
    let fail = |source| ImportError::Open { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        // A pipe or a device can be read only once.
        return spool(core, file);
    }
    let mut head = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut head).map_err(ImportError::Read)?;
    file.rewind().map_err(ImportError::Read)?;
    match Compression::detect(&head) {
        Compression::None => Ok(file),
        Compression::Gzip | Compression::Zstd => spool(core, file),
    }
}

/// Writes a stream, decompressed, to a file that is gone when it is closed.
fn spool(core: &Core, stream: impl Read) -> Result<File, ImportError> {
    let path = core.scratch.fresh("archive");
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).map_err(ImportError::Spool)?;
    std::fs::remove_file(&path).map_err(ImportError::Spool)?;
    let mut decoder = Decoder::new(stream).map_err(ImportError::Read)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match decoder.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ImportError::Read(error)),
        };
        io::Write::write_all(&mut file, &buffer[..read]).map_err(ImportError::Spool)?;
    }
}
