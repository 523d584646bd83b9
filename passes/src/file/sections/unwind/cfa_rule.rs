//! The rule for the canonical frame address (CFA) at the first instruction of a code range.
//!
//! A range whose first CFA rule is that of a function entry starts with the frame of its caller; any other range starts
//! inside a function. Call frame instructions are decoded here rather than by `gimli`, whose decoder needs one of its
//! own entries (see `frames.rs`).
//!
//! Sources: DWARF 5, sections 6.4.2 and 7.24; for entry rules, the processor supplements of the System V ABI.

use crate::file::formats::EndianReader;
use binframe_ir::tables::Architecture;
use gimli::{DwCfa, Error, Reader as _, constants};

/// How the canonical frame address is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CfaRule {
    /// The value of a register, given by its DWARF number, plus an offset in bytes.
    Register(u64, i64),
    /// An expression, or undefined.
    Other,
}

impl CfaRule {
    /// Whether this is the rule at a function entry; `None` if the rule of the architecture is unknown.
    pub(super) fn is_at_entry(self, architecture: Architecture) -> Option<bool> {
        let (register, offset) = match architecture {
            Architecture::X86_64 => (7, 8),
            // Apple exchanges the numbers of the stack and frame pointers in `__eh_frame`.
            Architecture::X86 if self == Self::Register(5, 4) => return Some(true),
            Architecture::X86 => (4, 4),
            Architecture::Aarch64 => (31, 0),
            Architecture::Arm => (13, 0),
            Architecture::RiscV => (2, 0),
            _ => return None,
        };
        Some(self == Self::Register(register, offset))
    }

    /// The rule after the instructions for the first address: those before the first that advances the location, or
    /// that cannot be read.
    pub(super) fn after(mut self, instructions: EndianReader<'_>, data_factor: i64) -> Self {
        let (mut input, mut remembered) = (instructions, Vec::new());
        while let Ok(Some(rule)) = self.next(&mut input, data_factor, &mut remembered) {
            self = rule;
        }
        self
    }

    /// The rule after the next instruction; `None` if it advances the location, and at the end.
    fn next(
        self,
        input: &mut EndianReader<'_>,
        data_factor: i64,
        remembered: &mut Vec<Self>,
    ) -> gimli::Result<Option<Self>> {
        /// Instructions with an operand in the low six bits have an opcode in these bits, which is not zero.
        const SHORT_OPCODE: u8 = 0xc0;
        if input.is_empty() {
            return Ok(None);
        }
        let byte = input.read_u8()?;
        let operation = DwCfa(if byte & SHORT_OPCODE == 0 { byte } else { byte & SHORT_OPCODE });
        let factored = |number: i64| number.wrapping_mul(data_factor);
        let with_offset = |offset| match self {
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
            constants::DW_CFA_def_cfa_offset => with_offset(input.read_uleb128()?.cast_signed()),
            constants::DW_CFA_def_cfa_offset_sf => with_offset(factored(input.read_sleb128()?)),
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

/// Skips the operands of an instruction that does not change the CFA rule.
fn skip_operands(operation: DwCfa, input: &mut EndianReader<'_>) -> gimli::Result<()> {
    let numbers = match operation {
        constants::DW_CFA_nop
        | constants::DW_CFA_restore
        // On AArch64 this opcode is `DW_CFA_AARCH64_negate_ra_state`.
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

/// Skips an expression, which follows its size.
fn skip_block(input: &mut EndianReader<'_>) -> gimli::Result<()> {
    let size = usize::try_from(input.read_uleb128()?).map_err(|_| Error::UnsupportedOffset)?;
    input.skip(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{EndianSlice, RunTimeEndian};

    fn after(instructions: &[u8]) -> CfaRule {
        let instructions = EndianSlice::new(instructions, RunTimeEndian::Little);
        CfaRule::Register(7, 8).after(instructions, -8)
    }

    #[test]
    fn instructions_apply_up_to_the_first_that_advances_the_location() {
        assert_eq!(after(&[]), CfaRule::Register(7, 8));
        assert_eq!(after(&[0x0e, 48, 0x86, 2, 0x41, 0x0e, 8]), CfaRule::Register(7, 48));
        assert_eq!(after(&[0, 0x0d, 6, 0x0e, 16]), CfaRule::Register(6, 16));
        assert_eq!(after(&[0x12, 6, 0x7e]), CfaRule::Register(6, 16));
        assert_eq!(after(&[0x0a, 0x0c, 6, 16, 0x0b]), CfaRule::Register(7, 8));
        assert_eq!(after(&[0x10, 3, 2, 0x0e, 99, 0x0f, 1, 0x9c]), CfaRule::Other);
    }

    #[test]
    fn an_invalid_instruction_ends_the_sequence() {
        // An unknown opcode; a missing operand; an expression beyond the end; a restore without a remembered state.
        for broken in [&[0x3f_u8, 0x0e, 99][..], &[0x0e], &[0x0f, 9, 0], &[0x0b, 0x0e, 99]] {
            assert_eq!(after(broken), CfaRule::Register(7, 8), "{broken:x?}");
        }
    }
}
