//! The registers of a thread in a minidump: one structure for each architecture.
//!
//! Source: Microsoft, `winnt.h` (`CONTEXT`); Breakpad, `minidump_cpu_*.h`.

use super::numbers::{u16_at, u32_at, u64_at};
use binframe_ir::tables::Architecture;

/// The registers of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) registers: Vec<(String, u64)>,
    pub(super) program_counter: u64,
    pub(super) stack_pointer: u64,
}

/// Registers of an x86-64 context that are adjacent, from the offset 0x78 on.
const X86_64_NAMES: [&str; 17] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15", "rip",
];

/// Segment registers of an x86-64 context, with two bytes each, from the offset 0x38 on.
const X86_64_SEGMENTS: [&str; 6] = ["cs", "ds", "es", "fs", "gs", "ss"];

/// Registers of a 32-bit x86 context, from the offset 0x8c on.
const X86_NAMES: [&str; 16] = [
    "gs", "fs", "es", "ds", "edi", "esi", "ebx", "edx", "ecx", "eax", "ebp", "eip", "cs", "eflags", "esp",
    "ss",
];

/// The registers in a context; `None` if it is truncated.
pub(super) fn context(architecture: Architecture, bytes: &[u8]) -> Option<Context> {
    let mut registers: Vec<(String, u64)> = Vec::new();
    let mut add = |name: &str, value: u64| registers.push((name.to_owned(), value));
    let (counter, pointer) = match architecture {
        Architecture::X86_64 => {
            for (index, name) in X86_64_NAMES.into_iter().enumerate() {
                add(name, u64_at(bytes, 0x78 + 8 * index)?);
            }
            add("eflags", u32_at(bytes, 0x44)?.into());
            for (index, name) in X86_64_SEGMENTS.into_iter().enumerate() {
                add(name, u16_at(bytes, 0x38 + 2 * index)?.into());
            }
            ("rip", "rsp")
        }
        Architecture::X86 => {
            for (index, name) in X86_NAMES.into_iter().enumerate() {
                add(name, u32_at(bytes, 0x8c + 4 * index)?.into());
            }
            ("eip", "esp")
        }
        Architecture::Aarch64 => {
            for index in 0..31 {
                add(&format!("x{index}"), u64_at(bytes, 8 + 8 * index)?);
            }
            add("sp", u64_at(bytes, 0x100)?);
            add("pc", u64_at(bytes, 0x108)?);
            ("pc", "sp")
        }
        _ => return None,
    };
    let value = |name| registers.iter().find(|(own, _)| own == name).map_or(0, |(_, value)| *value);
    let (program_counter, stack_pointer) = (value(counter), value(pointer));
    Some(Context { registers, program_counter, stack_pointer })
}
