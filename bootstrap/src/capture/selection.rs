//! Which memory of a snapshot is read.

use super::content::Content;
use super::mappings::Mapping;
use super::request::CaptureRequest;
use binframe_ir::tables::RegionType;

/// The content of each mapping whose type is requested, and of all stacks, within the limit of bytes: stacks first, then
/// heaps, then the rest.
pub(super) fn read_contents(
    mappings: &[Mapping],
    request: &CaptureRequest<'_>,
    mut read: impl FnMut(&Mapping) -> Option<Content>,
) -> Vec<Option<Content>> {
    let rank = |index: &usize| match mappings[*index].region_type {
        RegionType::Stack => 0,
        RegionType::Heap => 1,
        RegionType::Global => 2,
        RegionType::Code => 3,
    };
    let is_wanted = |mapping: &Mapping| {
        let is_needed = mapping.region_type == RegionType::Stack;
        mapping.is_readable() && (is_needed || request.types.contains(&mapping.region_type))
    };
    let mut order: Vec<usize> = (0..mappings.len()).filter(|index| is_wanted(&mappings[*index])).collect();
    order.sort_by_key(rank);
    let mut contents: Vec<Option<Content>> = mappings.iter().map(|_| None).collect();
    let mut left = request.bytes_max;
    for index in order {
        if mappings[index].size() <= left {
            left -= mappings[index].size();
            contents[index] = read(&mappings[index]);
        }
    }
    contents
}
