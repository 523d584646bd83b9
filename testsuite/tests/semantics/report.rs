//! Runs forms of instructions, and reports how many cases of each differ.

use crate::comparison::{self, Verdict};
use crate::forms::{self, Form, Forms};
use crate::inputs;
use crate::native::{CODE, Processor};
use binframe::passes::isa::Isa;
use binframe::passes::isa::ops::{Flag, Operation, Ops, Place};
use binframe_testsuite::random::Random;
use binframe_testsuite::semantics::verify;
use iced_x86::Mnemonic;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Programs of the machine, in both modes. Those that are missing are left out.
const PROGRAMS: &[&str] = &[
    "/usr/bin/bash",
    "/usr/bin/git",
    "/usr/local/bin/git",
    "/usr/bin/gdb",
    "/usr/bin/python3",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/lib/x86_64-linux-gnu/libgcrypt.so.20",
    "/lib/x86_64-linux-gnu/libquadmath.so.0",
    "/usr/lib32/libc.so.6",
    "/usr/lib32/libm.so.6",
    "/usr/lib32/libstdc++.so.6",
    "/usr/lib32/libquadmath.so.0",
];

/// What was found of one form.
#[derive(Default)]
struct Row {
    name: String,
    count: usize,
    is_exact: bool,
    cases: usize,
    faults: usize,
    unknown: BTreeMap<&'static str, usize>,
    mismatches: usize,
    first: String,
    skipped: &'static str,
}

/// Runs cases of a form.
fn run(processor: &mut Processor, name: &str, form: &Form, is_32: bool, count: usize) -> Row {
    let isa = if is_32 { Isa::X86 } else { Isa::X86_64 };
    let mode = if is_32 { "32-bit " } else { "" };
    let mut row =
        Row { name: format!("{mode}{name}"), count: form.count, skipped: form.skipped, ..Row::default() };
    let mut ops = Ops::default();
    let first = &form.encodings[0];
    row.is_exact = isa.ops(first, CODE, &mut ops).is_some() && !ops.has_opaque();
    if !form.skipped.is_empty() {
        return row;
    }
    let mut facts = forms::facts();
    let mut hasher = DefaultHasher::new();
    row.name.hash(&mut hasher);
    let seed = hasher.finish();
    for index in 0..count as u64 {
        let mut random = Random(seed ^ index.wrapping_mul(0x1234_5678_9abc_def1));
        let (bytes, instruction) = inputs::encoding(&form.encodings, name, is_32, &mut random);
        let case = inputs::case(bytes, instruction, is_32, &mut facts, &mut random);
        isa.ops(&case.bytes, CODE, &mut ops).expect("the encoding is valid");
        let verdict = match broken_rule(&ops, &case) {
            Some(rule) => Verdict::Different(rule),
            None => comparison::compare(processor, &case, &ops, is_32, random.number()),
        };
        row.cases += 1;
        match verdict {
            Verdict::Same => {}
            Verdict::SameFault => row.faults += 1,
            Verdict::Unknown(reason) => {
                *row.unknown.entry(reason).or_default() += 1;
                if reason == "this processor does not have it" {
                    row.skipped = reason;
                    row.cases = 0;
                    return row;
                }
            }
            Verdict::Different(difference) => {
                row.mismatches += 1;
                if row.first.is_empty() {
                    let text = isa.disassemble(&case.bytes, CODE);
                    let state = comparison::text(&case.machine);
                    let bytes = &case.bytes;
                    row.first =
                        format!("case {index}: {text} ({bytes:02x?})\n    {difference}\n    before: {state}");
                }
            }
        }
    }
    row
}

/// The rule of the language that the ops of a case break.
fn broken_rule(ops: &Ops, case: &inputs::Case) -> Option<String> {
    if let Err(rule) = verify(ops) {
        return Some(rule);
    }
    let undefined = case.instruction.rflags_undefined();
    for op in ops.as_slice().iter().filter(|op| op.operation == Operation::Undefined) {
        if let Place::Flags(flags) = op.place {
            // Undefined in the manual, but not in iced's sets: carry after shifts beyond the width, and overflow after
            // rotations through the carry that are masked to 0.
            let is_missing = |flag: &Flag| match case.instruction.mnemonic() {
                Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr => *flag == Flag::Carry,
                Mnemonic::Rcl | Mnemonic::Rcr => *flag == Flag::Overflow,
                _ => false,
            };
            let is_defined = |flag: &_| undefined & comparison::rflags_bit(*flag) == 0 && !is_missing(flag);
            if let Some(flag) = flags.iter().find(is_defined) {
                return Some(format!("{flag:?} is undefined, but not in the manual"));
            }
        }
    }
    None
}

/// Compares every form whose name contains a pattern, and prints the rows; the number of mismatches.
fn compare(all: &[Forms], count: usize, pattern: &str, prints_all: bool) -> (usize, usize) {
    let mut processor = match Processor::new() {
        Ok(processor) => processor,
        Err(error) => {
            println!("skipped: {error}");
            return (0, 0);
        }
    };
    let start = std::time::Instant::now();
    let mut rows = Vec::new();
    for forms in all {
        for (name, form) in forms.by_name.iter().filter(|(name, _)| name.contains(pattern)) {
            rows.push(run(&mut processor, name, form, forms.is_32, count));
        }
    }
    drop(processor);
    rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    for row in rows.iter().filter(|row| prints_all || row.mismatches > 0) {
        let kind = if row.is_exact { "exact" } else { "opaque" };
        let Row { name, count, cases, faults, mismatches, .. } = row;
        print!(
            "{count:>9}  {kind:6}  {cases:>6} cases  {faults:>5} faults  {mismatches:>6} mismatches  {name}"
        );
        for (reason, count) in &row.unknown {
            print!("  ({count}: {reason})");
        }
        println!("{}{}", if row.skipped.is_empty() { "" } else { "  skipped: " }, row.skipped);
        if !row.first.is_empty() {
            println!("    {}", row.first);
        }
    }
    summary(&rows, start.elapsed());
    (rows.iter().filter(|row| row.cases > 0).count(), rows.iter().map(|row| row.mismatches).sum())
}

/// Prints what was compared, what was skipped, and how many instructions have an exact meaning.
fn summary(rows: &[Row], time: std::time::Duration) {
    let sum = |value: &dyn Fn(&Row) -> usize| rows.iter().map(value).sum::<usize>();
    let mut skipped: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.skipped.is_empty()) {
        let (forms, instructions) = skipped.entry(row.skipped).or_default();
        *forms += 1;
        *instructions += row.count;
    }
    for (reason, (forms, instructions)) in skipped {
        println!("skipped: {forms} forms, {instructions} instructions: {reason}");
    }
    let mut wrong = Vec::new();
    rows.iter().filter(|row| row.mismatches > 0).for_each(|row| wrong.push(row.name.as_str()));
    if !wrong.is_empty() {
        println!("forms with mismatches: {wrong:?}");
    }
    let instructions = sum(&|row| row.count);
    let exact = sum(&|row| if row.is_exact { row.count } else { 0 });
    let ten_thousandths = exact * 10_000 / instructions.max(1);
    println!(
        "{} forms compared ({} exact), {} of {} instructions ({}.{:02}%) are exact; {} cases, {} faults, {} mismatches, {time:.1?}",
        rows.iter().filter(|row| row.cases > 0).count(),
        rows.iter().filter(|row| row.cases > 0 && row.is_exact).count(),
        exact,
        instructions,
        ten_thousandths / 100,
        ten_thousandths % 100,
        sum(&|row| row.cases),
        sum(&|row| row.faults),
        sum(&|row| row.mismatches),
    );
}

fn collect(programs: &[&str]) -> [Forms; 2] {
    let paths: Vec<&Path> = programs.iter().map(Path::new).collect();
    [false, true].map(|is_32| forms::collect(&paths, is_32))
}

#[test]
fn a_wrong_meaning_is_noticed() {
    let Ok(mut processor) = Processor::new() else { return };
    let mut ops = Ops::default();
    // What runs, what is claimed that it is, and what is noticed.
    let cases: [(&[u8], &[u8], &str); 6] = [
        (&[0x01, 0xc8], &[0x29, 0xc8], "rax"),
        (&[0x90], &[0xf9], "Carry"),
        (&[0xf7, 0xf0], &[0x66, 0x90], "continues"),
        (&[0xeb, 0x05], &[0xeb, 0x07], "continues"),
        (&[0x0f, 0x28, 0xc1], &[0x0f, 0x28, 0xd1], "ymm0"),
        (&[0x50], &[0x51], "memory"),
    ];
    for (bytes, claimed, noticed) in cases {
        let mut differences = Vec::new();
        for seed in 0..20 {
            let instruction = forms::decode(bytes, CODE, false).expect("it is valid");
            let mut facts = forms::facts();
            let case = inputs::case(bytes.to_vec(), instruction, false, &mut facts, &mut Random(seed));
            Isa::X86_64.ops(bytes, CODE, &mut ops).expect("it is valid");
            let verdict = comparison::compare(&mut processor, &case, &ops, false, seed);
            assert!(matches!(verdict, Verdict::Same | Verdict::SameFault), "{bytes:02x?}");
            Isa::X86_64.ops(claimed, CODE, &mut ops).expect("it is valid");
            if let Verdict::Different(difference) =
                comparison::compare(&mut processor, &case, &ops, false, seed)
            {
                differences.push(difference);
            }
        }
        assert!(differences.iter().any(|text| text.starts_with(noticed)), "{bytes:02x?}: {differences:?}");
    }
}

#[test]
fn forms_of_the_machine_are_as_the_processor_does() {
    let Ok(count) = std::env::var("BINFRAME_SEMANTICS") else { return };
    let count = count.parse().expect("the number of cases");
    let pattern = std::env::var("BINFRAME_SEMANTICS_FORM").unwrap_or_default();
    let (_, mismatches) = compare(&collect(PROGRAMS), count, &pattern, true);
    assert_eq!(mismatches, 0, "the processor disagrees");
}

#[test]
fn forms_of_two_programs_are_as_the_processor_does() {
    let (forms, mismatches) =
        compare(&collect(&["/usr/bin/bash", "/lib/x86_64-linux-gnu/libm.so.6"]), 50, "", false);
    println!("{forms} forms");
    assert_eq!(mismatches, 0, "the processor disagrees");
}
