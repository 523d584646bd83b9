//! `(executable with debug information) -> counts`: how many variables and stack frames of the debug information are
//! found in the stripped file.

use crate::build::{Build, run};
use binframe::ir::tables::{
    AccessRegion, DebugFunctions, DebugVariables, FrameStatus, LocationClass, MemoryObjectColumns,
    ObjectKind, ObjectRegion, StackFrameColumns,
};
use binframe::ir::{Batch, Enumeration, Rows, Table};
use binframe::passes::file::{debug, sections};
use binframe_testsuite::lowering::{self, Tables};
use bytes::Bytes;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Variables of one class: total, found at their offset, found with offset and size.
type Found = [usize; 3];

/// Counts for one or several files.
#[derive(Debug, Default)]
pub(crate) struct VariableCounts {
    /// Stack variables by class.
    variables: BTreeMap<&'static str, Found>,
    /// Stack objects that are assumed to be variables, and those inside a variable.
    slots: [usize; 2],
    /// Functions whose unwind entries determine the frame size, and those with equal frame size.
    frames: [usize; 2],
    /// Accesses of global variables, without and with an index, and those attributed to the right symbol.
    globals: [[usize; 2]; 2],
}

impl VariableCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        for (class, found) in &other.variables {
            let own = self.variables.entry(class).or_default();
            own.iter_mut().zip(found).for_each(|(own, other)| *own += other);
        }
        let pairs = [(&mut self.slots, other.slots), (&mut self.frames, other.frames)];
        for (own, other) in pairs.into_iter().chain(self.globals.iter_mut().zip(other.globals)) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
    }

    #[expect(clippy::print_stdout, reason = "printing is its purpose")]
    pub(crate) fn print(&self, name: &str) {
        let share = |[whole, part]: [usize; 2]| crate::comparison::share(part, whole);
        let variables = self.variables.iter().map(|(class, [all, offset, size])| {
            format!("{class} {all}: {:.1} {:.1}", share([*all, *offset]), share([*all, *size]))
        });
        let variables: Vec<_> = variables.collect();
        println!(
            "{name:28} {} | slots {} in variables {:.1} | frames {} {:.2} | globals {} {:.1}, indexed {} {:.1}",
            variables.join(", "),
            self.slots[0],
            share(self.slots),
            self.frames[0],
            share(self.frames),
            self.globals[0][0],
            share(self.globals[0]),
            self.globals[1][0],
            share(self.globals[1]),
        );
    }
}

/// Compares the tables of a stripped file with the debug information of the original.
pub(crate) fn compare(build: &Build) -> Result<VariableCounts, String> {
    let folder = &build.folder;
    let (full, stripped) = (folder.join("debug"), folder.join("debug-stripped"));
    run(Command::new("strip").arg("-o").arg(&stripped).arg(&full))?;
    let full = Bytes::from(fs::read(full).map_err(|error| error.to_string())?);
    let stripped = Bytes::from(fs::read(stripped).map_err(|error| error.to_string())?);
    let tables = lowering::tables(&stripped);
    let mut counts = VariableCounts::default();
    count_variables(&full, &tables, &mut counts)?;
    count_frames(&full, &tables, &mut counts)?;
    count_globals(&full, &tables, &mut counts)?;
    Ok(counts)
}

/// Stack objects of one function.
fn slots(objects: MemoryObjectColumns<'_>, function: u64) -> Vec<(i64, u64, ObjectKind)> {
    let key = |row: usize| (objects.region.get(row).name(), objects.object_address[row]);
    let (mut first, mut end) = (0, objects.len());
    while first < end {
        let middle = first.midpoint(end);
        if key(middle) < (ObjectRegion::Stack.name(), function) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    let slots = (first..objects.len()).take_while(|row| objects.object_address[*row] == function);
    slots.map(|row| (objects.object_offset[row], objects.size[row], objects.kind.get(row))).collect()
}

/// Size and status of the stack frame of a function.
fn frame(frames: StackFrameColumns<'_>, function: u64) -> Option<(i64, FrameStatus)> {
    let row = frames.function_address.binary_search(&function).ok()?;
    Some((frames.frame_size[row] as i64, frames.status.get(row)))
}

fn table<T: Table>(debug: &debug::DebugIr) -> Rows<T> {
    let parts: Vec<Batch> =
        debug.tables().into_iter().filter(|batch| batch.info() == T::INFO).cloned().collect();
    let parts = if parts.is_empty() { return Rows::default() } else { Batch::concat(&parts) };
    Rows::from_batch(parts).expect("the batch is of this table")
}

fn count_variables(full: &Bytes, tables: &Tables, counts: &mut VariableCounts) -> Result<(), String> {
    let sections = sections::run(full, 0).map_err(|error| error.to_string())?;
    let debug = debug::run(full, &sections, &[]);
    let (functions, variables) = (table::<DebugFunctions>(&debug), table::<DebugVariables>(&debug));
    let (functions, variables) = (functions.columns(), variables.columns());
    let mut outer: BTreeMap<u32, (u64, Option<u32>)> = BTreeMap::new();
    for function in functions.iter() {
        outer.entry(function.function_index).or_insert((function.address, function.parent_function_index));
    }
    let address_of = |index: u32| {
        let mut index = index;
        // Inlined calls belong to the function that they were inlined into.
        for _ in 0..64 {
            match outer.get(&index)? {
                (_, Some(parent)) => index = *parent,
                (address, None) => return Some(*address),
            }
        }
        None
    };
    let objects = tables.lowered.memory.memory_objects.columns();
    let frames = tables.lowered.memory.stack_frames.columns();
    let mut by_function: BTreeMap<u64, Vec<(i64, u64, &'static str)>> = BTreeMap::new();
    for variable in variables.iter() {
        let is_memory =
            matches!(variable.location_kind, LocationClass::FrameOffset | LocationClass::RegisterOffset);
        let Some(size) = variable.size.filter(|size| is_memory && *size > 0) else { continue };
        let Some(function) = variable.function_index.and_then(address_of) else { continue };
        let Some(offset) = variable.frame_offset else { continue };
        let offset = match variable.register_name.map(|name| name.0) {
            Some("cfa") => offset + 8,
            Some("rbp") => offset - 8,
            Some("rsp") => match frame(frames, function) {
                Some((size, FrameStatus::Exact)) => offset - size,
                _ => continue,
            },
            _ => continue,
        };
        let class = match (variable.is_parameter, size) {
            (true, _) => "parameter",
            (false, ..=8) => "scalar",
            (false, _) => "aggregate",
        };
        by_function.entry(function).or_default().push((offset, size, class));
    }
    for (function, mut own) in by_function {
        own.sort_unstable();
        own.dedup();
        let slots = slots(objects, function);
        for (offset, size, class) in &own {
            let found = slots.iter().find(|slot| slot.0 == *offset);
            let counted = counts.variables.entry(class).or_default();
            counted[0] += 1;
            counted[1] += usize::from(found.is_some());
            counted[2] += usize::from(found.is_some_and(|slot| slot.1 == *size));
        }
        for slot in slots.iter().filter(|slot| matches!(slot.2, ObjectKind::Local)) {
            let is_inside =
                own.iter().any(|(offset, size, _)| (*offset..*offset + *size as i64).contains(&slot.0));
            counts.slots[0] += 1;
            counts.slots[1] += usize::from(is_inside);
        }
    }
    Ok(())
}

/// Compares frame sizes. Only unwind entries whose CFA is relative to the stack pointer determine the size.
fn count_frames(full: &Bytes, tables: &Tables, counts: &mut VariableCounts) -> Result<(), String> {
    use gimli::{BaseAddresses, CfaRule, EhFrame, LittleEndian, UnwindContext, UnwindSection};
    let file = object::File::parse(&**full).map_err(|error| error.to_string())?;
    let section = file.section_by_name(".eh_frame").ok_or("the file has no `.eh_frame`")?;
    let data = section.data().map_err(|error| error.to_string())?;
    let frames = EhFrame::new(data, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(section.address());
    let mut entries = frames.entries(&bases);
    let mut context = UnwindContext::new();
    let own = tables.lowered.memory.stack_frames.columns();
    while let Ok(Some(entry)) = entries.next() {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let Ok(fde) = partial.parse(UnwindSection::cie_from_offset) else {
            continue;
        };
        let Ok(mut rows) = fde.rows(&frames, &bases, &mut context) else { continue };
        let mut deepest = Some(0_i64);
        while let Ok(Some(row)) = rows.next_row() {
            deepest = match (deepest, row.cfa()) {
                (Some(deepest), CfaRule::RegisterAndOffset { register, offset }) if register.0 == 7 => {
                    Some(deepest.max(*offset))
                }
                _ => None,
            };
        }
        let Some(row) = own.function_address.binary_search(&fde.initial_address()).ok() else { continue };
        if let Some(deepest) = deepest {
            counts.frames[0] += 1;
            let expected = u64::try_from(deepest - 8).unwrap_or(0);
            counts.frames[1] += usize::from(own.frame_size[row] == expected);
        }
    }
    Ok(())
}

/// Compares accesses of global variables with the symbols that relocations refer to.
fn count_globals(full: &Bytes, tables: &Tables, counts: &mut VariableCounts) -> Result<(), String> {
    let file = object::File::parse(&**full).map_err(|error| error.to_string())?;
    let symbols = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Data && symbol.size() > 0);
    let symbols: BTreeMap<u64, u64> = symbols.map(|symbol| (symbol.address(), symbol.size())).collect();
    let symbol_at = |address: u64| {
        let (start, size) = symbols.range(..=address).next_back()?;
        (address - start < *size).then_some(*start)
    };
    let named = relocated(&file);
    let instructions = tables.instructions.columns();
    for access in tables.memory_accesses.columns().iter() {
        // The relocation in the instruction refers to the symbol.
        let Ok(row) = instructions.address.binary_search(&access.instruction_address) else { continue };
        let end = access.instruction_address + u64::from(instructions.size[row]);
        let name = named.range(access.instruction_address..end).next().map(|(_, symbol)| *symbol);
        let Some(truth) = name.and_then(symbol_at).filter(|_| !access.is_implicit) else { continue };
        if instructions.mem_displacement.get(row).is_none() {
            continue;
        }
        let is_indexed = usize::from(access.is_indexed);
        let start =
            access.object_address.filter(|_| access.region == AccessRegion::Global).or(access.global_address);
        counts.globals[is_indexed][0] += 1;
        counts.globals[is_indexed][1] += usize::from(start.and_then(symbol_at) == Some(truth));
    }
    Ok(())
}

/// Addresses of symbols that relocations in code refer to, by address of the relocated field.
fn relocated(file: &object::File<'_>) -> BTreeMap<u64, u64> {
    let mut named = BTreeMap::new();
    for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
        for (place, relocation) in section.relocations() {
            let object::RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let Ok(symbol) = file.symbol_by_index(index) else { continue };
            // For import slots, the slot is read instead of the variable.
            let is_relative = match relocation.kind() {
                object::RelocationKind::Relative => true,
                object::RelocationKind::Absolute => false,
                _ => continue,
            };
            let added = relocation.addend() + if is_relative { 4 } else { 0 };
            let address = match symbol.kind() {
                SymbolKind::Section => symbol.address().wrapping_add_signed(added),
                _ => symbol.address(),
            };
            named.insert(place, address);
        }
    }
    named
}
