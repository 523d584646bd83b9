//! Data in executable sections, as far as the file declares it: by mapping symbols, or as a data directory of PE.

use crate::file::formats::Headers;
use crate::file::formats::pe::Pe;
use crate::file::sections::SectionsIr;
use crate::ranges;
use bytes::Bytes;
use std::ops::Range;

/// The address ranges in code that the file declares to be data, sorted and disjoint. `regions` are the address ranges of
/// code, and `has_marks` says whether mapping symbols tell data from code.
pub(super) fn declared_data(
    sections: &SectionsIr,
    regions: &[Range<u64>],
    has_marks: bool,
    file: &Bytes,
) -> Vec<Range<u64>> {
    let mut data = if has_marks { mapped_data(sections, regions) } else { Vec::new() };
    if !regions.is_empty()
        && let Ok(Headers::Pe(pe)) = Headers::find(file)
    {
        let entry = sections.headers.columns().iter().find_map(|header| header.entry_address);
        for range in directories(&pe).filter(|range| !entry.is_some_and(|entry| range.contains(&entry))) {
            let inside = |region: &Range<u64>| {
                let own = range.start.max(region.start)..range.end.min(region.end);
                (!own.is_empty()).then_some(own)
            };
            data.extend(regions.iter().filter_map(inside));
        }
        ranges::merge(&mut data);
    }
    data
}

/// The address ranges of the data directories of PE: exports, imports, resources and what else the loader reads. The
/// directory of signatures is not loaded, and those of machines other than x86 are no ranges.
///
/// Source: PE Format, section "Optional Header Data Directories".
fn directories(pe: &Pe<'_>) -> impl Iterator<Item = Range<u64>> {
    const LOADED: [usize; 11] = [0, 1, 2, 3, 5, 6, 9, 10, 11, 12, 13];
    LOADED.into_iter().filter_map(|index| {
        let (rva, size) = pe.directory(index)?;
        let start = pe.address(rva);
        (rva > 0).then(|| start..start.saturating_add(size.into()))
    })
}

/// The address ranges from each mapping symbol of data (`$d`) to the next one of code (`$x`), or to the end of the
/// region. If both are at one address, it is code.
///
/// Source: ELF for the Arm 64-bit Architecture, section "Mapping symbols".
fn mapped_data(sections: &SectionsIr, regions: &[Range<u64>]) -> Vec<Range<u64>> {
    let is_named = |name: &str, mark: &str| {
        name.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let symbols = sections.symbols.columns();
    let marks = symbols.iter().filter(|symbol| symbol.section_index.is_some()).filter_map(|symbol| {
        let is_data = is_named(symbol.symbol_name, "$d");
        (is_data || is_named(symbol.symbol_name, "$x")).then_some((symbol.symbol_address, is_data))
    });
    let mut marks: Vec<_> = marks.collect();
    marks.sort_unstable();
    marks.dedup_by_key(|(address, _)| *address);
    let mut data = Vec::new();
    for region in regions {
        let first = marks.partition_point(|(address, _)| *address < region.start);
        let own: Vec<_> = marks[first..].iter().take_while(|(address, _)| *address < region.end).collect();
        for (index, (start, is_data)) in own.iter().enumerate() {
            let end = own.get(index + 1).map_or(region.end, |(next, _)| *next);
            data.extend(is_data.then_some(*start..end));
        }
    }
    data
}
