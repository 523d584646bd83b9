//! `(snapshot, modules) -> call stacks` of 32-bit x86 code.
//!
//! *Algorithm.* The caller of each call is found by the call frame information of its module. Code without it is
//! assumed to keep the chain of frame pointers.
//!
//! *Termination.* The stack pointer before a call grows from call to call. The stack ends where it does not, and where
//! the return address is zero, is declared undefined, or cannot be read.
//!
//! Source: System V ABI, Intel386 supplement.

use super::frame::{DEPTH_MAX, Frame};
use super::modules::Module;
use super::snapshot::{ProcessSnapshot, ThreadState};
use binframe_passes::file::call_frames::{Call, CallFrames, Caller, FrameSections};
use std::ops::Range;

/// Names of the registers in the order of DWARF, in 32-bit cores and as a processor of x86-64 names them.
const NAMES: [(&str, &str); 8] = [
    ("eax", "rax"),
    ("ecx", "rcx"),
    ("edx", "rdx"),
    ("ebx", "rbx"),
    ("esp", "rsp"),
    ("ebp", "rbp"),
    ("esi", "rsi"),
    ("edi", "rdi"),
];
const STACK_POINTER: usize = 4;
const FRAME_POINTER: usize = 5;
/// The return address, as if it were a register.
const PROGRAM_COUNTER: usize = 8;

/// The registers that a function restores: `ebx`, `ebp`, `esi`, `edi`.
const RESTORED: [u16; 4] = [3, FRAME_POINTER as u16, 6, 7];

/// The call frame information of modules.
pub(super) struct X86Walker(Vec<ModuleFrames>);

struct ModuleFrames {
    range: Range<u64>,
    load_bias: u64,
    frames: CallFrames,
}

impl X86Walker {
    pub(super) fn new(modules: &[Module]) -> Self {
        let frames = modules.iter().filter_map(|module| {
            let (address, section) = module.image.section(".eh_frame")?;
            let address_of = |name| module.image.section(name).map_or(0, |(address, _)| address);
            let sections =
                FrameSections { eh_frame: address, text: address_of(".text"), got: address_of(".got") };
            let frames = CallFrames::new(section, sections, 4);
            Some(ModuleFrames { range: module.start..module.end, load_bias: module.load_bias, frames })
        });
        Self(frames.collect())
    }

    /// The calls of a thread, the most recent first.
    pub(super) fn frames(&self, snapshot: &ProcessSnapshot, thread: &ThreadState) -> Vec<Frame> {
        let values =
            NAMES.map(|(name, wide_name)| Some(thread.register(name).max(thread.register(wide_name))));
        let mut registers = values.to_vec();
        registers[STACK_POINTER] = Some(thread.stack_pointer);
        registers.push(Some(thread.program_counter));
        let mut current = Caller { cfa: thread.stack_pointer, registers, is_interrupted: true };
        let mut frames = Vec::new();
        while let Some(program_counter) = current.registers[PROGRAM_COUNTER]
            && frames.len() < DEPTH_MAX
        {
            let code_address = program_counter - u64::from(!current.is_interrupted && program_counter > 0);
            let caller = self.caller(snapshot, code_address, &current.registers);
            let caller = caller.filter(|caller| caller.cfa > current.cfa);
            let stack_pointer = caller.as_ref().map(|caller| caller.cfa);
            frames.push(Frame { program_counter, code_address, stack_pointer });
            match caller.filter(|caller| caller.registers[PROGRAM_COUNTER] != Some(0)) {
                Some(caller) => current = caller,
                None => break,
            }
        }
        frames
    }

    fn caller(&self, snapshot: &ProcessSnapshot, address: u64, registers: &[Option<u64>]) -> Option<Caller> {
        let read = |address: u64| {
            snapshot.bytes_at(address).first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
        };
        let module = self.0.iter().find(|module| module.range.contains(&address));
        let by_entry = module.and_then(|module| {
            let address = address.wrapping_sub(module.load_bias) & u64::from(u32::MAX);
            Some((module, module.frames.entry(address)?, address))
        });
        let Some((module, entry, address)) = by_entry else { return by_frame_pointer(registers, read) };
        let call = Call { address, registers, restored: &RESTORED };
        let mut caller = module.frames.caller(entry, call, &read)?;
        caller.registers[STACK_POINTER] = Some(caller.cfa);
        Some(caller)
    }
}

/// The caller of code that saved the frame pointer of its caller below the return address.
fn by_frame_pointer(registers: &[Option<u64>], read: impl Fn(u64) -> Option<u64>) -> Option<Caller> {
    let frame = registers[FRAME_POINTER]?;
    let mut caller = vec![None; registers.len()];
    caller[FRAME_POINTER] = read(frame);
    caller[PROGRAM_COUNTER] = read(frame.checked_add(4)?);
    let cfa = frame.checked_add(8)?;
    caller[STACK_POINTER] = Some(cfa);
    Some(Caller { cfa, registers: caller, is_interrupted: false })
}
