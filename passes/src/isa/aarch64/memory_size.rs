//! Size of the memory operand of an instruction, from its mnemonic and its registers.

use super::registers::list_size;
use fARM64::{Instruction, Operand};

/// Bytes that the memory operand has; `None` if there is none, or if its size is not in the encoding.
pub(super) fn memory_size(instruction: &Instruction) -> Option<u16> {
    let name = instruction.mnemonic().name();
    match name {
        // Prefetches, tags, and copies of as many bytes as a register says.
        _ if name.starts_with("prf") || name.starts_with("cpy") || name.starts_with("set") => return None,
        "ldg" | "ldgm" | "stg" | "stgm" | "st2g" | "stzg" | "stz2g" | "stzgm" | "stgp" => return None,
        "ld64b" | "st64b" | "st64bv" | "st64bv0" => return Some(64),
        "ldraa" | "ldrab" | "ldpsw" => return Some(8),
        _ => {}
    }
    // The status of an exclusive store comes first.
    let is_exclusive_store = matches!(name, "stxr" | "stxp" | "stlxr" | "stlxp");
    match instruction.op(usize::from(is_exclusive_store)) {
        _ if name.ends_with("sw") => Some(4),
        Operand::Reg { reg, .. } => {
            let is_vector = reg.is_simd() || reg.is_sve();
            let size = match name.as_bytes().last() {
                Some(b'b') if !is_vector => 1,
                Some(b'h') if !is_vector => 2,
                _ => reg.width_bits() / 8,
            };
            let count = if is_pair(name) { 2 } else { 1 };
            Some(size * count).filter(|size| *size > 0)
        }
        Operand::MultiReg { count, arr, lane, .. } => {
            list_size(arr?, lane.is_some() || name.starts_with("ld") && name.ends_with('r'))
                .map(|size| size * u16::from(count))
        }
        _ => None,
    }
}

/// Whether an instruction accesses two registers' worth of memory.
fn is_pair(name: &str) -> bool {
    let pairs = [
        "ldp", "stp", "ldnp", "stnp", "ldxp", "ldaxp", "stxp", "stlxp", "ldiapp", "stilp", "ldtp", "sttp",
        "ldtnp", "sttnp", "casp", "caspa", "caspl", "caspal", "swpp", "swppa", "swppl", "swppal", "ldclrp",
        "ldclrpa", "ldclrpl", "ldclrpal", "ldsetp", "ldsetpa", "ldsetpl", "ldsetpal",
    ];
    pairs.contains(&name)
}
