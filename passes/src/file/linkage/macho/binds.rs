//! The operations of `LC_DYLD_INFO` that bind pointers to symbols: they set a place, a symbol, its library and an
//! addend, and then bind.
//!
//! In files for `arm64e`, they may fill a table of symbols instead, and name the places where chains of pointers start
//! (`BIND_OPCODE_THREADED`). Such a pointer states how the loader changes it; it refers to a symbol by its position in
//! the table.
//!
//! *Termination.* An operation may bind any number of pointers; who receives them limits their number.
//!
//! Source: `mach-o/loader.h` of Apple's XNU; `ImageLoaderMachOCompressed.cpp` of Apple's dyld.

use gimli::{EndianSlice, LittleEndian, Reader};
use object::macho::{self, BindDylib, BindOpcode, BindSubopcodeThreaded, BindSymbolFlags, BindType};

/// A table of operations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BindTable {
    /// Pointers that are bound when the file is loaded.
    Regular,
    /// Pointers to symbols that several files may define.
    Weak,
    /// Pointers that are bound at the first call.
    Lazy,
}

/// A segment by its number, and an offset in it.
pub(super) type Place = (u8, u64);

/// A symbol that pointers are bound to.
#[derive(Clone, Copy)]
pub(super) struct Bind<'a> {
    pub(super) symbol: &'a [u8],
    pub(super) dylib: BindDylib,
    pub(super) is_weak: bool,
    pub(super) kind: BindType,
    pub(super) addend: i64,
}

/// What operations tell the loader to do.
pub(super) enum Step<'a> {
    /// Binds the pointer at a place.
    Bind(Place, Bind<'a>),
    /// Clears the table of symbols.
    ClearTargets,
    /// Appends to the table of symbols.
    AddTarget(Bind<'a>),
    /// Changes the pointers of the chain that starts at a place.
    Chain(Place),
}

/// What operations set; `None` before.
#[derive(Clone, Copy)]
struct State<'a> {
    place: Option<Place>,
    symbol: Option<(&'a [u8], BindSymbolFlags)>,
    dylib: Option<BindDylib>,
    kind: Option<BindType>,
    addend: i64,
}

impl<'a> State<'a> {
    fn new(table: BindTable) -> Self {
        let is_regular = table == BindTable::Regular;
        Self {
            place: None,
            symbol: None,
            dylib: (table == BindTable::Weak).then_some(macho::BIND_SPECIAL_DYLIB_WEAK_LOOKUP),
            kind: (!is_regular).then_some(macho::BIND_TYPE_POINTER),
            addend: 0,
        }
    }

    fn place(&self) -> Result<Place, &'static str> {
        self.place.ok_or("an operation has no place")
    }

    fn advance(&mut self, distance: u64) {
        if let Some((_, offset)) = &mut self.place {
            *offset = offset.wrapping_add(distance);
        }
    }

    fn bind(&self) -> Result<Bind<'a>, &'static str> {
        let (symbol, flags) = self.symbol.ok_or("an operation has no symbol")?;
        let dylib = self.dylib.ok_or("an operation has no library")?;
        let kind = self.kind.ok_or("an operation has no type")?;
        let is_weak = flags.contains(macho::BIND_SYMBOL_FLAGS_WEAK_IMPORT);
        Ok(Bind { symbol, dylib, is_weak, kind, addend: self.addend })
    }
}

/// Calls `on_step` with each step of a table of operations, until an operation cannot be read or `on_step` fails.
pub(super) fn run<'a>(
    operations: &'a [u8],
    table: BindTable,
    pointer_size: u8,
    mut on_step: impl FnMut(Step<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let pointer_size = u64::from(pointer_size);
    let mut state = State::new(table);
    let mut fills_table = false;
    let mut data = EndianSlice::new(operations, LittleEndian);
    while !data.is_empty() {
        let byte = data.read_u8().map_err(said)?;
        let immediate = byte & macho::BIND_IMMEDIATE_MASK;
        // Number of pointers to bind, and the distance from the end of one to the next.
        let (count, skip) = match BindOpcode(byte & macho::BIND_OPCODE_MASK) {
            macho::BIND_OPCODE_DONE if table == BindTable::Lazy => {
                state = State::new(table);
                continue;
            }
            macho::BIND_OPCODE_DONE => return Ok(()),
            macho::BIND_OPCODE_DO_BIND if fills_table => {
                on_step(Step::AddTarget(state.bind()?))?;
                continue;
            }
            macho::BIND_OPCODE_DO_BIND => (1, 0),
            macho::BIND_OPCODE_DO_BIND_ADD_ADDR_ULEB => (1, data.read_uleb128().map_err(said)?),
            macho::BIND_OPCODE_DO_BIND_ADD_ADDR_IMM_SCALED => (1, u64::from(immediate) * pointer_size),
            macho::BIND_OPCODE_DO_BIND_ULEB_TIMES_SKIPPING_ULEB => {
                (data.read_uleb128().map_err(said)?, data.read_uleb128().map_err(said)?)
            }
            macho::BIND_OPCODE_THREADED if table == BindTable::Regular && pointer_size == 8 => {
                match BindSubopcodeThreaded(immediate) {
                    macho::BIND_SUBOPCODE_THREADED_SET_BIND_ORDINAL_TABLE_SIZE_ULEB => {
                        // Linkers state another size than that of the table.
                        data.skip_leb128().map_err(said)?;
                        fills_table = true;
                        on_step(Step::ClearTargets)?;
                    }
                    macho::BIND_SUBOPCODE_THREADED_APPLY => on_step(Step::Chain(state.place()?))?,
                    _ => return Err(unknown(byte)),
                }
                continue;
            }
            opcode => {
                set(&mut state, opcode, immediate, &mut data)?;
                continue;
            }
        };
        for _ in 0..count {
            on_step(Step::Bind(state.place()?, state.bind()?))?;
            state.advance(pointer_size.wrapping_add(skip));
        }
    }
    Ok(())
}

/// Performs an operation that binds nothing.
fn set<'a>(
    state: &mut State<'a>,
    opcode: BindOpcode,
    immediate: u8,
    data: &mut EndianSlice<'a, LittleEndian>,
) -> Result<(), String> {
    match opcode {
        macho::BIND_OPCODE_SET_DYLIB_ORDINAL_IMM => state.dylib = Some(BindDylib(immediate.into())),
        macho::BIND_OPCODE_SET_DYLIB_ORDINAL_ULEB => {
            let ordinal = i32::try_from(data.read_uleb128().map_err(said)?);
            state.dylib = Some(BindDylib(ordinal.map_err(|error| error.to_string())?));
        }
        macho::BIND_OPCODE_SET_DYLIB_SPECIAL_IMM => {
            // A signed number of four bits.
            state.dylib = Some(BindDylib((immediate.cast_signed() << 4 >> 4).into()));
        }
        macho::BIND_OPCODE_SET_SYMBOL_TRAILING_FLAGS_IMM => {
            let name = data.read_null_terminated_slice().map_err(said)?;
            state.symbol = Some((name.slice(), BindSymbolFlags(immediate)));
        }
        macho::BIND_OPCODE_SET_TYPE_IMM => state.kind = Some(BindType(immediate)),
        macho::BIND_OPCODE_SET_ADDEND_SLEB => state.addend = data.read_sleb128().map_err(said)?,
        macho::BIND_OPCODE_SET_SEGMENT_AND_OFFSET_ULEB => {
            state.place = Some((immediate, data.read_uleb128().map_err(said)?));
        }
        macho::BIND_OPCODE_ADD_ADDR_ULEB => state.advance(data.read_uleb128().map_err(said)?),
        opcode => return Err(unknown(opcode.0 | immediate)),
    }
    Ok(())
}

fn unknown(byte: u8) -> String {
    format!("the operation {byte:#x} is unknown in its table")
}

/// The text of an error.
fn said(error: gimli::Error) -> String {
    error.to_string()
}
