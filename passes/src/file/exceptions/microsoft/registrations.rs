//! `binary_exception_call_sites` of 32-bit code for x86, which has no function tables.
//!
//! *Problem.* A function with handlers links a record into a list of the thread. The record has the handler and the
//! *state* of the function, which the code sets; C has a scope table in it too. Only the code says where the tables are.
//!
//! *Algorithm.*
//!  1. A handler of C++ loads the address of its `FuncInfo` into `eax` and jumps to the common handler.
//!  2. A function registers a handler by a push of it, or by a store into its frame; a scope table likewise. Both are
//!     found by the bytes of the instructions, with an operand that is the address of such a handler or table.
//!  3. Code ranges are in the state that was set last before them (`registered_states.rs`). For C, the rows of a range
//!     are those of the scope of its state and of the enclosing ones; for C++, those of the `catch` blocks around it
//!     and of the first cleanup.
//!
//! *Approximation.* Handlers in frames that are addressed by the stack pointer are not found.
//!
//! Source: `ehdata.h` of Microsoft's C++ library; `WinEHStatePass` and `WinException` of LLVM; I. Skochinsky (2006),
//! Reversing Microsoft Visual C++, part I.

use super::registered_states::{StateRange, StateStores, state_ranges};
use crate::file::exceptions::lsda::LsdaOutput;
use crate::file::formats::pe::Pe;
use crate::file::sections::SectionsIr;
use crate::isa::Isa;
use binframe_ir::tables::{BinaryExceptionCallSite, BinarySectionColumns};
use object::pe;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The versions of a `FuncInfo`. The three highest bits of the field are flags.
const MAGIC: RangeInclusive<u32> = 0x1993_0520..=0x1993_0522;
const MAGIC_BITS: u32 = 0x1fff_ffff;

/// States of a function, and records of one kind for one of them.
const STATES_MAX: u32 = 1 << 12;

/// Bytes of a handler of C++ before it loads its `FuncInfo`: it may check stack cookies.
const HANDLER_SIZE_MAX: usize = 64;

/// Size of the smallest record: no more records and rows are made than would fit in the file if all had this size.
const RECORD_SIZE_MIN: usize = 4;

/// Sizes of records in bytes: a scope, a `try` block, a `catch` block, a state.
const SCOPE_SIZE: u32 = 12;
const TRY_SIZE: u32 = 20;
const CATCH_SIZE: u32 = 16;
const STATE_SIZE: u32 = 8;

/// Adds the call sites of an image of 32-bit code for x86.
pub(in crate::file::exceptions) fn read<'a>(
    pe: &Pe<'a>,
    sections: &'a SectionsIr,
    output: &mut LsdaOutput<'_>,
) {
    let header = sections.headers.columns().iter().next();
    let isa = header.and_then(|header| header.architecture).and_then(Isa::of);
    let Some(isa) = isa.filter(|_| pe.coff.machine == pe::IMAGE_FILE_MACHINE_I386) else { return };
    let image = Image { pe, columns: sections.sections.columns() };
    let code: Vec<_> = image.code().collect();
    let handlers = image.handlers(&code);
    let found: Vec<_> = code.iter().map(|(_, bytes)| image.registrations(bytes, &handlers)).collect();
    let mut tables: Vec<_> =
        found.iter().flatten().map(|registration| registration.table.address()).collect();
    tables.sort_unstable();
    tables.dedup();
    let mut parsed: BTreeMap<u32, Handlers> = BTreeMap::new();
    // Functions of a broken file may share tables.
    let mut records_left = pe.coff.file.len() / RECORD_SIZE_MIN;
    for ((address, bytes), registrations) in code.iter().zip(&found) {
        for (index, registration) in registrations.iter().enumerate() {
            let later = registrations[index..].iter().map(|other| other.start);
            let end =
                later.into_iter().find(|start| *start > registration.stores.start).unwrap_or(bytes.len());
            let handlers = parsed.entry(registration.table.address()).or_insert_with(|| {
                let next = tables.partition_point(|table| *table <= registration.table.address());
                image.handlers_of(registration.table, tables.get(next).copied(), &mut records_left)
            });
            let pads = handlers.pads();
            let ranges = state_ranges(isa, &bytes[..end], *address, registration.stores, &pads);
            for range in ranges {
                let rows = image.rows(registration, handlers, *address, &range);
                let Some(left) = records_left.checked_sub(rows.len()) else { return };
                records_left = left;
                output.call_sites.extend(rows);
            }
        }
    }
}

/// A table of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    /// A scope table, and the address of its first scope.
    Scopes(u32, u32),
    /// A `FuncInfo`.
    FuncInfo(u32),
}

impl Table {
    fn address(self) -> u32 {
        let (Self::Scopes(address, _) | Self::FuncInfo(address)) = self;
        address
    }
}

/// Code that registers a handler.
struct Registration {
    /// Position after the first instruction of the registration, and the offset of the state.
    stores: StateStores,
    /// Position of the prologue, or of the registration if there is none.
    start: usize,
    table: Table,
}

/// A scope of C.
struct Scope {
    enclosing: Option<u32>,
    /// `None` for `__finally`.
    filter: Option<u32>,
    handler: u32,
}

/// A `try` block of C++: its states, and the addresses of its `catch` blocks.
struct TryBlock {
    states: RangeInclusive<u32>,
    catches: Vec<u32>,
}

/// The handlers of a function.
enum Handlers {
    Scopes(Vec<Scope>),
    /// The `try` blocks, and for each state the first cleanup: its own or, if it has none, that of the innermost enclosing
    /// state with one.
    States {
        tries: Vec<TryBlock>,
        cleanups: Vec<Option<u32>>,
    },
}

impl Handlers {
    /// The addresses at which the function continues after an exception, with the state there.
    fn pads(&self) -> Vec<(u32, Option<u32>)> {
        match self {
            Self::Scopes(scopes) => scopes.iter().map(|scope| (scope.handler, scope.enclosing)).collect(),
            Self::States { tries, .. } => {
                let catches = tries.iter().flat_map(|block| &block.catches);
                catches.map(|catch| (*catch, None)).collect()
            }
        }
    }

    /// The landing pads of a state: the index of each, its address, and which exceptions it handles.
    fn pads_of(&self, state: u32) -> Vec<(u32, u32, u64)> {
        match self {
            Self::Scopes(scopes) => {
                let mut pads = Vec::new();
                let mut index = Some(state);
                while let Some((own, scope)) = index.and_then(|own| Some((own, scopes.get(own as usize)?))) {
                    let action = scope.filter.map_or(0, u64::from);
                    pads.push((own, scope.handler, action));
                    index = scope.enclosing;
                }
                pads.reverse();
                pads
            }
            Self::States { tries, cleanups } => {
                // `catch` blocks are numbered consecutively through all `try` blocks of the function.
                let (mut pads, mut action) = (Vec::new(), 1);
                for TryBlock { states, catches } in tries {
                    if states.contains(&state) {
                        pads.extend(catches.iter().copied().zip(action..));
                    }
                    action += catches.len() as u64;
                }
                pads.extend(cleanups.get(state as usize).copied().flatten().map(|cleanup| (cleanup, 0)));
                pads.into_iter().zip(0..).map(|((pad, action), index)| (index, pad, action)).collect()
            }
        }
    }
}

/// An image and its sections.
struct Image<'a, 'p> {
    pe: &'p Pe<'a>,
    columns: BinarySectionColumns<'a>,
}

impl<'a> Image<'a, '_> {
    /// The address and the bytes of each executable section.
    fn code(&self) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a, '_> {
        let executable = self.columns.iter().filter(|section| section.is_executable);
        executable.filter_map(|section| {
            let address = u32::try_from(section.address).ok()?;
            Some((address, self.bytes(address)?))
        })
    }

    /// The bytes from an address to the end of its section.
    fn bytes(&self, address: u32) -> Option<&'a [u8]> {
        Some(self.pe.bytes_from(self.pe.rva(address.into())?)?.0)
    }

    fn number(&self, address: u32) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes(address)?.first_chunk()?))
    }

    fn section_index(&self, address: u32) -> Option<u32> {
        self.pe.section_index(self.pe.rva(address.into())?)
    }

    fn is_code(&self, address: u32) -> bool {
        let row = self
            .section_index(address)
            .and_then(|index| self.columns.section_index.binary_search(&index).ok());
        row.is_some_and(|row| self.columns.is_executable.value(row))
    }

    /// Whether there is a `FuncInfo` at an address.
    fn is_info(&self, address: u32) -> bool {
        let magic = self.number(address).is_some_and(|magic| MAGIC.contains(&(magic & MAGIC_BITS)));
        magic && self.number(address.wrapping_add(4)).is_some_and(|states| states <= STATES_MAX)
    }

    /// The loads of a `FuncInfo` by handlers of C++, sorted: the address of the instruction, and that of the `FuncInfo`.
    fn handlers(&self, code: &[(u32, &'a [u8])]) -> Vec<(u32, u32)> {
        /// `mov eax, …`, and the jumps to the common handler, direct or through an import slot.
        const LOAD: u8 = 0xb8;
        const JUMPS: [&[u8]; 3] = [&[0xe9], &[0xff, 0x25], &[0xeb]];
        let mut found = Vec::new();
        for (address, bytes) in code {
            for (position, window) in bytes.windows(7).enumerate() {
                let [LOAD, a, b, c, d, jump @ ..] = window else { continue };
                let info = u32::from_le_bytes([*a, *b, *c, *d]);
                if JUMPS.iter().any(|start| jump.starts_with(start)) && self.is_info(info) {
                    found.push((address.wrapping_add(position as u32), info));
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The table that an operand refers to, directly or by a handler of C++.
    fn table(&self, operand: u32, handlers: &[(u32, u32)]) -> Option<Table> {
        let next = handlers.partition_point(|(address, _)| *address < operand);
        let handler =
            handlers.get(next).filter(|(address, _)| (address - operand) as usize <= HANDLER_SIZE_MAX);
        if let Some((_, info)) = handler {
            return Some(Table::FuncInfo(*info));
        }
        self.scope_table(operand)
    }

    /// The scope table at an address: that of `_except_handler3`, whose first scope is in no other (-1), or that of
    /// `_except_handler4`, which has the offsets of two stack cookies first, and -2.
    fn scope_table(&self, address: u32) -> Option<Table> {
        const HEADER_SIZE: u32 = 16;
        let is_negative = |number: u32| number.cast_signed() < 0 && number.cast_signed() >= -1 << 16;
        let first = self.number(address)?;
        let is_version3 = first == u32::MAX;
        let table = match is_version3 {
            true => Table::Scopes(address, address),
            false => {
                let cookie = self.number(address.wrapping_add(8))?;
                let scopes = address.wrapping_add(HEADER_SIZE);
                if !is_negative(first) || !is_negative(cookie) || self.number(scopes)? != u32::MAX - 1 {
                    return None;
                }
                Table::Scopes(address, scopes)
            }
        };
        let Table::Scopes(_, scopes) = table else { return None };
        self.scope(scopes, 0).map(|_| table)
    }

    /// A scope of a table.
    fn scope(&self, first: u32, index: u32) -> Option<Scope> {
        let field = |offset: u32| {
            self.number(first.wrapping_add(index.wrapping_mul(SCOPE_SIZE)).wrapping_add(offset))
        };
        let (enclosing, filter, handler) = (field(0)?, field(4)?, field(8)?);
        let is_outermost = enclosing >= u32::MAX - 1;
        let is_valid = (is_outermost || enclosing < index)
            && (filter == 0 || self.is_code(filter))
            && self.is_code(handler);
        is_valid.then_some(Scope {
            enclosing: (!is_outermost).then_some(enclosing),
            filter: (filter != 0).then_some(filter),
            handler,
        })
    }

    /// The registrations of handlers in code.
    fn registrations(&self, bytes: &[u8], handlers: &[(u32, u32)]) -> Vec<Registration> {
        /// `push …`; `mov eax, …` before a call of the helper that registers; `mov dword ptr [ebp + …], …`.
        const PUSH: u8 = 0x68;
        const LOAD: u8 = 0xb8;
        const STORE: u8 = 0xc7;
        /// The state is next to the frame pointer, in the frames that helpers and pushes make.
        const PUSHED_OFFSET: i32 = -4;
        let mut found: Vec<Registration> = Vec::new();
        for position in 0..bytes.len() {
            let (size, offset) = match bytes[position..] {
                [PUSH, ..] | [LOAD, _, _, _, _, 0xe8, ..] => (5, PUSHED_OFFSET),
                [STORE, 0x45, stored, ..] => (7, i32::from(stored.cast_signed()) + 4),
                _ => continue,
            };
            let end = position + size;
            let Some(operand) = bytes.get(end - 4..end).and_then(|operand| operand.first_chunk()) else {
                break;
            };
            let operand = u32::from_le_bytes(*operand);
            if self.section_index(operand).is_none() {
                continue;
            }
            let Some(table) = self.table(operand, handlers) else { continue };
            // The push of a scope table is followed by that of the handler, or by the call of a helper.
            let is_registered = match (table, bytes[position], bytes.get(end)) {
                (Table::FuncInfo(_), ..) | (_, PUSH, Some(&(0xe8 | PUSH))) => true,
                (_, STORE, _) => self.stores_code(bytes, position, offset - 8),
                _ => false,
            };
            if is_registered {
                let start = function_start(bytes, position);
                found.push(Registration { stores: StateStores { start: end, offset }, start, table });
            }
        }
        found
    }

    /// Whether an instruction near a position stores the address of code at an offset from the frame pointer.
    fn stores_code(&self, bytes: &[u8], position: usize, offset: i32) -> bool {
        const NEAR: usize = 48;
        let Ok(offset) = i8::try_from(offset) else { return false };
        let near = &bytes[position.saturating_sub(NEAR)..bytes.len().min(position + NEAR)];
        near.windows(7).any(|window| match *window {
            [0xc7, 0x45, own, a, b, c, d] => {
                own.cast_signed() == offset && self.is_code(u32::from_le_bytes([a, b, c, d]))
            }
            _ => false,
        })
    }

    /// The handlers that a table states. A scope table ends before the `next` table.
    fn handlers_of(&self, table: Table, next: Option<u32>, records_left: &mut usize) -> Handlers {
        let Table::FuncInfo(info) = table else {
            let Table::Scopes(_, first) = table else { unreachable!("there are two kinds") };
            let count =
                next.map_or(STATES_MAX, |next| next.saturating_sub(first) / SCOPE_SIZE).min(STATES_MAX);
            let scopes: Vec<_> =
                (0..count.min(*records_left as u32)).map_while(|index| self.scope(first, index)).collect();
            *records_left -= scopes.len();
            return Handlers::Scopes(scopes);
        };
        let mut tries = Vec::new();
        for entry in self.records(info.wrapping_add(12), TRY_SIZE, records_left) {
            let states = self.number(entry).zip(self.number(entry.wrapping_add(4)));
            let Some((first, last)) = states else { break };
            let catches = self.records(entry.wrapping_add(12), CATCH_SIZE, records_left);
            let catches = catches.filter_map(|entry| self.number(entry.wrapping_add(12)));
            tries.push(TryBlock {
                states: first..=last,
                catches: catches.filter(|catch| self.is_code(*catch)).collect(),
            });
        }
        let mut cleanups: Vec<Option<u32>> = Vec::new();
        for entry in self.records(info.wrapping_add(4), STATE_SIZE, records_left) {
            let enclosing =
                self.number(entry).and_then(|state| cleanups.get(state as usize).copied().flatten());
            let own = self.number(entry.wrapping_add(4)).filter(|action| self.is_code(*action));
            cleanups.push(own.or(enclosing));
        }
        Handlers::States { tries, cleanups }
    }

    /// The addresses of the records of an array whose number is in a field, and whose address is in the next; none if it
    /// is broken, or there are too many.
    fn records(&self, field: u32, size: u32, records_left: &mut usize) -> impl Iterator<Item = u32> + use<> {
        let count = self.number(field).filter(|count| *count <= STATES_MAX).unwrap_or(0);
        let start = self.number(field.wrapping_add(4)).unwrap_or(0);
        let has_all = self.bytes(start).is_some_and(|bytes| bytes.len() >= (count * size) as usize);
        let count = if has_all && count as usize <= *records_left { count } else { 0 };
        *records_left -= count as usize;
        (0..count).map(move |index| start.wrapping_add(index * size))
    }

    /// The rows of a code range in one state.
    fn rows(
        &self,
        registration: &Registration,
        handlers: &Handlers,
        address: u32,
        range: &StateRange,
    ) -> Vec<BinaryExceptionCallSite> {
        let table = registration.table.address();
        let start = address.wrapping_add(range.positions.start as u32);
        let row = |(call_site_index, landing_pad, action)| BinaryExceptionCallSite {
            address: start.into(),
            size: range.positions.len() as u64,
            section_index: self.section_index(start),
            landing_pad_address: Some(u64::from(landing_pad)),
            landing_pad_section_index: self.section_index(landing_pad),
            action,
            function_address: address.wrapping_add(registration.start as u32).into(),
            lsda_address: table.into(),
            lsda_section_index: self.section_index(table).unwrap_or_default(),
            call_site_index,
        };
        handlers.pads_of(range.state).into_iter().map(row).collect()
    }
}

/// Position of the prologue before a registration, or of what is pushed for the helper that makes the frame; that of the
/// registration if there is neither.
fn function_start(bytes: &[u8], position: usize) -> usize {
    const NEAR: usize = 64;
    const PROLOGUES: [&[u8]; 2] = [&[0x55, 0x8b, 0xec], &[0x55, 0x89, 0xe5]];
    let near = &bytes[position.saturating_sub(NEAR)..position];
    let from_prologue = |prologue: &&[u8]| near.windows(3).rev().position(|window| window == *prologue);
    if let Some(distance) = PROLOGUES.iter().filter_map(from_prologue).min() {
        return position - distance - 3;
    }
    match near {
        [.., 0x68, _, _, 0, 0] => position - 5,
        [.., 0x6a, _] => position - 2,
        _ => position,
    }
}
