//! What all ABIs of A64 have in common.
//!
//! Source: Arm, "Procedure Call Standard for the Arm 64-bit Architecture" (AAPCS64), section 6.1.

use super::registers::{FRAME_POINTER, STACK_POINTER, VECTORS};
use crate::isa::abi::{Abi, CallingConvention};
use crate::isa::instruction_set::Isa;
use crate::isa::ops::{Reg, RegSet};

/// The link register, into which a call writes the return address.
pub(super) const LINK: u8 = 30;

/// The ABI. `x18` belongs to the platform: some let a call change it.
pub(super) fn abi(isa: Isa) -> Abi {
    let mut clobbered = RegSet::default();
    (0..=18).chain([LINK]).for_each(|register| clobbered.insert(Reg(register)));
    Abi {
        address_bits: isa.bits() as u16,
        register_bits: isa.bits() as u16,
        stack_pointer: STACK_POINTER,
        frame_pointer: FRAME_POINTER,
        result: Reg(0),
        is_return_address_pushed: false,
        clobbered,
        thread_bases: RegSet::default(),
        canary_offset: None,
        // Of Linux.
        service_number: Reg(8),
        service_arguments: &[Reg(0), Reg(1), Reg(2), Reg(3), Reg(4), Reg(5)],
    }
}

/// The calling convention of a binary's code. Source: Procedure Call Standard for the Arm 64-bit Architecture, section 6.
pub(super) fn calling_convention() -> CallingConvention {
    CallingConvention {
        address_size: 8,
        preserved: RegSet(0x7ff << 19),
        parameters: &[Reg(0), Reg(1), Reg(2), Reg(3), Reg(4), Reg(5), Reg(6), Reg(7)],
        vector_parameters: RegSet(0xff << VECTORS),
        vector_result: Reg(VECTORS),
        vector_count: None,
        preserved_vectors: RegSet(0xff << (VECTORS + 8)),
        home_size: 0,
        may_callees_pop: false,
        allocation_size: None,
        has_landing_pads: true,
        red_zone_size: 0,
    }
}
