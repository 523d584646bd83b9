//! `(format, architecture) -> relocatable object`, and containers of such files.
//!
//! Cranelift generates the code, `cranelift-object` the file. All objects have the same content: a local function
//! `twice`; a global function `checked_twice` that calls `twice` and the undefined function `report`; a local string
//! `message`; and a global writable array `operations` with the addresses of the functions and the string.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_module::{DataDescription, FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use cranelift_reader::ParseOptions;

use crate::compile;
use crate::compile::OptLevel;

/// Object file formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ELF (Linux).
    Elf,
    /// Mach-O (macOS).
    MachO,
    /// COFF (Windows).
    Coff,
}

/// Architectures of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// AArch64.
    Aarch64,
}

/// All combinations of format and architecture.
pub const ALL: [(Format, Architecture); 6] = [
    (Format::Elf, Architecture::X86_64),
    (Format::Elf, Architecture::Aarch64),
    (Format::MachO, Architecture::X86_64),
    (Format::MachO, Architecture::Aarch64),
    (Format::Coff, Architecture::X86_64),
    (Format::Coff, Architecture::Aarch64),
];

/// The characters of `message`, without the terminating zero.
pub const MESSAGE: &str = "a negative number was doubled";

/// `u0:N` is the function with index `N` in declaration order, `u1:N` a data object.
const CLIF: &str = "
    function u0:1(i64) -> i64 {
    block0(v0: i64):
        v1 = iadd v0, v0
        return v1
    }

    function u0:2(i64) -> i64 {
        gv0 = symbol u1:0
        sig0 = (i64) -> i64
        fn0 = u0:0 sig0
        fn1 = colocated u0:1 sig0

    block0(v0: i64):
        v1 = iconst.i64 0
        v2 = icmp slt v0, v1
        brif v2, block1, block2

    block1:
        v3 = symbol_value.i64 gv0
        v4 = call fn0(v3)
        jump block2

    block2:
        v5 = call fn1(v0)
        return v5
    }
";

/// A relocatable object with the same bytes on every machine.
pub fn object(format: Format, architecture: Architecture) -> Vec<u8> {
    let architecture_name = match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Aarch64 => "aarch64",
    };
    let system = match format {
        Format::Elf => "unknown-linux-gnu",
        Format::MachO => "apple-darwin",
        Format::Coff => "pc-windows-msvc",
    };
    // COFF has no GOT, which position-independent code requires.
    let is_position_independent = format != Format::Coff;
    let target = format!("{architecture_name}-{system}");
    let isa = compile::backend_for(&target, OptLevel::Speed, is_position_independent);
    let call_conv = isa.default_call_conv();
    let mut module = ObjectModule::new(builder(isa, format));
    let functions = declare_functions(&mut module, call_conv);
    define_data(&mut module, &functions);
    let options = ParseOptions { default_calling_convention: call_conv, ..ParseOptions::default() };
    let file = cranelift_reader::parse_test(CLIF, options).expect("the CLIF parses");
    for ((function, _), id) in file.functions.into_iter().zip(&functions[1..]) {
        module.define_function(*id, &mut Context::for_function(function)).expect("the function compiles");
    }
    module.finish().emit().expect("the object can be written")
}

fn builder(isa: OwnedTargetIsa, format: Format) -> ObjectBuilder {
    let mut builder =
        ObjectBuilder::new(isa, "object.clif", default_libcall_names()).expect("the target has objects");
    // `cranelift-object` writes `.eh_frame` only for ELF.
    builder.unwind_info(format == Format::Elf);
    builder
}

/// Declares `report`, `twice` and `checked_twice`.
fn declare_functions(module: &mut ObjectModule, call_conv: CallConv) -> [FuncId; 3] {
    let mut signature = Signature::new(call_conv);
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    let functions =
        [("report", Linkage::Import), ("twice", Linkage::Local), ("checked_twice", Linkage::Export)];
    functions.map(|(name, linkage)| {
        module.declare_function(name, linkage, &signature).expect("every name is declared once")
    })
}

/// Defines `message` and `operations`.
fn define_data(module: &mut ObjectModule, functions: &[FuncId]) {
    const ADDRESS_SIZE: usize = 8;
    let mut data = |name, linkage, is_writable| {
        module.declare_data(name, linkage, is_writable, false).expect("every name is declared once")
    };
    let (message, operations) =
        (data("message", Linkage::Local, false), data("operations", Linkage::Export, true));
    let mut description = DataDescription::new();
    description.define(format!("{MESSAGE}\0").into_bytes().into());
    module.define_data(message, &description).expect("the data is defined once");

    description.clear();
    description.define(vec![0; ADDRESS_SIZE * (functions.len() + 1)].into());
    description.set_align(ADDRESS_SIZE as u64);
    let mut offset = 0;
    for function in functions {
        let function = module.declare_func_in_data(*function, &mut description);
        description.write_function_addr(offset, function);
        offset += ADDRESS_SIZE as u32;
    }
    let message = module.declare_data_in_data(message, &mut description);
    description.write_data_addr(offset, message, 0);
    module.define_data(operations, &description).expect("the data is defined once");
}

/// A Unix archive in the GNU variant, which stores long names in a separate member.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    /// Maximum length of a name in the member header, without the terminating `/`.
    const SHORT_NAME_SIZE_MAX: usize = 15;
    let mut bytes = b"!<arch>\n".to_vec();
    let mut push = |name: &str, content: &[u8]| {
        let size = content.len();
        // Name, time, user, group, mode, size, end of the header.
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").bytes());
        bytes.extend_from_slice(content);
        bytes.extend((!size.is_multiple_of(2)).then_some(b'\n'));
    };
    let mut long_names = String::new();
    let mut names = Vec::new();
    for (name, _) in members {
        if name.len() > SHORT_NAME_SIZE_MAX {
            names.push(format!("/{}", long_names.len()));
            long_names.extend([name, "/\n"]);
        } else {
            names.push(format!("{name}/"));
        }
    }
    if !long_names.is_empty() {
        push("//", long_names.as_bytes());
    }
    for (name, (_, content)) in names.iter().zip(members) {
        push(name, content);
    }
    bytes
}

/// A universal file of little-endian Mach-O files.
pub fn universal(members: &[&[u8]]) -> Vec<u8> {
    universal_of(members, 0xcafe_babe, |offset, size| {
        [offset as u32, size as u32].map(u32::to_be_bytes).concat()
    })
}

/// A universal file with 64-bit offsets and sizes.
pub fn universal_64(members: &[&[u8]]) -> Vec<u8> {
    universal_of(members, 0xcafe_babf, |offset, size| [offset, size].map(u64::to_be_bytes).concat())
}

/// A universal file; `range` encodes offset and size of a member.
fn universal_of(members: &[&[u8]], magic: u32, range: fn(u64, u64) -> Vec<u8>) -> Vec<u8> {
    const ALIGNMENT_LOG2: u32 = 12;
    let mut bytes = Vec::new();
    for word in [magic, members.len() as u32] {
        bytes.extend(word.to_be_bytes());
    }
    let mut offset = 0_usize;
    for member in members {
        offset = (offset + 1).next_multiple_of(1 << ALIGNMENT_LOG2);
        // The CPU type and subtype follow the magic number of the member.
        let word = |at: usize| u32::from_le_bytes(member[at..at + 4].try_into().expect("four bytes"));
        for word in [word(4), word(8)] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(range(offset as u64, member.len() as u64));
        bytes.extend(ALIGNMENT_LOG2.to_be_bytes());
        // A reserved field.
        bytes.extend((magic & 1 == 1).then_some([0; 4]).into_iter().flatten());
        offset += member.len();
    }
    for member in members {
        bytes.resize((bytes.len() + 1).next_multiple_of(1 << ALIGNMENT_LOG2), 0);
        bytes.extend_from_slice(member);
    }
    bytes
}
