//! `(snapshot, modules) -> call stacks`: the chain of calls of each thread, by unwind tables, or by frame pointers where
//! code has none (framehop).
//!
//! In 32-bit code of x86 only frame pointers are followed.

use super::modules::Module;
use super::snapshot::{ProcessSnapshot, ThreadState};
use binframe_ir::tables::Architecture;
use bytes::Bytes;
use framehop::aarch64::{CacheAarch64, PtrAuthMask, UnwindRegsAarch64, UnwinderAarch64};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder};

/// Calls of a thread; a stack that is deeper is cut.
const DEPTH_MAX: usize = 1 << 16;

/// A call on a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The program counter, or the return address.
    pub(super) program_counter: u64,
    /// An address in the instruction that runs or calls.
    pub(super) code_address: u64,
    /// The stack pointer before the call of the function.
    pub(super) stack_pointer: Option<u64>,
}

/// Unwinds the threads of a snapshot.
pub(super) enum StackWalker {
    X86_64(UnwinderX86_64<Bytes>, Box<CacheX86_64>),
    Aarch64(UnwinderAarch64<Bytes>, Box<CacheAarch64>),
    FramePointers,
}

impl StackWalker {
    /// A walker of code in modules.
    pub(super) fn new(architecture: Architecture, modules: &[Module]) -> Self {
        match architecture {
            Architecture::X86_64 => {
                let mut unwinder = UnwinderX86_64::new();
                for module in modules {
                    unwinder.add_module(unwind_information(module));
                }
                Self::X86_64(unwinder, Box::default())
            }
            Architecture::Aarch64 => {
                let mut unwinder = UnwinderAarch64::new();
                for module in modules {
                    unwinder.add_module(unwind_information(module));
                }
                Self::Aarch64(unwinder, Box::default())
            }
            _ => Self::FramePointers,
        }
    }

    /// The calls of a thread, the most recent first.
    pub(super) fn frames(&mut self, snapshot: &ProcessSnapshot, thread: &ThreadState) -> Vec<Frame> {
        let (pc, sp) = (thread.program_counter, thread.stack_pointer);
        match self {
            Self::X86_64(unwinder, cache) => {
                let registers = UnwindRegsX86_64::new(pc, sp, thread.register("rbp"));
                unwind(unwinder, cache, registers, pc, UnwindRegsX86_64::sp, snapshot)
            }
            Self::Aarch64(unwinder, cache) => {
                let (link, frame) = (thread.register("x30"), thread.register("x29"));
                let mask = PtrAuthMask::from_max_known_address(unwinder.max_known_code_address());
                let registers = UnwindRegsAarch64::new_with_ptr_auth_mask(mask, link, sp, frame);
                unwind(unwinder, cache, registers, pc, UnwindRegsAarch64::sp, snapshot)
            }
            Self::FramePointers => {
                // A processor of x86-64 names its registers so in 32-bit code too.
                let pointer = thread.register("ebp").max(thread.register("rbp"));
                frames_by_pointer(snapshot, pc, pointer)
            }
        }
    }
}

/// What unwinding needs to know of a module.
pub(super) fn unwind_information(module: &Module) -> framehop::Module<Bytes> {
    let image = &module.image;
    let section = |name| image.section(name);
    let range = |section: &Option<(u64, Bytes)>| {
        section.as_ref().map(|(address, bytes)| *address..address.saturating_add(bytes.len() as u64))
    };
    let (frames, index, text) = (section(".eh_frame"), section(".eh_frame_hdr"), section(".text"));
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: range(&text),
        text: text.map(|(_, bytes)| bytes),
        got_svma: range(&section(".got")),
        eh_frame_svma: range(&frames),
        eh_frame: frames.map(|(_, bytes)| bytes),
        eh_frame_hdr_svma: range(&index),
        eh_frame_hdr: index.map(|(_, bytes)| bytes),
        debug_frame: section(".debug_frame").map(|(_, bytes)| bytes),
        ..ExplicitModuleSectionInfo::default()
    };
    framehop::Module::new(module.path.clone(), module.start..module.end, module.load_bias, sections)
}

fn unwind<U: Unwinder>(
    unwinder: &U,
    cache: &mut U::Cache,
    mut registers: U::UnwindRegs,
    program_counter: u64,
    stack_pointer: impl Fn(&U::UnwindRegs) -> u64,
    snapshot: &ProcessSnapshot,
) -> Vec<Frame> {
    let mut read = |address| snapshot.word_at(address).ok_or(());
    let mut address = FrameAddress::from_instruction_pointer(program_counter);
    let mut frames = Vec::new();
    while frames.len() < DEPTH_MAX {
        let caller = unwinder.unwind_frame(address, &mut registers, cache, &mut read);
        let stack_pointer = caller.is_ok().then(|| stack_pointer(&registers));
        let code_address = address.address_for_lookup();
        frames.push(Frame { program_counter: address.address(), code_address, stack_pointer });
        match caller.ok().flatten().and_then(FrameAddress::from_return_address) {
            Some(caller) => address = caller,
            None => break,
        }
    }
    frames
}

/// Follows the chain of saved frame pointers of 32-bit code.
fn frames_by_pointer(snapshot: &ProcessSnapshot, program_counter: u64, frame_pointer: u64) -> Vec<Frame> {
    let word = |address| snapshot.word_at(address).map(|word| word & 0xffff_ffff);
    let mut frames = vec![Frame { program_counter, code_address: program_counter, stack_pointer: None }];
    let mut pointer = frame_pointer;
    while frames.len() < DEPTH_MAX {
        let (Some(next), Some(caller)) = (word(pointer), word(pointer + 4)) else { break };
        if let Some(last) = frames.last_mut() {
            last.stack_pointer = Some(pointer + 8);
        }
        if caller == 0 || next <= pointer {
            break;
        }
        frames.push(Frame { program_counter: caller, code_address: caller - 1, stack_pointer: None });
        pointer = next;
    }
    frames
}
