//! Up to where the broker has confirmed the log: one number in a file of its own, replaced as a
//! whole and synced before anybody relies on it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use schemas::Sequence;
use thiserror::Error;

const FILE: &str = "outbox.cursor";

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
    #[error("`{path}` does not hold the number of an event; remove it to publish all events again")]
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
pub(super) struct Cursor {
    directory: PathBuf,
    position: Sequence,
}

impl Cursor {
    /// Reads the cursor in `directory`; before the first event when there is none.
    pub(super) async fn open(directory: &Path) -> Result<Self, CursorError> {
        let directory = directory.to_owned();
        blocking(move || {
            let path = directory.join(FILE);
            let position = match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Sequence::ZERO,
                Err(source) => return Err(CursorError::Read { path, source }),
                Ok(text) => match text.trim_end().parse() {
                    Ok(position) => Sequence::new(position),
                    Err(_) => return Err(CursorError::Damaged { path }),
                },
            };
            Ok(Self { directory, position })
        })
        .await
    }

    pub(super) const fn position(&self) -> Sequence {
        self.position
    }

    /// Moves the cursor; it is on disk when this returns.
    pub(super) async fn advance(&mut self, position: Sequence) -> Result<(), CursorError> {
        let directory = self.directory.clone();
        blocking(move || {
            write(&directory, position)
                .map_err(|source| CursorError::Write { path: directory.join(FILE), source })
        })
        .await?;
        self.position = position;
        Ok(())
    }
}

fn write(directory: &Path, position: Sequence) -> io::Result<()> {
    let draft = directory.join(format!("{FILE}.new"));
    let mut file = File::create(&draft)?;
    writeln!(file, "{position}")?;
    file.sync_all()?;
    fs::rename(&draft, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
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

    #[tokio::test]
    async fn a_cursor_is_found_again_where_it_was_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut cursor = Cursor::open(directory.path()).await.expect("no cursor yet");
        assert_eq!(cursor.position(), Sequence::ZERO);
        cursor.advance(Sequence::new(41)).await.expect("written");
        cursor.advance(Sequence::new(1_000_042)).await.expect("written");
        let cursor = Cursor::open(directory.path()).await.expect("a cursor");
        assert_eq!(cursor.position(), Sequence::new(1_000_042));
    }

    #[tokio::test]
    async fn a_damaged_cursor_is_no_cursor() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(FILE), "12x\n").expect("written");
        let outcome = Cursor::open(directory.path()).await;
        assert!(matches!(outcome, Err(CursorError::Damaged { .. })));
    }
}
