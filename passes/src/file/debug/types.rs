//! `debug_types` and `debug_type_members`: types, and their members sorted by type.

use super::entries::MemberEntry;
use super::index::EntryIndex;
use super::names::take_text;
use crate::file::text_budget::TextBudget;
use binframe_ir::tables::{
    DebugType, DebugTypeBuilder, DebugTypeMember, DebugTypeMemberBuilder, DebugTypeMembers, DebugTypes,
    MemberKind,
};
use binframe_ir::{Rows, Term};
use gimli::constants::{DW_ATE_signed, DW_ATE_signed_char, DwAte};
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
        for of_type in index.entries[unit].members.chunk_by(|one, next| one.owner == next.owner) {
            let signed_size = signed_size(index, unit as u32, of_type);
            for (member_index, member) in (0..).zip(of_type) {
                rows.push(DebugTypeMember {
                    type_index: index.type_bases[unit] + member.owner,
                    member_index,
                    member_name: take_text(names, member.name).as_deref(),
                    kind: member.kind,
                    member_type_index: member
                        .type_
                        .and_then(|reference| index.type_of(unit as u32, reference)),
                    byte_offset: member.offset,
                    bit_offset: member.bit_offset,
                    bit_size: member.bit_size,
                    value: match member.kind {
                        MemberKind::Variant => member.value.map(|value| sign_extended(value, signed_size)),
                        _ => member.value,
                    },
                });
            }
        }
    }
    rows.finish()
}

/// Size in bytes of the discriminant among the members of a type; `None` if there is none, or if its type is not
/// signed.
fn signed_size(index: &EntryIndex<'_>, unit_index: u32, members: &[MemberEntry<'_>]) -> Option<u64> {
    let discriminant = members.iter().find(|member| member.kind == MemberKind::Discriminant)?;
    let (_, of, _) = index.find_type(unit_index, discriminant.type_?)?;
    let encoding = DwAte(u8::try_from(of.encoding?).ok()?);
    of.size.filter(|_| [DW_ATE_signed, DW_ATE_signed_char].contains(&encoding))
}

/// A value of a signed type, which may be stored in a form without a sign.
fn sign_extended(value: i64, size: Option<u64>) -> i64 {
    let unused =
        size.and_then(|size| u32::try_from(8_u64.checked_sub(size)?).ok()).map_or(0, |bytes| 8 * bytes);
    if unused < i64::BITS { value << unused >> unused } else { value }
}
