//! Scheduler of a checkpoint group: processes several inputs at the same time within a memory limit, and writes their
//! rows in order.
//!
//! *Problem.* Parallel work inside a small file is inefficient, so small files run in parallel to each other; but
//! memory is limited, and the rows of an input are written only after those of all earlier inputs.
//!
//! *Notation.* The need of a task is the estimated memory of lowering its input. Used memory is the need of the running
//! tasks plus the size of the buffered rows: rows of finished inputs that wait for an earlier input.
//!
//! *Algorithm.* (1) Large files run one at a time, each on all threads. (2) Small files run in parallel, each on a
//! worker of one thread. In both steps the largest task that fits into the free memory is started first, so that no
//! long task is left for the end. (3) When an input finishes, its rows are buffered; then all buffered inputs whose
//! predecessors are written are written in order. Step 2 ends when no small task is left, or when none fits and none
//! runs; then step 1 starts again.
//!
//! *Invariants.* Rows are written in the order of inputs, so bytes do not depend on the order of execution. Used memory
//! exceeds the limit only by one task: if nothing runs and no task of the step fits, the next input in order is admitted.
//! The estimate does not count companion files.
//!
//! *Termination.* When nothing runs, the next input in order has not been started: otherwise its rows would be written.
//! If no task fits, it is admitted, so some task always starts. A worker that fails stops the others, which would wait
//! for it.

use super::job::{GroupFailure, Outcome, Run};
use super::row_output::BufferedRows;
use crate::error::Error;
use crate::source::corpus::CorpusFile;
use crate::store::writer::DatasetWriter;
use rayon::ThreadPool;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Minimal size in bytes of a large file.
const LARGE_SIZE_MIN: u64 = 8 << 20;

/// Memory in bytes that lowering needs for each byte of a file, and for any file, encoded rows included. Through all
/// stages of the pipeline, `bash` (1.3 MB) takes 44 MB, a library of 6.8 MB 93 MB.
const NEED_PER_BYTE: u64 = 16;
const NEED_MIN: u64 = 24 << 20;

/// Minimal size in bytes that a file counts in a checkpoint group. Until the group ends, the footers of the open
/// Parquet files take some 300 KB of memory for a small file.
const COUNTED_SIZE_MIN: u64 = 1 << 18;

/// Divides the files into checkpoint groups: contiguous ranges whose sizes add up to at most `size_max`, or single
/// files.
pub(super) fn checkpoint_groups(files: &[CorpusFile], size_max: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (input, file) in files.iter().enumerate() {
        let counted = file.size.max(COUNTED_SIZE_MIN);
        if input > start && size + counted > size_max {
            groups.push(start..input);
            (start, size) = (input, 0);
        }
        size += counted;
    }
    groups.push(start..files.len());
    groups
}

/// Lowers the inputs of a checkpoint group and returns their outcomes in order. `workers` are pools of one thread, one
/// for each thread of the current rayon pool.
pub(super) fn lower_group(
    run: &Run<'_>,
    group: Range<usize>,
    memory: u64,
    workers: &[ThreadPool],
    writer: &mut DatasetWriter,
) -> Result<Vec<Outcome>, GroupFailure> {
    let mut scheduler = Scheduler::new(run.files, group.clone(), memory, writer);
    while scheduler.next < group.end {
        while let Some(task) = scheduler.start_large() {
            let (outcome, rows) = match task.input == scheduler.next {
                true => (run.lower_input(task.input, scheduler.writer)?, BufferedRows::default()),
                false => run.lower_buffered(task.input)?,
            };
            scheduler.finish(task, outcome, rows)?;
        }
        if !scheduler.small.is_empty() {
            let queue = SmallFileQueue { scheduler: Mutex::new(&mut scheduler), changed: Condvar::new() };
            let results = rayon::broadcast(|thread| workers[thread.index()].install(|| queue.work(run)));
            results.into_iter().collect::<Result<(), GroupFailure>>()?;
        }
    }
    Ok(scheduler.outcomes)
}

/// An input, and the estimated memory in bytes of lowering it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Task {
    input: usize,
    need: u64,
}

impl Task {
    fn new(input: usize, file: &CorpusFile) -> Self {
        Self { input, need: file.size.saturating_mul(NEED_PER_BYTE).saturating_add(NEED_MIN) }
    }
}

/// Position of the task to start: the first that fits into the free memory. If none fits and none runs, buffered rows
/// fill the memory or a task is larger than all memory: then the next input in order, which the buffered rows wait for.
fn admitted(tasks: &[Task], next: usize, used: u64, running: usize, memory: u64) -> Option<usize> {
    let fits = tasks.iter().position(|task| used.saturating_add(task.need) <= memory);
    let is_stuck = fits.is_none() && running == 0;
    fits.or_else(|| tasks.iter().position(|task| is_stuck && task.input == next))
}

/// State of a checkpoint group.
struct Scheduler<'a> {
    writer: &'a mut DatasetWriter,
    /// Memory limit in bytes.
    memory: u64,
    /// Tasks that are not started, the largest first.
    large: Vec<Task>,
    small: Vec<Task>,
    /// Number of running tasks.
    running: usize,
    /// Needs of the running tasks and size of the buffered rows, in bytes.
    used: u64,
    /// The first input whose rows are not written.
    next: usize,
    /// Finished inputs whose rows are not written.
    buffered: BTreeMap<usize, (Outcome, BufferedRows)>,
    /// Outcomes of the inputs before `next`.
    outcomes: Vec<Outcome>,
    /// Whether a worker failed, so that no task is started.
    has_failed: bool,
}

impl<'a> Scheduler<'a> {
    fn new(files: &[CorpusFile], group: Range<usize>, memory: u64, writer: &'a mut DatasetWriter) -> Self {
        let next = group.start;
        let mut inputs: Vec<_> = group.collect();
        inputs.sort_by_key(|input| (Reverse(files[*input].size), *input));
        let (large, small): (Vec<_>, Vec<_>) =
            inputs.into_iter().partition(|input| files[*input].size >= LARGE_SIZE_MIN);
        let tasks =
            |inputs: Vec<usize>| inputs.into_iter().map(|input| Task::new(input, &files[input])).collect();
        Self {
            writer,
            memory,
            large: tasks(large),
            small: tasks(small),
            running: 0,
            used: 0,
            next,
            buffered: BTreeMap::new(),
            outcomes: Vec::new(),
            has_failed: false,
        }
    }

    fn start_large(&mut self) -> Option<Task> {
        let index = self.admitted(&self.large)?;
        let task = self.large.remove(index);
        Some(self.start(task))
    }

    fn start_small(&mut self) -> Option<Task> {
        let index = self.admitted(&self.small)?;
        let task = self.small.remove(index);
        Some(self.start(task))
    }

    fn admitted(&self, tasks: &[Task]) -> Option<usize> {
        admitted(tasks, self.next, self.used, self.running, self.memory)
    }

    fn start(&mut self, task: Task) -> Task {
        self.running += 1;
        self.used = self.used.saturating_add(task.need);
        task
    }

    /// Buffers the rows of a finished input, and writes all buffered rows whose turn has come.
    fn finish(&mut self, task: Task, outcome: Outcome, rows: BufferedRows) -> Result<(), Error> {
        self.running -= 1;
        self.used = self.used.saturating_sub(task.need).saturating_add(rows.bytes());
        self.buffered.insert(task.input, (outcome, rows));
        while let Some((outcome, rows)) = self.buffered.remove(&self.next) {
            self.used = self.used.saturating_sub(rows.bytes());
            rows.move_to(self.writer)?;
            self.outcomes.push(outcome);
            self.next += 1;
        }
        Ok(())
    }
}

/// The scheduler, shared by the workers that lower small files.
struct SmallFileQueue<'a, 's> {
    scheduler: Mutex<&'a mut Scheduler<'s>>,
    /// Notified when a task finishes or fails.
    changed: Condvar,
}

impl<'a, 's> SmallFileQueue<'a, 's> {
    /// Lowers small files until none is left, or until none can be started before a large one.
    fn work(&self, run: &Run<'_>) -> Result<(), GroupFailure> {
        while let Some(task) = self.start() {
            let guard = FailureGuard(self);
            let (outcome, rows) = run.lower_buffered(task.input)?;
            self.lock().finish(task, outcome, rows)?;
            std::mem::forget(guard);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Starts the next task; waits if it does not fit before another one finishes.
    fn start(&self) -> Option<Task> {
        let mut scheduler = self.lock();
        loop {
            if scheduler.has_failed {
                return None;
            }
            let task = scheduler.start_small();
            if task.is_some() || scheduler.small.is_empty() || scheduler.running == 0 {
                return task;
            }
            scheduler = self.changed.wait(scheduler).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, &'a mut Scheduler<'s>> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the other workers when it is dropped, after an error or a panic. They would wait for this worker's task.
struct FailureGuard<'a, 'q, 's>(&'q SmallFileQueue<'a, 's>);

impl Drop for FailureGuard<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.lock().has_failed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{CorpusFile, Task, admitted, checkpoint_groups};

    fn tasks(tasks: &[(usize, u64)]) -> Vec<Task> {
        tasks.iter().map(|(input, need)| Task { input: *input, need: *need }).collect()
    }

    #[test]
    fn the_largest_task_that_fits_is_started_first() {
        let tasks = tasks(&[(3, 50), (0, 40), (1, 10)]);
        assert_eq!(admitted(&tasks, 0, 0, 0, 100), Some(0));
        assert_eq!(admitted(&tasks, 0, 55, 1, 100), Some(1));
        assert_eq!(admitted(&tasks, 0, 90, 2, 100), Some(2));
    }

    #[test]
    fn tasks_that_do_not_fit_wait_for_running_ones() {
        let tasks = tasks(&[(3, 50), (0, 40), (1, 10)]);
        assert_eq!(admitted(&tasks, 0, 91, 1, 100), None);
        assert_eq!(admitted(&tasks, 0, u64::MAX, 1, 100), None);
        assert_eq!(admitted(&[], 0, 0, 0, 100), None);
    }

    #[test]
    fn if_buffered_rows_fill_the_memory_the_next_input_is_started() {
        let tasks = tasks(&[(3, 50), (1, 40), (2, 10)]);
        assert_eq!(admitted(&tasks, 1, 95, 0, 100), Some(1));
        assert_eq!(admitted(&tasks, 0, 95, 0, 100), None, "the next input is not among these tasks");
    }

    #[test]
    fn a_task_larger_than_all_memory_runs_alone() {
        let tasks = tasks(&[(0, 500), (1, 10)]);
        assert_eq!(admitted(&tasks[..1], 0, 10, 1, 100), None);
        assert_eq!(admitted(&tasks[..1], 0, 0, 0, 100), Some(0));
        assert_eq!(admitted(&tasks, 0, 0, 0, 100), Some(1), "the smaller one comes first");
    }

    #[test]
    fn groups_end_before_they_exceed_the_size() {
        let file = |size: &u64| CorpusFile { path: "a".into(), name: "a".into(), size: size << 20 };
        let groups =
            |sizes: &[u64]| checkpoint_groups(&sizes.iter().map(file).collect::<Vec<_>>(), 100 << 20);
        assert_eq!(groups(&[40, 60, 1]), [0..2, 2..3]);
        assert_eq!(groups(&[400, 1, 99, 101]), [0..1, 1..3, 3..4]);
        assert_eq!(groups(&[7]).len(), 1);
        assert_eq!(groups(&[0; 401]), [0..400, 400..401], "empty files count too");
    }
}
