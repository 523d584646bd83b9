//! The file wing: passes that read the bytes of a file, before any instruction is decoded.
//!
//! `formats` finds the headers of ELF, PE, COFF, Mach-O files and containers. `sections` and `linkage` have a folder
//! for each format, with the same file names where the formats have the same tables. The other passes read sections of
//! any format. `call_frames` is no pass: captures evaluate call frame information with it.

pub mod call_frames;
pub mod debug;
pub mod exceptions;
pub mod extents;
pub(crate) mod formats;
pub(crate) mod itanium;
pub mod linkage;
pub(crate) mod names;
pub(crate) mod pointers;
pub mod sections;
pub(crate) mod sections_by_address;
pub mod strings;
pub(crate) mod text_budget;
