//! `binary_initializers` of a Mach-O file, from `LC_ROUTINES` and sections of function pointers or offsets.

use super::super::ir::LinkageBuilder;
use super::pointers::ArrayPointers;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::macho::{Header, MachO};
use crate::file::formats::{bytes_at, number};
use binframe_ir::tables::{DiagnosticCode, InitializerKind};
use object::macho;
use object::read::macho::{LoadCommandVariant, Section};
use std::ops::Range;

/// An array of pointers to functions, or of their offsets from the image address.
pub(super) struct FunctionArray {
    kind: InitializerKind,
    has_offsets: bool,
    /// Address range of the array.
    pub(super) addresses: Range<u64>,
    file_offset: u64,
}

/// The arrays of a linked file. An object has none before it is linked.
pub(super) fn arrays<H: Header>(macho: &MachO<'_, H>) -> Vec<FunctionArray> {
    let endian = macho.endian;
    let sections = macho.sections().filter(|_| !macho.is_relocatable());
    let array = |(_, _, section, file_offset): (u32, &H::Segment, &H::Section, u64)| {
        let kind = match section.section_type(endian) {
            macho::S_MOD_INIT_FUNC_POINTERS | macho::S_INIT_FUNC_OFFSETS => InitializerKind::Init,
            macho::S_MOD_TERM_FUNC_POINTERS => InitializerKind::Fini,
            macho::S_THREAD_LOCAL_INIT_FUNCTION_POINTERS => InitializerKind::ThreadLocal,
            _ => return None,
        };
        let has_offsets = section.section_type(endian) == macho::S_INIT_FUNC_OFFSETS;
        let address: u64 = section.addr(endian).into();
        let addresses = address..address.saturating_add(section.size(endian).into());
        Some(FunctionArray { kind, has_offsets, addresses, file_offset })
    };
    sections.filter_map(array).collect()
}

pub(super) fn push<H: Header>(
    macho: &MachO<'_, H>,
    arrays: &[FunctionArray],
    pointers: &ArrayPointers,
    linkage: &mut LinkageBuilder,
) {
    let endian = macho.endian;
    let direct = macho.variants().filter_map(|(_, variant)| match variant {
        LoadCommandVariant::Routines32(routines) => Some(routines.init_address.get(endian).into()),
        LoadCommandVariant::Routines64(routines) => Some(routines.init_address.get(endian)),
        _ => None,
    });
    let mut rows: Vec<_> = direct.map(|address| (InitializerKind::Init, None, Some(address))).collect();
    // Arrays of a valid file do not overlap.
    let mut bytes_left = macho.file.len();
    for array in arrays {
        let size = array.addresses.end - array.addresses.start;
        let (bytes, _) = bytes_at(macho.file, array.file_offset, size);
        let Some(rest) = bytes_left.checked_sub(bytes.len()) else {
            let message = "arrays of functions share bytes: the rest of them was left out";
            linkage.warning(
                DiagnosticCode::BrokenLinkage,
                DiagnosticLocation::FileOffset(array.file_offset),
                message,
            );
            break;
        };
        bytes_left = rest;
        let entry_size = if array.has_offsets { 4 } else { usize::from(H::pointer_size()) };
        let slots = array.addresses.clone().step_by(entry_size);
        for (slot, stored) in slots.zip(bytes.chunks_exact(entry_size)) {
            let Some(stored) = number(endian, stored) else { continue };
            let function = match pointers.get(&slot) {
                Some(function) => *function,
                None if array.has_offsets => {
                    macho.image_address().map(|address| address.wrapping_add(stored))
                }
                None => Some(stored),
            };
            rows.push((array.kind, Some(slot), function));
        }
    }
    linkage.push_initializers(rows);
}
