//! Instructions as text.

use super::decode::Decoder;
use crate::isa::instruction_set::Decoder as _;
use fARM64::format::{FmtFormatter, Formatter};
use fARM64::{FormatterOptions, Instruction};

/// The first instruction of `bytes` in Arm's syntax with hexadecimal numbers; `(bad)` if it is invalid.
pub(super) fn disassemble(bytes: &[u8], address: u64) -> String {
    let mut instruction = Instruction::default();
    if !Decoder::new(bytes, address).decode(&mut instruction) {
        return "(bad)".to_owned();
    }
    let options = FormatterOptions { first_operand_char_index: 0, ..FormatterOptions::default() };
    let mut text = String::new();
    FmtFormatter::with_options(options).format(&instruction, &mut text);
    text
}
