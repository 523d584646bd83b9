//! Sections that are compressed.
//!
//! Sources: System V Application Binary Interface, "Compression header" (ELF); GNU binutils for `.zdebug_` sections.

use flate2::read::ZlibDecoder;
use object::read::{CompressedData, CompressionFormat};
use std::borrow::Cow;
use std::io::Read;

/// The bytes of a section, which must be as many as it says. The caller looks whether these are too many.
pub(crate) fn decompress<'a>(section: &CompressedData<'a>) -> Result<Cow<'a, [u8]>, String> {
    let mut content = Vec::new();
    // One byte more tells that there are too many.
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
            let said = section.uncompressed_size;
            Err(format!("{size} bytes or more are compressed, where it says {said}"))
        }
        Err(error) => Err(format!("it cannot be decompressed: {error}")),
    }
}
