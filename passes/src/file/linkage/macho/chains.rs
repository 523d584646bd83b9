//! `binary_relocations` of the loader, from chains: every pointer that it changes says how, and where the next one is.
//!
//! Source: `mach-o/fixup-chains.h` of Apple's dyld.

use super::fixups::Pointers;
use super::imports::{AddressRanges, Imports, Symbol};
use super::relocations::{Row, Writer};
use crate::file::formats::bytes_at;
use crate::file::formats::macho::{Header, MachO};
use object::Endianness;
use object::read::macho::{DyldChainedFixups, DyldChainedImport, DyldChainedSegment, Fixup, Segment};

/// Names that chains refer to may be this many times the file: they may share their bytes.
const NAMES_PER_FILE_SIZE_MAX: usize = 16;

pub(super) fn push<'a, H: Header>(
    writer: &mut Writer<'a, '_, H>,
    data: &'a [u8],
    arrays: &AddressRanges,
    imports: &mut Imports<'a>,
    pointers: &mut Pointers,
) -> Result<(), String> {
    let endian = writer.macho.endian;
    let fixups = DyldChainedFixups::parse(endian, data).map_err(|error| error.to_string())?;
    let symbols = symbols(writer.macho, &fixups, imports)?;
    let mut pages_left = writer.macho.file.len();
    for segment in fixups.segments(endian).map_err(|error| error.to_string())? {
        let segment = segment.map_err(|error| error.to_string())?;
        let pages = segment.header().page_count.get(endian).into();
        pages_left = pages_left.checked_sub(pages).ok_or("there are more pages than in the file")?;
        push_segment(writer, &segment, &symbols, arrays, imports, pointers)?;
    }
    Ok(())
}

/// A symbol of the table of imports, and what is added to its address.
type Target = (Symbol, i64);

fn symbols<'a, H: Header>(
    macho: &MachO<'a, H>,
    fixups: &DyldChainedFixups<'a, Endianness>,
    imports: &mut Imports<'a>,
) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    let mut left = macho.file.len().saturating_mul(NAMES_PER_FILE_SIZE_MAX);
    for import in fixups.imports(macho.endian).map_err(|error| error.to_string())? {
        let import: DyldChainedImport<'a> = import.map_err(|error| error.to_string())?;
        left = left.checked_sub(import.name.len()).ok_or("names are too long")?;
        let symbol = imports.symbol(import.name);
        imports.add(&symbol, import.dylib, import.weak_import, false);
        targets.push((symbol, import.addend));
    }
    Ok(targets)
}

fn push_segment<H: Header>(
    writer: &mut Writer<'_, '_, H>,
    segment: &DyldChainedSegment<'_, Endianness>,
    symbols: &[Target],
    arrays: &AddressRanges,
    imports: &mut Imports<'_>,
    pointers: &mut Pointers,
) -> Result<(), String> {
    let macho = writer.macho;
    let endian = macho.endian;
    let header = macho.segments.get(segment.index() as usize).ok_or("a segment does not exist")?.header;
    let (file_offset, file_size) = header.file_range(endian);
    let (content, _) = bytes_at(macho.file, file_offset, file_size);
    let image_address = macho.image_address().unwrap_or(0);
    let start: u64 = header.vmaddr(endian).into();
    let format = segment.header().pointer_format.get(endian);
    let unnamed = format!("{:#x}", format.0);
    let relocation_type = format.name().unwrap_or(&unnamed);
    for fixup in segment.fixups(endian, image_address, content) {
        let (offset, fixup) = fixup.map_err(|error| error.to_string())?;
        let address = start.wrapping_add(offset);
        let (symbol, target) = match fixup {
            Fixup::Rebase(rebase) => (None, image_address.wrapping_add(rebase.target_offset)),
            Fixup::KernelCacheRebase(rebase) => (None, image_address.wrapping_add(rebase.target_offset)),
            Fixup::SegmentedRebase(rebase) => {
                let segment = macho.segments.get(usize::from(rebase.target_segment_index));
                let start: u64 = segment.map_or(0, |segment| segment.header.vmaddr(endian).into());
                (None, start.wrapping_add(rebase.target_segment_offset))
            }
            Fixup::Bind(bind) => {
                let target = symbols.get(bind.ordinal as usize).ok_or("an import does not exist")?;
                (Some(&target.0), i64::from(bind.addend).wrapping_add(target.1) as u64)
            }
        };
        if let Some(symbol) = symbol {
            imports.set_slot(symbol, address, false);
        }
        if arrays.contain(address) {
            pointers.insert(address, symbol.is_none().then_some(target));
        }
        writer.push_row(&Row {
            is_dynamic: true,
            section_index: None,
            address,
            relocation_type,
            symbol_index: symbol.and_then(|symbol| symbol.index),
            symbol_name: symbol.map(|symbol| symbol.name.as_str()),
            addend: Some(target as i64),
        })?;
    }
    Ok(())
}
