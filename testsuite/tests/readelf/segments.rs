//! Compares `binary_segments` with `readelf -l`.

use crate::{Lowered, Outcome, hexadecimal, same};

/// Type, file offset, address, size in the file, size in memory, permissions, alignment.
type Segment = (String, u64, u64, u64, u64, String, u64);

/// Number of characters that the tool prints of a type.
const NAME_LENGTH_MAX: usize = 14;

pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    let expected: Vec<Segment> = text.lines().filter_map(parse).collect();
    let mut found = segments(lowered);
    for (found, expected) in found.iter_mut().zip(&expected) {
        // The tool omits the processor in names of types, such as that of `ARM_EXIDX`.
        let is_without_processor = found.0.split_once('_').is_some_and(|(_, name)| name == expected.0);
        let is_cut = expected.0.len() == NAME_LENGTH_MAX && found.0.starts_with(&expected.0);
        if is_without_processor || is_cut {
            found.0.clone_from(&expected.0);
        }
    }
    same(&found, &expected)
}

fn segments(lowered: &Lowered) -> Vec<Segment> {
    let segments = lowered.sections.segments.columns();
    let segment = segments.iter().map(|row| {
        let name = row.segment_type.unwrap_or_default();
        let name = name.strip_prefix("PT_").unwrap_or(name).to_owned();
        let permissions = row.permissions.0.to_owned();
        (name, row.file_offset, row.address, row.file_size, row.size, permissions, row.alignment)
    });
    segment.collect()
}

/// `  LOAD 0x001000 0x0000000000401000 0x0000000000401000 0x0000d9 0x0000d9 R E 0x1000`, with virtual and physical
/// address.
fn parse(line: &str) -> Option<Segment> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, offset, address, physical, file_size, size, .., alignment] = words[..] else { return None };
    let numbers = [offset, address, physical, file_size, size, alignment];
    if numbers.iter().any(|number| !number.starts_with("0x") && *number != "0") {
        return None;
    }
    let flags = words[6..words.len() - 1].concat();
    let permissions = [('R', 'r'), ('W', 'w'), ('E', 'x')];
    let permissions = permissions.map(|(letter, own)| if flags.contains(letter) { own } else { '-' });
    let [offset, address, _, file_size, size, alignment] = numbers.map(hexadecimal);
    Some((name.to_owned(), offset?, address?, file_size?, size?, permissions.iter().collect(), alignment?))
}
