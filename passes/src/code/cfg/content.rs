//! `(code, functions, basic_blocks) -> functions`, with their content hashes.
//!
//! The content hash is that of the instruction bytes of all blocks in address order, with relative addresses that point
//! outside the function's main range zeroed. It is equal for relocated copies of a function. Absolute addresses count,
//! because they cannot be told from other constants.

use super::ir::CfgIr;
use crate::code::regions::Code;
use crate::isa::{Decoder, InstructionSet, Isa, with_instruction_set};
use arrow_array::StringArray;
use binframe_ir::tables::Functions;
use binframe_ir::{Fingerprint, Rows};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Functions that one thread hashes at a time.
const FUNCTIONS_PER_TASK: usize = 256;

/// A contiguous range of the functions of a program, with their content hashes.
pub fn with_content_hashes(code: &Code, cfg: &CfgIr, functions: &Rows<Functions>) -> Rows<Functions> {
    let columns = functions.columns();
    let (blocks, by_function) = (cfg.basic_blocks.columns(), cfg.blocks_by_function());
    let all = cfg.functions.columns().address;
    let first = columns.address.first().map_or(0, |first| all.partition_point(|address| address < first));
    let hashes = (0..columns.len()).into_par_iter().with_min_len(FUNCTIONS_PER_TASK).map_init(
        Vec::new,
        |content, row| {
            let range = columns.address[row]..columns.address[row].saturating_add(columns.size[row]);
            content.clear();
            for block in by_function.rows_of(first + row).iter().map(|block| *block as usize) {
                let address = blocks.address[block];
                let Some((region, _)) = code.locate(address) else { continue };
                let (isa, bytes) = (code.regions[region].isa, code.bytes(address, blocks.size[block]));
                with_instruction_set!(isa, S => add_block::<S>(isa, bytes, address, &range, content));
            }
            format!("{:016x}", Fingerprint::of_bytes(content).0 as u64)
        },
    );
    let hashes: Vec<_> = hashes.collect();
    let batch = functions.batch().with_column("content_hash", Arc::new(StringArray::from(hashes)));
    Rows::from_batch(batch).expect("the column has its type")
}

/// Adds the bytes of a block, with zeros in place of relative addresses that point outside the function.
fn add_block<S: InstructionSet>(
    isa: Isa,
    bytes: &[u8],
    address: u64,
    function: &Range<u64>,
    content: &mut Vec<u8>,
) {
    let mut decoder = S::decoder(isa, bytes, address);
    let mut instruction = S::Instruction::default();
    let mut position = 0;
    while position < bytes.len() && decoder.decode(&mut instruction) {
        let end = (position + S::size(&instruction)).min(bytes.len());
        let begin = content.len();
        content.extend_from_slice(&bytes[position..end]);
        if let Some((field, target)) = S::relative_field(&decoder, &instruction)
            && !function.contains(&target)
            && let Some(field) = content[begin..].get_mut(field)
        {
            field.fill(0);
        }
        position = end;
    }
    // Invalid bytes count unchanged.
    content.extend_from_slice(&bytes[position..]);
}
