//! `(snapshot, modules) -> call stacks`: the chain of calls of each thread, by unwind tables, or by frame pointers
//! where code has none (framehop; `stacks_x86` for 32-bit code of x86). On other processors, only the code that runs is
//! known.

use super::frame::{DEPTH_MAX, Frame};
use super::modules::Module;
use super::snapshot::{ProcessSnapshot, ThreadState};
use super::stacks_x86::X86Walker;
use binframe_ir::tables::Architecture;
use bytes::Bytes;
use framehop::aarch64::{CacheAarch64, PtrAuthMask, UnwindRegsAarch64, UnwinderAarch64};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder};

/// Unwinds the threads of a snapshot.
pub(super) enum StackWalker {
    X86_64(UnwinderX86_64<Bytes>, Box<CacheX86_64>),
    Aarch64(UnwinderAarch64<Bytes>, Box<CacheAarch64>),
    X86(Box<X86Walker>),
    Other,
}

impl StackWalker {
    /// A walker of code in modules.
    pub(super) fn new(architecture: Option<Architecture>, modules: &[Module]) -> Self {
        match architecture {
            Some(Architecture::X86_64) => Self::X86_64(unwinder(modules), Box::default()),
            Some(Architecture::Aarch64) => Self::Aarch64(unwinder(modules), Box::default()),
            Some(Architecture::X86) => Self::X86(Box::new(X86Walker::new(modules))),
            _ => Self::Other,
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
                // Return addresses may be signed, in bits that no address has.
                let address_max = snapshot.mappings.last().map_or(u64::MAX, |mapping| mapping.end);
                let mask = PtrAuthMask::from_max_known_address(address_max.max(1));
                let registers = UnwindRegsAarch64::new_with_ptr_auth_mask(mask, link, sp, frame);
                unwind(unwinder, cache, registers, pc, UnwindRegsAarch64::sp, snapshot)
            }
            Self::X86(walker) => walker.frames(snapshot, thread),
            Self::Other => vec![Frame { program_counter: pc, code_address: pc, stack_pointer: None }],
        }
    }
}

/// An unwinder of the code in modules.
pub(super) fn unwinder<U: Unwinder<Module = framehop::Module<Bytes>> + Default>(modules: &[Module]) -> U {
    let mut unwinder = U::default();
    for module in modules {
        unwinder.add_module(unwind_information(module));
    }
    unwinder
}

/// What unwinding needs to know of a module.
fn unwind_information(module: &Module) -> framehop::Module<Bytes> {
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
