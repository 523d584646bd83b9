//! The progress of a run.

/// How far a run has come. Several inputs may be worked on at one time.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Number of all inputs.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Inputs that are done, those of a run that was killed included.
    pub files_done: usize,
    /// The size of those.
    pub bytes_done: u64,
    /// Position of an input that is worked on.
    pub input: usize,
    /// Its name or that of its member.
    pub binary: &'a str,
    /// What is being done: the name of a pass, or of a table that is written.
    pub step: &'a str,
    /// Parts of the step that are done.
    pub done: usize,
    /// Parts of the step.
    pub parts: usize,
}
