//! All scalar functions.

use super::definition::{Call, Function, Parameter, ReturnType};
use crate::program::{FunctionNames, source_name};
use arrow_array::{ArrayRef, BinaryViewArray, StringViewArray, UInt64Array};
use binframe::passes::isa::Isa;
use datafusion::common::Result;
use std::sync::Arc;

/// All functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "hex",
        parameters: &[Parameter::Address],
        reads_binary: false,
        doc: "The number in hexadecimal, as in `0x401000`.",
        returns: ReturnType::Text,
        evaluate: |call| Ok(hex(call)),
    },
    Function {
        name: "byte_length",
        parameters: &[Parameter::Bytes],
        reads_binary: false,
        doc: "The number of bytes.",
        returns: ReturnType::Number,
        evaluate: |call| {
            let lengths = call.bytes(0).iter().map(|bytes| Some(bytes?.len() as u64));
            Ok(Arc::new(lengths.collect::<UInt64Array>()))
        },
    },
    Function {
        name: "demangle",
        parameters: &[Parameter::Name],
        reads_binary: false,
        doc: "The demangled name of a Rust or C++ symbol; a name that is not mangled is returned unchanged.",
        returns: ReturnType::Text,
        evaluate: |call| Ok(demangle(call)),
    },
    Function {
        name: "disasm",
        parameters: &[Parameter::Bytes, Parameter::Address],
        reads_binary: true,
        doc: "The first instruction of the bytes, at the address, in Intel syntax.",
        returns: ReturnType::Text,
        evaluate: |call| disassemble(call, Isa::disassemble),
    },
    Function {
        name: "disasm_att",
        parameters: &[Parameter::Bytes, Parameter::Address],
        reads_binary: true,
        doc: "The first instruction of the bytes, at the address, in AT&T syntax.",
        returns: ReturnType::Text,
        evaluate: |call| disassemble(call, Isa::disassemble_att),
    },
    Function {
        name: "symbolize",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The symbol that covers the address, and the offset in it, as in `main+0x12`; null if there is none.",
        returns: ReturnType::Text,
        evaluate: |call| Ok(text(call.with_images(|image, _, address| image.symbol_at(address))?)),
    },
    Function {
        name: "function_of",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The entry address of the function that contains the address; null if there is none.",
        returns: ReturnType::Address,
        evaluate: |call| {
            let starts = call.with_functions(FunctionNames::at)?;
            Ok(Arc::new(UInt64Array::from(starts)))
        },
    },
    Function {
        name: "function_name",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The demangled name of the function that contains the address; null if there is none.",
        returns: ReturnType::Text,
        evaluate: |call| {
            Ok(text(call.with_functions(|functions, address| functions.name(functions.at(address)?))?))
        },
    },
    Function {
        name: "section_of",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The name of the section that contains the address; null if there is none.",
        returns: ReturnType::Text,
        evaluate: |call| Ok(text(call.with_images(|image, _, address| image.section_at(address))?)),
    },
    Function {
        name: "bytes_at",
        parameters: &[Parameter::Address, Parameter::Count],
        reads_binary: true,
        doc: "`count` bytes from the address on, or the rest of the section if it is shorter; null outside of sections.",
        returns: ReturnType::Bytes,
        evaluate: bytes_at,
    },
    Function {
        name: "string_at",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The text from the address up to the next zero byte; null if there is none.",
        returns: ReturnType::Text,
        evaluate: |call| Ok(text(call.with_images(|image, _, address| image.string_at(address))?)),
    },
    Function {
        name: "read_u8",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The byte at the address.",
        returns: ReturnType::Number,
        evaluate: |call| read(call, 1),
    },
    Function {
        name: "read_u16",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The 16-bit number at the address, in the byte order of the binary.",
        returns: ReturnType::Number,
        evaluate: |call| read(call, 2),
    },
    Function {
        name: "read_u32",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The 32-bit number at the address, in the byte order of the binary.",
        returns: ReturnType::Number,
        evaluate: |call| read(call, 4),
    },
    Function {
        name: "read_u64",
        parameters: &[Parameter::Address],
        reads_binary: true,
        doc: "The 64-bit number at the address, in the byte order of the binary.",
        returns: ReturnType::Number,
        evaluate: |call| read(call, 8),
    },
];

fn text(values: Vec<Option<String>>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter(values))
}

fn hex(call: &Call<'_>) -> ArrayRef {
    text(call.numbers(0).iter().map(|number| Some(format!("{:#x}", number?))).collect())
}

fn demangle(call: &Call<'_>) -> ArrayRef {
    text(call.text(0).iter().map(|name| name.map(source_name)).collect())
}

fn disassemble(call: &Call<'_>, format: fn(Isa, &[u8], u64) -> String) -> Result<ArrayRef> {
    let (bytes, addresses, binaries) = (call.bytes(0), call.numbers(1), call.binaries());
    let mut last = None;
    let mut values = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        if call.arrays.iter().any(|array| array.is_null(row)) {
            values.push(None);
            continue;
        }
        let name = binaries.map(|names| names.value(row));
        let isa = match last {
            Some((known, isa)) if known == name => isa,
            _ => last.insert((name, call.images.isa(name)?)).1,
        };
        values.push(Some(format(isa, bytes.value(row), addresses.value(row))));
    }
    Ok(text(values))
}

fn bytes_at(call: &Call<'_>) -> Result<ArrayRef> {
    let counts = call.numbers(1);
    let values = call.with_images(|image, row, address| {
        let count = usize::try_from(counts.value(row)).unwrap_or(usize::MAX);
        let rest = image.bytes_from(address)?;
        Some(rest[..count.min(rest.len())].to_vec())
    })?;
    Ok(Arc::new(BinaryViewArray::from_iter(values)))
}

fn read(call: &Call<'_>, size: usize) -> Result<ArrayRef> {
    let values = call.with_images(|image, _, address| image.number_at(address, size))?;
    Ok(Arc::new(UInt64Array::from(values)))
}
