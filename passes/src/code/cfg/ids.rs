//! Names of code locations, branches, function ranges and functions.

/// A location in code: the index of a region, and a position in it, which is an offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CodeLocation {
    pub(super) region: u32,
    pub(super) position: u32,
}

/// A branch: the index of its region, and its row among the region's branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BranchId {
    pub(super) region: u32,
    pub(super) row: u32,
}

/// A function range: its index, in address order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RangeId(pub(super) u32);

/// A function, named by its main range: the one that starts at its entry. Lists by function have an entry for each
/// range, that is, also for fragments. A fragment that no function enters becomes a function itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FunctionId(pub(super) RangeId);

/// The ids of all ranges, in order, without end.
pub(super) fn range_ids() -> impl Iterator<Item = RangeId> {
    (0..).map(RangeId)
}

/// The ids of all functions, and of fragments in between, in the order of their ranges, without end.
pub(super) fn function_ids() -> impl Iterator<Item = FunctionId> {
    range_ids().map(FunctionId)
}

impl RangeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl FunctionId {
    /// The index in lists by function.
    pub(super) fn index(self) -> usize {
        self.0.index()
    }
}
