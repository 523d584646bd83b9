//! The tables of the pass `linkage`, and their builders.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::text_budget::NameBudget;
use binframe_ir::tables::{
    BinaryAttribute, BinaryAttributeBuilder, BinaryAttributes, BinaryExportBuilder, BinaryExports,
    BinaryImportBuilder, BinaryImports, BinaryInitializer, BinaryInitializerBuilder, BinaryInitializers,
    BinaryLibraries, BinaryLibraryBuilder, BinaryLoaderCommandBuilder, BinaryLoaderCommands,
    BinaryMappedFileBuilder, BinaryMappedFiles, BinaryNoteBuilder, BinaryNotes, BinaryRelocationBuilder,
    BinaryRelocations, BinaryResourceBuilder, BinaryResources, BinaryRichEntries, BinaryRichEntryBuilder,
    BinaryThreadBuilder, BinaryThreadRegisterBuilder, BinaryThreadRegisters, BinaryThreads, ClrMethodBuilder,
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
    /// Fields of notes and load commands.
    pub attributes: Rows<BinaryAttributes>,
    /// Products of a Rich header.
    pub rich_entries: Rows<BinaryRichEntries>,
    /// Threads of a core dump.
    pub threads: Rows<BinaryThreads>,
    /// Registers of these threads.
    pub thread_registers: Rows<BinaryThreadRegisters>,
    /// Files that are mapped in a core dump.
    pub mapped_files: Rows<BinaryMappedFiles>,
    /// Resources.
    pub resources: Rows<BinaryResources>,
    /// Methods of .NET.
    pub clr_methods: Rows<ClrMethods>,
    /// The diagnostics.
    pub diagnostics: Rows<Diagnostics>,
}

impl LinkageIr {
    /// The tables, untyped.
    pub fn tables(&self) -> [&Batch; 15] {
        [
            self.loader_commands.batch(),
            self.libraries.batch(),
            self.imports.batch(),
            self.exports.batch(),
            self.relocations.batch(),
            self.initializers.batch(),
            self.notes.batch(),
            self.attributes.batch(),
            self.rich_entries.batch(),
            self.threads.batch(),
            self.thread_registers.batch(),
            self.mapped_files.batch(),
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
    attributes: BinaryAttributeBuilder,
    next_attribute: u32,
    pub(super) rich_entries: BinaryRichEntryBuilder,
    pub(super) threads: BinaryThreadBuilder,
    pub(super) thread_registers: BinaryThreadRegisterBuilder,
    pub(super) mapped_files: BinaryMappedFileBuilder,
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
            attributes: BinaryAttributeBuilder::default(),
            next_attribute: 0,
            rich_entries: BinaryRichEntryBuilder::default(),
            threads: BinaryThreadBuilder::default(),
            thread_registers: BinaryThreadRegisterBuilder::default(),
            mapped_files: BinaryMappedFileBuilder::default(),
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

    /// Adds an attribute, and sets its index. Leaves out text that exceeds the budget of names.
    pub(super) fn push_attribute(&mut self, attribute: BinaryAttribute<'_>) {
        self.attributes.push(BinaryAttribute {
            attribute_index: self.next_attribute,
            text: attribute.text.and_then(|text| self.names.take(text)),
            ..attribute
        });
        self.next_attribute += 1;
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
            attributes: self.attributes.finish(),
            rich_entries: self.rich_entries.finish(),
            threads: self.threads.finish(),
            thread_registers: self.thread_registers.finish(),
            mapped_files: self.mapped_files.finish(),
            resources: self.resources.finish(),
            clr_methods: self.clr_methods.finish(),
            diagnostics: self.diagnostics.finish(),
        }
    }
}
