//! What functions are followed with: the tables of other stages, and what is known of the file beside them.

use super::image::Image;
use super::imports::Imports;
use crate::code::cfg::{BlocksByFunction, CfgIr};
use crate::code::regions::Code;
use crate::isa::CallingConvention;
use binframe_ir::tables::{BasicBlockColumns, CallEdge, CallEdgeColumns, CfgEdgeColumns, FunctionColumns};
use std::ops::Range;

/// What functions are followed with.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) code: &'a Code,
    pub(super) functions: FunctionColumns<'a>,
    pub(super) blocks: BasicBlockColumns<'a>,
    pub(super) edges: CfgEdgeColumns<'a>,
    pub(super) calls: CallEdgeColumns<'a>,
    pub(super) image: &'a Image,
    pub(super) by_function: &'a BlocksByFunction,
    pub(super) imports: Imports,
    pub(super) convention: CallingConvention,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        code: &'a Code,
        cfg: &'a CfgIr,
        image: &'a Image,
        by_function: &'a BlocksByFunction,
    ) -> Self {
        let isa = code.regions.first().map_or(crate::isa::Isa::X86_64, |region| region.isa);
        Self {
            code,
            functions: cfg.functions.columns(),
            blocks: cfg.basic_blocks.columns(),
            edges: cfg.cfg_edges.columns(),
            calls: cfg.call_edges.columns(),
            image,
            by_function,
            imports: Imports::new(),
            convention: CallingConvention::of(isa, code.is_windows),
        }
    }

    /// The row of the function that begins at an address.
    pub(super) fn function_at(&self, address: u64) -> Option<usize> {
        self.functions.address.binary_search(&address).ok()
    }

    /// The functions of a run of blocks, each with the rows of its blocks that stand together there.
    pub(super) fn functions_of(&self, blocks: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut next = blocks.start;
        let runs = self.blocks.function_address[blocks].chunk_by(|one, other| one == other);
        runs.filter_map(move |own| {
            let together = next..next + own.len();
            next = together.end;
            Some((self.function_at(own[0])?, together))
        })
    }

    /// The call that an instruction makes.
    pub(super) fn call_at(&self, address: u64) -> Option<CallEdge<'a>> {
        self.call_among(0..self.calls.len(), address)
    }

    /// The same, among some calls.
    pub(super) fn call_among(&self, rows: Range<usize>, address: u64) -> Option<CallEdge<'a>> {
        let row = rows.start + self.calls.call_address[rows].binary_search(&address).ok()?;
        Some(self.calls.row(row))
    }

    /// The calls in blocks, and perhaps others between them.
    pub(super) fn calls_in(&self, blocks: &[u32]) -> Range<usize> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return 0..0 };
        let (start, last) = (self.blocks.address[*first as usize], *last as usize);
        let end = self.blocks.address[last] + self.blocks.size[last];
        let before = |address: u64| self.calls.call_address.partition_point(|call| *call < address);
        before(start)..before(end)
    }

    /// Name of what a call calls.
    pub(super) fn called_name(&self, call_address: u64) -> Option<&'a str> {
        let call = self.call_at(call_address)?;
        let function = || self.function_at(call.callee_address?).and_then(|row| self.functions.name.get(row));
        call.import_name.or_else(function)
    }
}
