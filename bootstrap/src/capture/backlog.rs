//! Snapshots that were taken and are not written yet.
//!
//! They are written by another thread, so that the process is attended to meanwhile, and the next snapshot is taken in
//! time. Their content is limited: if it is more, the next snapshot waits.

use super::content::Content;
use super::recorder::Recorder;
use super::snapshot::ProcessSnapshot;
use crate::error::Error;
use binframe_ir::tables::SnapshotReason;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Bytes of content that wait, after which no snapshot is taken.
const BYTES_MAX: u64 = 64 << 20;

/// Time between two looks at whether there is room.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A snapshot, the reason why it was taken, and the thread that was the reason.
pub(super) type TakenSnapshot = (ProcessSnapshot, SnapshotReason, Option<u64>);

/// The content of snapshots that are not written yet, in bytes.
#[derive(Default)]
pub(super) struct Backlog(AtomicU64);

impl Backlog {
    /// Whether no further snapshot should be taken.
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Ordering::Acquire) > BYTES_MAX
    }

    /// Counts a snapshot that is sent to the thread that writes.
    pub(super) fn add(&self, snapshot: &ProcessSnapshot) {
        self.0.fetch_add(size(snapshot), Ordering::Release);
    }

    /// Writes snapshots as they come.
    pub(super) fn write(
        &self,
        snapshots: &Receiver<TakenSnapshot>,
        recorder: &mut Recorder,
    ) -> Result<(), Error> {
        snapshots.iter().try_for_each(|(snapshot, reason, thread_id)| {
            recorder.record(&snapshot, reason, thread_id)?;
            let size = size(&snapshot);
            drop(snapshot);
            self.0.fetch_sub(size, Ordering::Release);
            Ok(())
        })
    }
}

fn size(snapshot: &ProcessSnapshot) -> u64 {
    snapshot.contents.iter().flatten().map(Content::size).sum()
}
