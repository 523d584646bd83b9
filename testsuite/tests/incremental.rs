//! After an edit of a file, only queries run whose inputs changed. If a query returns an equal result, its dependents
//! do not run.

use binframe::ir::Fingerprint;
use binframe::{Database, Executable, LazyCompanions, queries};
use binframe_testsuite::fixtures;
use binframe_testsuite::patch::{Patch, section, symbol};
use bytes::Bytes;
use salsa::Setter;
use std::sync::{Arc, Mutex};

/// Indexes of sections of the fixture `stack_and_globals`.
const TEXT: usize = 1;
const RODATA: usize = 2;
const EH_FRAME: usize = 3;
const DATA: usize = 4;
const SYMTAB: usize = 6;

/// Queries that read the bytes of the file. They run after every edit.
const READ_BYTES: [&str; 5] = ["code", "exceptions", "linkage", "references", "sections"];

/// All queries.
const ALL: [&str; 9] =
    ["cfg", "code", "exceptions", "image", "instructions", "linkage", "memory", "references", "sections"];

/// All queries except `left_out`.
fn without(left_out: &[&str]) -> Vec<&'static str> {
    ALL.into_iter().filter(|query| !left_out.contains(query)).collect()
}

/// A database with one file, and a log of the queries that ran.
struct Workbench {
    database: Database,
    file: Executable,
    bytes: Patch,
    log: Arc<Mutex<Vec<String>>>,
}

impl Workbench {
    /// All queries have run once.
    fn new() -> Self {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&log);
        let database =
            Database::with_log(move |query| sink.lock().expect("no test panics in it").push(query));
        let bytes = Patch(fixtures::stack_and_globals().bytes);
        let file =
            Executable::new(&database, Bytes::from(bytes.0.clone()).into(), 0, LazyCompanions::default());
        let workbench = Self { database, file, bytes, log };
        workbench.request();
        assert_eq!(workbench.ran(), ALL);
        workbench
    }

    /// Requests the last result of the pipeline.
    fn request(&self) -> Fingerprint {
        queries::memory(&self.database, self.file).expect("the fixture is supported").fingerprint()
    }

    fn cfg(&self) -> Fingerprint {
        queries::cfg(&self.database, self.file).expect("the fixture is supported").fingerprint()
    }

    /// Names of the queries that ran since the last call, sorted.
    fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.log.lock().expect("no test panics in it"));
        ran.sort();
        ran
    }

    /// Edits the file, requests everything again, and returns the names of the queries that ran.
    fn ran_after(&mut self, edit: impl FnOnce(&mut Patch) -> &mut Patch) -> Vec<String> {
        edit(&mut self.bytes);
        self.file.set_bytes(&mut self.database).to(Bytes::from(self.bytes.0.clone()).into());
        self.request();
        self.ran()
    }
}

#[test]
fn repeated_requests_run_no_query() {
    let workbench = Workbench::new();
    workbench.request();
    assert!(workbench.ran().is_empty());
}

#[test]
fn rewriting_equal_bytes_runs_only_queries_that_read_bytes() {
    assert_eq!(Workbench::new().ran_after(|file| file), READ_BYTES);
}

/// Jump tables are in constant data, so `cfg` runs. Its result is equal, so `memory` does not run.
#[test]
fn a_changed_byte_of_constant_data_does_not_run_memory() {
    let mut workbench = Workbench::new();
    let before = workbench.cfg();
    let ran = workbench.ran_after(|file| file.content(RODATA, 3, &[1]));
    assert_eq!(ran, without(&["instructions", "memory"]));
    assert_eq!(workbench.cfg(), before);
}

/// Writable data has no constants, and the changed number is not a code address.
#[test]
fn a_changed_byte_of_writable_data_does_not_run_cfg() {
    let ran = Workbench::new().ran_after(|file| file.content(DATA, 16, &[1]));
    assert_eq!(ran, without(&["cfg", "instructions", "memory"]));
}

/// A pointer to code is evidence of a function start; here all starts are already known.
#[test]
fn a_changed_code_pointer_in_data_runs_cfg() {
    let ran = Workbench::new().ran_after(|file| file.content(DATA, 16, &0x40_1000_u64.to_le_bytes()));
    assert_eq!(ran, without(&["instructions", "memory"]));
}

#[test]
fn a_changed_byte_outside_all_sections_does_not_run_cfg() {
    // The bytes between the headers and the first section are zero. Only the checksum of the file changes.
    let ran = Workbench::new().ran_after(|file| {
        file.0[0x800] = 1;
        file
    });
    assert_eq!(ran, without(&["cfg", "instructions", "memory"]));
}

/// Regions contain section names. Without the name `.eh_frame`, no unwind entries are read, but symbols declare the
/// same functions.
#[test]
fn a_changed_section_name_does_not_run_cfg_and_instructions() {
    let ran = Workbench::new().ran_after(|file| file.section(EH_FRAME, section::NAME, 2));
    assert_eq!(ran, without(&["cfg", "instructions"]));
}

/// The result of `instructions` is equal, since no instruction starts elsewhere. `cfg` also reads code, so it runs.
#[test]
fn a_changed_immediate_runs_queries_that_read_code() {
    let mut workbench = Workbench::new();
    let before = workbench.cfg();
    // `mov edx, 6` becomes `mov edx, 7`.
    let ran = workbench.ran_after(|file| file.content(TEXT, 0x0d, &[7]));
    assert_eq!(ran, ALL);
    assert_eq!(workbench.cfg(), before);
}

#[test]
fn a_changed_branch_target_runs_all_queries() {
    let mut workbench = Workbench::new();
    let before = workbench.cfg();
    // The loop starts one instruction later.
    let ran = workbench.ran_after(|file| file.content(TEXT, 0xc0, &(-0x15_i32).to_le_bytes()));
    assert_eq!(ran, ALL);
    assert_ne!(workbench.cfg(), before);
}

#[test]
fn a_moved_function_runs_all_queries() {
    let ran = Workbench::new().ran_after(|file| file.symbol(SYMTAB, 3, symbol::VALUE, 0x40_1091));
    assert_eq!(ran, ALL);
}

#[test]
fn reverting_an_edit_gives_the_original_result() {
    let mut workbench = Workbench::new();
    let before = workbench.request();
    // `sub rsp, 0x10` becomes `sub rsp, rax`.
    workbench.ran_after(|file| file.content(TEXT, 0x34, &[0x48, 0x29, 0xc4, 0x90]));
    assert_ne!(workbench.request(), before);
    workbench.ran_after(|file| file.content(TEXT, 0x34, &[0x48, 0x83, 0xec, 0x10]));
    assert_eq!(workbench.request(), before);
}
