//! Events: uses and definitions of resources by the instructions of a function.

use crate::code::memory::callees::Callee;
use crate::domains::Summary;
use binframe_ir::tables::{Confidence, DataUse, Definition};

/// A definition. Its number in a function is its index in a list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DefSite {
    /// The instruction; `None` for the definition of everything at function entry.
    pub(super) address: Option<u64>,
    pub(super) by: Definition,
    pub(super) confidence: Confidence,
}

/// Kind of an event. Definitions are given by number.
#[derive(Debug, Clone, Copy)]
pub(super) enum EventKind {
    Use(DataUse, Confidence),
    /// A weak update: earlier definitions may still reach.
    MayDefine(u32),
    /// A strong update: it kills earlier definitions.
    Define(u32),
}

impl EventKind {
    /// Order of the events of one instruction: it uses a resource before it defines it.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Use(..) => 0,
            Self::MayDefine(_) => 1,
            Self::Define(_) => 2,
        }
    }
}

/// A use or definition of a resource by an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResourceEvent {
    /// Number of the resource: that of a [`Resource`](super::resources::Resource), or of a stack piece, which are numbered
    /// after those.
    pub(super) resource: u32,
    /// Index of the block in the function.
    pub(super) block: u32,
    pub(super) address: u64,
    pub(super) kind: EventKind,
}

/// A use or definition of stack bytes by an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct StackEvent {
    pub(super) block: u32,
    pub(super) address: u64,
    /// Frame offsets of the first byte, and after the last one.
    pub(super) low: i64,
    pub(super) high: i64,
    /// Whether exactly these bytes are accessed. If not, some of them are.
    pub(super) is_exact: bool,
    /// Whether the range has no upper bound, so that bytes above may be accessed, too.
    pub(super) is_unbounded: bool,
    pub(super) kind: EventKind,
}

/// A call or return, which uses and defines registers by convention.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallOrReturn {
    pub(super) block: u32,
    pub(super) address: u64,
    pub(super) kind: CallOrReturnKind,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum CallOrReturnKind {
    Call {
        summary: Summary,
        /// Whether the callee is in this binary, so that `summary` is its analysis, or the model of its import name.
        is_known: bool,
        /// Whether control returns after the call; false for tail calls.
        returns: bool,
    },
    Return,
}

impl CallOrReturnKind {
    pub(super) fn call(callee: &Callee<'_>, returns: bool) -> Self {
        Self::Call { summary: callee.summary, is_known: callee.function.is_some(), returns }
    }
}
