//! Reads the entries of one unit in one pass, without resolving references.
//!
//! Source: DWARF 5, chapters 2 to 5.

use super::attributes::{Attributes, number};
use super::entries::{FunctionEntry, MemberEntry, TypeEntry, UnitEntries, VariableEntry};
use super::lists::{self, ListEntryBudget};
use super::locations::{ExpressionContext, FrameBase, VariableLocation};
use super::tags::{Variant, is_read, is_variable, member_kind, type_kind};
use super::units::Unit;
use crate::file::formats::EndianReader;
use binframe_ir::tables::{MemberKind, TypeKind, VariableScope};
use gimli::{DebuggingInformationEntry, Dwarf, Range, constants};

/// The enclosing scope of an entry.
#[derive(Clone, Copy)]
struct Scope {
    /// Depth of the entry that opens the scope.
    depth: isize,
    /// Number of the innermost function; `None` if that has no code.
    function: Option<u32>,
    is_in_function: bool,
    /// Number of enclosing functions with code.
    function_depth: u16,
    frame_base: Option<FrameBase>,
    kind: VariableScope,
    code: Option<(u64, u64)>,
    /// Position of the innermost type, if no other scope is between.
    owner: Option<u32>,
    variant: Variant,
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

/// Reads the entries of a unit, up to the first that cannot be read.
pub(super) fn read<'a>(
    dwarf: &Dwarf<EndianReader<'a>>,
    unit: &Unit<'a>,
    list_budget: ListEntryBudget,
) -> UnitEntries<'a> {
    let mut reader = EntryReader { dwarf, unit, list_budget, entries: UnitEntries::default() };
    if let Err((offset, error)) = reader.run() {
        reader.entries.broken = Some((offset, error));
    }
    // Members of a type and of types nested in it alternate.
    reader.entries.members.sort_by_key(|member| member.owner);
    reader.entries.dimensions.sort_by_key(|(owner, _)| *owner);
    reader.entries
}

struct EntryReader<'w, 'a> {
    dwarf: &'w Dwarf<EndianReader<'a>>,
    unit: &'w Unit<'a>,
    list_budget: ListEntryBudget,
    entries: UnitEntries<'a>,
}

impl<'w, 'a> EntryReader<'w, 'a> {
    /// Traverses the entries in file order, with a stack of scopes instead of recursion.
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
            let enclosing = scopes.last().copied().unwrap_or(FILE_SCOPE);
            let attributes = Attributes::read(self.dwarf, unit, &entry);
            let offset = u32::try_from(offset.0).unwrap_or(u32::MAX);
            let inside = self.add(abbreviation.tag(), offset, &attributes, enclosing);
            if abbreviation.has_children() {
                scopes.push(Scope { depth, ..inside });
            }
        }
        Ok(())
    }

    /// Adds an entry. Returns the scope of the entries inside it.
    fn add(
        &mut self,
        tag: constants::DwTag,
        offset: u32,
        attributes: &Attributes<'a>,
        enclosing: Scope,
    ) -> Scope {
        match tag {
            constants::DW_TAG_subprogram | constants::DW_TAG_inlined_subroutine => {
                let is_inlined = tag == constants::DW_TAG_inlined_subroutine;
                return self.add_function(offset, attributes, is_inlined, enclosing);
            }
            constants::DW_TAG_lexical_block | constants::DW_TAG_try_block | constants::DW_TAG_catch_block => {
                let ranges = self.ranges(attributes);
                let code = enclosing_range(&self.entries.ranges[ranges]).or(enclosing.code);
                return Scope { kind: VariableScope::Block, code, owner: None, ..enclosing };
            }
            constants::DW_TAG_variant_part => return Scope { variant: Variant::Part, ..enclosing },
            constants::DW_TAG_variant => {
                return Scope { variant: Variant::Of(attributes.discriminant), ..enclosing };
            }
            constants::DW_TAG_subrange_type if enclosing.owner.is_some() => {
                self.add_dimension(attributes, enclosing);
            }
            _ => match (type_kind(tag), enclosing.owner) {
                (Some(kind), _) => return self.add_type(offset, attributes, kind, enclosing),
                (_, Some(owner)) => {
                    let kind = member_kind(tag, attributes, enclosing.variant);
                    self.add_member(attributes, owner, kind, enclosing);
                }
                _ if is_variable(tag) => self.add_variable(tag, offset, attributes, enclosing),
                _ => {}
            },
        }
        enclosing
    }

    /// Adds the code ranges of an entry. Returns their positions.
    fn ranges(&mut self, attributes: &Attributes<'a>) -> std::ops::Range<usize> {
        let before = self.entries.ranges.len();
        self.entries.ranges.extend(lists::ranges(
            self.dwarf,
            &self.unit.inner,
            attributes,
            &mut self.list_budget,
        ));
        before..self.entries.ranges.len()
    }

    fn expressions(&self, frame_base: Option<FrameBase>) -> ExpressionContext<'w, 'a> {
        ExpressionContext { dwarf: self.dwarf, unit: &self.unit.inner, frame_base }
    }

    fn add_function(
        &mut self,
        offset: u32,
        attributes: &Attributes<'a>,
        is_inlined: bool,
        enclosing: Scope,
    ) -> Scope {
        let ranges = self.ranges(attributes);
        let code = enclosing_range(&self.entries.ranges[ranges.clone()]);
        let number = code.is_some().then_some(self.entries.function_count);
        self.entries.function_count += u32::from(code.is_some());
        let own_base =
            attributes.frame_base.as_ref().and_then(|value| self.expressions(None).frame_base(value));
        self.entries.functions.push(FunctionEntry {
            offset,
            origin: attributes.origin,
            name: attributes.name,
            linkage_name: attributes.linkage_name,
            return_type: attributes.type_,
            number,
            parent: enclosing.function,
            depth: enclosing.function_depth,
            is_inlined,
            ranges,
            call_file: attributes.call_file,
            call_line: attributes.call_line,
            call_column: attributes.call_column,
            declaration_file: attributes.declaration_file,
            declaration_line: attributes.declaration_line,
        });
        // Entries in an inlined call without code belong to the enclosing function.
        Scope {
            function: number.or(enclosing.function.filter(|_| is_inlined)),
            is_in_function: true,
            function_depth: enclosing.function_depth.saturating_add(u16::from(code.is_some())),
            frame_base: if is_inlined { enclosing.frame_base } else { own_base },
            kind: VariableScope::Function,
            code: code.or(enclosing.code.filter(|_| is_inlined)),
            owner: None,
            variant: Variant::Outside,
            ..enclosing
        }
    }

    fn add_variable(
        &mut self,
        tag: constants::DwTag,
        offset: u32,
        attributes: &Attributes<'a>,
        enclosing: Scope,
    ) {
        let context = self.expressions(enclosing.frame_base);
        let before = self.entries.locations.len();
        let (location, constant) = (attributes.location.as_ref(), attributes.constant.as_ref());
        context.locations(location, constant, &mut self.list_budget, &mut self.entries.locations);
        let is_static = self.entries.locations[before..].iter().all(VariableLocation::is_static);
        let is_reached = !enclosing.is_in_function || enclosing.function.is_some() || is_static;
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
            function: enclosing.function,
            is_parameter: tag == constants::DW_TAG_formal_parameter,
            scope: enclosing.kind,
            code: enclosing.code,
            is_row,
            locations: before..self.entries.locations.len(),
        });
    }

    fn add_type(
        &mut self,
        offset: u32,
        attributes: &Attributes<'a>,
        kind: TypeKind,
        enclosing: Scope,
    ) -> Scope {
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
        Scope { owner: Some(owner), variant: Variant::Outside, ..enclosing }
    }

    /// Multiplies the number of elements of an array by that of a further dimension.
    fn add_dimension(&mut self, attributes: &Attributes<'a>, enclosing: Scope) {
        let Some(owner) = enclosing.owner else { return };
        let Some(array) = self.entries.types.get_mut(owner as usize) else { return };
        let lower = attributes.lower_bound.unwrap_or_else(|| self.unit.default_lower_bound());
        // An upper bound below the lower bound means no elements.
        let by_bounds = attributes.upper_bound.and_then(|upper| upper.checked_sub(lower)?.checked_add(1));
        let count = attributes.count.or(by_bounds.map(|count| u64::try_from(count).unwrap_or(0)));
        array.elements = array.elements.and_then(|elements| elements.checked_mul(count?));
        self.entries.dimensions.push((owner, count));
    }

    fn add_member(&mut self, attributes: &Attributes<'a>, owner: u32, kind: MemberKind, enclosing: Scope) {
        let context = self.expressions(None);
        let offset = attributes.member_location.as_ref().map(|value| context.member_offset(value));
        let has_location = matches!(
            kind,
            MemberKind::Field | MemberKind::Variant | MemberKind::Discriminant | MemberKind::Inheritance
        );
        let value = match (kind, enclosing.variant) {
            (MemberKind::Variant, Variant::Of(discriminant)) => discriminant,
            (MemberKind::Enumerator, _) => attributes.constant.as_ref().and_then(number),
            _ => None,
        };
        // A member without an offset is at the start.
        let offset = offset.unwrap_or(has_location.then_some(0));
        let bit_offset = attributes.bit_size.and_then(|bits| {
            let start = i64::try_from(offset?.checked_mul(8)?).ok()?;
            let unsigned = |number: u64| i64::try_from(number).ok();
            // Bits between the most significant bit of the storage unit and that of the field: fewer than none if the
            // field begins in another unit.
            let inside = match (attributes.storage_bit_offset, attributes.byte_size) {
                (Some(before), _) if !context.is_little() => before,
                (Some(before), Some(size)) => {
                    let size = unsigned(size.checked_mul(8)?)?;
                    size.checked_sub(before)?.checked_sub(unsigned(bits)?)?
                }
                _ => unsigned(attributes.bit_offset.unwrap_or(0))?,
            };
            u64::try_from(start.checked_add(inside)?).ok()
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

/// The smallest range that contains all of `ranges`, as start and end; `None` without ranges.
fn enclosing_range(ranges: &[Range]) -> Option<(u64, u64)> {
    let start = ranges.iter().map(|range| range.begin).min()?;
    Some((start, ranges.iter().map(|range| range.end).max()?))
}
