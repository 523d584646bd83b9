//! The frame that is there where a range of code begins, by the rule for its address (the "canonical frame address") that is in
//! force at the first instruction.
//!
//! Sources: DWARF 5, sections 6.4.2 and 7.24; the supplements of the System V ABI for where functions find their frames.

use crate::file::pointers::Reader;
use binframe_ir::tables::Architecture;
use gimli::{DwCfa, Error, Reader as _, constants};

/// How the address of a frame is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameAddress {
    /// As what a register holds, by its number, and a distance.
    Register(u64, i64),
    /// In another way, or in none that is said.
    Other,
}

impl FrameAddress {
    /// Whether it is that of a caller who has just called; none for an architecture whose rule is not known here.
    pub(super) fn is_at_entry(self, architecture: Architecture) -> Option<bool> {
        let (register, offset) = match architecture {
            Architecture::X86_64 => (7, 8),
            // In Apple's frames, the numbers of the stack and frame pointers are interchanged.
            Architecture::X86 if self == Self::Register(5, 4) => return Some(true),
            Architecture::X86 => (4, 4),
            Architecture::Aarch64 => (31, 0),
            Architecture::Arm => (13, 0),
            Architecture::RiscV => (2, 0),
            _ => return None,
        };
        Some(self == Self::Register(register, offset))
    }

    /// The address by instructions that follow, up to the first that is for code farther on. What cannot be read ends them.
    pub(super) fn after(mut self, instructions: Reader<'_>, data_factor: i64) -> Self {
        let (mut input, mut remembered) = (instructions, Vec::new());
        while let Ok(Some(address)) = self.next(&mut input, data_factor, &mut remembered) {
            self = address;
        }
        self
    }

    /// The address after the next instruction; none where code follows first.
    fn next(
        self,
        input: &mut Reader<'_>,
        data_factor: i64,
        remembered: &mut Vec<Self>,
    ) -> gimli::Result<Option<Self>> {
        /// The two highest bits, where they are not zero, are an instruction of their own.
        const SHORT: u8 = 0xc0;
        if input.is_empty() {
            return Ok(None);
        }
        let byte = input.read_u8()?;
        let operation = DwCfa(if byte & SHORT == 0 { byte } else { byte & SHORT });
        let factored = |number: i64| number.wrapping_mul(data_factor);
        let moved = |offset| match self {
            Self::Register(register, _) => Self::Register(register, offset),
            Self::Other => Self::Other,
        };
        Ok(Some(match operation {
            constants::DW_CFA_advance_loc
            | constants::DW_CFA_advance_loc1
            | constants::DW_CFA_advance_loc2
            | constants::DW_CFA_advance_loc4
            | constants::DW_CFA_MIPS_advance_loc8
            | constants::DW_CFA_set_loc => return Ok(None),
            constants::DW_CFA_def_cfa => {
                Self::Register(input.read_uleb128()?, input.read_uleb128()?.cast_signed())
            }
            constants::DW_CFA_def_cfa_sf => {
                Self::Register(input.read_uleb128()?, factored(input.read_sleb128()?))
            }
            constants::DW_CFA_def_cfa_register => match (self, input.read_uleb128()?) {
                (Self::Register(_, offset), register) => Self::Register(register, offset),
                (Self::Other, _) => Self::Other,
            },
            constants::DW_CFA_def_cfa_offset => moved(input.read_uleb128()?.cast_signed()),
            constants::DW_CFA_def_cfa_offset_sf => moved(factored(input.read_sleb128()?)),
            constants::DW_CFA_def_cfa_expression => {
                skip_block(input)?;
                Self::Other
            }
            constants::DW_CFA_remember_state => {
                remembered.push(self);
                self
            }
            constants::DW_CFA_restore_state => remembered.pop().ok_or(Error::PopWithEmptyStack)?,
            other => {
                skip_operands(other, input)?;
                self
            }
        }))
    }
}

/// Skips what an instruction says of a register.
fn skip_operands(operation: DwCfa, input: &mut Reader<'_>) -> gimli::Result<()> {
    let numbers = match operation {
        constants::DW_CFA_nop
        | constants::DW_CFA_restore
        // The same number says of AArch64 that return addresses are signed from here on.
        | constants::DW_CFA_GNU_window_save => 0,
        constants::DW_CFA_offset
        | constants::DW_CFA_restore_extended
        | constants::DW_CFA_undefined
        | constants::DW_CFA_same_value
        | constants::DW_CFA_GNU_args_size => 1,
        constants::DW_CFA_offset_extended
        | constants::DW_CFA_offset_extended_sf
        | constants::DW_CFA_register
        | constants::DW_CFA_val_offset
        | constants::DW_CFA_val_offset_sf
        | constants::DW_CFA_GNU_negative_offset_extended => 2,
        constants::DW_CFA_expression | constants::DW_CFA_val_expression => {
            input.skip_leb128()?;
            return skip_block(input);
        }
        unknown => return Err(Error::UnknownCallFrameInstruction(unknown)),
    };
    (0..numbers).try_for_each(|_| input.skip_leb128())
}

/// Skips an expression, behind its size.
fn skip_block(input: &mut Reader<'_>) -> gimli::Result<()> {
    let size = usize::try_from(input.read_uleb128()?).map_err(|_| Error::UnsupportedOffset)?;
    input.skip(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{EndianSlice, RunTimeEndian};

    fn after(instructions: &[u8]) -> FrameAddress {
        let instructions = EndianSlice::new(instructions, RunTimeEndian::Little);
        FrameAddress::Register(7, 8).after(instructions, -8)
    }

    #[test]
    fn instructions_count_up_to_the_first_that_moves_on() {
        assert_eq!(after(&[]), FrameAddress::Register(7, 8));
        assert_eq!(after(&[0x0e, 48, 0x86, 2, 0x41, 0x0e, 8]), FrameAddress::Register(7, 48));
        assert_eq!(after(&[0, 0x0d, 6, 0x0e, 16]), FrameAddress::Register(6, 16));
        assert_eq!(after(&[0x12, 6, 0x7e]), FrameAddress::Register(6, 16));
        assert_eq!(after(&[0x0a, 0x0c, 6, 16, 0x0b]), FrameAddress::Register(7, 8));
        assert_eq!(after(&[0x10, 3, 2, 0x0e, 99, 0x0f, 1, 0x9c]), FrameAddress::Other);
    }

    #[test]
    fn what_cannot_be_read_ends_the_instructions() {
        // An operation that is not known, one that is cut short, an expression too long, nothing that was remembered.
        for broken in [&[0x3f_u8, 0x0e, 99][..], &[0x0e], &[0x0f, 9, 0], &[0x0b, 0x0e, 99]] {
            assert_eq!(after(broken), FrameAddress::Register(7, 8), "{broken:x?}");
        }
    }
}
