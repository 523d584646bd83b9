//! Compressed sections.
//!
//! Sources: System V Application Binary Interface, "Compression header" (ELF); GNU binutils for `.zdebug_` sections;
//! "The .xz File Format".

use super::bytes_at;
use binframe_ir::tables::BinarySection;
use flate2::read::ZlibDecoder;
use lzma_rust2::XzReader;
use object::elf::{self, CompressionHeader32, CompressionHeader64};
use object::read::elf::CompressionHeader;
use object::read::{CompressedData, CompressionFormat};
use object::{Endianness, pod};
use std::borrow::Cow;
use std::io::Read;

/// What a header of `SHF_COMPRESSED` depends on: whether the ELF file is 64-bit, and its byte order.
pub(crate) type ElfEncoding = (bool, Endianness);

/// The content of a section as it is stored, with its uncompressed size. `elf` is given for a section of an ELF file.
/// Sections of any format whose names start with `zdebug_` may be compressed.
pub(crate) fn stored<'a>(
    file: &'a [u8],
    section: &BinarySection<'_>,
    elf: Option<ElfEncoding>,
) -> Result<CompressedData<'a>, String> {
    let (content, _) = bytes_at(file, section.file_offset, section.file_size);
    let name = section.section_name.rsplit(',').next().unwrap_or_default();
    match elf.filter(|_| section.flags & elf::SHF_COMPRESSED.0 != 0) {
        Some((true, endian)) => with_header::<CompressionHeader64<Endianness>>(content, endian),
        Some((false, endian)) => with_header::<CompressionHeader32<Endianness>>(content, endian),
        None if name.trim_start_matches(['.', '_']).starts_with("zdebug_") => Ok(with_size(content)),
        None => Ok(CompressedData::none(content)),
    }
}

/// A section of the older form of the GNU tools. They leave a section as it is where compression would make it larger.
fn with_size(content: &[u8]) -> CompressedData<'_> {
    match content.split_first_chunk::<12>() {
        Some(([b'Z', b'L', b'I', b'B', size @ ..], data)) => CompressedData {
            format: CompressionFormat::Zlib,
            data,
            uncompressed_size: u64::from_be_bytes(*size),
        },
        _ => CompressedData::none(content),
    }
}

fn with_header<C: CompressionHeader<Endian = Endianness>>(
    content: &[u8],
    endian: Endianness,
) -> Result<CompressedData<'_>, String> {
    let (header, data) = pod::from_bytes::<C>(content).map_err(|()| "its compression header is cut short")?;
    let format = match header.ch_type(endian) {
        elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
        elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
        _ => CompressionFormat::Unknown,
    };
    Ok(CompressedData { format, data, uncompressed_size: header.ch_size(endian).into() })
}

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

/// Size in KiB of the window that decompression of an xz file may use: that of the strongest level, and some more.
const XZ_MEMORY_MAX: u32 = 72 << 10;

/// The decompressed bytes of an xz file; an error if there are more than `size_max`.
pub(crate) fn decompress_xz(content: &[u8], size_max: u64) -> Result<Vec<u8>, String> {
    let mut decompressed = Vec::new();
    let reader = XzReader::new_mem_limit(content, true, XZ_MEMORY_MAX);
    match reader.take(size_max.saturating_add(1)).read_to_end(&mut decompressed) {
        Ok(size) if size as u64 > size_max => Err(format!("it has more than {size_max} bytes")),
        Ok(_) => Ok(decompressed),
        Err(error) => Err(format!("it cannot be decompressed: {error}")),
    }
}
