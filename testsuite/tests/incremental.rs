//! After an edit, exactly the queries run that read what changed; where a result is what it was before, the wave stops.

use binframe::ir::Fingerprint;
use binframe::{Database, Executable, LazyCompanions, queries};
use binframe_testsuite::fixtures;
use binframe_testsuite::patch::{Patch, section, symbol};
use bytes::Bytes;
use salsa::Setter;
use std::sync::{Arc, Mutex};

/// Sections of the fixture `stack_and_globals`, by index.
const TEXT: usize = 1;
const RODATA: usize = 2;
const EH_FRAME: usize = 3;
const DATA: usize = 4;
const SYMTAB: usize = 6;

/// The queries that read the file's bytes; they run after every edit.
const READ_BYTES: [&str; 5] = ["code", "exceptions", "linkage", "references", "sections"];

/// All queries.
const ALL: [&str; 9] =
    ["cfg", "code", "exceptions", "image", "instructions", "linkage", "memory", "references", "sections"];

/// All queries but some.
fn without(left_out: &[&str]) -> Vec<&'static str> {
    ALL.into_iter().filter(|query| !left_out.contains(query)).collect()
}

/// A database with one file, and the names of the queries that ran.
struct Workbench {
    database: Database,
    file: Executable,
    bytes: Patch,
    log: Arc<Mutex<Vec<String>>>,
}

impl Workbench {
    /// Everything was asked for once.
    fn new() -> Self {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&log);
        let database =
            Database::with_log(move |query| sink.lock().expect("no test panics in it").push(query));
        let bytes = Patch(fixtures::stack_and_globals().bytes);
        let file =
            Executable::new(&database, Bytes::from(bytes.0.clone()).into(), 0, LazyCompanions::default());
        let workbench = Self { database, file, bytes, log };
        workbench.ask();
        assert_eq!(workbench.ran(), ALL);
        workbench
    }

    /// Asks for what comes last in the pipeline.
    fn ask(&self) -> Fingerprint {
        queries::memory(&self.database, self.file).expect("the fixture is supported").fingerprint()
    }

    fn cfg(&self) -> Fingerprint {
        queries::cfg(&self.database, self.file).expect("the fixture is supported").fingerprint()
    }

    /// The queries that ran since they were asked about, in the order of the alphabet.
    fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.log.lock().expect("no test panics in it"));
        ran.sort();
        ran
    }

    /// The queries that run when the file is edited and everything is asked for again.
    fn ran_after(&mut self, edit: impl FnOnce(&mut Patch) -> &mut Patch) -> Vec<String> {
        edit(&mut self.bytes);
        self.file.set_bytes(&mut self.database).to(Bytes::from(self.bytes.0.clone()).into());
        self.ask();
        self.ran()
    }
}

#[test]
fn nothing_runs_twice() {
    let workbench = Workbench::new();
    workbench.ask();
    assert!(workbench.ran().is_empty());
}

#[test]
fn the_same_bytes_again_stop_at_the_first_queries() {
    assert_eq!(Workbench::new().ran_after(|file| file), READ_BYTES);
}

/// Jump tables stand among constants: control flow is looked for again. It is the same, and so nothing asks how the stack is used.
#[test]
fn a_byte_of_constants_stops_before_memory() {
    let mut workbench = Workbench::new();
    let before = workbench.cfg();
    let ran = workbench.ran_after(|file| file.content(RODATA, 3, &[1]));
    assert_eq!(ran, without(&["instructions", "memory"]));
    assert_eq!(workbench.cfg(), before);
}

/// What stands in writable data is no constant, and the number there is no address of code.
#[test]
fn a_byte_of_variables_stops_before_control_flow() {
    let ran = Workbench::new().ran_after(|file| file.content(DATA, 16, &[1]));
    assert_eq!(ran, without(&["cfg", "instructions", "memory"]));
}

/// A pointer to code says that a function begins there; here all are known.
#[test]
fn a_pointer_in_data_runs_control_flow() {
    let ran = Workbench::new().ran_after(|file| file.content(DATA, 16, &0x40_1000_u64.to_le_bytes()));
    assert_eq!(ran, without(&["instructions", "memory"]));
}

#[test]
fn a_byte_outside_all_sections_stops_there_too() {
    // Between the headers and the first section stand zeros. The file's checksum is another.
    let ran = Workbench::new().ran_after(|file| {
        file.0[0x800] = 1;
        file
    });
    assert_eq!(ran, without(&["cfg", "instructions", "memory"]));
}

/// Regions name their section. Without the name `.eh_frame`, nothing is read as unwind entries, but symbols state the same.
#[test]
fn a_changed_name_of_a_section_leaves_code_alone() {
    let ran = Workbench::new().ran_after(|file| file.section(EH_FRAME, section::NAME, 2));
    assert_eq!(ran, without(&["cfg", "instructions"]));
}

/// What reads code runs. `instructions` is what it was, as no instruction begins elsewhere, but `cfg` reads code too.
#[test]
fn a_changed_constant_in_an_instruction_runs_what_reads_code() {
    let mut workbench = Workbench::new();
    let before = workbench.cfg();
    // mov edx, 6 becomes mov edx, 7.
    let ran = workbench.ran_after(|file| file.content(TEXT, 0x0d, &[7]));
    assert_eq!(ran, ALL);
    assert_eq!(workbench.cfg(), before);
}

#[test]
fn a_changed_branch_runs_everything() {
    let mut workbench = Workbench::new();
    let before = workbench.cfg();
    // The loop begins an instruction later.
    let ran = workbench.ran_after(|file| file.content(TEXT, 0xc0, &(-0x15_i32).to_le_bytes()));
    assert_eq!(ran, ALL);
    assert_ne!(workbench.cfg(), before);
}

#[test]
fn a_moved_function_runs_everything() {
    let ran = Workbench::new().ran_after(|file| file.symbol(SYMTAB, 3, symbol::VALUE, 0x40_1091));
    assert_eq!(ran, ALL);
}

#[test]
fn an_edit_and_its_undoing_give_the_first_result() {
    let mut workbench = Workbench::new();
    let before = workbench.ask();
    // sub rsp, 0x10 becomes sub rsp, rax.
    workbench.ran_after(|file| file.content(TEXT, 0x34, &[0x48, 0x29, 0xc4, 0x90]));
    assert_ne!(workbench.ask(), before);
    workbench.ran_after(|file| file.content(TEXT, 0x34, &[0x48, 0x83, 0xec, 0x10]));
    assert_eq!(workbench.ask(), before);
}
