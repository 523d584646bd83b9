//! Calling conventions of x86: System V and Microsoft, 64-bit and 32-bit.
//!
//! Sources: System V ABI, x86-64 supplement, section 3.2.1, and i386 supplement, section 2.2; Microsoft, "x64 calling
//! convention" and "Argument passing and naming conventions".

use super::registers::{FS_BASE, GS_BASE, VECTORS};
use crate::isa::abi::{Abi, CallingConvention};
use crate::isa::instruction_set::Isa;
use crate::isa::ops::{Reg, RegSet};

// Numbers of registers are those that instructions encode.
const RAX: Reg = Reg(0);
const RCX: Reg = Reg(1);
const RDX: Reg = Reg(2);
const RBX: Reg = Reg(3);
const RSP: Reg = Reg(4);
const RBP: Reg = Reg(5);
const RSI: Reg = Reg(6);
const RDI: Reg = Reg(7);

/// What all ABIs of the instruction set have in common. Of the registers that System V lets a call change, Windows
/// preserves two. System calls and canaries are those of Linux.
pub(crate) fn abi(isa: Isa, address_bits: u32) -> Abi {
    let common = Abi {
        address_bits: 64,
        register_bits: 64,
        stack_pointer: RSP,
        frame_pointer: RBP,
        result: RAX,
        is_return_address_pushed: true,
        clobbered: RegSet::of(&[RAX, RCX, RDX, RSI, RDI, Reg(8), Reg(9), Reg(10), Reg(11)]),
        thread_bases: RegSet::of(&[FS_BASE, GS_BASE]),
        canary_offset: Some(0x28),
        service_number: RAX,
        service_arguments: &[RDI, RSI, RDX, Reg(10), Reg(8), Reg(9)],
    };
    match isa {
        Isa::X86 => Abi {
            address_bits: 32,
            register_bits: 32,
            clobbered: RegSet::of(&[RAX, RCX, RDX]),
            canary_offset: Some(0x14),
            service_arguments: &[RBX, RCX, RDX, RSI, RDI, RBP],
            ..common
        },
        // The ABI x32.
        _ if address_bits == 32 => Abi { address_bits: 32, canary_offset: Some(0x18), ..common },
        _ => common,
    }
}

/// The calling convention of a binary's code.
pub(super) fn calling_convention(isa: Isa, is_windows: bool) -> CallingConvention {
    let common = CallingConvention {
        address_size: 8,
        preserved: RegSet::of(&[RBX, RSP, RBP, Reg(12), Reg(13), Reg(14), Reg(15)]),
        parameters: &[RDI, RSI, RDX, RCX, Reg(8), Reg(9)],
        vector_parameters: vectors(0, 8),
        vector_result: Reg(VECTORS),
        vector_count: Some(RAX),
        preserved_vectors: RegSet::default(),
        home_size: 0,
        may_callees_pop: false,
        allocation_size: None,
        has_landing_pads: true,
        red_zone_size: 128,
    };
    match (isa == Isa::X86, is_windows) {
        (false, false) => common,
        (false, true) => CallingConvention {
            preserved: RegSet::of(&[RBX, RSP, RBP, RSI, RDI, Reg(12), Reg(13), Reg(14), Reg(15)]),
            parameters: &[RCX, RDX, Reg(8), Reg(9)],
            vector_parameters: vectors(0, 4),
            vector_count: None,
            preserved_vectors: vectors(6, 16),
            home_size: 32,
            has_landing_pads: false,
            red_zone_size: 0,
            ..common
        },
        (true, _) => CallingConvention {
            address_size: 4,
            preserved: RegSet::of(&[RBX, RSP, RBP, RSI, RDI]),
            parameters: &[],
            vector_parameters: RegSet::default(),
            vector_count: None,
            may_callees_pop: is_windows,
            allocation_size: is_windows.then_some(RAX),
            has_landing_pads: !is_windows,
            red_zone_size: 0,
            ..common
        },
    }
}

/// The vector registers from a number up to another.
const fn vectors(first: u8, end: u8) -> RegSet {
    RegSet(((1 << (end - first)) - 1) << (VECTORS + first))
}
