//! Exception call sites are equal to those in the compiler's assembly.

use binframe::ir::tables::BinaryExceptionCallSite;
use binframe::passes::file::{exceptions, sections};
use binframe_testsuite::lowering::tables;
use binframe_testsuite::{programs, tools};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Addresses by label.
type Labels = BTreeMap<String, u64>;

/// Start, size, landing pad, action.
type CallSite = (u64, u64, Option<u64>, u64);

const SOURCE: &str = r#"
    #include <stdexcept>
    #include <string>
    #include <vector>
    struct Named { std::string name; Named(const char *text); ~Named(); };
    Named::Named(const char *text) : name(text) {}
    Named::~Named() {}
    int checked(int count) {
        try {
            Named named("x");
            if (count > 3) throw std::runtime_error("too many");
            return (int)named.name.size();
        } catch (std::runtime_error &error) { return 1; } catch (int number) { return number; } catch (...) { throw; }
    }
    int quiet(int count) noexcept { return checked(count) + 1; }
    int main(int count, char **arguments) {
        try {
            std::vector<Named> all;
            all.emplace_back(arguments[0]);
            return quiet(count) + (int)all.size();
        } catch (...) { return 9; }
    }
"#;

#[test]
fn call_sites_match_the_assembly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("program.cpp"), SOURCE).expect("the temporary folder is writable");
    let run = |program: &str, arguments: &[&str]| {
        let Some(program) = tools::find(program) else { return false };
        let output = tools::output(Command::new(program).args(arguments).current_dir(folder.path()));
        output.is_some_and(|output| output.status.success())
    };
    for compiler in ["g++", "clang++"] {
        for level in ["-O0", "-O2", "-Os"] {
            // Local labels are retained, so that `nm` prints their addresses after linking.
            let is_built =
                run(compiler, &[level, "-fno-integrated-as", "-S", "program.cpp", "-o", "program.s"])
                    || run(compiler, &[level, "-S", "program.cpp", "-o", "program.s"]);
            let is_built = is_built
                && run("as", &["-L", "program.s", "-o", "program.o"])
                && run("g++", &["program.o", "-o", "program"]);
            if !is_built {
                continue;
            }
            // In the object, addresses are relative to the sections.
            for file in ["program.o", "program"] {
                let Some(labels) = tools::print("nm", &[], &path(file)) else { continue };
                let labels = labels.lines().filter_map(label).collect();
                let assembly = fs::read_to_string(path("program.s")).expect("the compiler wrote it");
                let expected = call_sites_of_assembly(&assembly, &labels);
                assert!(expected.len() > 8, "{compiler} {level} {file}");
                let found: BTreeSet<_> = own(&path(file)).iter().map(call_site).collect();
                let missing: Vec<_> = expected.difference(&found).collect();
                assert!(missing.is_empty(), "{compiler} {level} {file}: {missing:x?}");
                assert_eq!(expected.len(), found.len(), "{compiler} {level} {file}");
            }
        }
    }
}

fn own(path: &Path) -> Vec<BinaryExceptionCallSite> {
    let file = Bytes::from(fs::read(path).expect("the file can be read"));
    let found = exceptions::run(&file, &sections::run(&file, 0).expect("an executable"));
    assert!(found.diagnostics.is_empty(), "{}", path.display());
    found.call_sites.columns().iter().collect()
}

fn call_site(row: &BinaryExceptionCallSite) -> CallSite {
    (row.address, row.size, row.landing_pad_address, row.action)
}

/// `0000000000401136 t .LEHB0`.
fn label(line: &str) -> Option<(String, u64)> {
    let (address, rest) = line.split_once(' ')?;
    Some((rest.split_once(' ')?.1.to_owned(), u64::from_str_radix(address, 16).ok()?))
}

/// Call sites in the LSDAs of the assembly: after the size, four operands for each call site.
fn call_sites_of_assembly(assembly: &str, labels: &Labels) -> BTreeSet<CallSite> {
    let mut call_sites = BTreeSet::new();
    let mut lines = assembly.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    while let Some(line) = lines.next() {
        // Labels of GCC and LLVM at the first call site.
        if !line.starts_with(".LLSDACSB") && !line.starts_with(".Lcst_begin") {
            continue;
        }
        let fields = lines
            .by_ref()
            .take_while(|line| !line.starts_with(".LLSDACSE") && !line.starts_with(".Lcst_end"));
        let fields: Vec<_> =
            fields.map(|line| line.split_whitespace().last().expect("a directive's value")).collect();
        for fields in fields.chunks_exact(4) {
            let number = |field: &str| match field.split_once('-') {
                Some((label, base)) => labels[label] - labels[base],
                None => field
                    .strip_prefix("0x")
                    .map_or_else(|| field.parse(), |digits| u64::from_str_radix(digits, 16))
                    .expect("a number"),
            };
            let function = fields[0].split_once('-').expect("the distance to the function").1;
            let landing_pad = number(fields[2]);
            call_sites.insert((
                labels[function] + number(fields[0]),
                number(fields[1]),
                (landing_pad != 0).then_some(labels[function] + landing_pad),
                number(fields[3]),
            ));
        }
    }
    call_sites
}

#[test]
fn landing_pads_are_at_instructions_of_their_functions() {
    let path = programs::compile_rust("tokens", programs::TOKENS_RS, &["-O"]);
    let tables = tables(&Bytes::from(fs::read(&path).expect("the file can be read")));
    let entries = tables.lowered.sections.unwind_entries.columns();
    let sizes: BTreeMap<u64, u64> = entries.iter().map(|entry| (entry.address, entry.size)).collect();
    let instructions = tables.instructions.columns();
    let call_sites = own(&path);
    // The standard library is statically linked.
    assert!(call_sites.len() > 300, "{}", call_sites.len());
    for row in call_sites {
        let end_address = row.function_address + sizes[&row.function_address];
        assert!(row.function_address <= row.address && row.address + row.size <= end_address, "{row:x?}");
        let Some(landing_pad) = row.landing_pad_address else { continue };
        assert!((row.function_address..end_address).contains(&landing_pad), "{row:x?}");
        assert!(instructions.address.binary_search(&landing_pad).is_ok(), "{row:x?}");
    }
}
