//! The entries of one unit, as data. References to other entries are not resolved.

use super::attributes::{DwarfString, EntryReference};
use super::locations::VariableLocation;
use binframe_ir::tables::{MemberKind, TypeKind, VariableScope};
use gimli::Range;

/// The entries of one unit that tables show.
#[derive(Default)]
pub(super) struct UnitEntries<'a> {
    pub(super) functions: Vec<FunctionEntry<'a>>,
    /// Number of functions and inlined calls with code.
    pub(super) function_count: u32,
    /// Code ranges of all functions.
    pub(super) ranges: Vec<Range>,
    pub(super) variables: Vec<VariableEntry<'a>>,
    /// Number of variables that are rows.
    pub(super) variable_count: u32,
    /// Locations of all variables.
    pub(super) locations: Vec<VariableLocation>,
    pub(super) types: Vec<TypeEntry<'a>>,
    /// Sorted by type.
    pub(super) members: Vec<MemberEntry<'a>>,
    /// Position of an array in `types`, and the number of elements of a dimension, which may be unknown. Sorted by type.
    pub(super) dimensions: Vec<(u32, Option<u64>)>,
    /// Offset in the unit of the first entry that cannot be read, and the error.
    pub(super) broken: Option<(usize, gimli::Error)>,
}

/// A function or an inlined call.
pub(super) struct FunctionEntry<'a> {
    pub(super) offset: u32,
    pub(super) origin: Option<EntryReference>,
    pub(super) name: Option<DwarfString<'a>>,
    pub(super) linkage_name: Option<DwarfString<'a>>,
    pub(super) return_type: Option<EntryReference>,
    /// Position among the functions of the unit with code; `None` without code.
    pub(super) number: Option<u32>,
    /// Number of the enclosing function.
    pub(super) parent: Option<u32>,
    pub(super) depth: u16,
    pub(super) is_inlined: bool,
    /// Positions in `UnitEntries::ranges`.
    pub(super) ranges: std::ops::Range<usize>,
    pub(super) call_file: Option<u64>,
    pub(super) call_line: Option<u64>,
    pub(super) call_column: Option<u64>,
    pub(super) declaration_file: Option<u64>,
    pub(super) declaration_line: Option<u64>,
}

/// A variable or a parameter.
pub(super) struct VariableEntry<'a> {
    pub(super) offset: u32,
    pub(super) origin: Option<EntryReference>,
    pub(super) name: Option<DwarfString<'a>>,
    pub(super) type_: Option<EntryReference>,
    /// Number of the enclosing function; `None` if that has no code.
    pub(super) function: Option<u32>,
    pub(super) is_parameter: bool,
    pub(super) scope: VariableScope,
    /// Address range of the code in its scope.
    pub(super) code: Option<(u64, u64)>,
    /// Whether it is a row; other variables are origins of rows.
    pub(super) is_row: bool,
    /// Positions in `UnitEntries::locations`.
    pub(super) locations: std::ops::Range<usize>,
}

/// A type.
pub(super) struct TypeEntry<'a> {
    pub(super) offset: u32,
    pub(super) origin: Option<EntryReference>,
    pub(super) name: Option<DwarfString<'a>>,
    pub(super) kind: TypeKind,
    pub(super) size: Option<u64>,
    pub(super) alignment: Option<u64>,
    pub(super) target: Option<EntryReference>,
    pub(super) encoding: Option<u64>,
    /// Number of elements of an array in all dimensions; `None` if one is unknown.
    pub(super) elements: Option<u64>,
    pub(super) is_declaration: bool,
    pub(super) member_count: u32,
}

/// A member of a type.
pub(super) struct MemberEntry<'a> {
    /// Position of the type in `UnitEntries::types`.
    pub(super) owner: u32,
    pub(super) name: Option<DwarfString<'a>>,
    pub(super) kind: MemberKind,
    pub(super) type_: Option<EntryReference>,
    pub(super) offset: Option<u64>,
    pub(super) bit_offset: Option<u64>,
    pub(super) bit_size: Option<u64>,
    pub(super) value: Option<i64>,
}
