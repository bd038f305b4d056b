//! Open files of a disk on paper.

use super::*;

pub(super) struct PaperFile {
    disk: Handle,
    number: usize,
    path: PathBuf,
}

impl PaperFile {
    pub(super) fn new(disk: Handle, number: usize, path: &Path) -> Self {
        Self { disk, number, path: path.to_owned() }
    }
}

impl DiskFile for PaperFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut state, verdict) = self.disk.begin(Kind::Write, &self.path, bytes.len())?;
        let length = if let Verdict::Short(length) = verdict { length.min(bytes.len()) } else { bytes.len() };
        state.image.write(self.number, &bytes[..length], offset as usize);
        Ok(length)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let (mut state, _) = self.disk.begin(Kind::Cut, &self.path, 0)?;
        state.image.cut(self.number, length as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, verdict) = self.disk.begin(Kind::SyncData, &self.path, 0)?;
        state.image.sync(self.number, verdict)
    }

    fn sync_all(&self) -> io::Result<()> {
        let (mut state, verdict) = self.disk.begin(Kind::SyncAll, &self.path, 0)?;
        state.image.sync(self.number, verdict)
    }
}
