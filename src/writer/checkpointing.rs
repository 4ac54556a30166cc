//! The third thread: writes checkpoints, beside everything else. They are caches: a failure is said
//! and changes nothing.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use projections::Projections;
use replay::{Checkpoints, Head, save_checkpoint};

/// How many checkpoints are kept.
const KEPT: usize = 2;

/// Hands snapshots to the thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    snapshots: Option<SyncSender<(Head, Projections)>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread; without `checkpoints` none are ever taken.
    pub(super) fn start(checkpoints: Option<Checkpoints>) -> std::io::Result<Self> {
        let Some(checkpoints) = checkpoints else {
            return Ok(Self { snapshots: None, thread: None });
        };
        let (snapshots, to_save) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || save_all(&checkpoints, &to_save))?;
        Ok(Self { snapshots: Some(snapshots), thread: Some(thread) })
    }

    /// Hands a snapshot over; it is left out when one still waits.
    pub(super) fn take(&self, head: Head, projections: Projections) {
        let Some(snapshots) = &self.snapshots else { return };
        match snapshots.try_send((head, projections)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::info!("the last checkpoint is still being written");
            }
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!("the checkpoint thread has ended");
            }
        }
    }
}

/// Waits until what was handed over is written: the next to open the directory finds it still.
impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.snapshots = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread has panicked");
        }
    }
}

fn save_all(checkpoints: &Checkpoints, to_save: &Receiver<(Head, Projections)>) {
    while let Ok((head, projections)) = to_save.recv() {
        let saved = save_checkpoint(checkpoints, head.mark(), &projections)
            .and_then(|()| checkpoints.prune(KEPT));
        match saved {
            Ok(_) => tracing::info!(sequence = %head.sequence, "checkpoint written"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "a checkpoint could not be written; the next start takes longer"
            ),
        }
    }
}
