//! What an ELF file tells linker and loader.

use super::Linkage;
use crate::formats::elf::{Elf, Header};
use crate::sections::SectionsIr;

pub(super) fn run<H: Header>(_elf: &Elf<'_, H>, _sections: &SectionsIr, _linkage: &mut Linkage) {}
