//! Instructions as a person reads them.

use iced_x86::{Decoder, DecoderOptions, FastFormatter, Instruction};

/// The instruction that `bytes` begin with, in Intel's syntax with hexadecimal numbers; `(bad)` where they begin with none.
/// Of x86 in `bits` bits: 16, 32 or 64.
pub fn disassemble(bytes: &[u8], address: u64, bits: u32) -> String {
    let mut instruction = Instruction::default();
    match Decoder::try_with_ip(bits, bytes, address, DecoderOptions::NONE) {
        Ok(mut decoder) => decoder.decode_out(&mut instruction),
        Err(_) => return "(bad)".to_owned(),
    }
    if instruction.is_invalid() {
        return "(bad)".to_owned();
    }
    let mut formatter = FastFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_uppercase_hex(false);
    options.set_use_hex_prefix(true);
    let mut text = String::new();
    formatter.format(&instruction, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::disassemble;

    #[test]
    fn bytes_are_read_in_the_width_that_is_given() {
        let of = |bytes: &[u8], bits| disassemble(bytes, 0x1000, bits);
        assert_eq!(of(&[0xe8, 0xfb, 0x0f, 0, 0], 64), "call 0x2000");
        assert_eq!(of(&[0x8b, 0x05, 0x10, 0, 0, 0], 64), "mov eax, [0x1016]");
        assert_eq!(of(&[0x8b, 0x05, 0x10, 0, 0, 0], 32), "mov eax, [0x10]");
        assert_eq!(of(&[0x48, 0x83, 0xc0, 0x0a], 64), "add rax, 0xa");
        assert_eq!(of(&[0x48, 0x83, 0xc0, 0x0a], 32), "dec eax");
    }

    #[test]
    fn what_is_no_instruction_is_said_to_be_none() {
        for (bytes, bits) in [(&[] as &[u8], 64), (&[0x06], 64), (&[0xe8, 0], 64), (&[0x90], 8)] {
            assert_eq!(disassemble(bytes, u64::MAX, bits), "(bad)");
        }
    }
}
