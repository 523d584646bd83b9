//! `(code, functions, basic_blocks) -> functions`, with the hashes of their content.
//!
//! Functions have one hash whose blocks hold the same instructions in the same order, wherever they and what they refer to lie:
//! relative addresses count only where they stay in the function's own range. Absolute addresses cannot be told from other
//! constants, and count.

use super::CfgIr;
use crate::code::regions::Code;
use crate::isa::Instruction;
use arrow_array::UInt64Array;
use binframe_ir::tables::Functions;
use binframe_ir::{Fingerprint, Rows};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Functions that one thread looks at together.
const FUNCTIONS_AT_A_TIME: usize = 256;

/// A run of the functions of a program, with the hashes of their content.
pub fn with_content_hashes(code: &Code, cfg: &CfgIr, functions: &Rows<Functions>) -> Rows<Functions> {
    let columns = functions.columns();
    let (blocks, by_function) = (cfg.basic_blocks.columns(), cfg.blocks_by_function());
    let all = cfg.functions.columns().address;
    let first = columns.address.first().map_or(0, |first| all.partition_point(|address| address < first));
    let hashes = (0..columns.len()).into_par_iter().with_min_len(FUNCTIONS_AT_A_TIME).map_init(
        Vec::new,
        |content, row| {
            let range = columns.address[row]..columns.address[row].saturating_add(columns.size[row]);
            content.clear();
            for block in by_function.rows_of(first + row).iter().map(|block| *block as usize) {
                add_block(code, blocks.address[block], blocks.size[block], &range, content);
            }
            Fingerprint::of_bytes(content).0 as u64
        },
    );
    let hashes: Vec<_> = hashes.collect();
    let batch = functions.batch().with_column("content_hash", Arc::new(UInt64Array::from(hashes)));
    Rows::from_batch(batch).expect("the column has its type")
}

/// Adds the instructions of a block, with zeros in place of addresses that depend on where the function lies.
fn add_block(code: &Code, address: u64, size: u64, function: &Range<u64>, content: &mut Vec<u8>) {
    let bytes = code.bytes(address, size);
    let Some((mut decoder, _)) = code.decoder(address, size) else { return };
    let mut instruction = Instruction::default();
    let mut position = 0;
    while position < bytes.len() && decoder.decode(&mut instruction) {
        let end = (position + instruction.len()).min(bytes.len());
        let begin = content.len();
        content.extend_from_slice(&bytes[position..end]);
        if let Some((field, target)) = decoder.relative_field(&instruction)
            && !function.contains(&target)
            && let Some(field) = content[begin..].get_mut(field)
        {
            field.fill(0);
        }
        position = end;
    }
    // What is no instruction counts as it is.
    content.extend_from_slice(&bytes[position..]);
}
