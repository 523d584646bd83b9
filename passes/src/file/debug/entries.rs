//! The entries of one unit that tables speak of, read in one pass. What they refer to is looked up when all units were read.
//!
//! Source: DWARF 5, chapters 2 to 5.

use super::Reader;
use super::attributes::{Attributes, Reference, Text, number};
use super::lists::{self, EntriesLeft};
use super::locations::{Context, FrameBase, Location};
use super::units::Unit;
use binframe_ir::tables::{MemberKind, TypeKind, VariableScope};
use gimli::{DebuggingInformationEntry, Dwarf, Range, constants};

/// What one unit has.
#[derive(Default)]
pub(super) struct Entries<'a> {
    pub(super) functions: Vec<FunctionEntry<'a>>,
    /// Functions and inlined calls that have code.
    pub(super) function_count: u32,
    pub(super) ranges: Vec<Range>,
    pub(super) variables: Vec<VariableEntry<'a>>,
    /// Variables that are rows.
    pub(super) variable_count: u32,
    pub(super) locations: Vec<Location>,
    pub(super) types: Vec<TypeEntry<'a>>,
    /// In the order of the types.
    pub(super) members: Vec<MemberEntry<'a>>,
    /// Where reading ended before the unit did, and why.
    pub(super) broken: Option<(usize, gimli::Error)>,
}

/// A function, or a call that was inlined.
pub(super) struct FunctionEntry<'a> {
    pub(super) offset: u32,
    pub(super) origin: Option<Reference>,
    pub(super) name: Option<Text<'a>>,
    pub(super) linkage_name: Option<Text<'a>>,
    pub(super) return_type: Option<Reference>,
    /// Its position among those of the unit that have code; none for one without.
    pub(super) number: Option<u32>,
    /// That of the one around it.
    pub(super) parent: Option<u32>,
    pub(super) depth: u16,
    pub(super) is_inlined: bool,
    /// Where its ranges are among those of the unit.
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
    pub(super) origin: Option<Reference>,
    pub(super) name: Option<Text<'a>>,
    pub(super) type_: Option<Reference>,
    /// The number of its function, where that has code.
    pub(super) function: Option<u32>,
    pub(super) is_parameter: bool,
    pub(super) scope: VariableScope,
    /// The code that can name it.
    pub(super) code: Option<(u64, u64)>,
    /// Whether it is a row; others are what rows are copies of.
    pub(super) is_row: bool,
    pub(super) locations: std::ops::Range<usize>,
}

/// A type.
pub(super) struct TypeEntry<'a> {
    pub(super) offset: u32,
    pub(super) origin: Option<Reference>,
    pub(super) name: Option<Text<'a>>,
    pub(super) kind: TypeKind,
    pub(super) size: Option<u64>,
    pub(super) alignment: Option<u64>,
    pub(super) target: Option<Reference>,
    pub(super) encoding: Option<u64>,
    /// Elements of an array in the dimensions that were read; none where one is not known.
    pub(super) elements: Option<u64>,
    pub(super) is_declaration: bool,
    pub(super) member_count: u32,
}

/// A member of a type.
pub(super) struct MemberEntry<'a> {
    /// Position of the type among those of the unit.
    pub(super) owner: u32,
    pub(super) name: Option<Text<'a>>,
    pub(super) kind: MemberKind,
    pub(super) type_: Option<Reference>,
    pub(super) offset: Option<u64>,
    pub(super) bit_offset: Option<u64>,
    pub(super) bit_size: Option<u64>,
    pub(super) value: Option<i64>,
}

/// What is around an entry.
#[derive(Clone, Copy)]
struct Scope {
    /// Depth of the entry that makes it.
    depth: isize,
    /// The number of the nearest function, where that has code.
    function: Option<u32>,
    is_in_function: bool,
    /// Functions with code around it.
    function_depth: u16,
    frame_base: Option<FrameBase>,
    kind: VariableScope,
    code: Option<(u64, u64)>,
    /// The type that it is directly in.
    owner: Option<u32>,
    variant: Variant,
}

/// Where in a type with variants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Outside,
    /// Where its discriminant stands.
    Part,
    /// In a variant that has this discriminant.
    Of(Option<i64>),
}

const FILE_SCOPE: Scope = Scope {
    depth: -1,
    function: None,
    is_in_function: false,
    function_depth: 0,
    frame_base: None,
    kind: VariableScope::File,
    code: None,
    owner: None,
    variant: Variant::Outside,
};

/// Reads the entries of a unit.
pub(super) fn read<'a>(dwarf: &Dwarf<Reader<'a>>, unit: &Unit<'a>, left: EntriesLeft) -> Entries<'a> {
    let mut walk = Walk { dwarf, unit, left, entries: Entries::default() };
    if let Err((offset, error)) = walk.run() {
        walk.entries.broken = Some((offset, error));
    }
    // Members of a type and of those inside it alternate.
    walk.entries.members.sort_by_key(|member| member.owner);
    walk.entries
}

struct Walk<'w, 'a> {
    dwarf: &'w Dwarf<Reader<'a>>,
    unit: &'w Unit<'a>,
    left: EntriesLeft,
    entries: Entries<'a>,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn run(&mut self) -> Result<(), (usize, gimli::Error)> {
        let unit = &self.unit.inner;
        let mut raw = unit.entries_raw(None).map_err(|error| (0, error))?;
        let mut entry = DebuggingInformationEntry::null();
        let mut scopes = vec![FILE_SCOPE];
        while !raw.is_empty() {
            let (offset, depth) = (raw.next_offset(), raw.next_depth());
            let at = |error| (offset.0, error);
            let Some(abbreviation) = raw.read_abbreviation().map_err(at)? else { continue };
            while scopes.last().is_some_and(|scope| scope.depth >= depth) {
                scopes.pop();
            }
            if !is_read(abbreviation.tag()) {
                raw.skip_attributes(abbreviation.attributes()).map_err(at)?;
                continue;
            }
            raw.read_attributes(abbreviation.attributes(), &mut entry.attrs).map_err(at)?;
            let around = scopes.last().copied().unwrap_or(FILE_SCOPE);
            let attributes = Attributes::read(self.dwarf, unit, &entry);
            let offset = u32::try_from(offset.0).unwrap_or(u32::MAX);
            let inside = self.add(abbreviation.tag(), offset, &attributes, around);
            if abbreviation.has_children() {
                scopes.push(Scope { depth, ..inside });
            }
        }
        Ok(())
    }

    /// Adds an entry, and gives what is around those inside it.
    fn add(
        &mut self,
        tag: constants::DwTag,
        offset: u32,
        attributes: &Attributes<'a>,
        around: Scope,
    ) -> Scope {
        match tag {
            constants::DW_TAG_subprogram | constants::DW_TAG_inlined_subroutine => {
                let is_inlined = tag == constants::DW_TAG_inlined_subroutine;
                return self.add_function(offset, attributes, is_inlined, around);
            }
            constants::DW_TAG_lexical_block | constants::DW_TAG_try_block | constants::DW_TAG_catch_block => {
                let ranges = self.ranges(attributes);
                let code = hull(&self.entries.ranges[ranges]).or(around.code);
                return Scope { kind: VariableScope::Block, code, owner: None, ..around };
            }
            constants::DW_TAG_variant_part => return Scope { variant: Variant::Part, ..around },
            constants::DW_TAG_variant => {
                return Scope { variant: Variant::Of(attributes.discriminant), ..around };
            }
            constants::DW_TAG_subrange_type if around.owner.is_some() => {
                self.add_dimension(attributes, around);
            }
            _ => match (type_kind(tag), member_kind(tag, attributes, around)) {
                (Some(kind), _) => return self.add_type(offset, attributes, kind, around),
                (_, Some((owner, kind))) => self.add_member(attributes, owner, kind, around),
                _ if is_variable(tag) => self.add_variable(tag, offset, attributes, around),
                _ => {}
            },
        }
        around
    }

    /// Appends the ranges of an entry.
    fn ranges(&mut self, attributes: &Attributes<'a>) -> std::ops::Range<usize> {
        let before = self.entries.ranges.len();
        self.entries.ranges.extend(lists::ranges(self.dwarf, &self.unit.inner, attributes, &mut self.left));
        before..self.entries.ranges.len()
    }

    fn context(&self, frame_base: Option<FrameBase>) -> Context<'w, 'a> {
        Context { dwarf: self.dwarf, unit: &self.unit.inner, frame_base }
    }

    fn add_function(
        &mut self,
        offset: u32,
        attributes: &Attributes<'a>,
        is_inlined: bool,
        around: Scope,
    ) -> Scope {
        let ranges = self.ranges(attributes);
        let code = hull(&self.entries.ranges[ranges.clone()]);
        let number = code.is_some().then_some(self.entries.function_count);
        self.entries.function_count += u32::from(code.is_some());
        let own_base = attributes.frame_base.as_ref().and_then(|value| self.context(None).frame_base(value));
        self.entries.functions.push(FunctionEntry {
            offset,
            origin: attributes.origin,
            name: attributes.name,
            linkage_name: attributes.linkage_name,
            return_type: attributes.type_,
            number,
            parent: around.function,
            depth: around.function_depth,
            is_inlined,
            ranges,
            call_file: attributes.call_file,
            call_line: attributes.call_line,
            call_column: attributes.call_column,
            declaration_file: attributes.declaration_file,
            declaration_line: attributes.declaration_line,
        });
        // What stands in an inlined call without code of its own belongs to the function around it.
        Scope {
            function: number.or(around.function.filter(|_| is_inlined)),
            is_in_function: true,
            function_depth: around.function_depth.saturating_add(u16::from(code.is_some())),
            frame_base: if is_inlined { around.frame_base } else { own_base },
            kind: VariableScope::Function,
            code: code.or(around.code.filter(|_| is_inlined)),
            owner: None,
            variant: Variant::Outside,
            ..around
        }
    }

    fn add_variable(
        &mut self,
        tag: constants::DwTag,
        offset: u32,
        attributes: &Attributes<'a>,
        around: Scope,
    ) {
        let context = self.context(around.frame_base);
        let before = self.entries.locations.len();
        let (location, constant) = (attributes.location.as_ref(), attributes.constant.as_ref());
        context.locations(location, constant, &mut self.left, &mut self.entries.locations);
        let is_static = self.entries.locations[before..].iter().all(Location::is_static);
        let is_reached = !around.is_in_function || around.function.is_some() || is_static;
        let is_row = is_reached && !attributes.is_declaration;
        if !is_row {
            self.entries.locations.truncate(before);
        }
        self.entries.variable_count += u32::from(is_row);
        self.entries.variables.push(VariableEntry {
            offset,
            origin: attributes.origin,
            name: attributes.name,
            type_: attributes.type_,
            function: around.function,
            is_parameter: tag == constants::DW_TAG_formal_parameter,
            scope: around.kind,
            code: around.code,
            is_row,
            locations: before..self.entries.locations.len(),
        });
    }

    fn add_type(&mut self, offset: u32, attributes: &Attributes<'a>, kind: TypeKind, around: Scope) -> Scope {
        let owner = self.entries.types.len() as u32;
        let bit_size = attributes.bit_size.map(|bits| bits.div_ceil(8));
        self.entries.types.push(TypeEntry {
            offset,
            origin: attributes.origin,
            name: attributes.name,
            kind,
            size: attributes.byte_size.or(bit_size),
            alignment: attributes.alignment,
            target: attributes.type_,
            encoding: attributes.encoding,
            elements: (kind == TypeKind::Array).then_some(1),
            is_declaration: attributes.is_declaration,
            member_count: 0,
        });
        Scope { owner: Some(owner), variant: Variant::Outside, ..around }
    }

    /// Multiplies the elements of an array by those of one more dimension.
    fn add_dimension(&mut self, attributes: &Attributes<'a>, around: Scope) {
        let Some(array) = around.owner.and_then(|owner| self.entries.types.get_mut(owner as usize)) else {
            return;
        };
        let lower = attributes.lower_bound.unwrap_or(0);
        // An upper bound below the lower one says that there are none.
        let by_bounds = attributes.upper_bound.and_then(|upper| upper.checked_sub(lower)?.checked_add(1));
        let count = attributes.count.or(by_bounds.map(|count| u64::try_from(count).unwrap_or(0)));
        array.elements = array.elements.and_then(|elements| elements.checked_mul(count?));
    }

    fn add_member(&mut self, attributes: &Attributes<'a>, owner: u32, kind: MemberKind, around: Scope) {
        let context = self.context(None);
        let offset = attributes.member_location.as_ref().map(|value| context.member_offset(value));
        let has_place = matches!(
            kind,
            MemberKind::Field | MemberKind::Variant | MemberKind::Discriminant | MemberKind::Inheritance
        );
        let value = match (kind, around.variant) {
            (MemberKind::Variant, Variant::Of(discriminant)) => discriminant,
            (MemberKind::Enumerator, _) => attributes.constant.as_ref().and_then(number),
            _ => None,
        };
        // What is not said is the beginning.
        let offset = offset.unwrap_or(has_place.then_some(0));
        let bit_offset = attributes.bit_size.and_then(|bits| {
            let start = offset?.checked_mul(8)?;
            let inside = match (attributes.storage_bit_offset, attributes.byte_size) {
                (Some(before), _) if !context.is_little() => before,
                (Some(before), Some(size)) => size.checked_mul(8)?.checked_sub(before)?.checked_sub(bits)?,
                _ => attributes.bit_offset.unwrap_or(0),
            };
            start.checked_add(inside)
        });
        self.entries.types[owner as usize].member_count += 1;
        self.entries.members.push(MemberEntry {
            owner,
            name: attributes.name,
            kind,
            type_: attributes.type_,
            offset: offset.filter(|_| bit_offset.is_none()),
            bit_offset,
            bit_size: attributes.bit_size,
            value,
        });
    }
}

/// The least range that holds all of `ranges`.
fn hull(ranges: &[Range]) -> Option<(u64, u64)> {
    let start = ranges.iter().map(|range| range.begin).min()?;
    Some((start, ranges.iter().map(|range| range.end).max()?))
}

/// Whether entries of a kind are read.
fn is_read(tag: constants::DwTag) -> bool {
    type_kind(tag).is_some()
        || is_variable(tag)
        || matches!(
            tag,
            constants::DW_TAG_subprogram
                | constants::DW_TAG_inlined_subroutine
                | constants::DW_TAG_lexical_block
                | constants::DW_TAG_try_block
                | constants::DW_TAG_catch_block
                | constants::DW_TAG_member
                | constants::DW_TAG_inheritance
                | constants::DW_TAG_enumerator
                | constants::DW_TAG_variant_part
                | constants::DW_TAG_variant
        )
}

/// Whether an entry is a variable, a parameter or a named value.
fn is_variable(tag: constants::DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_variable | constants::DW_TAG_formal_parameter | constants::DW_TAG_constant
    )
}

/// What kind of type an entry is; none for one that is no type.
fn type_kind(tag: constants::DwTag) -> Option<TypeKind> {
    Some(match tag {
        constants::DW_TAG_base_type => TypeKind::Base,
        constants::DW_TAG_structure_type => TypeKind::Structure,
        constants::DW_TAG_class_type | constants::DW_TAG_interface_type => TypeKind::Class,
        constants::DW_TAG_union_type => TypeKind::Union,
        constants::DW_TAG_enumeration_type => TypeKind::Enumeration,
        constants::DW_TAG_pointer_type => TypeKind::Pointer,
        constants::DW_TAG_reference_type => TypeKind::Reference,
        constants::DW_TAG_rvalue_reference_type => TypeKind::RvalueReference,
        constants::DW_TAG_ptr_to_member_type => TypeKind::MemberPointer,
        constants::DW_TAG_array_type => TypeKind::Array,
        constants::DW_TAG_subroutine_type => TypeKind::Function,
        constants::DW_TAG_typedef | constants::DW_TAG_template_alias => TypeKind::Typedef,
        constants::DW_TAG_const_type => TypeKind::Const,
        constants::DW_TAG_volatile_type => TypeKind::Volatile,
        constants::DW_TAG_restrict_type => TypeKind::Restrict,
        constants::DW_TAG_atomic_type => TypeKind::Atomic,
        constants::DW_TAG_subrange_type => TypeKind::Subrange,
        constants::DW_TAG_unspecified_type => TypeKind::Unspecified,
        constants::DW_TAG_string_type
        | constants::DW_TAG_set_type
        | constants::DW_TAG_file_type
        | constants::DW_TAG_packed_type
        | constants::DW_TAG_shared_type
        | constants::DW_TAG_immutable_type
        | constants::DW_TAG_coarray_type
        | constants::DW_TAG_dynamic_type => TypeKind::Other,
        _ => return None,
    })
}

/// The type that an entry is a member of, and what kind of member it is.
fn member_kind(
    tag: constants::DwTag,
    attributes: &Attributes<'_>,
    around: Scope,
) -> Option<(u32, MemberKind)> {
    let kind = match (tag, around.variant) {
        (constants::DW_TAG_member, Variant::Part) => MemberKind::Discriminant,
        (constants::DW_TAG_member, Variant::Of(_)) => MemberKind::Variant,
        (constants::DW_TAG_member, _) if attributes.is_external || attributes.is_declaration => {
            MemberKind::Static
        }
        (constants::DW_TAG_member, _) => MemberKind::Field,
        (constants::DW_TAG_inheritance, _) => MemberKind::Inheritance,
        (constants::DW_TAG_enumerator, _) => MemberKind::Enumerator,
        (constants::DW_TAG_formal_parameter, _) => MemberKind::Parameter,
        _ => MemberKind::Static,
    };
    around.owner.map(|owner| (owner, kind))
}
