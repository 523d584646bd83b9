//! The tables of the pass `linkage`, and their builders.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinaryExportBuilder, BinaryExports, BinaryImportBuilder, BinaryImports, BinaryInitializer,
    BinaryInitializerBuilder, BinaryInitializers, BinaryLibraries, BinaryLibraryBuilder,
    BinaryLoaderCommandBuilder, BinaryLoaderCommands, BinaryNoteBuilder, BinaryNotes,
    BinaryRelocationBuilder, BinaryRelocations, BinaryResourceBuilder, BinaryResources, ClrMethodBuilder,
    ClrMethods, DiagnosticCode, DiagnosticPass, Diagnostics, InitializerKind,
};
use binframe_ir::{Batch, Fingerprint, Rows};
use bytes::Bytes;

/// The tables of the pass.
#[derive(Debug, Clone)]
pub struct LinkageIr {
    /// Load commands, entries of the dynamic section, data directories.
    pub loader_commands: Rows<BinaryLoaderCommands>,
    /// Libraries that are required, and paths that they are searched in.
    pub libraries: Rows<BinaryLibraries>,
    /// Symbols that other files must define.
    pub imports: Rows<BinaryImports>,
    /// Symbols that other files can refer to.
    pub exports: Rows<BinaryExports>,
    /// Fields that linker or loader write.
    pub relocations: Rows<BinaryRelocations>,
    /// Functions that the loader calls.
    pub initializers: Rows<BinaryInitializers>,
    /// Notes.
    pub notes: Rows<BinaryNotes>,
    /// Resources.
    pub resources: Rows<BinaryResources>,
    /// Methods of .NET.
    pub clr_methods: Rows<ClrMethods>,
    /// The diagnostics.
    pub diagnostics: Rows<Diagnostics>,
}

impl LinkageIr {
    /// The tables, untyped.
    pub fn tables(&self) -> [&Batch; 10] {
        [
            self.loader_commands.batch(),
            self.libraries.batch(),
            self.imports.batch(),
            self.exports.batch(),
            self.relocations.batch(),
            self.initializers.batch(),
            self.notes.batch(),
            self.resources.batch(),
            self.clr_methods.batch(),
            self.diagnostics.batch(),
        ]
    }

    /// A hash of all tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// The tables while the reader of a format adds rows.
pub(super) struct LinkageBuilder {
    pub(super) loader_commands: BinaryLoaderCommandBuilder,
    pub(super) libraries: BinaryLibraryBuilder,
    pub(super) imports: BinaryImportBuilder,
    pub(super) exports: BinaryExportBuilder,
    pub(super) relocations: BinaryRelocationBuilder,
    initializers: BinaryInitializerBuilder,
    pub(super) notes: BinaryNoteBuilder,
    pub(super) resources: BinaryResourceBuilder,
    pub(super) clr_methods: ClrMethodBuilder,
    diagnostics: Collector,
    /// The text that rows may still hold.
    pub(super) names: NameBudget,
}

/// Kind of an initializer, address of the pointer to it, and its own address.
pub(super) type InitializerRow = (InitializerKind, Option<u64>, Option<u64>);

impl LinkageBuilder {
    pub(super) fn new(file: &Bytes) -> Self {
        let mut notes = BinaryNoteBuilder::default();
        notes.content.refer_to(file);
        Self {
            loader_commands: BinaryLoaderCommandBuilder::default(),
            libraries: BinaryLibraryBuilder::default(),
            imports: BinaryImportBuilder::default(),
            exports: BinaryExportBuilder::default(),
            relocations: BinaryRelocationBuilder::default(),
            initializers: BinaryInitializerBuilder::default(),
            notes,
            resources: BinaryResourceBuilder::default(),
            clr_methods: ClrMethodBuilder::default(),
            diagnostics: Collector::new(DiagnosticPass::Linkage),
            names: NameBudget::of_file(file),
        }
    }

    /// Adds the initializers, which no other call does.
    pub(super) fn push_initializers(&mut self, rows: impl IntoIterator<Item = InitializerRow>) {
        for (initializer_index, (kind, slot_address, function_address)) in (0..).zip(rows) {
            self.initializers.push(BinaryInitializer {
                initializer_index,
                kind,
                slot_address,
                function_address,
            });
        }
    }

    /// Reports a warning.
    pub(super) fn warning(&mut self, code: DiagnosticCode, location: DiagnosticLocation, message: &str) {
        self.diagnostics.warning(code, location, message);
    }

    pub(super) fn finish(self) -> LinkageIr {
        LinkageIr {
            loader_commands: self.loader_commands.finish(),
            libraries: self.libraries.finish(),
            imports: self.imports.finish(),
            exports: self.exports.finish(),
            relocations: self.relocations.finish(),
            initializers: self.initializers.finish(),
            notes: self.notes.finish(),
            resources: self.resources.finish(),
            clr_methods: self.clr_methods.finish(),
            diagnostics: self.diagnostics.finish(),
        }
    }
}
