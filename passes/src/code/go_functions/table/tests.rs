//! Tables that are built byte by byte.

use super::{BrokenPart, Encoding, Header, ListedFunction, Table, ascending};
use object::{Endian, Endianness};

const ADDRESS: u64 = 0x50_0000;
const TEXT_START: u64 = 0x1000;
const NAMES: [&str; 3] = ["main.init", "main.main", "main.(*T).f·1"];
const ENTRIES: [u64; 4] = [0x1000, 0x1020, 0x1060, 0x1070];
const MAGIC: [u32; 4] = [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1];
const ENDIANNESS: [Endianness; 2] = [Endianness::Little, Endianness::Big];

/// A table that is written in the order of Go's linker.
struct Writer {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl Writer {
    fn word(&mut self, size: usize, value: u64) {
        let narrow = self.encoding.endianness.write_u32(value as u32);
        let wide = self.encoding.endianness.write_u64(value);
        self.bytes.extend(if size == 4 { narrow.to_vec() } else { wide.to_vec() });
    }

    /// A table of some entries and names, of which the last entry is the end.
    fn table(magic: u32, encoding: Encoding, entries: &[u64], names: &[&str]) -> Vec<u8> {
        let mut table = Self { encoding, bytes: Vec::new() };
        let pointer_size = encoding.pointer_size;
        table.word(4, magic.into());
        table.bytes.extend([0, 0, 1, pointer_size as u8]);
        table.word(pointer_size, names.len() as u64);
        let text = names.iter().fold(String::new(), |text, name| text + name + "\0");
        let text_size = text.len().next_multiple_of(8) as u64;
        let is_relative = matches!(magic, 0xffff_fff0 | 0xffff_fff1);
        let entry_size = if is_relative { 4 } else { pointer_size };
        let rows_size = ((2 * names.len() + 1) * entry_size) as u64;
        let record_size = (entry_size + 4) as u64;
        let (names_offset, record_base) = match magic {
            0xffff_fffb => {
                let rows = 8 + pointer_size as u64;
                (rows + rows_size + record_size * names.len() as u64, rows + rows_size)
            }
            _ => {
                let header_size = (8 + pointer_size * if is_relative { 8 } else { 7 }) as u64;
                table.word(pointer_size, 0);
                if is_relative {
                    table.word(pointer_size, TEXT_START);
                }
                for offset in [0, text_size, text_size, text_size, text_size] {
                    table.word(pointer_size, header_size + offset);
                }
                table.bytes.extend(text.as_bytes());
                table.bytes.resize((header_size + text_size) as usize, 0);
                (0, rows_size)
            }
        };
        let base = if is_relative { TEXT_START } else { 0 };
        for (entry, index) in entries.iter().zip(0..) {
            table.word(entry_size, entry - base);
            if index < names.len() as u64 {
                table.word(entry_size, record_base + index * record_size);
            }
        }
        let mut name_offset = names_offset;
        for (entry, name) in entries.iter().zip(names) {
            table.word(entry_size, entry - base);
            table.word(4, name_offset);
            name_offset += name.len() as u64 + 1;
        }
        if magic == 0xffff_fffb {
            table.bytes.extend(text.as_bytes());
        }
        table.bytes
    }
}

/// What is read from a table, and what is broken; `None` if it has no header.
fn read(bytes: &[u8], encoding: Encoding) -> Option<(Vec<ListedFunction<'_>>, Vec<BrokenPart>)> {
    let header = Header::read(bytes, encoding)?;
    let text_start = if header.is_relative { TEXT_START } else { 0 };
    let table = Table { encoding, header, address: ADDRESS, bytes, text_start };
    Some(table.functions(&|_| None, &|address| (0x1000..0x2000).contains(&address)))
}

fn encodings() -> impl Iterator<Item = Encoding> {
    let sizes = [4, 8].into_iter();
    sizes.flat_map(|pointer_size| {
        ENDIANNESS.into_iter().map(move |endianness| Encoding { endianness, pointer_size })
    })
}

/// A table for 64-bit little-endian programs in the layout of Go 1.18, and its header's encoding.
fn relative(entries: &[u64]) -> (Vec<u8>, Encoding) {
    let encoding = Encoding { endianness: Endianness::Little, pointer_size: 8 };
    (Writer::table(MAGIC[2], encoding, entries, &NAMES), encoding)
}

fn functions() -> Vec<ListedFunction<'static>> {
    let rows = ENTRIES.windows(2).zip(NAMES);
    rows.map(|(entry, name)| ListedFunction {
        address: entry[0],
        size: entry[1] - entry[0],
        name: Some(name),
    })
    .collect()
}

#[test]
fn every_layout_is_read() {
    for encoding in encodings() {
        for magic in MAGIC {
            let table = Writer::table(magic, encoding, &ENTRIES, &NAMES);
            assert_eq!(read(&table, encoding), Some((functions(), Vec::new())), "{magic:x} {encoding:?}");
            for other in encodings().filter(|other| {
                other.pointer_size != encoding.pointer_size || other.endianness != encoding.endianness
            }) {
                assert_eq!(read(&table, other), None, "{magic:x} {encoding:?}");
            }
        }
    }
}

#[test]
fn a_relocated_entry_is_what_the_loader_writes() {
    let encoding = Encoding { endianness: Endianness::Little, pointer_size: 8 };
    let bytes = Writer::table(MAGIC[1], encoding, &[0, 0x1020, 0x1060, 0x1070], &NAMES);
    let header = Header::read(&bytes, encoding).expect("a header");
    let table = Table { encoding, header, address: ADDRESS, bytes: &bytes, text_start: 0 };
    let first = ADDRESS + header.rows;
    let relocated = |address: u64| (address == first).then_some(0x1000);
    let found = table.functions(&relocated, &|address| (0x1000..0x2000).contains(&address));
    assert_eq!(found, (functions(), Vec::new()));
}

#[test]
fn a_broken_entry_loses_no_neighbour() {
    for (entry, message) in [
        (0x4000, "an entry of the function table of Go is not in code"),
        (0x1000, "entries of the function table of Go do not ascend"),
        (0x1900, "entries of the function table of Go do not ascend"),
    ] {
        let (table, encoding) = relative(&[0x1000, entry, 0x1060, 0x1070]);
        let (found, broken) = read(&table, encoding).expect("a header");
        let [first, _, last] = functions()[..] else { panic!("three functions") };
        // Either of two equal entries may be the right one.
        let first = match entry {
            0x1000 => found[0],
            _ => ListedFunction { size: 0, ..first },
        };
        assert_eq!(found, [first, last], "{entry:x}");
        assert_eq!(broken.iter().map(|part| part.message).collect::<Vec<_>>(), [message]);
    }
}

#[test]
fn a_name_without_end_loses_no_function() {
    let encoding = Encoding { endianness: Endianness::Little, pointer_size: 8 };
    let mut table = Writer::table(MAGIC[0], encoding, &ENTRIES, &NAMES);
    table.pop();
    let (found, broken) = read(&table, encoding).expect("a header");
    let expected: Vec<_> = functions()
        .into_iter()
        .map(|function| ListedFunction { name: function.name.filter(|name| *name != NAMES[2]), ..function })
        .collect();
    assert_eq!(found, expected);
    let message = "the name of a function in the function table of Go cannot be read";
    assert_eq!(broken, [BrokenPart { address: ADDRESS + 8 + 8 + 2 * 16, message }]);
}

#[test]
fn names_that_share_bytes_are_read_within_a_limit() {
    let encoding = Encoding { endianness: Endianness::Little, pointer_size: 4 };
    let name = "a".repeat(5000);
    let count = 0xf00;
    let entries: Vec<u64> = (0..=count).map(|index| 0x1000 + index).collect();
    let names: Vec<&str> = std::iter::once(name.as_str()).chain((1..count).map(|_| "")).collect();
    let mut table = Writer::table(MAGIC[3], encoding, &entries, &names);
    let records = table.len() - 8 * count as usize;
    let first_name: [u8; 4] = table[records + 4..records + 8].try_into().expect("four bytes");
    for index in 0..count as usize {
        table[records + 8 * index + 4..][..4].copy_from_slice(&first_name);
    }
    let (found, broken) = read(&table, encoding).expect("a header");
    assert_eq!(found.len() as u64, count);
    let text: usize = found.iter().filter_map(|function| function.name).map(str::len).sum();
    assert!((5000..=table.len()).contains(&text), "{text}");
    assert!(!broken.is_empty());
}

#[test]
fn a_cut_table_has_the_rows_that_are_left() {
    for magic in MAGIC {
        for encoding in encodings() {
            let table = Writer::table(magic, encoding, &ENTRIES, &NAMES);
            for size in 0..table.len() {
                let Some((found, broken)) = read(&table[..size], encoding) else { continue };
                assert!(!broken.is_empty(), "{size} of {magic:x}");
                let known = functions();
                for ListedFunction { address, size, .. } in found {
                    let known = known.iter().find(|known| known.address == address).expect("an entry");
                    assert!(size == 0 || size == known.size);
                }
            }
        }
    }
}

#[test]
fn the_longest_ascending_sequence_is_kept() {
    assert!(ascending(&[]).is_empty());
    assert_eq!(ascending(&[1, 2, 3]), [0, 1, 2]);
    assert_eq!(ascending(&[1, 9, 2, 3]), [0, 2, 3]);
    assert_eq!(ascending(&[5, 6, 1, 7]), [0, 1, 3]);
    assert_eq!(ascending(&[4, 4]).len(), 1);
}
