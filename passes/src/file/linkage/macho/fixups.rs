//! `binary_relocations` of the loader, from the opcodes of `LC_DYLD_INFO` or from chained fixups (`chains.rs`).

use super::chains;
use super::imports::{AddressRanges, BoundSymbol, Imports};
use super::pointers::ArrayPointers;
use super::relocations::{RelocationRow, RelocationWriter};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::macho::{Header, MachO};
use object::macho::{self, DyldInfoCommand};
use object::read::macho::{BindIterator, LoadCommandVariant, RebaseIterator, Segment};
use object::{Endianness, Error};

const OUTSIDE: &str = "a place is in no segment";

/// Adds the pointers that the loader changes. Returns those of chained fixups that are in arrays of functions.
pub(super) fn push<'a, H: Header>(
    writer: &mut RelocationWriter<'a, '_, H>,
    arrays: &AddressRanges,
    imports: &mut Imports<'a>,
) -> ArrayPointers {
    let macho = writer.macho;
    let mut pointers = ArrayPointers::new();
    if let Some((offset, data)) = macho.linkedit(macho::LC_DYLD_CHAINED_FIXUPS) {
        imports.are_listed = true;
        let pushed = data.map_err(|error| error.to_string());
        let pushed = pushed.and_then(|data| chains::push(writer, data, arrays, imports, &mut pointers));
        if let Err(error) = pushed {
            writer.report(DiagnosticLocation::FileOffset(offset), error);
        }
    }
    let info = macho.variants().find_map(|(_, variant)| match variant {
        LoadCommandVariant::DyldInfo(info) => Some(info),
        _ => None,
    });
    if let Some(info) = info {
        imports.are_listed = true;
        push_info(writer, info, imports);
    }
    pointers
}

fn push_info<'a, H: Header>(
    writer: &mut RelocationWriter<'a, '_, H>,
    info: &DyldInfoCommand<Endianness>,
    imports: &mut Imports<'a>,
) {
    let macho = writer.macho;
    let (endian, file, size) = (macho.endian, macho.file.as_ref(), H::pointer_size());
    let rebases = info.rebases(endian, file, size).map_err(|error| error.to_string());
    if let Err(error) = rebases.and_then(|rebases| push_rebases(writer, rebases)) {
        writer.report(DiagnosticLocation::FileOffset(info.rebase_off.get(endian).into()), error);
    }
    let binds = [
        (info.bind_off, info.binds(endian, file, size), false),
        (info.weak_bind_off, info.weak_binds(endian, file, size), false),
        (info.lazy_bind_off, info.lazy_binds(endian, file, size), true),
    ];
    for (offset, binds, is_lazy) in binds {
        let binds = binds.map_err(|error| error.to_string());
        if let Err(error) = binds.and_then(|binds| push_binds(writer, binds, is_lazy, imports)) {
            writer.report(DiagnosticLocation::FileOffset(offset.get(endian).into()), error);
        }
    }
}

fn push_rebases<H: Header>(
    writer: &mut RelocationWriter<'_, '_, H>,
    rebases: RebaseIterator<'_>,
) -> Result<(), String> {
    for rebase in rebases {
        let rebase = rebase.map_err(|error: Error| error.to_string())?;
        let address = segment_address(writer.macho, rebase.segment_index.into(), rebase.segment_offset)
            .ok_or(OUTSIDE)?;
        let unnamed = format!("{:#x}", rebase.kind.0);
        writer.push_row(&RelocationRow {
            is_dynamic: true,
            section_index: None,
            address,
            relocation_type: rebase.kind.name().unwrap_or(&unnamed),
            symbol_index: None,
            symbol_name: None,
            addend: None,
            auth: None,
        })?;
    }
    Ok(())
}

fn push_binds<'a, H: Header>(
    writer: &mut RelocationWriter<'a, '_, H>,
    binds: BindIterator<'a>,
    is_lazy: bool,
    imports: &mut Imports<'a>,
) -> Result<(), String> {
    let mut last: Option<(&[u8], BoundSymbol)> = None;
    for bind in binds {
        let bind = bind.map_err(|error| error.to_string())?;
        let address =
            segment_address(writer.macho, bind.segment_index.into(), bind.segment_offset).ok_or(OUTSIDE)?;
        // Consecutive binds often have the same symbol.
        let is_last = last.as_ref().is_some_and(|(name, _)| std::ptr::eq(*name, bind.symbol));
        if !is_last {
            last = Some((bind.symbol, imports.symbol(bind.symbol)));
        }
        let Some((_, symbol)) = &last else { continue };
        let is_weak = bind.flags.contains(macho::BIND_SYMBOL_FLAGS_WEAK_IMPORT);
        imports.add(symbol, bind.dylib, is_weak, is_lazy);
        imports.set_slot(symbol, address, is_lazy);
        let unnamed = format!("{:#x}", bind.kind.0);
        writer.push_row(&RelocationRow {
            is_dynamic: true,
            section_index: None,
            address,
            relocation_type: bind.kind.name().unwrap_or(&unnamed),
            symbol_index: symbol.index,
            symbol_name: Some(&symbol.name),
            addend: Some(bind.addend),
            auth: None,
        })?;
    }
    Ok(())
}

/// The address of an offset in a segment; `None` if it is outside.
fn segment_address<H: Header>(macho: &MachO<'_, H>, segment_index: usize, offset: u64) -> Option<u64> {
    let segment = macho.segments.get(segment_index)?.header;
    let size: u64 = segment.vmsize(macho.endian).into();
    let start: u64 = segment.vmaddr(macho.endian).into();
    start.checked_add(offset).filter(|_| offset < size)
}
