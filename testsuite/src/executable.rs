//! `(CLIF text) -> executable` and what its compiler knew about it.
//!
//! [`from_clif`] compiles the functions with cranelift, lays them and the data out, applies the relocations and writes an `ET_EXEC` ELF file for x86-64 Linux
//! that the kernel can load and run. The result depends on the text and the [`Options`] alone.
//!
//! A call to `%exit(i32)`, when the text does not define it, is linked to a hand-written function that makes the system call: cranelift cannot say `syscall`.
//! Like much hand-written assembly, that function has no entry in `.eh_frame`.

use std::collections::BTreeMap;

use cranelift_codegen::gimli;
use cranelift_codegen::gimli::write::{Address, EhFrame, EndianVec, FrameTable};
use cranelift_codegen::isa::OwnedTargetIsa;

pub use crate::compile::OptLevel;
use crate::compile::{CompiledFunction, Relocation, RelocationKind, Target, backend, compile};
use crate::elf::{self, Placement, Section, Symbol};

/// The address of the first function: one page of headers after the usual base of fixed-address executables.
pub const TEXT_ADDRESS: u64 = elf::IMAGE_BASE + elf::PAGE_SIZE;

/// What linkers and assemblers align functions to on x86-64.
const FUNCTION_ALIGNMENT: u64 = 16;

/// Alignment of every data object: enough for the pointers in it.
const DATA_ALIGNMENT: u64 = 8;

/// `mov eax, 60; syscall; ud2`: the system call `exit`, which takes its argument where the calling convention already put it.
const EXIT_CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b];

/// The instruction that assemblers fill gaps of one to nine bytes with.
const NOPS: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// An ELF file together with the truth about its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The functions in order of address, the same in every variant of the file.
    pub functions: Vec<FunctionTruth>,
}

/// What the compiler knew about one function. All addresses are virtual addresses.
///
/// Blocks end at branches, traps and returns; a call does not end one. The compiler counts a few short sequences as single instructions though they branch
/// inside: a conditional trap (`trapnz`, a division's check) with its out-of-line `ud2`, the bounds check of a `br_table`, some floating-point conversions.
/// For code without those, these are exactly the blocks of the machine code.
///
/// The compiler (cranelift 0.135) moves blocks that end in a `trap` behind all others, but goes by the order before when it
/// says which block an edge leaves. The blocks and edges of a function that has such a block among others are not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionTruth {
    /// The name in the CLIF text, without its `%`.
    pub name: String,
    /// The address of the first byte.
    pub address: u64,
    /// The number of bytes, jump tables and constants after the code included, padding to the next function excluded.
    pub size: u64,
    /// The address of each basic block, sorted; the first is `address`.
    pub block_starts: Vec<u64>,
    /// The control-flow edges inside the function, sorted: source block start, target block start.
    pub edges: Vec<(u64, u64)>,
    /// The calls in order of address: the address after the call, and the address called if the call names it.
    pub calls: Vec<(u64, Option<u64>)>,
    /// The bytes between the stack pointer after the prologue and the saved frame pointer; `None` for hand-written code.
    /// A function with 0 here may have no frame at all.
    pub frame_size: Option<u64>,
}

/// What to make of a CLIF text.
#[derive(Clone, Debug)]
pub struct Options {
    /// How hard the compiler tries.
    pub opt_level: OptLevel,
    /// Whether the file has a symbol table: without it is what `strip` leaves.
    pub symbols: bool,
    /// Whether the file has unwind tables.
    pub eh_frame: bool,
    /// The data that the code reaches through `symbol` global values.
    pub data: Vec<DataObject>,
}

impl Default for Options {
    /// An optimized file with symbols and unwind tables and without data.
    fn default() -> Self {
        Options { opt_level: OptLevel::Speed, symbols: true, eh_frame: true, data: Vec::new() }
    }
}

/// A named object in one of the data sections.
#[derive(Clone, Debug)]
pub struct DataObject {
    /// The name in the CLIF text, without its `%`.
    pub name: &'static str,
    /// The section and the bytes.
    pub contents: Contents,
    /// Places in the bytes that hold eight-byte addresses: the offset, and the name of the function or object.
    pub addresses: Vec<(usize, &'static str)>,
}

/// The bytes of a data object, by section.
#[derive(Clone, Debug)]
pub enum Contents {
    /// In `.rodata`.
    ReadOnly(Vec<u8>),
    /// In `.data`.
    Writable(Vec<u8>),
    /// So many zero bytes in `.bss`.
    Zeroed(u64),
}

/// Links a CLIF text with the default options. Panics if it does not parse, verify, compile or link.
pub fn from_clif(clif_text: &str) -> Executable {
    from_clif_with(clif_text, &Options::default())
}

/// Links a CLIF text. Panics if it does not parse, verify, compile or link.
pub fn from_clif_with(clif_text: &str, options: &Options) -> Executable {
    let isa = backend(options.opt_level);
    let mut functions = compile(clif_text, &isa);
    assert!(!functions.is_empty(), "an executable needs a function");
    add_exit_if_called(&mut functions);

    // Sizes are known now, so every address is: first the functions, then each section where the previous one ends.
    let function_addresses = function_addresses(&functions);
    let text_end = TEXT_ADDRESS + text_size(&functions, &function_addresses);
    let mut symbols = function_symbols(&functions, &function_addresses);
    let read_only = data_section(&options.data, Placement::ReadOnly, elf::next_page(text_end), &mut symbols);
    let eh_frame_address = read_only.end_address().next_multiple_of(DATA_ALIGNMENT);
    let eh_frame = if options.eh_frame {
        eh_frame(&functions, &function_addresses, eh_frame_address, &isa)
    } else {
        Vec::new()
    };
    let eh_frame =
        Section::with_bytes(".eh_frame", Placement::ReadOnly, eh_frame_address, DATA_ALIGNMENT, eh_frame);
    let writable = data_section(
        &options.data,
        Placement::Writable,
        elf::next_page(eh_frame.end_address()),
        &mut symbols,
    );
    let bss_address = writable.end_address().next_multiple_of(DATA_ALIGNMENT);
    let zeroed = data_section(&options.data, Placement::Zeroed, bss_address, &mut symbols);

    // Beyond this point every symbol has its address.
    let addresses: BTreeMap<&str, u64> =
        symbols.iter().map(|symbol| (symbol.name.as_str(), symbol.address)).collect();
    assert_eq!(addresses.len(), symbols.len(), "two symbols have one name");
    let text = text(&functions, &function_addresses, &addresses);
    let mut sections = vec![
        Section::with_bytes(".text", Placement::Code, TEXT_ADDRESS, FUNCTION_ALIGNMENT, text),
        read_only,
        eh_frame,
        writable,
        zeroed,
    ];
    write_data_addresses(&mut sections, &options.data, &addresses);
    let truths = functions
        .iter()
        .zip(&function_addresses)
        .map(|(function, &address)| truth(function, address, &addresses))
        .collect();

    sections.retain(|section| section.size > 0);
    let entry = addresses.get("_start").copied().unwrap_or(TEXT_ADDRESS);
    if !options.symbols {
        symbols.clear();
    }
    Executable { bytes: elf::write(entry, &sections, &symbols), functions: truths }
}

fn add_exit_if_called(functions: &mut Vec<CompiledFunction>) {
    let is_exit =
        |relocation: &Relocation| matches!(&relocation.target, Target::Symbol(name) if name == "exit");
    let called = functions.iter().any(|function| function.relocations.iter().any(is_exit));
    if called && functions.iter().all(|function| function.name != "exit") {
        functions.push(CompiledFunction {
            name: "exit".to_owned(),
            code: EXIT_CODE.to_vec(),
            relocations: Vec::new(),
            block_starts: vec![0],
            edges: Vec::new(),
            return_offsets: Vec::new(),
            frame_size: None,
            unwind: None,
        });
    }
}

fn function_addresses(functions: &[CompiledFunction]) -> Vec<u64> {
    let mut end = TEXT_ADDRESS;
    let place = |function: &CompiledFunction| {
        let address = end.next_multiple_of(FUNCTION_ALIGNMENT);
        end = address + function.code.len() as u64;
        address
    };
    functions.iter().map(place).collect()
}

fn text_size(functions: &[CompiledFunction], function_addresses: &[u64]) -> u64 {
    functions
        .iter()
        .zip(function_addresses)
        .map(|(function, address)| address + function.code.len() as u64 - TEXT_ADDRESS)
        .max()
        .unwrap_or(0)
}

fn function_symbols(functions: &[CompiledFunction], function_addresses: &[u64]) -> Vec<Symbol> {
    let pairs = functions.iter().zip(function_addresses);
    pairs
        .map(|(function, &address)| Symbol {
            name: function.name.clone(),
            address,
            size: function.code.len() as u64,
            section: ".text",
        })
        .collect()
}

/// Lays out the objects of one data section and adds their symbols.
fn data_section(
    data: &[DataObject],
    placement: Placement,
    address: u64,
    symbols: &mut Vec<Symbol>,
) -> Section {
    let mut section = match placement {
        Placement::ReadOnly => Section::with_bytes(".rodata", placement, address, DATA_ALIGNMENT, Vec::new()),
        Placement::Writable => Section::with_bytes(".data", placement, address, DATA_ALIGNMENT, Vec::new()),
        Placement::Zeroed => Section::with_bytes(".bss", placement, address, DATA_ALIGNMENT, Vec::new()),
        Placement::Code => unreachable!("data objects are not code"),
    };
    for object in data {
        let (object_placement, bytes, size) = match &object.contents {
            Contents::ReadOnly(bytes) => (Placement::ReadOnly, bytes.as_slice(), bytes.len() as u64),
            Contents::Writable(bytes) => (Placement::Writable, bytes.as_slice(), bytes.len() as u64),
            Contents::Zeroed(size) => (Placement::Zeroed, [].as_slice(), *size),
        };
        if object_placement != placement {
            continue;
        }
        let offset = section.size.next_multiple_of(DATA_ALIGNMENT);
        if placement != Placement::Zeroed {
            section.bytes.resize(offset as usize, 0);
            section.bytes.extend_from_slice(bytes);
        }
        section.size = offset + size;
        symbols.push(Symbol {
            name: object.name.to_owned(),
            address: address + offset,
            size,
            section: section.name,
        });
    }
    section
}

/// The unwind tables as a linker leaves them: addresses relative to their own place, four zero bytes at the end.
fn eh_frame(
    functions: &[CompiledFunction],
    function_addresses: &[u64],
    eh_frame_address: u64,
    isa: &OwnedTargetIsa,
) -> Vec<u8> {
    let mut cie = isa.create_systemv_cie().expect("x86-64 has unwind tables");
    cie.fde_address_encoding = gimli::constants::DW_EH_PE_pcrel | gimli::constants::DW_EH_PE_sdata4;
    let mut table = FrameTable::default();
    let cie = table.add_cie(cie);
    for (function, address) in functions.iter().zip(function_addresses) {
        if let Some(unwind) = &function.unwind {
            // The writer believes that the section is at address 0.
            table.add_fde(cie, unwind.to_fde(Address::Constant(address.wrapping_sub(eh_frame_address))));
        }
    }
    let mut section = EhFrame(EndianVec::new(gimli::LittleEndian));
    table.write_eh_frame(&mut section).expect("distances fit four bytes");
    let mut bytes = section.0.into_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// The bytes of `.text`, relocated, with gaps filled by the instructions that do nothing.
fn text(
    functions: &[CompiledFunction],
    function_addresses: &[u64],
    addresses: &BTreeMap<&str, u64>,
) -> Vec<u8> {
    let mut text = Vec::new();
    for (function, &address) in functions.iter().zip(function_addresses) {
        let mut gap = (address - TEXT_ADDRESS) as usize - text.len();
        while gap > 0 {
            let nop = NOPS[gap.min(NOPS.len()) - 1];
            text.extend_from_slice(nop);
            gap -= nop.len();
        }
        let mut code = function.code.clone();
        for relocation in &function.relocations {
            let value = resolve(relocation, address, addresses).wrapping_add_signed(relocation.addend);
            let at = relocation.offset as usize;
            match relocation.kind {
                RelocationKind::Absolute8 => code[at..at + 8].copy_from_slice(&value.to_le_bytes()),
                RelocationKind::Relative4 => {
                    let distance = value.wrapping_sub(address + relocation.offset) as i64;
                    let distance = i32::try_from(distance).expect("the image is small");
                    code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
                }
            }
        }
        text.extend_from_slice(&code);
    }
    text
}

fn resolve(relocation: &Relocation, function_address: u64, addresses: &BTreeMap<&str, u64>) -> u64 {
    match &relocation.target {
        Target::SameFunction(offset) => function_address + offset,
        Target::Symbol(name) => {
            *addresses.get(name.as_str()).unwrap_or_else(|| panic!("nothing defines %{name}"))
        }
    }
}

fn write_data_addresses(sections: &mut [Section], data: &[DataObject], addresses: &BTreeMap<&str, u64>) {
    for object in data {
        let object_address = addresses[object.name];
        for (offset, target) in &object.addresses {
            let target = addresses.get(target).unwrap_or_else(|| panic!("nothing defines %{target}"));
            let place = object_address + *offset as u64;
            let section = sections.iter_mut().find(|section| {
                section.address <= place && place + 8 <= section.address + section.bytes.len() as u64
            });
            let section = section.expect("the address lies in bytes of a data object");
            let at = (place - section.address) as usize;
            section.bytes[at..at + 8].copy_from_slice(&target.to_le_bytes());
        }
    }
}

fn truth(function: &CompiledFunction, address: u64, addresses: &BTreeMap<&str, u64>) -> FunctionTruth {
    // A direct call ends with its relocation; a relocation before an indirect call belongs to another instruction.
    let callee = |return_offset: u64| {
        let relocation = function.relocations.iter().find(|relocation| {
            matches!(relocation.kind, RelocationKind::Relative4) && relocation.offset + 4 == return_offset
        });
        relocation.map(|relocation| resolve(relocation, address, addresses))
    };
    FunctionTruth {
        name: function.name.clone(),
        address,
        size: function.code.len() as u64,
        block_starts: function.block_starts.iter().map(|offset| address + offset).collect(),
        edges: function.edges.iter().map(|(from, to)| (address + from, address + to)).collect(),
        calls: function.return_offsets.iter().map(|&offset| (address + offset, callee(offset))).collect(),
        frame_size: function.frame_size,
    }
}
