//! Where the benchmarks write: beside the build's own files, so on a real disk and not in memory.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;

/// A directory that goes when it is dropped.
pub(crate) fn temporary(name: &str) -> anyhow::Result<TempDir> {
    let parent = env!("CARGO_TARGET_TMPDIR");
    fs::create_dir_all(parent)?;
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(parent)
        .with_context(|| format!("could not create a directory in {parent}"))
}

/// Bytes that the files below `path` take on disk.
pub(crate) fn bytes_on_disk(path: &Path) -> anyhow::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    let own = metadata.blocks().saturating_mul(512);
    if !metadata.is_dir() {
        return Ok(own);
    }
    let mut sum = own;
    for entry in fs::read_dir(path)? {
        sum = sum.saturating_add(bytes_on_disk(&entry?.path())?);
    }
    Ok(sum)
}

/// Reads all files below `path`, as a floor for whoever starts from them; gives the bytes.
pub(crate) fn read_all(path: &Path) -> anyhow::Result<u64> {
    if path.is_dir() {
        let mut sum = 0_u64;
        for entry in fs::read_dir(path)? {
            sum = sum.saturating_add(read_all(&entry?.path())?);
        }
        return Ok(sum);
    }
    Ok(std::io::copy(&mut File::open(path)?, &mut std::io::sink())?)
}

/// The floor of all durable writing: appends to a raw file and syncs it.
#[derive(Debug)]
pub(crate) struct RawFile {
    file: File,
    bytes: Vec<u8>,
}

impl RawFile {
    /// A new file in `directory`, that will grow by `bytes` at a time.
    pub(crate) fn create(directory: &Path, bytes: usize) -> anyhow::Result<Self> {
        let file = File::create(directory.join("raw"))?;
        Ok(Self { file, bytes: vec![0x5a; bytes] })
    }

    /// Appends and syncs `times` times; gives what all took, and each sync alone.
    pub(crate) fn run(&mut self, times: u64) -> anyhow::Result<(Duration, Vec<Duration>)> {
        let mut syncs = Vec::new();
        let started = Instant::now();
        for _ in 0..times {
            self.file.write_all(&self.bytes)?;
            let written = Instant::now();
            self.file.sync_data()?;
            syncs.push(written.elapsed());
        }
        Ok((started.elapsed(), syncs))
    }
}
