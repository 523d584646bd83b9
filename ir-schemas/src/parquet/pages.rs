//! A buffer for the pages of a column chunk that takes over large buffers instead of copying them.

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// Pages and their headers, concatenated.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pieces: Vec<Bytes>,
    /// Bytes written after `pieces`.
    rest: Vec<u8>,
    /// Buffer that is taken over, not copied, when its bytes are written.
    expected: Bytes,
}

impl Pages {
    /// Announces a write of `body`, whose buffer is then taken over.
    pub(super) fn expect(&mut self, body: Bytes) {
        self.expected = body;
    }

    fn close_rest(&mut self) {
        if !self.rest.is_empty() {
            self.pieces.push(std::mem::take(&mut self.rest).into());
        }
    }
}

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match !bytes.is_empty() && std::ptr::eq(bytes, &raw const *self.expected) {
            true => {
                self.close_rest();
                self.pieces.push(std::mem::take(&mut self.expected));
            }
            false => self.rest.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.close_rest();
        Ok(())
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() + self.rest.len() as u64
    }
}

impl ChunkReader for Pages {
    type T = PagesReader;

    fn get_read(&self, start: u64) -> Result<PagesReader> {
        let rest = Bytes::copy_from_slice(&self.rest);
        let mut reader = PagesReader(self.pieces.iter().cloned().chain([rest]).collect());
        io::copy(&mut reader.by_ref().take(start), &mut io::sink())?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads the pages sequentially.
pub(super) struct PagesReader(VecDeque<Bytes>);

impl Read for PagesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.0.pop_front_if(|piece| piece.is_empty()).is_some() {}
        let Some(piece) = self.0.front_mut() else { return Ok(0) };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;
    use bytes::Bytes;
    use parquet::file::reader::{ChunkReader, Length};
    use std::io::{Read, Write};

    #[test]
    fn an_expected_buffer_is_not_copied_and_is_read_in_order() {
        let body = Bytes::from(vec![7; 1000]);
        let mut pages = Pages::default();
        pages.write_all(b"header").unwrap();
        pages.expect(body.clone());
        pages.write_all(&body).unwrap();
        pages.write_all(b"end").unwrap();
        assert_eq!(pages.pieces[1].as_ptr(), body.as_ptr());
        assert_eq!(pages.len(), 1009);
        let mut text = Vec::new();
        pages.get_read(4).unwrap().read_to_end(&mut text).unwrap();
        assert_eq!(text, [b"er".as_slice(), &body, b"end"].concat());
        assert_eq!(pages.get_bytes(1005, 3).unwrap(), [7, b'e', b'n'].as_slice());
    }
}
