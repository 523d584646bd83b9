//! Names of C++ are demangled as LLVM's tools do.

use binframe::passes::demangled;
use binframe::passes::file::sections;
use binframe_testsuite::tools;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// Libraries with many names: that of C++, and those that LLVM's tools are made of.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/usr/lib/llvm-19/lib/libclang-cpp.so.19.1",
    "/usr/lib/llvm-19/lib/libLLVM.so.19.1",
];

/// Text of each name. `None`, with a message, if the tool is not installed.
fn llvm(names: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut command = Command::new(tools::find("llvm-cxxfilt")?);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the tool is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text: String = names.iter().map(|name| name.clone() + "\n").collect();
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the tool exits");
    writer.join().expect("the thread does not panic").expect("the tool reads its input");
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn names_of_real_libraries_have_the_text_of_llvm() {
    let mut names = BTreeSet::new();
    for library in LIBRARIES.iter().filter(|library| Path::new(library).exists()) {
        let file = Bytes::from(fs::read(library).expect("the library can be read"));
        let symbols = sections::run(&file, 0).expect("a library").symbols;
        let mangled = symbols.columns().symbol_name.iter().flatten().filter(|name| name.starts_with("_Z"));
        names.extend(mangled.map(str::to_owned));
    }
    let Some(expected) = llvm(&names) else { return };
    assert_eq!(names.len(), expected.len());
    assert!(names.len() > 30_000, "{}", names.len());
    // The tool prints a name as it is if it cannot read it, as those of transactional memory.
    let differs = |(name, expected): &(&String, &String)| {
        demangled(name).as_ref() != Some(*expected) && name != expected
    };
    let different: Vec<_> = names.iter().zip(&expected).filter(differs).take(10).collect();
    assert!(different.is_empty(), "of {}: {different:#?}", names.len());
}
