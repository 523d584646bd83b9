//! `binary_threads` and `binary_thread_registers` of a Mach-O file, from `LC_THREAD` (core dumps) and `LC_UNIXTHREAD` (the
//! first thread of a program).
//!
//! Source: `mach/*/thread_status.h` of Apple's XNU.

use super::super::ir::LinkageBuilder;
use super::super::registers::{Layout, Names, integer};
use crate::file::formats::macho::{Header, MachO};
use binframe_ir::tables::BinaryThread;
use object::macho::{self, CpuType};
use object::read::macho::LoadCommandVariant;

const X86_64: Names = ("rax rbx rcx rdx rdi rsi rbp rsp r8..15 rip rflags cs fs gs", "rip", "rsp");
const X86: Names = ("eax ebx ecx edx edi esi ebp esp ss eflags eip cs ds es fs gs", "eip", "esp");
const ARM64: Names = ("x0..28 fp lr sp pc cpsr:4 flags:4", "pc", "sp");
const ARM: Names = ("r0..12 sp lr pc cpsr", "pc", "sp");
const POWERPC: Names = ("srr0 srr1 r0..31 cr xer lr ctr mq vrsave", "srr0", "r1");
const POWERPC64: Names = ("srr0 srr1 r0..31 cr:4 xer lr ctr vrsave:4", "srr0", "r1");

/// Adds a thread for each command.
pub(super) fn push<H: Header>(macho: &MachO<'_, H>, linkage: &mut LinkageBuilder) {
    let endian = macho.endian;
    let mut thread_index = 0;
    for (command_index, command) in (0..).zip(&macho.commands) {
        let Ok(LoadCommandVariant::Thread(_, mut states)) = command.variant() else { continue };
        let mut row =
            BinaryThread { thread_index, command_index: Some(command_index), ..BinaryThread::default() };
        // Each state has a flavor and a size in words of four bytes.
        while let Some((header, rest)) = states.split_at_checked(8) {
            let [flavor, words] = [0, 4].map(|at| integer(&header[at..at + 4], endian));
            let Some((state, rest)) = rest.split_at_checked((words as usize).saturating_mul(4)) else {
                break;
            };
            states = rest;
            // Of two states with integer registers, the first counts.
            if row.program_counter.is_some() {
                continue;
            }
            if let Some((layout, at)) = layout(macho.cpu_type, flavor, state.len()) {
                (row.program_counter, row.stack_pointer) =
                    layout.push(thread_index, &state[at..], endian, linkage);
            }
        }
        linkage.threads.push(row);
        thread_index += 1;
    }
}

/// The layout of a state of `size` bytes and where its registers begin; `None` if it has no integer registers.
fn layout(cpu_type: CpuType, flavor: u64, size: usize) -> Option<(Layout, usize)> {
    // A unified state has its own flavor and size first.
    let (names, is_wide, at) = match (cpu_type, flavor) {
        (macho::CPU_TYPE_X86_64, 4) => (X86_64, true, 0),
        (macho::CPU_TYPE_X86_64, 7) => (X86_64, true, 8),
        (macho::CPU_TYPE_X86, 1) => (X86, false, 0),
        (macho::CPU_TYPE_X86, 7) => (X86, false, 8),
        (macho::CPU_TYPE_ARM64 | macho::CPU_TYPE_ARM64_32, 6) => (ARM64, true, 0),
        (macho::CPU_TYPE_ARM64 | macho::CPU_TYPE_ARM64_32, 1) => (ARM64, true, 8),
        (macho::CPU_TYPE_ARM, 1) => (ARM, false, 0),
        (macho::CPU_TYPE_POWERPC, 1) => (POWERPC, false, 0),
        (macho::CPU_TYPE_POWERPC64, 5) => (POWERPC64, true, 0),
        _ => return None,
    };
    let layout = Layout::new(names, is_wide);
    (layout.size() + at <= size).then_some((layout, at))
}
