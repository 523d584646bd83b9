//! The passes as salsa queries.
//!
//! A query runs again only when a query or input that it read has changed; a query whose output has the fingerprint it had
//! before counts as unchanged, and stops the wave there.

#![expect(missing_docs, reason = "salsa documents neither the constructor nor the setters that it makes")]

use crate::FileBytes;
use binframe_ir::tables::FileExtents;
use binframe_ir::{Fingerprint, Rows};
use binframe_passes::code::cfg::CfgIr;
use binframe_passes::code::instructions::InstructionsIr;
use binframe_passes::code::memory::{Image, MemoryIr};
use binframe_passes::file::debug::{CompanionFile, DebugIr};
use binframe_passes::file::exceptions::ExceptionsIr;
use binframe_passes::file::linkage::LinkageIr;
use binframe_passes::file::sections::SectionsIr;
use binframe_passes::file::strings::StringsIr;
use binframe_passes::{self as passes, Code, References, Unsupported};
use std::ops::Deref;
use std::sync::Arc;

/// Holds inputs and what was computed from them.
#[salsa::db]
#[derive(Clone, Default)]
pub struct Database {
    storage: salsa::Storage<Self>,
}

#[salsa::db]
impl salsa::Database for Database {}

impl Database {
    /// A database that calls `on_run` with the name of every query that runs (and is not answered from before).
    pub fn with_log(on_run: impl Fn(String) + Send + Sync + 'static) -> Self {
        let on_event = move |event: salsa::Event| {
            if let salsa::EventKind::WillExecute { database_key } = event.kind {
                let query = format!("{database_key:?}");
                on_run(query.split('(').next().unwrap_or(&query).to_owned());
            }
        };
        Self { storage: salsa::Storage::new(Some(Box::new(on_event))) }
    }
}

/// An executable file.
#[salsa::input]
pub struct Executable {
    /// Its bytes.
    #[returns(clone)]
    pub bytes: FileBytes,
    /// Its position among the members of its container; 0 for a file of its own.
    #[returns(copy)]
    pub member_index: u32,
}

/// The other files that hold debug information of an executable.
#[salsa::input]
pub struct Companions {
    /// Those that were found.
    #[returns(clone)]
    pub found: Vec<CompanionFile>,
}

/// What a pass made, equal to another when the fingerprints are. Cloning shares it.
#[derive(Debug)]
pub struct Pass<T> {
    output: Arc<T>,
    fingerprint: Fingerprint,
}

impl<T> Pass<T> {
    fn new(output: T, fingerprint: Fingerprint) -> Self {
        Self { output: Arc::new(output), fingerprint }
    }

    /// Equal for equal outputs.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl<T> Clone for Pass<T> {
    fn clone(&self) -> Self {
        Self { output: Arc::clone(&self.output), fingerprint: self.fingerprint }
    }
}

impl<T> Deref for Pass<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.output
    }
}

impl<T> PartialEq for Pass<T> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<T> Eq for Pass<T> {}

/// The queries, in the order of the pipeline (`binframe_passes::lower`).
pub mod lowered {
    use super::{
        CfgIr, Code, Companions, DebugIr, ExceptionsIr, Executable, FileExtents, Image, InstructionsIr,
        LinkageIr, MemoryIr, Pass, References, Rows, SectionsIr, StringsIr, Unsupported, passes,
    };

    /// The file's own structure.
    #[salsa::tracked(returns(clone))]
    pub fn sections(db: &dyn salsa::Database, file: Executable) -> Result<Pass<SectionsIr>, Unsupported> {
        let sections = passes::file::sections::run(&file.bytes(db).0, file.member_index(db))?;
        let fingerprint = sections.fingerprint();
        Ok(Pass::new(sections, fingerprint))
    }

    /// What linker and loader are told.
    #[salsa::tracked(returns(clone))]
    pub fn linkage(db: &dyn salsa::Database, file: Executable) -> Result<Pass<LinkageIr>, Unsupported> {
        let linkage = passes::file::linkage::run(&file.bytes(db).0, &*sections(db, file)?);
        let fingerprint = linkage.fingerprint();
        Ok(Pass::new(linkage, fingerprint))
    }

    /// Where control goes when something is thrown.
    #[salsa::tracked(returns(clone))]
    pub fn exceptions(db: &dyn salsa::Database, file: Executable) -> Result<Pass<ExceptionsIr>, Unsupported> {
        let exceptions = passes::file::exceptions::run(&file.bytes(db).0, &*sections(db, file)?);
        let fingerprint = exceptions.fingerprint();
        Ok(Pass::new(exceptions, fingerprint))
    }

    /// Runs of printable characters.
    #[salsa::tracked(returns(clone))]
    pub fn strings(db: &dyn salsa::Database, file: Executable) -> Result<Pass<StringsIr>, Unsupported> {
        let strings = passes::file::strings::run(&*sections(db, file)?);
        let fingerprint = strings.fingerprint();
        Ok(Pass::new(strings, fingerprint))
    }

    /// What every byte of the file belongs to.
    #[salsa::tracked(returns(clone))]
    pub fn extents(
        db: &dyn salsa::Database,
        file: Executable,
    ) -> Result<Pass<Rows<FileExtents>>, Unsupported> {
        let extents = passes::file::extents::run(&file.bytes(db).0, &*sections(db, file)?);
        let fingerprint = extents.batch().fingerprint();
        Ok(Pass::new(extents, fingerprint))
    }

    /// What debug information says of the source.
    #[salsa::tracked(returns(clone))]
    pub fn debug(
        db: &dyn salsa::Database,
        file: Executable,
        companions: Companions,
    ) -> Result<Pass<DebugIr>, Unsupported> {
        let sections = sections(db, file)?;
        let debug = passes::file::debug::run(&file.bytes(db).0, &sections, &companions.found(db));
        let fingerprint = debug.fingerprint();
        Ok(Pass::new(debug, fingerprint))
    }

    /// The code, and where the file says that functions begin.
    #[salsa::tracked(returns(clone))]
    pub fn code(db: &dyn salsa::Database, file: Executable) -> Result<Pass<Code>, Unsupported> {
        let code = Code::of(&*sections(db, file)?, &file.bytes(db).0);
        let fingerprint = code.fingerprint();
        Ok(Pass::new(code, fingerprint))
    }

    /// What the rest of the file says of its code.
    #[salsa::tracked(returns(clone))]
    pub fn references(db: &dyn salsa::Database, file: Executable) -> Result<Pass<References>, Unsupported> {
        let (sections, linkage) = (sections(db, file)?, linkage(db, file)?);
        let (exceptions, code) = (exceptions(db, file)?, code(db, file)?);
        let references = References::of(&sections, &linkage, &exceptions, &code, &file.bytes(db).0);
        let fingerprint = references.fingerprint();
        Ok(Pass::new(references, fingerprint))
    }

    /// Where instructions begin, and how control leaves them.
    #[salsa::tracked(returns(clone))]
    pub fn instructions(
        db: &dyn salsa::Database,
        file: Executable,
    ) -> Result<Pass<InstructionsIr>, Unsupported> {
        let instructions = passes::code::instructions::run(&*code(db, file)?);
        let fingerprint = instructions.fingerprint();
        Ok(Pass::new(instructions, fingerprint))
    }

    /// Functions, basic blocks and edges.
    #[salsa::tracked(returns(clone))]
    pub fn cfg(db: &dyn salsa::Database, file: Executable) -> Result<Pass<CfgIr>, Unsupported> {
        let cfg =
            passes::code::cfg::run(&*code(db, file)?, &*instructions(db, file)?, &*references(db, file)?);
        let fingerprint = cfg.fingerprint();
        Ok(Pass::new(cfg, fingerprint))
    }

    /// The memory that the file implies.
    #[salsa::tracked(returns(clone))]
    pub fn image(db: &dyn salsa::Database, file: Executable) -> Result<Pass<Image>, Unsupported> {
        let image = Image::of(&*sections(db, file)?, &*linkage(db, file)?);
        let fingerprint = image.fingerprint();
        Ok(Pass::new(image, fingerprint))
    }

    /// How functions use memory.
    #[salsa::tracked(returns(clone))]
    pub fn memory(db: &dyn salsa::Database, file: Executable) -> Result<Pass<MemoryIr>, Unsupported> {
        let (image, code) = (image(db, file)?, code(db, file)?);
        let memory = passes::code::memory::run(&image, &code, &*instructions(db, file)?, &*cfg(db, file)?);
        let fingerprint = memory.fingerprint();
        Ok(Pass::new(memory, fingerprint))
    }
}
