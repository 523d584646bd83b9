//! The exception states of a C++ function, in either format.

use super::super::lsda::LsdaError;
use crate::file::formats::pe_addresses::SectionOffset;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// The states of a function. Code in a state is in a `try` block or has objects to destroy.
pub(super) struct FunctionInfo {
    /// For each state, the function that cleans up first when an exception leaves it; `None` if there is none.
    pub(super) cleanups: Vec<Option<SectionOffset>>,
    pub(super) tries: Vec<TryBlock>,
    /// Locations from which on code is in a state (`None`: in no state), sorted.
    pub(super) states: Vec<(SectionOffset, Option<u32>)>,
}

/// A `try` block.
pub(super) struct TryBlock {
    /// The states of the code in the block.
    pub(super) states: RangeInclusive<u32>,
    /// The functions of its `catch` blocks.
    pub(super) catches: Vec<SectionOffset>,
}

/// Results by location of the information and, for the format that is relative to a function, by that function:
/// functions share it with those of their `catch` blocks.
pub(super) type FunctionInfos =
    BTreeMap<(SectionOffset, Option<SectionOffset>), Result<Rc<FunctionInfo>, LsdaError>>;
