//! Layouts of the integer registers that core dumps store for a thread, by system and processor.
//!
//! Sources: Linux, `arch/*/include/asm/elf.h` and `uapi/asm/ptrace.h`; FreeBSD, `sys/*/include/reg.h`; NetBSD and
//! OpenBSD, `sys/arch/*/include/reg.h`; Solaris, `sys/regset.h`.

use super::super::super::registers::{Layout, Names};
use object::elf::{self, Machine};

/// A system whose core dumps are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    FreeBsd,
    NetBsd,
    OpenBsd,
    Solaris,
}

const ARM: &str = "r0..12 sp lr pc cpsr";
const BSD_I386: &str = "eax ecx edx ebx esp ebp esi edi eip eflags cs ss ds es fs gs";
const BSD_RISCV: &str = "ra sp gp tp t0..6 s0..11 a0..7 sepc sstatus";
const MIPS: &str = "r0..31 lo hi epc badvaddr status cause _:56";

/// The layout of a system for a processor; `None` if it is unknown. `size` is that of the stored state, in bytes.
pub(super) fn layout(system: System, machine: Machine, is_64: bool, size: usize) -> Option<Layout> {
    let of_system = match system {
        System::Linux => linux,
        System::FreeBsd => freebsd,
        System::NetBsd => netbsd,
        System::OpenBsd => openbsd,
        System::Solaris => solaris,
    };
    let mut names = of_system(machine, is_64)?;
    // The 32-bit ABIs of these processors have 64-bit registers: x32, and n32 of MIPS.
    let is_n32 = machine == elf::EM_MIPS && !is_64 && size >= 45 * 8 && system == System::Linux;
    if is_n32 {
        names.0 = MIPS;
    }
    let layout = Layout::new(names, is_64 || is_n32 || machine == elf::EM_X86_64);
    (layout.size() <= size).then_some(layout)
}

fn linux(machine: Machine, is_64: bool) -> Option<Names> {
    Some(match machine {
        elf::EM_X86_64 => (
            "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base \
             ds es fs gs",
            "rip",
            "rsp",
        ),
        elf::EM_386 => {
            ("ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss", "eip", "esp")
        }
        elf::EM_AARCH64 => ("x0..30 sp pc pstate", "pc", "sp"),
        elf::EM_ARM => ("r0..12 sp lr pc cpsr orig_r0", "pc", "sp"),
        elf::EM_RISCV => ("pc ra sp gp tp t0..2 s0..1 a0..7 s2..11 t3..6", "pc", "sp"),
        elf::EM_PPC64 => {
            ("r0..31 nip msr orig_r3 ctr link xer ccr softe trap dar dsisr result _:32", "nip", "r1")
        }
        elf::EM_PPC => ("r0..31 nip msr orig_r3 ctr link xer ccr mq trap dar dsisr result _:16", "nip", "r1"),
        elf::EM_S390 if is_64 => ("psw_mask psw_addr r0..15 a0..15:4 orig_r2", "psw_addr", "r15"),
        elf::EM_S390 => ("psw_mask psw_addr r0..15 a0..15 orig_r2 _:4", "psw_addr", "r15"),
        elf::EM_LOONGARCH => ("r0..31 orig_a0 era badv _:80", "era", "r3"),
        elf::EM_MIPS if is_64 => (MIPS, "epc", "r29"),
        elf::EM_MIPS => ("_:24 r0..31 lo hi epc badvaddr status cause _:4", "epc", "r29"),
        elf::EM_SPARCV9 => ("g0..7 o0..7 l0..7 i0..7 tstate tpc tnpc y", "tpc", "o6"),
        elf::EM_SPARC | elf::EM_SPARC32PLUS => ("psr pc npc y g0..7 o0..7 l0..7 i0..7 _:8", "pc", "o6"),
        elf::EM_68K => ("d1..7 a0..6 d0 a7 orig_d0 sr pc fmtvec", "pc", "a7"),
        elf::EM_SH => ("r0..15 pc pr sr gbr mach macl tra", "pc", "r15"),
        _ => return None,
    })
}

fn freebsd(machine: Machine, _is_64: bool) -> Option<Names> {
    Some(match machine {
        elf::EM_X86_64 => (
            "r15 r14 r13 r12 r11 r10 r9 r8 rdi rsi rbp rbx rdx rcx rax trapno:4 fs:2 gs:2 err:4 es:2 ds:2 rip cs \
             rflags rsp ss",
            "rip",
            "rsp",
        ),
        elf::EM_386 => {
            ("fs es ds edi esi ebp isp ebx edx ecx eax trapno err eip cs eflags esp ss gs", "eip", "esp")
        }
        elf::EM_AARCH64 => ("x0..29 lr sp elr spsr", "elr", "sp"),
        elf::EM_ARM => (ARM, "pc", "sp"),
        elf::EM_RISCV => (BSD_RISCV, "sepc", "sp"),
        elf::EM_PPC64 | elf::EM_PPC => ("r0..31 lr cr xer ctr pc", "pc", "r1"),
        _ => return None,
    })
}

fn netbsd(machine: Machine, _is_64: bool) -> Option<Names> {
    Some(match machine {
        elf::EM_X86_64 => {
            ("rdi rsi rdx rcx r8..15 rbp rbx rax gs fs es ds trapno err rip cs rflags rsp ss", "rip", "rsp")
        }
        elf::EM_386 => (BSD_I386, "eip", "esp"),
        elf::EM_AARCH64 => ("x0..30 sp pc spsr tpidr", "pc", "sp"),
        elf::EM_ARM => (ARM, "pc", "sp"),
        _ => return None,
    })
}

fn openbsd(machine: Machine, _is_64: bool) -> Option<Names> {
    Some(match machine {
        elf::EM_X86_64 => {
            ("rdi rsi rdx rcx r8..15 rbp rbx rax rsp rip rflags cs ss ds es fs gs", "rip", "rsp")
        }
        elf::EM_386 => (BSD_I386, "eip", "esp"),
        elf::EM_AARCH64 => ("x0..29 lr sp pc spsr tpidr", "pc", "sp"),
        elf::EM_ARM => (ARM, "pc", "sp"),
        elf::EM_RISCV => (BSD_RISCV, "sepc", "sp"),
        _ => return None,
    })
}

fn solaris(machine: Machine, _is_64: bool) -> Option<Names> {
    Some(match machine {
        elf::EM_X86_64 => (
            "r15 r14 r13 r12 r11 r10 r9 r8 rdi rsi rbp rbx rdx rcx rax trapno err rip cs rflags rsp ss fs gs es ds \
             fs_base gs_base",
            "rip",
            "rsp",
        ),
        elf::EM_386 => {
            ("gs fs es ds edi esi ebp esp ebx edx ecx eax trapno err eip cs eflags uesp ss", "eip", "uesp")
        }
        elf::EM_SPARCV9 => ("g0..7 o0..7 l0..7 i0..7 ccr pc npc y asi fprs", "pc", "o6"),
        elf::EM_SPARC | elf::EM_SPARC32PLUS => ("g0..7 o0..7 l0..7 i0..7 psr pc npc y wim tbr", "pc", "o6"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{System, layout};
    use object::elf;

    /// Sizes are those of `elf_gregset_t` and `struct reg`.
    #[test]
    fn layouts_have_the_sizes_that_systems_state() {
        let sizes = [
            (System::Linux, elf::EM_X86_64, true, 216),
            (System::Linux, elf::EM_X86_64, false, 216),
            (System::Linux, elf::EM_386, false, 68),
            (System::Linux, elf::EM_AARCH64, true, 272),
            (System::Linux, elf::EM_ARM, false, 72),
            (System::Linux, elf::EM_RISCV, true, 256),
            (System::Linux, elf::EM_PPC64, true, 384),
            (System::Linux, elf::EM_PPC, false, 192),
            (System::Linux, elf::EM_S390, true, 216),
            (System::Linux, elf::EM_S390, false, 144),
            (System::Linux, elf::EM_LOONGARCH, true, 360),
            (System::Linux, elf::EM_MIPS, true, 360),
            (System::Linux, elf::EM_MIPS, false, 180),
            (System::Linux, elf::EM_MIPS, false, 360),
            (System::Linux, elf::EM_SPARCV9, true, 288),
            (System::Linux, elf::EM_SPARC, false, 152),
            (System::Linux, elf::EM_68K, false, 80),
            (System::Linux, elf::EM_SH, false, 92),
            (System::FreeBsd, elf::EM_X86_64, true, 176),
            (System::FreeBsd, elf::EM_386, false, 76),
            (System::FreeBsd, elf::EM_AARCH64, true, 272),
            (System::FreeBsd, elf::EM_ARM, false, 68),
            (System::FreeBsd, elf::EM_RISCV, true, 264),
            (System::NetBsd, elf::EM_X86_64, true, 208),
            (System::NetBsd, elf::EM_AARCH64, true, 280),
            (System::OpenBsd, elf::EM_X86_64, true, 192),
            (System::OpenBsd, elf::EM_AARCH64, true, 280),
            (System::Solaris, elf::EM_X86_64, true, 224),
            (System::Solaris, elf::EM_386, false, 76),
            (System::Solaris, elf::EM_SPARCV9, true, 304),
            (System::Solaris, elf::EM_SPARC, false, 152),
        ];
        for (system, machine, is_64, size) in sizes {
            let found = layout(system, machine, is_64, size).map(|layout| layout.size());
            assert_eq!(found, Some(size), "{system:?} {machine:?}");
            assert!(layout(system, machine, is_64, size - 1).is_none_or(|other| other.size() < size));
        }
    }
}
