//! How long steps take.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// What was done: the name of a pass, or `write` and the name of a table.
    pub step: String,
    /// Rows that were made.
    pub rows: u64,
    /// Bytes that were read, for a pass; bytes that were written, for a table.
    pub bytes: u64,
    /// Time on the clock. Of inputs that are worked on at one time, each counts.
    pub wall_seconds: f64,
    /// Time on all processors.
    pub cpu_seconds: f64,
}

/// Adds what a step took to what it took before.
pub(crate) fn add_timing(timings: &mut Vec<Timing>, timing: Timing) {
    match timings.iter_mut().find(|known| known.step == timing.step) {
        None => timings.push(timing),
        Some(known) => {
            known.rows += timing.rows;
            known.bytes += timing.bytes;
            known.wall_seconds += timing.wall_seconds;
            known.cpu_seconds += timing.cpu_seconds;
        }
    }
}

/// Runs since it was made.
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    pub(crate) fn stop(self, step: String, rows: u64, bytes: u64) -> Timing {
        let cpu_seconds = cpu_time().saturating_sub(self.cpu).as_secs_f64();
        Timing { step, rows, bytes, wall_seconds: self.wall.elapsed().as_secs_f64(), cpu_seconds }
    }
}

/// Time on the processors. A worker of one thread runs beside others, whose time is none of its own.
fn cpu_time() -> Duration {
    let is_alone = rayon::current_thread_index().is_some() && rayon::current_num_threads() == 1;
    let clock = if is_alone { ClockId::ThreadCPUTime } else { ClockId::ProcessCPUTime };
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
