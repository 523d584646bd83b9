//! What the linker will write to the unwinding information of an object.

use super::super::unwind::frames::{Relocation, source};
use super::function_table::{FUNCTION_TABLE, UNWIND_INFO, group};
use crate::formats::pe::{Coff, ObjectHeader};
use binframe_ir::Rows;
use binframe_ir::tables::BinarySections;
use object::LittleEndian as LE;
use object::pe::{self, ImageRelocation, Machine, RelocationType};
use object::read::coff::Symbol;

/// Relocations, sorted by section and offset.
pub(super) fn read<H: ObjectHeader>(coff: &Coff<'_, H>, sections: &Rows<BinarySections>) -> Vec<Relocation> {
    // Tables of sections may share bytes: there cannot be more relocations than fit in the file.
    let mut left = coff.file.len() / size_of::<ImageRelocation>();
    let mut found = Vec::new();
    let Ok(symbols) = coff.symbols() else { return found };
    for (section, header) in sections.columns().iter().zip(coff.section_headers) {
        let is_wanted = [FUNCTION_TABLE, UNWIND_INFO].contains(&group(section.section_name))
            || source(section.section_name).is_some();
        if !is_wanted {
            continue;
        }
        let relocations = header.coff_relocations(coff.file.as_ref()).unwrap_or_default();
        for relocation in relocations.iter().take(left) {
            let Ok(symbol) = symbols.symbol(relocation.symbol()) else { continue };
            let offset = relocation.virtual_address.get(LE).wrapping_sub(header.virtual_address.get(LE));
            let value = symbol.value().wrapping_sub(counted_from_end(coff.machine, relocation.typ.get(LE)));
            found.push(Relocation {
                frames_index: section.section_index,
                offset: offset.into(),
                section_index: u32::try_from(symbol.section_number().0)
                    .ok()
                    .filter(|index| (1..=sections.columns().len()).contains(&(*index as usize))),
                value: i64::from(value.cast_signed()) as u64,
                adds_stored: true,
                is_subtracted: false,
            });
        }
        left = left.saturating_sub(relocations.len());
    }
    found.sort_by_key(|relocation| (relocation.frames_index, relocation.offset));
    found
}

/// Size of the field where the distance to its end is written, and not to its start: what is stored in it makes up for that.
fn counted_from_end(machine: Machine, relocation_type: RelocationType) -> u32 {
    match (machine, relocation_type) {
        (pe::IMAGE_FILE_MACHINE_AMD64, pe::IMAGE_REL_AMD64_REL32)
        | (pe::IMAGE_FILE_MACHINE_I386, pe::IMAGE_REL_I386_REL32) => 4,
        _ => 0,
    }
}
