//! The program under analysis: everything that the memory stage reads, as columns.

use super::memory_image::MemoryImage;
use crate::code::cfg::{BlocksByFunction, CfgIr};
use crate::code::regions::{Code, CodeRegion};
use crate::domains::{AbstractState, AbstractValue, Summary};
use crate::isa::{Abi, CallingConvention, Isa};
use binframe_ir::tables::{BasicBlockColumns, CallEdge, CallEdgeColumns, CfgEdgeColumns, FunctionColumns};
use std::ops::Range;

/// The program under analysis. A function, block or call is named by its row in its table.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) code: &'a Code,
    pub(super) functions: FunctionColumns<'a>,
    pub(super) blocks: BasicBlockColumns<'a>,
    pub(super) edges: CfgEdgeColumns<'a>,
    pub(super) calls: CallEdgeColumns<'a>,
    pub(super) image: &'a MemoryImage,
    pub(super) blocks_by_function: &'a BlocksByFunction,
    /// The instruction set of the first code region.
    pub(super) isa: Isa,
    pub(super) convention: CallingConvention,
    pub(super) abi: Abi,
}

impl<'a> Program<'a> {
    /// The program of some tables. The calling convention is that of the first code region.
    pub(super) fn new(
        code: &'a Code,
        cfg: &'a CfgIr,
        image: &'a MemoryImage,
        blocks_by_function: &'a BlocksByFunction,
    ) -> Self {
        let isa = code.regions.first().map(|region| region.isa).unwrap_or_default();
        Self {
            code,
            functions: cfg.functions.columns(),
            blocks: cfg.basic_blocks.columns(),
            edges: cfg.cfg_edges.columns(),
            calls: cfg.call_edges.columns(),
            image,
            blocks_by_function,
            isa,
            convention: isa.calling_convention(code.is_windows),
            abi: isa.abi_with_addresses(code.address_bits.unwrap_or(isa.bits())),
        }
    }

    /// Whether code has an instruction set that can be interpreted.
    pub(super) fn is_analyzed(code: &Code) -> bool {
        code.regions.iter().all(|region| region.isa.is_analyzed_by_memory())
    }

    /// The function that starts at an address.
    pub(super) fn function_at(&self, address: u64) -> Option<usize> {
        self.functions.address.binary_search(&address).ok()
    }

    /// The functions of a range of blocks, in the order of their blocks, each with a contiguous range of its blocks. A
    /// function whose blocks are not contiguous occurs several times.
    pub(super) fn functions_of(&self, blocks: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut next = blocks.start;
        let runs = self.blocks.function_address[blocks].chunk_by(|one, other| one == other);
        runs.filter_map(move |run| {
            let own = next..next + run.len();
            next = own.end;
            Some((self.function_at(run[0])?, own))
        })
    }

    /// Whether the block in a row may make string instructions run from high addresses to low ones.
    pub(super) fn sets_direction(&self, row: usize) -> bool {
        let own = self.code_of(row);
        own.is_some_and(|(region, positions)| region.isa.sets_direction(&region.bytes[positions]))
    }

    /// The code of the block in a row: its region, and its positions there; `None` if it is not in code.
    pub(super) fn code_of(&self, row: usize) -> Option<(&'a CodeRegion, Range<usize>)> {
        let (region, position) = self.code.locate(self.blocks.address[row])?;
        let region = &self.code.regions[region];
        let end = position.saturating_add(self.blocks.size[row] as usize).min(region.bytes.len());
        Some((region, position..end))
    }

    /// The stack pointer in a state.
    pub(super) fn stack_pointer(&self, state: &AbstractState) -> AbstractValue {
        state.register(self.abi.stack_pointer.0)
    }

    /// Applies a call by the instruction at an address. The stack pointer is that before the call.
    pub(super) fn apply_call(&self, state: &mut AbstractState, callee: &Summary, address: u64) {
        let (stack_pointer, result) = (self.abi.stack_pointer.0, self.abi.result.0);
        state.apply_call(callee, address, stack_pointer, result, i64::from(self.convention.address_size));
    }

    /// The call by the instruction at an address.
    pub(super) fn call_at(&self, address: u64) -> Option<CallEdge<'a>> {
        self.call_among(0..self.calls.len(), address)
    }

    /// The call by the instruction at an address, if it is one of `calls`.
    pub(super) fn call_among(&self, calls: Range<usize>, address: u64) -> Option<CallEdge<'a>> {
        let row = calls.start + self.calls.call_address[calls].binary_search(&address).ok()?;
        Some(self.calls.row(row))
    }

    /// The smallest range of calls that has all calls in some blocks, which are sorted by address.
    pub(super) fn calls_in(&self, blocks: &[u32]) -> Range<usize> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return 0..0 };
        let (start, last) = (self.blocks.address[*first as usize], *last as usize);
        let end = self.blocks.address[last] + self.blocks.size[last];
        let before = |address: u64| self.calls.call_address.partition_point(|call| *call < address);
        before(start)..before(end)
    }

    /// Name of the function that a call calls: that of the import, else of the function in this binary.
    pub(super) fn callee_name(&self, call_address: u64) -> Option<&'a str> {
        let call = self.call_at(call_address)?;
        let function =
            || self.function_at(call.callee_address?).and_then(|row| self.functions.function_name.get(row));
        call.import_name.or_else(function)
    }
}
