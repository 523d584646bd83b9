//! Finds what entries refer to, in their own unit or in another. What goes in a circle or too far ends.

use super::attributes::Reference;
use super::entries::{Entries, FunctionEntry, TypeEntry, VariableEntry};
use super::units::Units;
use binframe_ir::tables::TypeKind;

/// Entries that complete or copy each other, and types that are made of each other, are followed so far.
pub(super) const HOPS_MAX: usize = 32;

/// The entries of all units.
pub(super) struct Index<'a> {
    pub(super) units: &'a Units<'a>,
    pub(super) entries: Vec<Entries<'a>>,
    /// What the numbers of a unit's functions, variables and types are counted from.
    pub(super) function_bases: Vec<u32>,
    pub(super) variable_bases: Vec<u32>,
    pub(super) type_bases: Vec<u32>,
}

impl<'a> Index<'a> {
    pub(super) fn new(units: &'a Units<'a>, entries: Vec<Entries<'a>>) -> Self {
        let bases = |count: fn(&Entries<'a>) -> u32| {
            let add = |base: &mut u32, entries: &Entries<'a>| {
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

    /// The unit and the offset that an entry of a unit refers to.
    fn place(&self, unit_index: u32, reference: Reference) -> Option<(u32, u32)> {
        match reference {
            Reference::Unit(offset) => Some((unit_index, offset)),
            Reference::Section(offset) => self.units.at(self.units.all[unit_index as usize].dwarf, offset),
            Reference::Signature(signature) => self.units.of_signature(signature),
        }
    }

    /// The function and, one after the other, the entries that it is a copy or the completion of.
    pub(super) fn function_origins<'i>(
        &'i self,
        unit_index: u32,
        function: &'i FunctionEntry<'a>,
    ) -> impl Iterator<Item = (u32, &'i FunctionEntry<'a>)> {
        let next = |(unit, function): &(u32, &'i FunctionEntry<'a>)| {
            let (unit, offset) = self.place(*unit, function.origin?)?;
            let functions = &self.entries[unit as usize].functions;
            let position = functions.binary_search_by_key(&offset, |function| function.offset).ok()?;
            Some((unit, &functions[position]))
        };
        std::iter::successors(Some((unit_index, function)), next).take(HOPS_MAX)
    }

    /// The variable and, one after the other, the entries that it is a copy or the completion of.
    pub(super) fn variable_origins<'i>(
        &'i self,
        unit_index: u32,
        variable: &'i VariableEntry<'a>,
    ) -> impl Iterator<Item = (u32, &'i VariableEntry<'a>)> {
        let next = |(unit, variable): &(u32, &'i VariableEntry<'a>)| {
            let (unit, offset) = self.place(*unit, variable.origin?)?;
            let variables = &self.entries[unit as usize].variables;
            let position = variables.binary_search_by_key(&offset, |variable| variable.offset).ok()?;
            Some((unit, &variables[position]))
        };
        std::iter::successors(Some((unit_index, variable)), next).take(HOPS_MAX)
    }

    /// The type that an entry of a unit refers to: its unit and its position there.
    pub(super) fn find_type(
        &self,
        unit_index: u32,
        reference: Reference,
    ) -> Option<(u32, &TypeEntry<'a>, u32)> {
        let find = |unit_index: u32, reference: Reference| {
            let (unit, offset) = self.place(unit_index, reference)?;
            let types = &self.entries[unit as usize].types;
            let position = types.binary_search_by_key(&offset, |known| known.offset).ok()?;
            Some((unit, &types[position], position as u32))
        };
        let found = find(unit_index, reference)?;
        // A unit says only that there is such a type; a unit of its own describes it.
        let described = match found.1.origin {
            Some(origin @ Reference::Signature(_)) => find(found.0, origin),
            _ => None,
        };
        described.or(Some(found))
    }

    /// The row of the type that an entry of a unit refers to.
    pub(super) fn type_of(&self, unit_index: u32, reference: Reference) -> Option<u32> {
        let (unit, _, position) = self.find_type(unit_index, reference)?;
        Some(self.type_bases[unit as usize] + position)
    }

    /// Size of a value of a type, as it or those that it is made of say it.
    pub(super) fn size_of(&self, unit_index: u32, of: &TypeEntry<'a>) -> Option<u64> {
        let (mut unit_index, mut of, mut elements) = (unit_index, of, 1_u64);
        for _ in 0..HOPS_MAX {
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

    /// Name of a type: its own or, where it has none, that of what it is made of and how, as in `char const *[4]`.
    pub(super) fn type_name(&self, unit_index: u32, reference: Reference) -> String {
        let (mut unit_index, mut reference) = (unit_index, Some(reference));
        // What stands after the name, the outermost first.
        let mut after = Vec::new();
        for _ in 0..HOPS_MAX {
            let Some((unit, of, _)) = reference.and_then(|reference| self.find_type(unit_index, reference))
            else {
                let name = if reference.is_none() { "void" } else { "?" };
                return joined(name, &after);
            };
            if let Some(name) = of.name {
                return joined(&String::from_utf8_lossy(name.bytes()), &after);
            }
            match of.kind {
                TypeKind::Pointer => after.push(" *".to_owned()),
                TypeKind::Reference => after.push(" &".to_owned()),
                TypeKind::RvalueReference => after.push(" &&".to_owned()),
                TypeKind::MemberPointer => after.push(" ::*".to_owned()),
                TypeKind::Function => after.push(" ()".to_owned()),
                TypeKind::Array => {
                    after.push(of.elements.map_or_else(|| "[]".to_owned(), |count| format!("[{count}]")));
                }
                TypeKind::Const => after.push(" const".to_owned()),
                TypeKind::Volatile => after.push(" volatile".to_owned()),
                TypeKind::Restrict => after.push(" restrict".to_owned()),
                TypeKind::Atomic => after.push(" _Atomic".to_owned()),
                TypeKind::Structure => return joined("struct", &after),
                TypeKind::Class => return joined("class", &after),
                TypeKind::Union => return joined("union", &after),
                TypeKind::Enumeration => return joined("enum", &after),
                _ if of.target.is_none() => return joined("?", &after),
                _ => {}
            }
            (unit_index, reference) = (unit, of.target);
        }
        joined("?", &after)
    }
}

fn joined(name: &str, after: &[String]) -> String {
    let after: String = after.iter().rev().map(String::as_str).collect();
    format!("{name}{after}")
}
