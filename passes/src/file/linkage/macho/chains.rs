//! `binary_relocations` of the loader, from chained fixups (`LC_DYLD_CHAINED_FIXUPS`): each pointer states how the
//! loader changes it, and the distance to the next one.
//!
//! Source: `mach-o/fixup-chains.h` of Apple's dyld.

use super::binds::{Bind, Place};
use super::imports::{BoundSymbol, Imports};
use super::pointers::Fixups;
use super::relocations::RelocationRow;
use crate::file::formats::bytes_at;
use crate::file::formats::macho::Header;
use crate::file::text_budget::NAMES_PER_FILE_SIZE_MAX;
use object::Endianness;
use object::macho::{BIND_TYPE_POINTER, DYLD_CHAINED_PTR_32_FIRMWARE};
use object::read::macho::{DyldChainedFixups, DyldChainedImport, DyldChainedSegment, Fixup, Segment};

/// `LC_DYLD_CHAINED_FIXUPS` with a chain at the start of its only segment, of `DYLD_CHAINED_PTR_ARM64E`.
const ONE_CHAIN: [u32; 15] = [0, 28, 0, 0, 0, 1, 0, 1, 8, 24, 1 << 16, 0, 0, 0, 1];

/// Adds the relocations of all chains.
pub(super) fn push<'a, H: Header>(fixups: &mut Fixups<'_, 'a, '_, H>, data: &'a [u8]) -> Result<(), String> {
    let macho = fixups.writer.macho;
    let endian = macho.endian;
    let chained = DyldChainedFixups::parse(endian, data).map_err(|error| error.to_string())?;
    let mut targets = BindTargets::new(macho.file.len());
    for import in chained.imports(endian).map_err(|error| error.to_string())? {
        let import: DyldChainedImport<'a> = import.map_err(|error| error.to_string())?;
        let (symbol, dylib, is_weak) = (import.name, import.dylib, import.weak_import);
        let bind = Bind { symbol, dylib, is_weak, kind: BIND_TYPE_POINTER, addend: import.addend };
        targets.push(&bind, &mut fixups.imports)?;
    }
    let mut pages_left = macho.file.len();
    for segment in chained.segments(endian).map_err(|error| error.to_string())? {
        let segment = segment.map_err(|error| error.to_string())?;
        let pages = segment.header().page_count.get(endian).into();
        pages_left = pages_left.checked_sub(pages).ok_or("there are more pages than in the file")?;
        push_segment(fixups, &segment, segment.index() as usize, 0, &targets)?;
    }
    Ok(())
}

/// Adds the relocations of a chain that operations name (`binds.rs`). Its pointers have the first format of chained
/// fixups.
pub(super) fn push_chain<H: Header>(
    fixups: &mut Fixups<'_, '_, '_, H>,
    (segment_index, offset): Place,
    targets: &BindTargets,
) -> Result<(), String> {
    let endian = fixups.writer.macho.endian;
    let data = ONE_CHAIN.map(u32::to_le_bytes).concat();
    let chained = DyldChainedFixups::parse(endian, &data).map_err(|error| error.to_string())?;
    for segment in chained.segments(endian).map_err(|error| error.to_string())? {
        let segment = segment.map_err(|error| error.to_string())?;
        push_segment(fixups, &segment, segment_index.into(), offset, targets)?;
    }
    Ok(())
}

/// The symbols that pointers of chains refer to by their position.
pub(super) struct BindTargets {
    /// Each with the addend to its address.
    targets: Vec<(BoundSymbol, i64)>,
    /// Bytes that names may still take.
    bytes_left: u64,
}

impl BindTargets {
    /// Of a file of `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        let bytes_left = (size as u64).saturating_mul(NAMES_PER_FILE_SIZE_MAX);
        Self { targets: Vec::new(), bytes_left }
    }

    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn push<'a>(
        &mut self,
        bind: &Bind<'a>,
        imports: &mut Imports<'a>,
    ) -> Result<(), &'static str> {
        self.bytes_left =
            self.bytes_left.checked_sub(bind.symbol.len() as u64).ok_or("names are too long")?;
        let symbol = imports.symbol(bind.symbol);
        imports.add(&symbol, bind.dylib, bind.is_weak, false);
        self.targets.push((symbol, bind.addend));
        Ok(())
    }
}

/// Adds the relocations of a segment, or of its part from an offset that the pages of `chained` are counted from.
fn push_segment<H: Header>(
    fixups: &mut Fixups<'_, '_, '_, H>,
    chained: &DyldChainedSegment<'_, Endianness>,
    segment_index: usize,
    offset: u64,
    targets: &BindTargets,
) -> Result<(), String> {
    let macho = fixups.writer.macho;
    let endian = macho.endian;
    let header = macho.segments.get(segment_index).ok_or("a segment does not exist")?.header;
    let (file_offset, file_size) = header.file_range(endian);
    let (content, _) = bytes_at(macho.file, file_offset, file_size);
    let content = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
    let image_address = macho.image_address().unwrap_or(0);
    let start = header.vmaddr(endian).into().wrapping_add(offset);
    let format = chained.header().pointer_format.get(endian);
    let unnamed = format!("{:#x}", format.0);
    let relocation_type = format.name().unwrap_or(&unnamed);
    for fixup in chained.fixups(endian, image_address, content) {
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
                let target = targets.targets.get(bind.ordinal as usize).ok_or("an import does not exist")?;
                (Some(&target.0), i64::from(bind.addend).wrapping_add(target.1) as u64)
            }
        };
        if let Some(symbol) = symbol {
            fixups.imports.set_slot(symbol, address, false);
        }
        if fixups.arrays.contain(address) {
            fixups.pointers.insert(address, symbol.is_none().then_some(target));
        }
        fixups.writer.push_row(&RelocationRow {
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
