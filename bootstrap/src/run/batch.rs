//! Lowers the inputs of a unit: several small ones at once, within a bound of memory, and appends rows in the order of inputs.
//!
//! Large files come first, each on all threads; then small ones, each on one thread. The largest that fits comes first
//! each time, so that none is left for the end that takes long. Rows wait for those of the inputs before.

use super::job::{HeldRows, Lowering, Outcome};
use crate::error::Error;
use crate::source::corpus::CorpusFile;
use crate::store::DatasetWriter;
use rayon::ThreadPool;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Size from which on a file is worth all threads.
const LARGE_SIZE_MIN: u64 = 8 << 20;

/// Memory that lowering takes for each byte of a file, and for any file, encoded rows included. Through all stages of the pipeline,
/// `bash` (1.3 MB) takes 44 MB, a library of 6.8 MB 93 MB.
const NEED_PER_BYTE: u64 = 16;
const NEED_MIN: u64 = 24 << 20;

/// Size that a file counts at least in a unit. What footers say of a small file's rows takes some 300 KB of memory, which is held
/// until the unit ends.
const COUNTED_SIZE_MIN: u64 = 1 << 18;

/// Inputs whose sizes together stay below a limit, or one alone, without a gap.
pub(crate) fn units(files: &[CorpusFile], size_max: u64) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (input, file) in files.iter().enumerate() {
        let counted = file.size.max(COUNTED_SIZE_MIN);
        if input > start && size + counted > size_max {
            units.push(start..input);
            (start, size) = (input, 0);
        }
        size += counted;
    }
    units.push(start..files.len());
    units
}

/// Lowers the inputs of a unit. There is a worker, a pool of one thread, for each thread of the current rayon pool.
pub(crate) fn lower_unit(
    lowering: &Lowering<'_>,
    unit: Range<usize>,
    memory: u64,
    workers: &[ThreadPool],
    writer: &mut DatasetWriter,
) -> Result<Vec<Outcome>, Error> {
    let mut state = State::new(lowering.files, unit.clone(), memory, writer);
    while state.next < unit.end {
        // A large file runs alone.
        while let Some(task) = state.take_large() {
            let mut held = HeldRows::default();
            let outcome = match task.input == state.next {
                true => lowering.lower(task.input, state.writer)?,
                false => lowering.lower(task.input, &mut held)?,
            };
            state.finish(task, outcome, held)?;
        }
        if !state.small.is_empty() {
            let queue = Queue { state: Mutex::new(&mut state), changed: Condvar::new() };
            let results = rayon::broadcast(|thread| workers[thread.index()].install(|| queue.work(lowering)));
            results.into_iter().collect::<Result<(), Error>>()?;
        }
    }
    Ok(state.outcomes)
}

/// An input, and the memory that it needs while it is worked on.
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

/// Which of the tasks is begun now: the first that fits into what memory is free. Where none fits and none runs, rows
/// that wait fill the memory, or a task is larger than all of it: then it is the next in order, for which they wait.
fn admitted(tasks: &[Task], next: usize, used: u64, running: usize, memory: u64) -> Option<usize> {
    let fits = tasks.iter().position(|task| used.saturating_add(task.need) <= memory);
    let is_stuck = fits.is_none() && running == 0;
    fits.or_else(|| tasks.iter().position(|task| is_stuck && task.input == next))
}

/// What is done, and what is left.
struct State<'a> {
    writer: &'a mut DatasetWriter,
    memory: u64,
    /// Those that were not begun, the largest first.
    large: Vec<Task>,
    small: Vec<Task>,
    /// How many are worked on.
    running: usize,
    /// Memory that those need, and that rows take which wait.
    used: u64,
    /// The first input whose rows were not appended.
    next: usize,
    waiting: BTreeMap<usize, (Outcome, HeldRows)>,
    outcomes: Vec<Outcome>,
    /// Whether to begin no more.
    has_failed: bool,
}

impl<'a> State<'a> {
    fn new(files: &[CorpusFile], unit: Range<usize>, memory: u64, writer: &'a mut DatasetWriter) -> Self {
        let next = unit.start;
        let mut inputs: Vec<_> = unit.collect();
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
            waiting: BTreeMap::new(),
            outcomes: Vec::new(),
            has_failed: false,
        }
    }

    fn take_large(&mut self) -> Option<Task> {
        let index = admitted(&self.large, self.next, self.used, self.running, self.memory)?;
        let task = self.large.remove(index);
        Some(self.begin(task))
    }

    fn take_small(&mut self) -> Option<Task> {
        let index = admitted(&self.small, self.next, self.used, self.running, self.memory)?;
        let task = self.small.remove(index);
        Some(self.begin(task))
    }

    fn begin(&mut self, task: Task) -> Task {
        self.running += 1;
        self.used = self.used.saturating_add(task.need);
        task
    }

    /// Takes what was made of an input, and appends all rows that wait for no others any more.
    fn finish(&mut self, task: Task, outcome: Outcome, held: HeldRows) -> Result<(), Error> {
        self.running -= 1;
        self.used = self.used.saturating_sub(task.need).saturating_add(held.bytes());
        self.waiting.insert(task.input, (outcome, held));
        while let Some((outcome, held)) = self.waiting.remove(&self.next) {
            self.used = self.used.saturating_sub(held.bytes());
            held.move_to(self.writer)?;
            self.outcomes.push(outcome);
            self.next += 1;
        }
        Ok(())
    }
}

/// What workers share.
struct Queue<'a, 'w> {
    state: Mutex<&'a mut State<'w>>,
    changed: Condvar,
}

impl<'a, 'w> Queue<'a, 'w> {
    /// Lowers small files until none is left, or none can be begun before a large one.
    fn work(&self, lowering: &Lowering<'_>) -> Result<(), Error> {
        while let Some(task) = self.take() {
            let alarm = Alarm(self);
            let mut held = HeldRows::default();
            let outcome = lowering.lower(task.input, &mut held)?;
            self.lock().finish(task, outcome, held)?;
            std::mem::forget(alarm);
            self.changed.notify_all();
        }
        Ok(())
    }

    fn take(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.has_failed {
                return None;
            }
            let task = state.take_small();
            if task.is_some() || state.small.is_empty() || state.running == 0 {
                return task;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, &'a mut State<'w>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the other workers when one ends with an error or a panic: they would wait for it.
struct Alarm<'a, 'q, 'w>(&'q Queue<'a, 'w>);

impl Drop for Alarm<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.lock().has_failed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{CorpusFile, Task, admitted, units};

    fn tasks(tasks: &[(usize, u64)]) -> Vec<Task> {
        tasks.iter().map(|(input, need)| Task { input: *input, need: *need }).collect()
    }

    #[test]
    fn the_largest_that_fits_is_begun_first() {
        let tasks = tasks(&[(3, 50), (0, 40), (1, 10)]);
        assert_eq!(admitted(&tasks, 0, 0, 0, 100), Some(0));
        assert_eq!(admitted(&tasks, 0, 55, 1, 100), Some(1));
        assert_eq!(admitted(&tasks, 0, 90, 2, 100), Some(2));
    }

    #[test]
    fn what_does_not_fit_waits_for_what_runs() {
        let tasks = tasks(&[(3, 50), (0, 40), (1, 10)]);
        assert_eq!(admitted(&tasks, 0, 91, 1, 100), None);
        assert_eq!(admitted(&tasks, 0, u64::MAX, 1, 100), None);
        assert_eq!(admitted(&[], 0, 0, 0, 100), None);
    }

    #[test]
    fn when_rows_that_wait_fill_the_memory_the_input_that_they_wait_for_is_begun() {
        let tasks = tasks(&[(3, 50), (1, 40), (2, 10)]);
        assert_eq!(admitted(&tasks, 1, 95, 0, 100), Some(1));
        assert_eq!(admitted(&tasks, 0, 95, 0, 100), None, "it is none of these");
    }

    #[test]
    fn what_is_larger_than_all_memory_is_begun_alone() {
        let tasks = tasks(&[(0, 500), (1, 10)]);
        assert_eq!(admitted(&tasks[..1], 0, 10, 1, 100), None);
        assert_eq!(admitted(&tasks[..1], 0, 0, 0, 100), Some(0));
        assert_eq!(admitted(&tasks, 0, 0, 0, 100), Some(1), "the smaller one is not kept waiting");
    }

    #[test]
    fn units_are_cut_where_they_would_grow_too_large() {
        let file = |size: &u64| CorpusFile { path: "a".into(), name: "a".into(), size: size << 20 };
        let cut = |sizes: &[u64]| units(&sizes.iter().map(file).collect::<Vec<_>>(), 100 << 20);
        assert_eq!(cut(&[40, 60, 1]), [0..2, 2..3]);
        assert_eq!(cut(&[400, 1, 99, 101]), [0..1, 1..3, 3..4]);
        assert_eq!(cut(&[7]).len(), 1);
        assert_eq!(cut(&[0; 401]), [0..400, 400..401], "empty files count too");
    }
}
