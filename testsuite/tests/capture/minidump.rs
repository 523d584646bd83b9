//! Minidumps that crash reporters wrote: of Windows (dbghelp of Wine), and of Linux (the crate `minidump-writer`).
//! Expected values are those that the crate `minidump` and gdb printed.

use crate::{Captured, request};
use binframe::ir::tables::{
    CallStacks, LoadedModules, MemoryRegions, SnapshotReason, Snapshots, ThreadRegisters, Threads,
};
use binframe::{CaptureTarget, capture};
use binframe_testsuite::fixtures;
use std::fs;

/// The bytes of a committed minidump.
fn minidump(name: &str) -> Vec<u8> {
    let compressed = fixtures::file(name).expect("the fixture");
    zstd::decode_all(&*compressed).expect("the fixture is compressed")
}

fn captured(bytes: &[u8]) -> Captured {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("minidump");
    fs::write(&path, bytes).expect("the folder is writable");
    Captured::of(|_| {}, CaptureTarget::Minidump(path))
}

#[test]
fn a_minidump_of_windows_has_modules_threads_and_the_exception() {
    let captured = captured(&minidump("windows.dmp.zst"));
    let snapshots = captured.rows::<Snapshots>();
    assert_eq!(snapshots.columns().row(0).reason, SnapshotReason::Minidump);
    let modules = captured.rows::<LoadedModules>();
    let modules: Vec<_> = modules.columns().iter().collect();
    let program = modules.iter().find(|module| module.is_program).expect("the program");
    assert_eq!((program.address, program.size), (0x1_4000_0000, 0x23000));
    assert!(program.module_path.ends_with("dump.exe"), "{program:?}");
    assert_eq!((program.load_bias, program.build_id), (None, None));
    assert!(
        modules.iter().any(|module| module.module_path.ends_with("ntdll.dll") && module.size == 0x36_1000)
    );
    let threads = captured.rows::<Threads>();
    let threads: Vec<_> = threads.columns().iter().collect();
    let crashed = threads.iter().find(|thread| thread.signal.is_some()).expect("the thread that crashed");
    assert_eq!((crashed.signal, crashed.fault_address), (Some(0xc000_0005), Some(0x1234)));
    assert_eq!(crashed.program_counter, 0x1_4000_15f5);
    let registers = captured.rows::<ThreadRegisters>();
    let value = |name: &str| {
        let mut own = registers.columns().iter().filter(|register| register.thread_id == crashed.thread_id);
        own.find(|register| register.register_name == name).map(|register| register.value)
    };
    // The argument of the function that crashed.
    assert_eq!(value("rcx"), Some(0x1234));
    assert_eq!(value("rip"), Some(crashed.program_counter));
    // The stack is in the file, and the return address on top of it is in the program.
    let top = captured.bytes(crashed.stack_pointer, 8);
    let caller = u64::from_le_bytes(top.try_into().expect("the stack"));
    assert!((0x1_4000_0000..0x1_4002_3000).contains(&caller), "{caller:#x}");
    let calls = captured.rows::<CallStacks>();
    let call = calls.columns().iter().find(|call| call.thread_id == crashed.thread_id).expect("a call");
    assert_eq!(call.module_address, Some(0x1_4000_0000));
}

#[test]
fn a_minidump_of_linux_is_unwound_with_the_file_of_its_build_id() {
    const BUILD_ID: &str = "bed8c23d198a050d661c629dba7ac245a290175b";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("minidump_target");
    let program = zstd::decode_all(&*fixtures::file("minidump_target.zst").expect("the fixture"));
    let program = program.expect("the fixture is compressed");
    fs::write(&path, &program).expect("the folder is writable");
    // The path in the minidump was made long, so that this one can take its place.
    let stated = format!("/tmp/{}/minidump_target", "x".repeat(100));
    let path = path.to_string_lossy().into_owned();
    let padded = format!("{}{path}", "/".repeat(stated.len() - path.len()));
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut bytes = minidump("linux.dmp.zst");
    let at = bytes.windows(utf16(&stated).len()).position(|window| window == utf16(&stated));
    let at = at.expect("the path of the module");
    bytes[at..at + 2 * stated.len()].copy_from_slice(&utf16(&padded));

    let named = captured(&bytes);
    let names: Vec<Vec<String>> = named.stacks().into_values().collect();
    // The first function does not say that it has no caller.
    assert_eq!(names[0][..6], ["waits", "waits", "waits", "waits", "run", "_start"]);
    let calls = named.rows::<CallStacks>();
    let addresses: Vec<u64> = calls.columns().iter().map(|call| call.program_counter).collect();
    assert_eq!(addresses[..6], [0x40_1025, 0x40_1032, 0x40_1032, 0x40_1032, 0x40_106c, 0x40_1089]);
    let modules = named.rows::<LoadedModules>();
    let program_row = modules.columns().iter().find(|module| module.is_program).expect("the program");
    assert_eq!((program_row.address, program_row.load_bias), (0x40_0000, Some(0)));
    assert_eq!(program_row.build_id, Some(BUILD_ID));
    let threads = named.rows::<Threads>();
    let thread = threads.columns().iter().next().expect("a thread");
    assert_eq!((thread.is_main, thread.signal), (true, None));
    assert_eq!(thread.thread_name, Some("minidump_target"));
    let regions = named.rows::<MemoryRegions>();
    let sites: Vec<_> = regions.columns().iter().filter_map(|region| region.allocation_site).collect();
    assert!(sites.contains(&"system: stack") && sites.contains(&"system: [vdso]"), "{sites:?}");

    // A file of another build lends no names.
    let mut other = program;
    let id = (0..BUILD_ID.len()).step_by(2).map(|at| u8::from_str_radix(&BUILD_ID[at..at + 2], 16));
    let id: Vec<u8> = id.map(|byte| byte.expect("hexadecimal")).collect();
    let at = other.windows(id.len()).position(|window| window == id).expect("its build id");
    other[at] ^= 1;
    fs::write(&path, other).expect("the folder is writable");
    let unnamed = captured(&bytes);
    assert!(unnamed.stacks().into_values().flatten().all(|name| name == "-"));
    let modules = unnamed.rows::<LoadedModules>();
    let program = modules.columns().iter().find(|module| module.is_program).expect("the program");
    assert_eq!((program.load_bias, program.build_id), (None, Some(BUILD_ID)));
}

#[test]
fn damaged_minidumps_are_read_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, output) = (folder.path().join("minidump"), folder.path().join("captured"));
    for (bytes, expected) in [
        (&b""[..], "expected 4d 44 4d 50 (MDMP) at 0x0, found nothing"),
        (b"\x7fELF", "expected 4d 44 4d 50 (MDMP) at 0x0, found 7f 45 4c 46"),
        (b"MDMP\x93\xa7\0\0", "expected a header of 32 bytes, found 8"),
        (
            b"MDMP\x93\xa7\0\0\x02\0\0\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "a directory of 2 entries at 0x20",
        ),
    ] {
        fs::write(&path, bytes).expect("the folder is writable");
        let target = CaptureTarget::Minidump(path.clone());
        let error = capture(&request(target, &output), &mut |_| {}).expect_err("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    for name in ["linux.dmp.zst", "windows.dmp.zst"] {
        crate::check_mutants(&minidump(name), 100, CaptureTarget::Minidump);
    }
}
