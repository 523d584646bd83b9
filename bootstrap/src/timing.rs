//! Timing of the steps of a run.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Name of a pass, or `write` and the name of a table.
    pub step: String,
    /// Number of rows computed.
    pub rows: u64,
    /// Size of the code for a pass that reads `code`, of the file for another pass; encoded bytes of a table.
    pub bytes: u64,
    /// Elapsed time in seconds, summed over inputs, also over inputs that run in parallel.
    pub wall_seconds: f64,
    /// Processor time in seconds, of all threads.
    pub cpu_seconds: f64,
}

/// Adds the timing of a step to the earlier timings of that step.
pub(crate) fn add_timing(timings: &mut Vec<Timing>, timing: Timing) {
    match timings.iter_mut().find(|total| total.step == timing.step) {
        None => timings.push(timing),
        Some(total) => {
            total.rows += timing.rows;
            total.bytes += timing.bytes;
            total.wall_seconds += timing.wall_seconds;
            total.cpu_seconds += timing.cpu_seconds;
        }
    }
}

/// Measures elapsed time and processor time of consecutive steps.
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    /// Ends a step. The next one starts.
    pub(crate) fn step(&mut self, step: String, rows: u64, bytes: u64) -> Timing {
        let last = std::mem::replace(self, Self::start());
        let cpu_seconds = self.cpu.saturating_sub(last.cpu).as_secs_f64();
        Timing { step, rows, bytes, wall_seconds: (self.wall - last.wall).as_secs_f64(), cpu_seconds }
    }
}

/// Processor time. In a pool of one thread it is the time of this thread only: other pools of one thread run in
/// parallel.
fn cpu_time() -> Duration {
    let is_single = rayon::current_thread_index().is_some() && rayon::current_num_threads() == 1;
    let clock = if is_single { ClockId::ThreadCPUTime } else { ClockId::ProcessCPUTime };
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
