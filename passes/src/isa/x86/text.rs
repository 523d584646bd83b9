//! Disassembly text.

use super::decode::Decoder;
use crate::isa::instruction_set::{Decoder as _, Isa};
use iced_x86::{FastFormatter, Formatter, GasFormatter, Instruction};

/// The first instruction of `bytes` in Intel syntax with hexadecimal numbers; `(bad)` if it is invalid.
pub(super) fn disassemble(isa: Isa, bytes: &[u8], address: u64) -> String {
    text(isa, bytes, address, |instruction, text| {
        let mut formatter = FastFormatter::new();
        let options = formatter.options_mut();
        options.set_space_after_operand_separator(true);
        options.set_uppercase_hex(false);
        options.set_use_hex_prefix(true);
        formatter.format(instruction, text);
    })
}

/// The first instruction of `bytes` in AT&T syntax, as the GNU assembler reads it; `(bad)` if it is invalid.
pub(super) fn disassemble_att(isa: Isa, bytes: &[u8], address: u64) -> String {
    text(isa, bytes, address, |instruction, text| {
        let mut formatter = GasFormatter::new();
        let options = formatter.options_mut();
        options.set_uppercase_hex(false);
        options.set_branch_leading_zeros(false);
        formatter.format(instruction, text);
    })
}

fn text(isa: Isa, bytes: &[u8], address: u64, format: impl FnOnce(&Instruction, &mut String)) -> String {
    let mut instruction = Instruction::default();
    if !Decoder::new(isa, bytes, address).decode(&mut instruction) {
        return "(bad)".to_owned();
    }
    let mut text = String::new();
    format(&instruction, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use crate::isa::Isa::{X86, X86_64};

    #[test]
    fn bytes_are_decoded_in_the_given_mode() {
        assert_eq!(X86_64.disassemble(&[0xe8, 0xfb, 0x0f, 0, 0], 0x1000), "call 0x2000");
        assert_eq!(X86_64.disassemble(&[0x8b, 0x05, 0x10, 0, 0, 0], 0x1000), "mov eax, [0x1016]");
        assert_eq!(X86.disassemble(&[0x8b, 0x05, 0x10, 0, 0, 0], 0x1000), "mov eax, [0x10]");
        assert_eq!(X86_64.disassemble(&[0x48, 0x83, 0xc0, 0x0a], 0x1000), "add rax, 0xa");
        assert_eq!(X86.disassemble(&[0x48, 0x83, 0xc0, 0x0a], 0x1000), "dec eax");
        assert_eq!(X86_64.disassemble_att(&[0x48, 0x83, 0xc0, 0x0a], 0x1000), "add $0xa,%rax");
        assert_eq!(X86.disassemble_att(&[0xe8, 0xfb, 0x0f, 0, 0], 0x1000), "call 0x2000");
    }

    #[test]
    fn invalid_bytes_are_bad() {
        for bytes in [&[] as &[u8], &[0x06], &[0xe8, 0]] {
            assert_eq!(X86_64.disassemble(bytes, u64::MAX), "(bad)");
            assert_eq!(X86_64.disassemble_att(bytes, u64::MAX), "(bad)");
        }
    }
}
