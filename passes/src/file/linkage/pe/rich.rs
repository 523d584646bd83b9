//! `binary_rich_entries`, and the note and attributes of a Rich header, in which Microsoft's linker counts the inputs by
//! product. It is between the DOS program and the PE headers, masked with a checksum of both.
//!
//! Source: Microsoft's linker writes it undocumented; D. Pistelli (2004), "Microsoft's Rich Signature".

use super::super::ir::LinkageBuilder;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{BinaryAttribute, BinaryNote, BinaryRichEntry};
use object::read::pe::{RichHeaderEntry, RichHeaderInfo};

/// The owner of all notes of PE images.
pub(super) const OWNER: &str = "PE";

/// Type of the note.
const NAME: &str = "Rich";

/// Number of products that the text of the note lists.
const PRODUCTS_MAX: usize = 256;

/// Bytes of the DOS header that the linker writes after it computed the checksum: the offset of the PE headers.
const UNCHECKED: std::ops::Range<usize> = 0x3c..0x40;

/// Adds the rows. Returns the number of notes.
pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) -> u32 {
    let file = pe.coff.file;
    let Some(rich) = RichHeaderInfo::parse(file.as_ref(), pe.headers_offset) else { return 0 };
    let products = rich.unmasked_entries().take(PRODUCTS_MAX).map(|entry| {
        let (product, build) = product(entry);
        format!("product {product} build {build}: {}", entry.count)
    });
    let text = products.collect::<Vec<_>>().join(", ");
    linkage.notes.push(BinaryNote {
        note_index: 0,
        section_index: None,
        file_offset: rich.offset as u64,
        size: rich.length as u64,
        owner: OWNER,
        note_type: NAME,
        content: &file[rich.offset..rich.offset + rich.length],
        text: linkage.names.take(text).as_deref(),
    });
    for (entry_index, entry) in (0..).zip(rich.unmasked_entries()) {
        let (product_id, build_number) = product(entry);
        let input_count = entry.count;
        linkage.rich_entries.push(BinaryRichEntry { entry_index, product_id, build_number, input_count });
    }
    let checksum = checksum(&file[..rich.offset], rich.unmasked_entries());
    let is_valid = if checksum == rich.xor_key { "valid" } else { "invalid" };
    for (attribute_name, value, text) in [("key", rich.xor_key, None), ("checksum", checksum, Some(is_valid))]
    {
        linkage.push_attribute(BinaryAttribute {
            note_index: Some(0),
            source_name: NAME,
            attribute_name,
            value: Some(value.into()),
            text,
            ..BinaryAttribute::default()
        });
    }
    1
}

/// Number and build of a product.
fn product(entry: RichHeaderEntry) -> (u16, u16) {
    ((entry.comp_id >> 16) as u16, entry.comp_id as u16)
}

/// The sum of the bytes before the Rich header, each rotated by its offset, and of its products, each rotated by its
/// count.
fn checksum(before: &[u8], entries: impl Iterator<Item = RichHeaderEntry>) -> u32 {
    let bytes = before.iter().enumerate().filter(|(offset, _)| !UNCHECKED.contains(offset));
    let bytes = bytes.map(|(offset, byte)| u32::from(*byte).rotate_left(offset as u32 % 32));
    let entries = entries.map(|entry| entry.comp_id.rotate_left(entry.count % 32));
    bytes.chain(entries).fold(before.len() as u32, u32::wrapping_add)
}
