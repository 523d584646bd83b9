//! What a PE file holds for .NET's runtime: the CLI header, and the methods that the metadata declares.
//!
//! Source: ECMA-335, partition II, chapters 22 (tables), 24 (layout of metadata) and 25 (extensions of PE).

mod tables;

use super::pe::Pe;
use object::pe;
use std::ops::Range;
use tables::{Column, Tables};

/// Flag of the CLI header: there is no code for a processor but a stub that starts the runtime.
const IL_ONLY: u32 = 1;

/// Implementation attributes that say what kind of code a method has; 0 is intermediate language.
const CODE_KIND: u32 = 3;

/// Alignment of bodies with a fat header, in bytes.
const BODY_ALIGNMENT: u32 = 4;

/// A PE file of .NET.
pub(crate) struct Clr<'a> {
    pe: &'a Pe<'a>,
    /// Whether some of its code is for a processor: it was compiled ahead of time, or is native code of C++.
    pub(crate) has_native_code: bool,
    /// RVAs of the CLI header and of the data that it locates.
    header_data: Vec<Range<u32>>,
    tables: Tables<'a>,
}

/// A method that the metadata declares.
pub(crate) struct Method<'a> {
    /// Number of the row in the table of methods; the first is 1.
    pub(crate) number: u32,
    /// Number of its type; 0 if it is in none.
    pub(crate) type_number: u32,
    pub(crate) name: &'a [u8],
    /// Attributes (II.23.1.10) and implementation attributes (II.23.1.11).
    pub(crate) attributes: u16,
    pub(crate) implementation: u16,
    /// The code; `None` for a method without one, and for native code.
    pub(crate) body: Option<Body>,
}

/// The intermediate language of a method.
pub(crate) struct Body {
    /// RVA of the first instruction, and size of all.
    pub(crate) rva: u32,
    pub(crate) size: u32,
    pub(crate) max_stack: u16,
    /// RVAs of header, code and exception clauses.
    range: Range<u32>,
}

impl<'a> Clr<'a> {
    /// Finds the header and the metadata; `None` if the file is not for .NET.
    pub(crate) fn find(pe: &'a Pe<'a>) -> Option<Result<Self, String>> {
        let (rva, _) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR)?;
        Some(Self::read(pe, rva))
    }

    fn read(pe: &'a Pe<'a>, rva: u32) -> Result<Self, String> {
        let header = pe.bytes(rva, 72).ok_or("the CLI header is not in the file")?;
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let data = |at: usize| (number(at), number(at + 4));
        let (metadata, resources, strong_name, native) = (data(8), data(24), data(32), data(64));
        let range = |(rva, size): (u32, u32)| rva..rva.saturating_add(size);
        let root = pe.bytes(metadata.0, metadata.1).ok_or("the metadata is not in the file")?;
        Ok(Self {
            pe,
            has_native_code: number(16) & IL_ONLY == 0 || native.1 > 0,
            header_data: [(rva, 72), metadata, resources, strong_name].map(range).to_vec(),
            tables: Tables::find(root)?,
        })
    }

    /// The methods, in the order of their table.
    pub(crate) fn methods(&self) -> impl Iterator<Item = Method<'a>> {
        let tables = &self.tables;
        let owners = self.owners();
        (1..=tables.count(tables::METHOD)).map(move |number| {
            let row = |column| tables.number(tables::METHOD, number, column);
            Method {
                number,
                type_number: owners[number as usize - 1],
                name: tables.text(tables::METHOD, number, 3),
                attributes: row(2) as u16,
                implementation: row(1) as u16,
                body: self.body_of(number),
            }
        })
    }

    /// The body of a method; `None` if it has none, or native code.
    fn body_of(&self, method: u32) -> Option<Body> {
        let [rva, implementation] = [0, 1].map(|column| self.tables.number(tables::METHOD, method, column));
        if rva == 0 || implementation & CODE_KIND != 0 {
            return None;
        }
        self.body(rva)
    }

    /// RVAs of what no processor runs, sorted and disjoint. Bodies are aligned; what pads them belongs to the one before.
    pub(crate) fn data(&self) -> Vec<Range<u32>> {
        let methods = 1..=self.tables.count(tables::METHOD);
        let bodies = methods.filter_map(|method| Some(self.body_of(method)?.range));
        let mut data: Vec<_> = self.header_data.iter().cloned().chain(bodies).collect();
        data.retain(|range| !range.is_empty());
        data.sort_by_key(|range| (range.start, range.end));
        data.dedup_by(|next, range| {
            let is_apart = next.start > range.end.saturating_add(BODY_ALIGNMENT - 1);
            range.end = if is_apart { range.end } else { range.end.max(next.end) };
            !is_apart
        });
        data
    }

    /// The number of the type of each method. A type has the methods from its first one to that of the next type.
    fn owners(&self) -> Vec<u32> {
        const FIRST_METHOD: Column = 5;
        let tables = &self.tables;
        let count = tables.count(tables::METHOD);
        let mut owners = vec![0; count as usize];
        let has_pointers = tables.count(tables::METHOD_POINTER) > 0;
        // In a broken file, types could share methods.
        let mut next = 1;
        for number in 1..=tables.count(tables::TYPE) {
            let is_last = number == tables.count(tables::TYPE);
            let end = if is_last { count + 1 } else { tables.number(tables::TYPE, number + 1, FIRST_METHOD) };
            let first = tables.number(tables::TYPE, number, FIRST_METHOD).max(next);
            for position in first..end.min(count + 1) {
                let method =
                    if has_pointers { tables.number(tables::METHOD_POINTER, position, 0) } else { position };
                if let Some(owner) = (method as usize).checked_sub(1).and_then(|row| owners.get_mut(row)) {
                    *owner = number;
                }
                next = position + 1;
            }
        }
        owners
    }

    /// The name of a type: `Namespace.Outer/Inner`.
    pub(crate) fn type_name(&self, number: u32) -> String {
        /// Depth of types in types that is followed.
        const DEPTH_MAX: usize = 16;
        let tables = &self.tables;
        let (mut name, mut number) = (String::new(), number);
        for _ in 0..DEPTH_MAX {
            let [own, namespace] =
                [1, 2].map(|column| String::from_utf8_lossy(tables.text(tables::TYPE, number, column)));
            let inner = if name.is_empty() { name } else { format!("/{name}") };
            name = if namespace.is_empty() {
                format!("{own}{inner}")
            } else {
                format!("{namespace}.{own}{inner}")
            };
            match tables.enclosing_type(number) {
                Some(outer) => number = outer,
                None => break,
            }
        }
        name
    }

    /// The body at an RVA; `None` if it is not in the file.
    fn body(&self, rva: u32) -> Option<Body> {
        let (bytes, _) = self.pe.bytes_from(rva)?;
        let first = *bytes.first()?;
        // A tiny header has a size of six bits, a fat one has twelve bytes.
        let (header_size, size, max_stack, has_more) = match first & 3 {
            2 => (1, u32::from(first >> 2), 8, false),
            3 => {
                let header = bytes.first_chunk::<12>()?;
                let size = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
                let header_size = u32::from(header[1] >> 4) * 4;
                (header_size, size, u16::from_le_bytes([header[2], header[3]]), first & 8 != 0)
            }
            _ => return None,
        };
        let end = header_size.checked_add(size).filter(|end| *end as usize <= bytes.len())?;
        let whole = if has_more { end_of_clauses(bytes, end) } else { end };
        Some(Body {
            rva: rva.checked_add(header_size)?,
            size,
            max_stack,
            range: rva..rva.saturating_add(whole),
        })
    }
}

/// The end of the sections after the code: exception clauses.
fn end_of_clauses(bytes: &[u8], code_end: u32) -> u32 {
    const IS_FAT: u8 = 0x40;
    const HAS_MORE: u8 = 0x80;
    let mut end = code_end;
    loop {
        let start = end.next_multiple_of(4);
        let Some([flags, size @ ..]) = bytes.get(start as usize..).and_then(|rest| rest.first_chunk::<4>())
        else {
            return end;
        };
        let size = match flags & IS_FAT {
            0 => u32::from(size[0]),
            _ => u32::from_le_bytes([size[0], size[1], size[2], 0]),
        };
        if size < 4 || start as usize + size as usize > bytes.len() {
            return end;
        }
        end = start + size;
        if flags & HAS_MORE == 0 {
            return end;
        }
    }
}
