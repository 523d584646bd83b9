//! `binary_relocations` of the loader, from chained fixups (`LC_DYLD_CHAINED_FIXUPS`): each pointer states how the
//! loader changes it, and the distance to the next one.
//!
//! Source: `mach-o/fixup-chains.h` of Apple's dyld.

use super::imports::{AddressRanges, BoundSymbol, Imports};
use super::pointers::ArrayPointers;
use super::relocations::{RelocationRow, RelocationWriter};
use crate::file::formats::bytes_at;
use crate::file::formats::macho::{Header, MachO};
use crate::file::text_budget::NAMES_PER_FILE_SIZE_MAX;
use object::Endianness;
use object::macho::DYLD_CHAINED_PTR_32_FIRMWARE;
use object::read::macho::{DyldChainedFixups, DyldChainedImport, DyldChainedSegment, Fixup, Segment};

/// Adds the relocations of all chains.
pub(super) fn push<'a, H: Header>(
    writer: &mut RelocationWriter<'a, '_, H>,
    data: &'a [u8],
    arrays: &AddressRanges,
    imports: &mut Imports<'a>,
    pointers: &mut ArrayPointers,
) -> Result<(), String> {
    let endian = writer.macho.endian;
    let fixups = DyldChainedFixups::parse(endian, data).map_err(|error| error.to_string())?;
    let targets = bind_targets(writer.macho, &fixups, imports)?;
    let mut pages_left = writer.macho.file.len();
    for segment in fixups.segments(endian).map_err(|error| error.to_string())? {
        let segment = segment.map_err(|error| error.to_string())?;
        let pages = segment.header().page_count.get(endian).into();
        pages_left = pages_left.checked_sub(pages).ok_or("there are more pages than in the file")?;
        push_segment(writer, &segment, &targets, arrays, imports, pointers)?;
    }
    Ok(())
}

/// A symbol of the table of imports, and the addend to its address.
type BindTarget = (BoundSymbol, i64);

/// The table of imports, which fixups refer to by index.
fn bind_targets<'a, H: Header>(
    macho: &MachO<'a, H>,
    fixups: &DyldChainedFixups<'a, Endianness>,
    imports: &mut Imports<'a>,
) -> Result<Vec<BindTarget>, String> {
    let mut targets = Vec::new();
    let mut bytes_left = (macho.file.len() as u64).saturating_mul(NAMES_PER_FILE_SIZE_MAX);
    for import in fixups.imports(macho.endian).map_err(|error| error.to_string())? {
        let import: DyldChainedImport<'a> = import.map_err(|error| error.to_string())?;
        bytes_left = bytes_left.checked_sub(import.name.len() as u64).ok_or("names are too long")?;
        let symbol = imports.symbol(import.name);
        imports.add(&symbol, import.dylib, import.weak_import, false);
        targets.push((symbol, import.addend));
    }
    Ok(targets)
}

fn push_segment<H: Header>(
    writer: &mut RelocationWriter<'_, '_, H>,
    segment: &DyldChainedSegment<'_, Endianness>,
    targets: &[BindTarget],
    arrays: &AddressRanges,
    imports: &mut Imports<'_>,
    pointers: &mut ArrayPointers,
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
        let auth = match &fixup {
            Fixup::Rebase(rebase) => rebase.auth,
            Fixup::KernelCacheRebase(rebase) => rebase.auth,
            Fixup::SegmentedRebase(rebase) => rebase.auth,
            Fixup::Bind(bind) => bind.auth,
        };
        let (symbol, target) = match fixup {
            // Targets of this format are addresses.
            Fixup::Rebase(rebase) if format == DYLD_CHAINED_PTR_32_FIRMWARE => (None, rebase.target_offset),
            Fixup::Rebase(rebase) => (None, image_address.wrapping_add(rebase.target_offset)),
            Fixup::KernelCacheRebase(rebase) => (None, image_address.wrapping_add(rebase.target_offset)),
            Fixup::SegmentedRebase(rebase) => {
                let segment = macho.segments.get(usize::from(rebase.target_segment_index));
                let start: u64 = segment.map_or(0, |segment| segment.header.vmaddr(endian).into());
                (None, start.wrapping_add(rebase.target_segment_offset))
            }
            Fixup::Bind(bind) => {
                let target = targets.get(bind.ordinal as usize).ok_or("an import does not exist")?;
                (Some(&target.0), i64::from(bind.addend).wrapping_add(target.1) as u64)
            }
        };
        if let Some(symbol) = symbol {
            imports.set_slot(symbol, address, false);
        }
        if arrays.contain(address) {
            pointers.insert(address, symbol.is_none().then_some(target));
        }
        writer.push_row(&RelocationRow {
            is_dynamic: true,
            section_index: None,
            address,
            relocation_type,
            symbol_index: symbol.and_then(|symbol| symbol.index),
            symbol_name: symbol.map(|symbol| symbol.name.as_str()),
            addend: Some(target as i64),
            auth,
        })?;
    }
    Ok(())
}
