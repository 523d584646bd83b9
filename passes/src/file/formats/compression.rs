//! Decompression of sections.
//!
//! Sources: System V Application Binary Interface, "Compression header" (ELF); GNU binutils for `.zdebug_` sections.

use flate2::read::ZlibDecoder;
use object::read::{CompressedData, CompressionFormat};
use std::borrow::Cow;
use std::io::Read;

/// The decompressed bytes of a section; an error if their number is not the size that the section states. The caller
/// limits that size.
pub(crate) fn decompress<'a>(section: &CompressedData<'a>) -> Result<Cow<'a, [u8]>, String> {
    let mut content = Vec::new();
    // Reading one byte more than stated shows whether there are too many.
    let limit = section.uncompressed_size.saturating_add(1);
    let read = match section.format {
        CompressionFormat::None => return Ok(Cow::Borrowed(section.data)),
        CompressionFormat::Zlib => ZlibDecoder::new(section.data).take(limit).read_to_end(&mut content),
        CompressionFormat::Zstandard => zstd::stream::read::Decoder::new(section.data)
            .and_then(|decoder| decoder.take(limit).read_to_end(&mut content)),
        _ => return Err("it is compressed in a way that is not known".to_owned()),
    };
    match read {
        Ok(size) if size as u64 == section.uncompressed_size => Ok(Cow::Owned(content)),
        Ok(size) => {
            let stated = section.uncompressed_size;
            Err(format!("{size} bytes or more are compressed, where it says {stated}"))
        }
        Err(error) => Err(format!("it cannot be decompressed: {error}")),
    }
}
