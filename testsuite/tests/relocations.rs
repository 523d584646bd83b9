//! The dynamic relocations of a linked file, in every packing, are those that `llvm-readobj` prints.

use binframe_testsuite::lowering::tables;
use binframe_testsuite::mutation::without_sections;
use binframe_testsuite::{programs, tools};
use bytes::Bytes;
use std::fs;
use std::path::Path;

const SOURCE: &str = "
extern int puts(const char *);
static int numbers[40];
int *table[] = {numbers, numbers + 1, numbers + 2, numbers + 3, numbers + 5, numbers + 8, numbers + 13};
int (*function)(const char *) = puts;
__attribute__((constructor)) static void start(void) { puts(\"start\"); }
int run(void) { return puts(\"text\") + *table[3]; }
";

/// Address, symbol and addend of each relocation; sorted, since a packing may reorder them.
type Rows = Vec<(u64, String, Option<u64>)>;

fn found(file: &Bytes) -> (Rows, usize) {
    let linkage = tables(file).lowered.linkage;
    let rows = linkage.relocations.columns();
    // A packed relative relocation has its addend in the field.
    let mut found: Rows = rows
        .iter()
        .map(|row| {
            let addend = row.addend.filter(|_| row.relocation_type != "RELR");
            (row.address, row.symbol_name.unwrap_or("-").to_owned(), addend.map(|addend| addend as u64))
        })
        .collect();
    found.sort();
    (found, linkage.initializers.len())
}

/// Lines such as `0x24B0 R_X86_64_RELATIVE - 0x1480`.
fn expected(path: &Path) -> Option<Rows> {
    let printed = tools::print(&tools::find("llvm-readobj")?, &["--relocations"], path)?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number");
    let mut rows: Rows = printed
        .lines()
        .filter(|line| line.trim_start().starts_with("0x"))
        .map(|line| {
            let mut words = line.split_whitespace();
            let (address, kind, symbol) = (words.next(), words.next(), words.next());
            assert!(kind.is_some_and(|kind| kind.starts_with("R_")), "{line}");
            (
                number(address.expect("an address")),
                symbol.expect("a symbol").to_owned(),
                words.next().map(number),
            )
        })
        .collect();
    rows.sort();
    Some(rows)
}

#[test]
fn every_packing_has_the_relocations_that_readobj_prints() {
    for target in ["x86_64", "i686", "aarch64", "armv7", "riscv64"] {
        for packing in ["none", "android", "relr", "android+relr"] {
            let name = format!("packed-{target}-{packing}");
            let target = format!("--target={target}-linux-android29");
            let packing = format!("-Wl,--pack-dyn-relocs={packing}");
            let flags = [
                target.as_str(),
                &packing,
                "-fuse-ld=lld",
                "-nostdlib",
                "-shared",
                "-fPIC",
                "-O1",
                "-Wl,--use-android-relr-tags",
            ];
            let Some(path) = programs::compile_c_with("clang", &name, SOURCE, &flags) else { return };
            let Some(expected) = expected(&path) else { return };
            assert!(expected.len() > 9, "{name}: {expected:?}");
            let file = Bytes::from(fs::read(&path).expect("it was compiled"));
            for (kind, file) in
                [("whole", file.clone()), ("without sections", without_sections(&file).into())]
            {
                let (found, initializers) = found(&file);
                let pairs = found.iter().zip(&expected);
                let differs = pairs.filter(|(found, expected)| {
                    // Where the addend is in the field, `llvm-readobj` may print it all the same.
                    (found.0, &found.1) != (expected.0, &expected.1)
                        || found.2.is_some_and(|addend| expected.2.is_some_and(|other| addend != other))
                });
                assert_eq!(differs.collect::<Vec<_>>(), [], "{name} {kind}");
                assert_eq!(found.len(), expected.len(), "{name} {kind}");
                assert_eq!(initializers, 1, "{name} {kind}");
            }
        }
    }
}
