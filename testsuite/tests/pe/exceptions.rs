//! Exception call sites of PE files and COFF objects are equal to those in the compiler's assembly, for the table
//! formats of Microsoft and MinGW, in objects and linked files, with and without symbols.

use super::tools::Folder;
use super::{bytes, lowered};
use binframe::ir::tables::{BinaryExceptionCallSite, DiagnosticCode};
use binframe::passes::file::exceptions::{self, ExceptionsIr};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Addresses by label.
type Labels = BTreeMap<String, u64>;

/// Start, size, landing pad, action.
type CallSite = (u64, u64, Option<u64>, u64);

const SCOPES_C: &str = "
int filter(int); int work(int); void done(int);
int guarded(int a) {
    int r = 0;
    __try { r = work(a); __try { r += work(r); } __finally { done(r); } } __except (filter(a)) { r = -1; }
    return r;
}
int always(int a) { __try { return work(a); } __except (1) { return 3; } }
int plain(int a) { return work(a) + 1; }
";

const STATES_CPP: &str = "
struct S { ~S(); int v; };
int f(int);
int g(int a) {
    S s;
    try { S t; a += f(a); try { a = f(a + 1); } catch (char c) { a += c; } }
    catch (int e) { return f(e); }
    catch (...) { a = 7; }
    return f(a) + 1;
}
int h(int a) { S s; return f(a); }
";

/// Functions called by the others, and their handlers.
const CALLED_S: &str = r#"
	.globl __C_specific_handler, __CxxFrameHandler3, filter, work, done, "?f@@YAHH@Z", "??1S@@QEAA@XZ", "??_7type_info@@6B@"
	.def __C_specific_handler; .scl 2; .type 32; .endef
__C_specific_handler: ret
	.def __CxxFrameHandler3; .scl 2; .type 32; .endef
__CxxFrameHandler3: ret
	.globl other_handler
	.def other_handler; .scl 2; .type 32; .endef
other_handler: ret
filter: work: done: "?f@@YAHH@Z": "??1S@@QEAA@XZ": "??_7type_info@@6B@": ret
	.seh_proc strange
strange:
	.seh_handler other_handler, @except
	nop
	.seh_endprologue
	ret
	.seh_handlerdata
	.long 77
	.text
	.seh_endproc
"#;

const CLEANUP_C: &str = "
int work(int); void note(int *);
static void done(int *p) { note(p); }
int guarded(int a) {
    __attribute__((cleanup(done))) int x = a;
    { __attribute__((cleanup(done))) int y = work(x); x += work(y); }
    return work(x) + 1;
}
int second(int a) { __attribute__((cleanup(done))) int x = work(a); return work(x + 2); }
";

const CLEANUP_MAIN_C: &str = "
int work(int a) { return a + 1; }
void note(int *p) { (*p)++; }
int guarded(int), second(int);
int main(int n, char **v) { return guarded(n) + second(n); }
";

fn own(path: &Path) -> ExceptionsIr {
    exceptions::run(&bytes(path), &lowered(path).lowered.sections)
}

fn call_sites(path: &Path) -> Vec<CallSite> {
    let call_site =
        |row: BinaryExceptionCallSite| (row.address, row.size, row.landing_pad_address, row.action);
    let mut call_sites: Vec<_> = own(path).call_sites.columns().iter().map(call_site).collect();
    call_sites.sort_unstable();
    call_sites
}

fn labels(path: &Path) -> Labels {
    let tables = lowered(path);
    let symbols = tables.lowered.sections.symbols.columns();
    symbols.iter().map(|symbol| (symbol.symbol_name.to_owned(), symbol.symbol_address)).collect()
}

/// Operands of the `.long` directives right after each matching line.
fn values(assembly: &str, is_line: impl Fn(&str) -> bool) -> Vec<Vec<&str>> {
    let mut lines = assembly.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if !is_line(line) {
            continue;
        }
        let mut values = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("\t.long\t")) {
            values.push(line["\t.long\t".len()..].split("# ").next().expect("the value").trim());
        }
        found.push(values);
    }
    found
}

/// Operands right after a label.
fn table<'a>(assembly: &'a str, label: &str) -> Vec<&'a str> {
    values(assembly, |line| line.split("# ").next() == Some(&format!("\"{label}\":"))).remove(0)
}

/// Evaluates `.Ltmp0@IMGREL+1`, `("$tryMap$x")@IMGREL` or `16`.
fn value(text: &str, labels: &Labels) -> u64 {
    match text.split_once("@IMGREL") {
        Some((label, added)) => {
            let label = label.trim_matches(['(', ')', '"']);
            labels[label] + added.strip_prefix('+').map_or(0, |number| number.parse().expect("a number"))
        }
        None => text.parse::<i64>().expect("a number").cast_unsigned(),
    }
}

/// Call sites in LLVM's scope tables (`__C_specific_handler`).
fn scopes(assembly: &str, labels: &Labels) -> Vec<CallSite> {
    let mut scopes = Vec::new();
    for values in values(assembly, |line| line.starts_with("scopes_lsda_begin")) {
        for scope in values.chunks_exact(4) {
            let [begin, end, decider, block] = [0, 1, 2, 3].map(|field| value(scope[field], labels));
            let (landing_pad, action) = if block == 0 { (decider, 0) } else { (block, decider) };
            scopes.push((begin, end - begin, Some(landing_pad), action));
        }
    }
    scopes.sort_unstable();
    scopes
}

/// Call sites in the state tables of a C++ function, for code ranges with unwind entries.
fn states(assembly: &str, function: &str, labels: &Labels, ranges: &[(u64, u64)]) -> Vec<CallSite> {
    let map = |kind: &str| table(assembly, &format!("${kind}${function}"));
    let number = |text: &str| value(text, labels).cast_signed();
    let addresses = map("ip2state");
    let addresses: Vec<_> =
        addresses.chunks_exact(2).map(|entry| (value(entry[0], labels), number(entry[1]))).collect();
    let outside: Vec<_> = map("stateUnwindMap");
    let outside: Vec<_> =
        outside.chunks_exact(2).map(|entry| (number(entry[0]), value(entry[1], labels))).collect();
    let has_tries = assembly.contains(&format!("\"$tryMap${function}\":"));
    let tries = if has_tries { map("tryMap") } else { Vec::new() };
    let mut catches = Vec::new();
    for (index, entry) in tries.chunks_exact(5).enumerate() {
        for catch in table(assembly, &format!("$handlerMap${index}${function}")).chunks_exact(5) {
            catches.push((number(entry[0])..=number(entry[1]), value(catch[3], labels)));
        }
    }
    let mut call_sites = Vec::new();
    for (start, end) in ranges {
        for (index, (address, state)) in addresses.iter().enumerate() {
            let next = addresses.get(index + 1).map_or(u64::MAX, |next| next.0);
            let (address, behind) = (*address.max(start), next.min(*end));
            if address >= behind {
                continue;
            }
            let mut add = |landing_pad, action| {
                call_sites.push((address, behind - address, Some(landing_pad), action));
            };
            for (action, (states, catch)) in (1..).zip(&catches) {
                if states.contains(state) {
                    add(*catch, action);
                }
            }
            let mut state = *state;
            while let Some((next, action)) = usize::try_from(state).ok().map(|state| outside[state]) {
                if action != 0 {
                    add(action, 0);
                    break;
                }
                state = next;
            }
        }
    }
    call_sites
}

/// Code ranges of a function and of its `catch` funclets.
fn ranges(path: &Path, names: &Labels, function: &str) -> Vec<(u64, u64)> {
    let tables = lowered(path);
    let is_part = |address: u64| {
        let mut names = names.iter().filter(|(_, of)| **of == address).map(|(name, _)| name);
        names.any(|name| name == function || name.starts_with("?catch$") && name.contains(&function[1..]))
    };
    let entries = tables.lowered.sections.unwind_entries.columns();
    let parts = entries.iter().filter(|entry| is_part(entry.address));
    parts.map(|entry| (entry.address, entry.address + entry.size)).collect()
}

#[test]
fn scopes_and_states_match_the_assembly() {
    for level in ["-O0", "-O1", "-O2"] {
        let folder =
            Folder::with(&[("scopes.c", SCOPES_C), ("states.cpp", STATES_CPP), ("called.s", CALLED_S)]);
        let compile = format!("clang --target=x86_64-pc-windows-msvc {level}");
        let is_there = folder.run(&format!("{compile} -fms-extensions -S scopes.c -o scopes.s")).is_some();
        let exceptions = "-fexceptions -fcxx-exceptions -S states.cpp -o states.s";
        if !is_there || folder.run(&format!("{compile} {exceptions}")).is_none() {
            return;
        }
        // Local labels are renamed, so that the symbol table contains their addresses.
        let mut assembly = BTreeMap::new();
        for name in ["scopes", "states"] {
            let path = folder.path(&format!("{name}.s"));
            let text =
                fs::read_to_string(&path).expect("the compiler wrote it").replace(".L", &format!("{name}_"));
            fs::write(path, &text).expect("the temporary folder is writable");
            folder.run(&format!("{compile} -c {name}.s -o {name}.obj"));
            assembly.insert(name, text);
        }
        let expected = |path: &Path, labels: &Labels, name: &str| match name {
            "scopes" => scopes(&assembly[name], labels),
            _ => {
                let of =
                    |function| states(&assembly[name], function, labels, &ranges(path, labels, function));
                let mut call_sites = [of("?g@@YAHH@Z"), of("?h@@YAHH@Z")].concat();
                call_sites.sort_unstable();
                call_sites
            }
        };
        for name in ["scopes", "states"] {
            let path = folder.path(&format!("{name}.obj"));
            let expected = expected(&path, &labels(&path), name);
            assert!(expected.len() >= 4, "{name} {level}: {expected:x?}");
            assert_eq!(call_sites(&path), expected, "{name} {level}");
        }
        folder.run(&format!("{compile} -c called.s -o called.obj"));
        let link =
            "lld-link /nodefaultlib /entry:guarded /subsystem:console scopes.obj states.obj called.obj";
        folder.run(&format!("{link} /debug:symtab /out:named.exe"));
        folder.run(&format!("{link} /out:nameless.exe"));
        let (named, nameless) = (folder.path("named.exe"), folder.path("nameless.exe"));
        let labels = labels(&named);
        let mut expected =
            [expected(&named, &labels, "scopes"), expected(&named, &labels, "states")].concat();
        expected.sort_unstable();
        assert_eq!(call_sites(&named), expected, "named {level}");
        assert_eq!(call_sites(&nameless), expected, "nameless {level}");
        // One handler has an unknown kind. Without its name, its data is read as that of a stack-cookie check.
        let codes = |path| own(path).diagnostics.columns().iter().map(|row| row.code).collect::<Vec<_>>();
        assert_eq!(codes(&named), [DiagnosticCode::UnreadExceptionTable]);
        assert_eq!(codes(&nameless), []);
    }
}

/// Call sites in LSDAs of the assembly: after the size, four operands for each call site.
fn landing_pads(assembly: &str, labels: &Labels) -> Vec<CallSite> {
    let mut call_sites = Vec::new();
    let mut lines = assembly.lines().map(str::trim);
    while lines.by_ref().any(|line| line.starts_with(".LLSDACSB")) {
        let fields = lines.by_ref().map_while(|line| line.strip_prefix(".uleb128 ")).collect::<Vec<_>>();
        for fields in fields.chunks_exact(4) {
            let number = |field: &str| match field.split_once('-') {
                Some((label, base)) => labels[label] - labels[base],
                None => field.parse().expect("a number"),
            };
            let function = labels[fields[0].split_once('-').expect("the distance to the function").1];
            let landing_pad = Some(number(fields[2])).filter(|landing_pad| *landing_pad != 0);
            let landing_pad = landing_pad.map(|landing_pad| function + landing_pad);
            call_sites.push((
                function + number(fields[0]),
                number(fields[1]),
                landing_pad,
                number(fields[3]),
            ));
        }
    }
    call_sites.sort_unstable();
    call_sites
}

#[test]
fn landing_pads_of_mingw_match_the_assembly() {
    for level in ["-O0", "-O1", "-O2"] {
        let folder = Folder::with(&[("cleanup.c", CLEANUP_C), ("main.c", CLEANUP_MAIN_C)]);
        let gcc = format!("x86_64-w64-mingw32-gcc {level} -fexceptions");
        if folder.run(&format!("{gcc} -S cleanup.c -o cleanup.s")).is_none() {
            return;
        }
        folder.run(&format!("{gcc} -c -Wa,-L cleanup.s -o cleanup.o"));
        folder.run(&format!("{gcc} main.c cleanup.o -o named.exe"));
        folder.run("x86_64-w64-mingw32-strip named.exe -o nameless.exe");
        let assembly = fs::read_to_string(folder.path("cleanup.s")).expect("the compiler wrote it");
        let object = folder.path("cleanup.o");
        let expected = landing_pads(&assembly, &labels(&object));
        assert!(expected.len() > 5);
        assert_eq!(call_sites(&object), expected, "{level}");
        let expected = landing_pads(&assembly, &labels(&folder.path("named.exe")));
        let found = call_sites(&folder.path("named.exe"));
        let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        assert!(missing.is_empty(), "{level}: {missing:x?}");
        // Other rows are from the start files, which have one filter function.
        assert!(found.iter().filter(|row| !expected.contains(row)).all(|row| row.3 > 1), "{level}");
        assert_eq!(call_sites(&folder.path("nameless.exe")), found, "{level}");
    }
}
