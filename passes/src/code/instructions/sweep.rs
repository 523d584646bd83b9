//! The linear sweep: decodes a region from its start to its end, in parallel chunks.

use super::ir::{Branches, ConstantAddresses, RegionInstructions};
use crate::bitmap::Bitmap;
use crate::code::regions::CodeRegion;
use crate::isa::{Decoder, InstructionSet, with_instruction_set};
use binframe_ir::tables::Flow;
use rayon::prelude::*;

/// Bytes of a chunk; a multiple of 64, so that the bitmaps of chunks can be concatenated.
pub(super) const CHUNK_SIZE: usize = 1 << 18;

/// Sweeps a region. `anchors` are the sorted positions of declared function starts.
pub(super) fn sweep(region: &CodeRegion, anchors: &[u32], chunk_size: usize) -> RegionInstructions {
    let length = region.bytes.len();
    let chunks = (0..length).into_par_iter().step_by(chunk_size).map(|start| {
        let end = (start + chunk_size).min(length);
        let mut chunk = SweepChunk::new(start, end);
        chunk.end = chunk.sweep(region, anchors, start, |position| position >= end);
        chunk
    });
    let mut chunks: Vec<SweepChunk> = chunks.collect();
    for index in 1..chunks.len() {
        let from = chunks[index - 1].end;
        chunks[index].resynchronize(region, anchors, from, ((index + 1) * chunk_size).min(length));
    }
    let mut branches = Branches::with_capacity(chunks.iter().map(|chunk| chunk.branches.len()).sum());
    let constant_count = chunks.iter().map(|chunk| chunk.constants.positions.len()).sum();
    let mut constants = ConstantAddresses::with_capacity(constant_count);
    let mut starts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        branches.append(chunk.branches);
        constants.append(chunk.constants);
        starts.push(chunk.starts);
    }
    RegionInstructions { starts: Bitmap::concat(starts), branches, constants, data: Vec::new() }
}

/// The instructions that start in a range of a region.
pub(super) struct SweepChunk {
    /// Position of the chunk in its region.
    start: usize,
    /// Positions of instructions, relative to `start`.
    pub(super) starts: Bitmap,
    pub(super) branches: Branches,
    pub(super) constants: ConstantAddresses,
    /// End of the last instruction, which may be after the end of the chunk.
    end: usize,
}

impl SweepChunk {
    pub(super) fn new(start: usize, end: usize) -> Self {
        let (branches, constants) = (Branches::default(), ConstantAddresses::default());
        Self { start, starts: Bitmap::new(end - start), branches, constants, end: start }
    }

    /// Decodes from a position of the region until `stop` holds, and returns the position at which it holds.
    pub(super) fn sweep(
        &mut self,
        region: &CodeRegion,
        anchors: &[u32],
        from: usize,
        stop: impl Fn(usize) -> bool,
    ) -> usize {
        with_instruction_set!(region.isa, S => self.sweep_as::<S>(region, anchors, from, stop))
    }

    fn sweep_as<S: InstructionSet>(
        &mut self,
        region: &CodeRegion,
        anchors: &[u32],
        from: usize,
        stop: impl Fn(usize) -> bool,
    ) -> usize {
        let mut decoder = region.decoder::<S>();
        decoder.seek(from);
        let mut instruction = S::Instruction::default();
        let mut anchors = anchors[anchors.partition_point(|anchor| *anchor as usize <= from)..].iter();
        let mut next_anchor = anchors.next().map_or(usize::MAX, |anchor| *anchor as usize);
        let mut position = from;
        while !stop(position) && position < region.bytes.len() {
            while next_anchor <= position {
                next_anchor = anchors.next().map_or(usize::MAX, |anchor| *anchor as usize);
            }
            let is_decoded = decoder.decode(&mut instruction);
            let end = position + S::size(&instruction);
            let (size, flow) = match is_decoded {
                true if end <= next_anchor => (end - position, S::classify(&instruction)),
                true => (next_anchor - position, Flow::Invalid),
                false => (invalid_size::<S>(region, position), Flow::Invalid),
            };
            self.starts.insert(position - self.start);
            match flow {
                Flow::Next if !S::exit_calls(&instruction).is_empty() => {
                    self.branches.push(position as u32, size as u8, flow, 0);
                }
                Flow::Next => {
                    if let Some(constant) = S::constant_address(&decoder, &instruction) {
                        self.constants.push(position as u32, constant);
                    }
                }
                Flow::Invalid => self.branches.push(position as u32, size as u8, flow, 0),
                _ => self.branches.push(
                    position as u32,
                    size as u8,
                    flow,
                    S::target(&decoder, &instruction, region.pointer_table).unwrap_or(0),
                ),
            }
            position += size;
            if flow == Flow::Invalid {
                decoder.seek(position);
            }
        }
        position
    }

    /// Corrects a chunk that the sweep enters at `from` rather than at its start: decodes again from there to the first
    /// instruction start that both sweeps have in common.
    fn resynchronize(&mut self, region: &CodeRegion, anchors: &[u32], from: usize, end: usize) {
        let speculative = std::mem::take(&mut self.starts);
        let branches = std::mem::take(&mut self.branches);
        let constants = std::mem::take(&mut self.constants);
        self.starts = Bitmap::new(end - self.start);
        let start = self.start;
        let is_common = |position: usize| position >= end || speculative.contains(position - start);
        let common = self.sweep(region, anchors, from, is_common);
        if common >= end {
            self.end = common;
            return;
        }
        let corrected = std::mem::replace(&mut self.starts, speculative);
        self.starts.clear_below(common - start);
        corrected.iter_in(0..common - start).for_each(|position| self.starts.insert(position));
        self.branches.append(branches.split_off(common));
        self.constants.append(constants.split_off(common));
    }
}

/// Size of the invalid row at a position: up to where the next instruction may start.
fn invalid_size<S: InstructionSet>(region: &CodeRegion, position: usize) -> usize {
    let address = region.address as usize + position;
    (S::ALIGNMENT - address % S::ALIGNMENT).min(region.bytes.len() - position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn region(bytes: Vec<u8>) -> CodeRegion {
        CodeRegion {
            isa: Isa::X86_64,
            address: 0x1000,
            section_index: 1,
            is_plt: false,
            pointer_table: None,
            bytes: bytes.into(),
        }
    }

    /// Bytes that decode to instructions of all lengths, and some invalid bytes.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn chunks_give_the_result_of_one_sweep() {
        let region = region(noise(20_000));
        for anchors in [vec![], vec![0, 64, 700, 701, 19_999]] {
            let whole = sweep(&region, &anchors, 32_768);
            for chunk_size in [64, 128, 4096] {
                let chunked = sweep(&region, &anchors, chunk_size);
                assert_eq!(chunked.branches.positions, whole.branches.positions);
                assert_eq!(chunked.fingerprints(), whole.fingerprints(), "chunks of {chunk_size}");
            }
        }
    }

    #[test]
    fn an_instruction_is_truncated_at_a_function_start() {
        // mov eax, 0x90909090; a function is declared at its last byte.
        let swept = sweep(&region(vec![0xb8, 0x90, 0x90, 0x90, 0x90]), &[4], 64);
        assert_eq!(swept.starts.iter_in(0..5).collect::<Vec<_>>(), [0, 4]);
        assert_eq!(swept.branches.flows, [Flow::Invalid]);
        assert_eq!(swept.branches.sizes, [4]);
    }
}
