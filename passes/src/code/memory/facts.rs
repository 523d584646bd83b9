//! Memory facts: what the tables computed on demand (`memory_accesses`, `data_flow`) read of the stage beside its tables.

use super::image::Image;
use super::objects::ObjectTable;
use crate::code::cfg::BlocksByFunction;
use crate::domains::Summary;

/// The summary of each function, the objects, the memory image, and the blocks of each function.
#[derive(Debug)]
pub struct MemoryFacts {
    pub(super) blocks_by_function: BlocksByFunction,
    pub(super) summaries: Vec<Summary>,
    pub(super) objects: ObjectTable,
    pub(super) image: Image,
}
