//! Up to where others have taken the log in: one number in a file of its own, replaced as a whole
//! and synced before anybody relies on it. It knows nothing of who they are.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use schemas::Sequence;
use thiserror::Error;

/// Why the cursor is not known or not kept.
#[derive(Debug, Error)]
pub enum CursorError {
    /// The file cannot be read.
    #[error("could not read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file does not hold a sequence.
    #[error(
        "`{path}` does not hold the number of an event; remove it to begin with the first event again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// The cursor and its file.
#[derive(Debug)]
pub(crate) struct Cursor {
    path: PathBuf,
    position: Sequence,
}

impl Cursor {
    /// Reads the cursor in `file` of `directory`; before the first event when there is none.
    pub(crate) async fn open(directory: &Path, file: &str) -> Result<Self, CursorError> {
        let path = directory.join(file);
        blocking(move || {
            let position = match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Sequence::ZERO,
                Err(source) => return Err(CursorError::Read { path, source }),
                Ok(text) => match text.trim_end().parse() {
                    Ok(position) => Sequence::new(position),
                    Err(_) => return Err(CursorError::Damaged { path }),
                },
            };
            Ok(Self { path, position })
        })
        .await
    }

    /// The same; where there is none, it begins at `start`, and that is on disk when this returns.
    pub(crate) async fn open_at(
        directory: &Path,
        file: &str,
        start: Sequence,
    ) -> Result<Self, CursorError> {
        let path = directory.join(file);
        let is_new = blocking(move || !path.exists()).await;
        let mut cursor = Self::open(directory, file).await?;
        if is_new {
            cursor.advance(start).await?;
        }
        Ok(cursor)
    }

    /// Lets go of the cursor in `file` of `directory`, when there is one.
    pub(crate) async fn forget(directory: &Path, file: &str) -> Result<(), CursorError> {
        let path = directory.join(file);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| sync_directory(&path))
                .map_err(|source| CursorError::Write { path, source }),
        })
        .await
    }

    pub(crate) const fn position(&self) -> Sequence {
        self.position
    }

    /// How many events lie between it and `head`.
    pub(crate) const fn behind(&self, head: Sequence) -> u64 {
        head.get().saturating_sub(self.position.get())
    }

    /// Moves the cursor; it is on disk when this returns.
    pub(crate) async fn advance(&mut self, position: Sequence) -> Result<(), CursorError> {
        let path = self.path.clone();
        blocking(move || {
            write(&path, position).map_err(|source| CursorError::Write { path, source })
        })
        .await?;
        self.position = position;
        Ok(())
    }
}

fn write(path: &Path, position: Sequence) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{position}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_directory(path)
}

/// Makes last what was done with the name of a file.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

/// A count as a gauge takes it.
pub(crate) fn gauge(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Does `work`, which may wait for the disk, on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down and takes this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "test.cursor";

    #[tokio::test]
    async fn a_cursor_is_found_again_where_it_was_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut cursor = Cursor::open(directory.path(), FILE).await.expect("no cursor yet");
        assert_eq!(cursor.position(), Sequence::ZERO);
        cursor.advance(Sequence::new(41)).await.expect("written");
        cursor.advance(Sequence::new(1_000_042)).await.expect("written");
        let cursor = Cursor::open(directory.path(), FILE).await.expect("a cursor");
        assert_eq!(cursor.position(), Sequence::new(1_000_042));
        let other = Cursor::open(directory.path(), "other.cursor").await.expect("no cursor yet");
        assert_eq!(other.position(), Sequence::ZERO);
    }

    #[tokio::test]
    async fn a_damaged_cursor_is_no_cursor() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(FILE), "12x\n").expect("written");
        let outcome = Cursor::open(directory.path(), FILE).await;
        assert!(matches!(outcome, Err(CursorError::Damaged { .. })));
    }
}
