//! A writer that computes the fingerprint of what is written.

use binframe_ir::Fingerprint;
use std::io::{self, Write};
use xxhash_rust::xxh3::Xxh3;

/// Writes to `out`, and hashes the written bytes.
pub(super) struct FingerprintWriter<W> {
    out: W,
    hash: Xxh3,
}

impl<W> FingerprintWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, hash: Xxh3::new() }
    }

    /// The output, and the [`Fingerprint::of_bytes`] of all written bytes.
    pub(super) fn finish(self) -> (W, Fingerprint) {
        (self.out, Fingerprint(self.hash.digest128()))
    }
}

impl<W: Write> Write for FingerprintWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
