//! `(CLIF text) -> executable` with the compiler's ground truth about its code.
//!
//! [`from_clif`] compiles the functions with Cranelift, assigns addresses, applies relocations and writes an `ET_EXEC`
//! ELF file for x86-64 Linux that the kernel can run. The result depends only on the text and the [`Options`].
//!
//! If the text calls `%exit(i32)` without defining it, a hand-written function that makes the system call is linked,
//! because CLIF has no `syscall`. As usual for hand-written assembly, it has no entry in `.eh_frame`.

use std::collections::BTreeMap;

use cranelift_codegen::gimli;
use cranelift_codegen::gimli::write::{Address, EhFrame, EndianVec, FrameTable};
use cranelift_codegen::isa::OwnedTargetIsa;

pub use crate::compile::OptLevel;
use crate::compile::{CompiledFunction, Relocation, RelocationKind, Target, backend, compile};
use crate::elf::{self, Placement, Section, Symbol};

/// Address of the first function: one page after the image base.
pub const TEXT_ADDRESS: u64 = elf::IMAGE_BASE + elf::PAGE_SIZE;

/// Usual function alignment on x86-64.
const FUNCTION_ALIGNMENT: u64 = 16;

/// Alignment of data objects, sufficient for pointers.
const DATA_ALIGNMENT: u64 = 8;

/// `mov eax, 60; syscall; ud2`: the system call `exit`, whose argument is already in `edi`.
const EXIT_CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b];

/// Padding instructions of one to nine bytes.
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

/// An ELF file and the ground truth about its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Functions sorted by address; the same for every variant of the file.
    pub functions: Vec<FunctionGroundTruth>,
}

/// Ground truth from the compiler about a function. All addresses are virtual addresses.
///
/// Branches, traps and returns end a block; calls do not. The compiler treats some sequences with internal branches as
/// single instructions: a conditional trap (`trapnz`, the check of a division) with its out-of-line `ud2`, the bounds
/// check of a `br_table`, and some floating-point conversions. Without them, the blocks are exactly those of the
/// machine code.
///
/// Cranelift 0.135 moves blocks that end with a `trap` to the end of the function, but numbers edge sources by the
/// original order. Blocks and edges of a function with such a block are therefore wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionGroundTruth {
    /// Name in the CLIF text, without `%`.
    pub name: String,
    /// Address of the first byte.
    pub address: u64,
    /// Size in bytes, including jump tables and constants after the code, without padding.
    pub size: u64,
    /// Addresses of the basic blocks, sorted; the first is `address`.
    pub block_starts: Vec<u64>,
    /// Control-flow edges inside the function, sorted: start of the source block, start of the target block.
    pub edges: Vec<(u64, u64)>,
    /// Calls sorted by address: return address, and callee of a direct call.
    pub calls: Vec<(u64, Option<u64>)>,
    /// Bytes between the stack pointer after the prologue and the saved frame pointer; `None` for hand-written code. A
    /// function with 0 may have no frame.
    pub frame_size: Option<u64>,
}

/// Options for compiling and linking a CLIF text.
#[derive(Clone, Debug)]
pub struct Options {
    /// Optimization level.
    pub opt_level: OptLevel,
    /// Whether the file has a symbol table.
    pub symbols: bool,
    /// Whether the file has `.eh_frame`.
    pub eh_frame: bool,
    /// Data that the code accesses through `symbol` global values.
    pub data: Vec<DataObject>,
}

impl Default for Options {
    /// An optimized file with symbols and `.eh_frame`, without data.
    fn default() -> Self {
        Options { opt_level: OptLevel::Speed, symbols: true, eh_frame: true, data: Vec::new() }
    }
}

/// A named object in a data section.
#[derive(Clone, Debug)]
pub struct DataObject {
    /// Name in the CLIF text, without `%`.
    pub name: &'static str,
    /// Section and bytes.
    pub contents: Contents,
    /// Addresses in the bytes: offset, and name of the function or object.
    pub addresses: Vec<(usize, &'static str)>,
}

/// The bytes of a data object, by section.
#[derive(Clone, Debug)]
pub enum Contents {
    /// In `.rodata`.
    ReadOnly(Vec<u8>),
    /// In `.data`.
    Writable(Vec<u8>),
    /// Number of zero bytes in `.bss`.
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

    // Sizes are known, so addresses can be assigned: first to functions, then to sections in file order.
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

    // Postcondition: every symbol has an address.
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
    let ground_truths = functions
        .iter()
        .zip(&function_addresses)
        .map(|(function, &address)| ground_truth(function, address, &addresses))
        .collect();

    sections.retain(|section| section.size > 0);
    let entry = addresses.get("_start").copied().unwrap_or(TEXT_ADDRESS);
    if !options.symbols {
        symbols.clear();
    }
    Executable { bytes: elf::write(entry, &sections, &symbols), functions: ground_truths }
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

/// Linked `.eh_frame`: PC-relative addresses, terminated by four zero bytes.
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
            // The writer assumes that the section is at address 0.
            table.add_fde(cie, unwind.to_fde(Address::Constant(address.wrapping_sub(eh_frame_address))));
        }
    }
    let mut section = EhFrame(EndianVec::new(gimli::LittleEndian));
    table.write_eh_frame(&mut section).expect("distances fit four bytes");
    let mut bytes = section.0.into_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// Relocated bytes of `.text`, with gaps filled by padding instructions.
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
            *addresses.get(name.as_str()).unwrap_or_else(|| panic!("undefined symbol %{name}"))
        }
    }
}

fn write_data_addresses(sections: &mut [Section], data: &[DataObject], addresses: &BTreeMap<&str, u64>) {
    for object in data {
        let object_address = addresses[object.name];
        for (offset, target) in &object.addresses {
            let target = addresses.get(target).unwrap_or_else(|| panic!("undefined symbol %{target}"));
            let place = object_address + *offset as u64;
            let section = sections.iter_mut().find(|section| {
                section.address <= place && place + 8 <= section.address + section.bytes.len() as u64
            });
            let section = section.expect("the address is inside a data object");
            let at = (place - section.address) as usize;
            section.bytes[at..at + 8].copy_from_slice(&target.to_le_bytes());
        }
    }
}

fn ground_truth(
    function: &CompiledFunction,
    address: u64,
    addresses: &BTreeMap<&str, u64>,
) -> FunctionGroundTruth {
    // A direct call ends with its relocation; a relocation before an indirect call belongs to another instruction.
    let callee = |return_offset: u64| {
        let relocation = function.relocations.iter().find(|relocation| {
            matches!(relocation.kind, RelocationKind::Relative4) && relocation.offset + 4 == return_offset
        });
        relocation.map(|relocation| resolve(relocation, address, addresses))
    };
    FunctionGroundTruth {
        name: function.name.clone(),
        address,
        size: function.code.len() as u64,
        block_starts: function.block_starts.iter().map(|offset| address + offset).collect(),
        edges: function.edges.iter().map(|(from, to)| (address + from, address + to)).collect(),
        calls: function.return_offsets.iter().map(|&offset| (address + offset, callee(offset))).collect(),
        frame_size: function.frame_size,
    }
}
