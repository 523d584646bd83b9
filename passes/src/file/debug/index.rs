//! Resolves references between entries, in one unit or across units. Chains of references, which may be cyclic in a
//! broken file, are followed for a limited number of steps.

use super::attributes::EntryReference;
use super::entries::{FunctionEntry, TypeEntry, UnitEntries, VariableEntry};
use super::units::Units;
use crate::file::text_budget::TextBudget;
use binframe_ir::tables::TypeKind;

/// Length of the longest chain of origins, or of types derived from types, that is followed.
const CHAIN_LENGTH_MAX: usize = 32;

/// The entries of all units.
pub(super) struct EntryIndex<'a> {
    pub(super) units: &'a Units<'a>,
    pub(super) entries: Vec<UnitEntries<'a>>,
    /// Row index of the first function, variable and type of each unit.
    pub(super) function_bases: Vec<u32>,
    pub(super) variable_bases: Vec<u32>,
    pub(super) type_bases: Vec<u32>,
}

impl<'a> EntryIndex<'a> {
    pub(super) fn new(units: &'a Units<'a>, entries: Vec<UnitEntries<'a>>) -> Self {
        let bases = |count: fn(&UnitEntries<'a>) -> u32| {
            let add = |base: &mut u32, entries: &UnitEntries<'a>| {
                let before = *base;
                *base = base.saturating_add(count(entries));
                Some(before)
            };
            entries.iter().scan(0, add).collect::<Vec<_>>()
        };
        Self {
            units,
            function_bases: bases(|entries| entries.function_count),
            variable_bases: bases(|entries| entries.variable_count),
            type_bases: bases(|entries| entries.types.len() as u32),
            entries,
        }
    }

    /// Position of the unit and offset in it of the entry that a reference in a unit refers to.
    fn resolve(&self, unit_index: u32, reference: EntryReference) -> Option<(u32, u32)> {
        match reference {
            EntryReference::Unit(offset) => Some((unit_index, offset)),
            EntryReference::Section(offset) => {
                self.units.at(self.units.all[unit_index as usize].dwarf, offset)
            }
            EntryReference::Supplement(offset) => self.units.at(self.units.supplement?, offset),
            EntryReference::Signature(signature) => self.units.of_signature(signature),
        }
    }

    /// The function, its origin, the origin of that, and so on, each with the position of its unit.
    pub(super) fn function_origins<'i>(
        &'i self,
        unit_index: u32,
        function: &'i FunctionEntry<'a>,
    ) -> impl Iterator<Item = (u32, &'i FunctionEntry<'a>)> {
        let key = |function: &FunctionEntry<'a>| (function.offset, function.origin);
        self.origins(unit_index, function, |entries| &entries.functions, key)
    }

    /// The variable, its origin, the origin of that, and so on, each with the position of its unit.
    pub(super) fn variable_origins<'i>(
        &'i self,
        unit_index: u32,
        variable: &'i VariableEntry<'a>,
    ) -> impl Iterator<Item = (u32, &'i VariableEntry<'a>)> {
        let key = |variable: &VariableEntry<'a>| (variable.offset, variable.origin);
        self.origins(unit_index, variable, |entries| &entries.variables, key)
    }

    /// An entry and its chain of origins; `key` returns offset and origin of an entry, by the first of which `list` is sorted.
    fn origins<'i, Entry>(
        &'i self,
        unit_index: u32,
        entry: &'i Entry,
        list: impl Fn(&'i UnitEntries<'a>) -> &'i [Entry],
        key: impl Fn(&Entry) -> (u32, Option<EntryReference>),
    ) -> impl Iterator<Item = (u32, &'i Entry)> {
        let next = move |(unit, entry): &(u32, &'i Entry)| {
            let (unit, offset) = self.resolve(*unit, key(entry).1?)?;
            let list = list(&self.entries[unit as usize]);
            let position = list.binary_search_by_key(&offset, |entry| key(entry).0).ok()?;
            Some((unit, &list[position]))
        };
        std::iter::successors(Some((unit_index, entry)), next).take(CHAIN_LENGTH_MAX)
    }

    /// The type that a reference in a unit refers to: position of its unit, the type, position in that unit.
    pub(super) fn find_type(
        &self,
        unit_index: u32,
        reference: EntryReference,
    ) -> Option<(u32, &TypeEntry<'a>, u32)> {
        let find = |unit_index: u32, reference: EntryReference| {
            let (unit, offset) = self.resolve(unit_index, reference)?;
            let types = &self.entries[unit as usize].types;
            let position = types.binary_search_by_key(&offset, |known| known.offset).ok()?;
            Some((unit, &types[position], position as u32))
        };
        let found = find(unit_index, reference)?;
        // A declaration with a signature is described by a type unit.
        let described = match found.1.origin {
            Some(origin @ EntryReference::Signature(_)) => find(found.0, origin),
            _ => None,
        };
        described.or(Some(found))
    }

    /// Row index of the type that a reference in a unit refers to.
    pub(super) fn type_of(&self, unit_index: u32, reference: EntryReference) -> Option<u32> {
        let (unit, _, position) = self.find_type(unit_index, reference)?;
        Some(self.type_bases[unit as usize] + position)
    }

    /// Size of a type, in bytes: its own or, if it states none, that of the types it is derived from.
    pub(super) fn size_of(&self, unit_index: u32, of: &TypeEntry<'a>) -> Option<u64> {
        let (mut unit_index, mut of, mut elements) = (unit_index, of, 1_u64);
        for _ in 0..CHAIN_LENGTH_MAX {
            if let Some(size) = of.size {
                return size.checked_mul(elements);
            }
            match of.kind {
                TypeKind::Array => elements = elements.checked_mul(of.elements?)?,
                TypeKind::Pointer | TypeKind::Reference | TypeKind::RvalueReference => {
                    let size = self.units.all[unit_index as usize].inner.header.address_size();
                    return u64::from(size).checked_mul(elements);
                }
                TypeKind::Function => return None,
                _ => {}
            }
            let (unit, target, _) = self.find_type(unit_index, of.target?)?;
            (unit_index, of) = (unit, target);
        }
        None
    }

    /// Name of a type, if the budget allows it.
    pub(super) fn type_name(
        &self,
        unit_index: u32,
        reference: EntryReference,
        names: &mut TextBudget,
    ) -> Option<String> {
        names.check()?;
        names.take(self.composed_name(unit_index, reference))
    }

    /// The dimensions of an array, such as `[3][4]`; `[]` for one that is not known.
    fn dimensions(&self, unit_index: u32, position: u32) -> String {
        let all = &self.entries[unit_index as usize].dimensions;
        let first = all.partition_point(|(owner, _)| *owner < position);
        let own = all[first..].iter().take_while(|(owner, _)| *owner == position);
        let text = |count: &Option<u64>| count.map_or_else(|| "[]".to_owned(), |count| format!("[{count}]"));
        let text: String = own.map(|(_, count)| text(count)).collect();
        if text.is_empty() { "[]".to_owned() } else { text }
    }

    /// Name of a type: its own or, if it has none, one composed from the types it is derived from, such as `char const
    /// *[4]`.
    fn composed_name(&self, unit_index: u32, reference: EntryReference) -> String {
        let (mut unit_index, mut reference) = (unit_index, Some(reference));
        // Suffixes of the name, the outermost first.
        let mut suffixes = Vec::new();
        for _ in 0..CHAIN_LENGTH_MAX {
            let Some((unit, of, position)) =
                reference.and_then(|reference| self.find_type(unit_index, reference))
            else {
                let name = if reference.is_none() { "void" } else { "?" };
                return with_suffixes(name, &suffixes);
            };
            if let Some(name) = of.name {
                return with_suffixes(&String::from_utf8_lossy(name.bytes()), &suffixes);
            }
            match of.kind {
                TypeKind::Pointer => suffixes.push(" *".to_owned()),
                TypeKind::Reference => suffixes.push(" &".to_owned()),
                TypeKind::RvalueReference => suffixes.push(" &&".to_owned()),
                TypeKind::MemberPointer => suffixes.push(" ::*".to_owned()),
                TypeKind::Function => suffixes.push(" ()".to_owned()),
                TypeKind::Array => suffixes.push(self.dimensions(unit, position)),
                TypeKind::Const => suffixes.push(" const".to_owned()),
                TypeKind::Volatile => suffixes.push(" volatile".to_owned()),
                TypeKind::Restrict => suffixes.push(" restrict".to_owned()),
                TypeKind::Atomic => suffixes.push(" _Atomic".to_owned()),
                TypeKind::Structure => return with_suffixes("struct", &suffixes),
                TypeKind::Class => return with_suffixes("class", &suffixes),
                TypeKind::Union => return with_suffixes("union", &suffixes),
                TypeKind::Enumeration => return with_suffixes("enum", &suffixes),
                _ if of.target.is_none() => return with_suffixes("?", &suffixes),
                _ => {}
            }
            (unit_index, reference) = (unit, of.target);
        }
        with_suffixes("?", &suffixes)
    }
}

/// The name, followed by its suffixes, the last first.
fn with_suffixes(name: &str, suffixes: &[String]) -> String {
    let suffixes: String = suffixes.iter().rev().map(String::as_str).collect();
    format!("{name}{suffixes}")
}
