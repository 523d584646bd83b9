//! The passes that read the file: bytes to tables, before any instruction is decoded.
//!
//! `formats` reads headers of ELF, PE, COFF, Mach-O and archives. Each pass has twin folders for the formats, or reads sections
//! of any format.

pub mod debug;
pub mod exceptions;
pub mod extents;
pub(crate) mod formats;
pub mod linkage;
pub(crate) mod names;
pub(crate) mod pointers;
pub mod sections;
pub(crate) mod sections_by_address;
pub mod strings;
