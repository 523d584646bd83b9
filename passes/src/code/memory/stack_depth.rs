//! Stack depth: the most that a function and its callees use of the stack, and the callee on the deepest path.

use binframe_ir::Enumeration;
use binframe_ir::tables::StackDepthLimit;

/// Stack depth of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackDepth {
    /// Bytes below the return address; `None` if unbounded.
    pub(super) bytes: Option<u64>,
    pub(super) limit: StackDepthLimit,
    /// The next function on the deepest path, or on the path that makes the depth unbounded; `None` if the path ends
    /// here.
    pub(super) callee: Option<u32>,
}

/// The deepest call of a function so far.
pub(super) struct DeepestCall {
    bytes: u64,
    callee: Option<u32>,
    /// Why the depth is unbounded, and the callee that makes it so; `None` while it is bounded.
    limit: Option<(StackDepthLimit, Option<u32>)>,
}

impl DeepestCall {
    pub(super) const NONE: Self = Self { bytes: 0, callee: None, limit: None };

    /// Adds a call of a function in this binary: the caller uses `own_bytes` at the call, and the callee has a depth.
    pub(super) fn add_call(&mut self, own_bytes: u64, callee: u32, depth: StackDepth) {
        match depth.bytes {
            Some(bytes) => self.reach(own_bytes.saturating_add(bytes), Some(callee)),
            None => self.make_unbounded(depth.limit, Some(callee)),
        }
    }

    /// Adds a call with which some number of bytes are in use.
    pub(super) fn reach(&mut self, bytes: u64, callee: Option<u32>) {
        if bytes > self.bytes {
            (self.bytes, self.callee) = (bytes, callee);
        }
    }

    /// Makes the depth unbounded. Of several reasons, the first in the order of the enumeration is kept.
    pub(super) fn make_unbounded(&mut self, limit: StackDepthLimit, callee: Option<u32>) {
        if self.limit.is_none_or(|(known, _)| limit.code() < known.code()) {
            self.limit = Some((limit, callee));
        }
    }

    /// Depth of the function, given the bytes that it uses itself.
    pub(super) fn depth(&self, own_bytes: u64) -> StackDepth {
        match self.limit {
            Some((limit, callee)) => StackDepth { bytes: None, limit, callee },
            None if self.bytes > own_bytes => {
                StackDepth { bytes: Some(self.bytes), limit: StackDepthLimit::Bounded, callee: self.callee }
            }
            None => StackDepth { bytes: Some(own_bytes), limit: StackDepthLimit::Bounded, callee: None },
        }
    }
}
