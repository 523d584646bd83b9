//! `debug_types` and `debug_type_members`: types, and their members sorted by type.

use super::index::EntryIndex;
use super::names::take_text;
use crate::file::text_budget::TextBudget;
use binframe_ir::tables::{
    DebugType, DebugTypeBuilder, DebugTypeMember, DebugTypeMemberBuilder, DebugTypeMembers, DebugTypes,
};
use binframe_ir::{Rows, Term};
use gimli::constants::DwAte;
use std::ops::Range;

/// The types of a chunk of units.
pub(super) fn rows(index: &EntryIndex<'_>, chunk: Range<usize>, names: &mut TextBudget) -> Rows<DebugTypes> {
    let mut rows = DebugTypeBuilder::default();
    for unit in chunk {
        let unit_index = unit as u32;
        for (type_index, of) in (index.type_bases[unit]..).zip(&index.entries[unit].types) {
            let origin = of.origin.filter(|_| of.name.is_none());
            let named = origin.and_then(|reference| index.find_type(unit_index, reference)?.1.name);
            let encoding = of.encoding.map(|encoding| {
                let known = u8::try_from(encoding).ok().and_then(|known| DwAte(known).static_string());
                known.map_or_else(|| format!("{:#x}", encoding & 0xff), str::to_owned)
            });
            rows.push(DebugType {
                type_index,
                type_name: take_text(names, of.name.or(named)).as_deref(),
                kind: of.kind,
                size: index.size_of(unit_index, of),
                alignment: of.alignment,
                target_type_index: of.target.and_then(|reference| index.type_of(unit_index, reference)),
                encoding: encoding.as_deref().map(Term),
                element_count: of.elements,
                member_count: of.member_count,
                is_declaration: of.is_declaration,
                unit_index,
                entry_offset: of.offset,
            });
        }
    }
    rows.finish()
}

/// The members of the types of a chunk of units.
pub(super) fn members(
    index: &EntryIndex<'_>,
    chunk: Range<usize>,
    names: &mut TextBudget,
) -> Rows<DebugTypeMembers> {
    let mut rows = DebugTypeMemberBuilder::default();
    for unit in chunk {
        let mut last = (None, 0);
        for member in &index.entries[unit].members {
            last = if last.0 == Some(member.owner) { (last.0, last.1 + 1) } else { (Some(member.owner), 0) };
            rows.push(DebugTypeMember {
                type_index: index.type_bases[unit] + member.owner,
                member_index: last.1,
                member_name: take_text(names, member.name).as_deref(),
                kind: member.kind,
                member_type_index: member.type_.and_then(|reference| index.type_of(unit as u32, reference)),
                byte_offset: member.offset,
                bit_offset: member.bit_offset,
                bit_size: member.bit_size,
                value: member.value,
            });
        }
    }
    rows.finish()
}
