//! `(file, binary_sections, binary_symbols) -> (loader_commands, binary_libraries, binary_imports, binary_exports,`
//! `binary_relocations, binary_initializers, binary_notes, binary_resources)`
//!
//! What linker and loader are told: the libraries that a file needs, what it takes from them and gives to others, what is
//! changed in it when it is linked and loaded, what is called then; and what was left for whoever comes later.
//!
//! Invariants: rows of every table stand in the order of the file; positions begin at 0.
//!
//! What can go wrong: `broken_loader_command`, `broken_relocation`, `broken_linkage`, `broken_resource`, `broken_note`,
//! `broken_name`.

mod elf;
mod macho;
mod pe;

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::Headers;
use crate::file::sections::SectionsIr;
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinaryExportBuilder, BinaryExports, BinaryImportBuilder, BinaryImports, BinaryInitializerBuilder,
    BinaryInitializers, BinaryLibraries, BinaryLibraryBuilder, BinaryNoteBuilder, BinaryNotes,
    BinaryRelocationBuilder, BinaryRelocations, BinaryResourceBuilder, BinaryResources, DiagnosticCode,
    DiagnosticPass, Diagnostics, LoaderCommandBuilder, LoaderCommands,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct LinkageIr {
    /// The loader's instructions.
    pub loader_commands: Rows<LoaderCommands>,
    /// The libraries, and where they are searched.
    pub libraries: Rows<BinaryLibraries>,
    /// What other files must have.
    pub imports: Rows<BinaryImports>,
    /// What other files can refer to.
    pub exports: Rows<BinaryExports>,
    /// The places that linker or loader change.
    pub relocations: Rows<BinaryRelocations>,
    /// The functions that the loader calls.
    pub initializers: Rows<BinaryInitializers>,
    /// The notes.
    pub notes: Rows<BinaryNotes>,
    /// The resources.
    pub resources: Rows<BinaryResources>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

impl LinkageIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 9] {
        [
            self.loader_commands.batch(),
            self.libraries.batch(),
            self.imports.batch(),
            self.exports.batch(),
            self.relocations.batch(),
            self.initializers.batch(),
            self.notes.batch(),
            self.resources.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// What the readers of the formats push to.
struct Linkage {
    loader_commands: LoaderCommandBuilder,
    libraries: BinaryLibraryBuilder,
    imports: BinaryImportBuilder,
    exports: BinaryExportBuilder,
    relocations: BinaryRelocationBuilder,
    initializers: BinaryInitializerBuilder,
    notes: BinaryNoteBuilder,
    resources: BinaryResourceBuilder,
    diagnostics: Collector,
    /// How much text they may push.
    names: NameBudget,
}

/// Reads what linker and loader are told.
pub fn run(file: &Bytes, sections: &SectionsIr) -> LinkageIr {
    let mut linkage = Linkage::new(file);
    match Headers::find(file) {
        Ok(Headers::Elf32(elf)) => elf::run(&elf, sections, &mut linkage),
        Ok(Headers::Elf64(elf)) => elf::run(&elf, sections, &mut linkage),
        Ok(Headers::MachO32(macho)) => macho::run(&macho, sections, &mut linkage),
        Ok(Headers::MachO64(macho)) => macho::run(&macho, sections, &mut linkage),
        Ok(Headers::Pe(pe)) => pe::run(&pe, &mut linkage),
        Ok(Headers::Coff(coff)) => pe::run_object(&coff, &mut linkage),
        Ok(Headers::CoffBig(coff)) => pe::run_object(&coff, &mut linkage),
        Ok(Headers::Archive | Headers::Universal) | Err(_) => {}
    }
    linkage.finish()
}

impl Linkage {
    fn new(file: &Bytes) -> Self {
        let mut notes = BinaryNoteBuilder::default();
        notes.content.refer_to(file);
        Self {
            loader_commands: LoaderCommandBuilder::default(),
            libraries: BinaryLibraryBuilder::default(),
            imports: BinaryImportBuilder::default(),
            exports: BinaryExportBuilder::default(),
            relocations: BinaryRelocationBuilder::default(),
            initializers: BinaryInitializerBuilder::default(),
            notes,
            resources: BinaryResourceBuilder::default(),
            diagnostics: Collector::new(DiagnosticPass::Linkage),
            names: NameBudget::of_file(file),
        }
    }

    /// Adds a warning.
    fn report(&mut self, code: DiagnosticCode, location: DiagnosticLocation, message: &str) {
        self.diagnostics.warning(code, location, message);
    }

    fn finish(self) -> LinkageIr {
        LinkageIr {
            loader_commands: self.loader_commands.finish(),
            libraries: self.libraries.finish(),
            imports: self.imports.finish(),
            exports: self.exports.finish(),
            relocations: self.relocations.finish(),
            initializers: self.initializers.finish(),
            notes: self.notes.finish(),
            resources: self.resources.finish(),
            diagnostics: self.diagnostics.finish(),
        }
    }
}
