//! Where commands write: standard output, or a file that appears when it is complete.

use super::closed_output;
use crate::failure::Failure;
use binframe::NewFile;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A buffered destination of rows or text.
pub(crate) type Output = BufWriter<Box<dyn Write + Send>>;

/// Standard output. If it is closed, writing fails.
pub(crate) fn stdout() -> Output {
    match closed_output::was_closed() {
        true => buffered(Box::new(ClosedOutput)),
        false => buffered(Box::new(io::stdout())),
    }
}

struct ClosedOutput;

impl Write for ClosedOutput {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("standard output is closed"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file at `path`, or standard output if there is no path. A new file has to be published when it is complete.
pub(crate) fn open(path: Option<&Path>) -> Result<(Output, Option<NewFile>), Failure> {
    path.map_or_else(|| Ok((stdout(), None)), create)
}

/// A new file, or the existing device or pipe at `path`, which is written directly.
fn create(path: &Path) -> Result<(Output, Option<NewFile>), Failure> {
    let failure = |error| Failure::Failed(format!("{}: cannot create: {error}", path.display()));
    if path.exists() && !path.is_file() {
        let output = File::options().write(true).open(path).map_err(failure)?;
        return Ok((buffered(Box::new(output)), None));
    }
    let file = NewFile::create(path, false)?;
    let output = file.file().try_clone().map_err(failure)?;
    Ok((buffered(Box::new(output)), Some(file)))
}

fn buffered(output: Box<dyn Write + Send>) -> Output {
    BufWriter::with_capacity(1 << 16, output)
}
