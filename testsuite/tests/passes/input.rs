//! `(blocks) -> file`: assembles, links and patches what a case has as its input.

use binframe_testsuite::patch::{Patch, header, section, segment, symbol};
use binframe_testsuite::{fixtures, programs, tools};
use object::{Object, ObjectSection, ObjectSymbol};
use std::fs;
use std::process::Command;

/// The blocks of a case's input.
#[derive(Default)]
pub(crate) struct Input {
    /// The words after the fence, and the lines.
    source: Option<(Vec<String>, String)>,
    /// Edits of the file that is made.
    patches: Vec<String>,
}

/// A file, and the same with symbols.
type Built = (Vec<u8>, Vec<u8>);

impl Input {
    /// Adds a fenced block: its info string, and its lines.
    pub(crate) fn add(&mut self, info: &str, text: String) -> Result<(), String> {
        if info == "patch" {
            self.patches.extend(text.lines().map(str::to_owned));
            return Ok(());
        }
        let words = info.split_whitespace().map(str::to_owned).collect();
        match self.source.replace((words, text)) {
            None => Ok(()),
            Some(_) => Err("there is an input already".to_owned()),
        }
    }

    /// Makes the file; `None`, after saying so, on a machine without a tool for it.
    pub(crate) fn build(&self) -> Result<Option<Built>, String> {
        let (words, text) = self.source.as_ref().ok_or("there is no input block")?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let built = match words.as_slice() {
            ["asm", architecture, flags @ ..] => assemble(architecture, text, flags)?,
            ["c", flags @ ..] => programs::compile_c("case", text, flags)
                .map(|path| fs::read(path).expect("it was compiled"))
                .map(alone),
            ["bytes"] => Some(alone(bytes(text)?)),
            ["fixture", name] => {
                Some(alone(fixtures::file(name).ok_or_else(|| format!("there is no fixture `{name}`"))?))
            }
            _ => return Err(format!("`{}` is none of asm, c, bytes, fixture and patch", words.join(" "))),
        };
        let Some((bytes, named)) = built else { return Ok(None) };
        let mut patch = Patch(bytes);
        for line in &self.patches {
            apply(&mut patch, &named, line).map_err(|error| format!("`{line}`: {error}"))?;
        }
        Ok(Some((patch.0, named)))
    }
}

fn alone(bytes: Vec<u8>) -> Built {
    (bytes.clone(), bytes)
}

/// What assembler and linker are told of a target: the assembler's option, the linker's emulation, and the format that the object is
/// converted to, if the linker expects another.
const TARGETS: [(&str, &str, &str, Option<&str>); 5] = [
    ("x86-64", "--64", "elf_x86_64", None),
    ("x86-64-x32", "--x32", "elf32_x86_64", None),
    ("x86-32", "--32", "elf_i386", None),
    ("x86-64-windows", "--64", "i386pep", Some("pe-x86-64")),
    ("x86-32-windows", "--32", "i386pe", Some("pe-i386")),
];

/// Assembles Intel syntax and links it with the given flags of `ld`, by the binutils that are installed.
fn assemble(target: &str, text: &str, flags: &[&str]) -> Result<Option<Built>, String> {
    let target =
        TARGETS.iter().find(|(name, ..)| *name == target).ok_or_else(|| format!("no target `{target}`"))?;
    let (_, bits, emulation, format) = *target;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("input.s"), format!(".intel_syntax noprefix; {text}"))
        .expect("the temporary folder is writable");
    let run = |tool: &str, arguments: &[&str]| match tools::output(
        Command::new(tool).args(arguments).current_dir(&folder),
    ) {
        Some(output) if !output.status.success() => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        output => Ok(output.is_some()),
    };
    let mut is_there = run("as", &[bits, "-o", "input.o", "input.s"])?;
    if let Some(format) = format.filter(|_| is_there) {
        is_there = run("objcopy", &["-O", format, "input.o"])?;
    }
    let is_symbolic = |flag: &&&str| **flag != "-s" && !flag.starts_with("--oformat");
    let symbolic: Vec<&str> = flags.iter().filter(is_symbolic).copied().collect();
    for (flags, output) in [(flags, "linked"), (&symbolic, "named")] {
        let fixed = ["-m", emulation, "--no-warnings", "-o", output];
        is_there = is_there && run("ld", &[&fixed, flags, &["input.o"]].concat())?;
    }
    let read = |name: &str| fs::read(path(name)).expect("the linker has written it");
    Ok(is_there.then(|| (read("linked"), read("named"))))
}

/// Quoted text with escapes of Rust, and bytes in hexadecimal, divided by blanks and lines.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        match line.trim().strip_prefix('"').and_then(|line| line.strip_suffix('"')) {
            Some(text) => bytes.extend(text.replace("\\n", "\n").replace("\\0", "\0").bytes()),
            None => bytes.extend(hexadecimal(line)?),
        }
    }
    Ok(bytes)
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.split_whitespace().map(|digits| u8::from_str_radix(digits, 16));
    bytes.collect::<Result<_, _>>().map_err(|error| format!("`{text}`: {error}"))
}

fn number(text: &str) -> Result<u64, String> {
    let number =
        text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    number.map_err(|error| format!("`{text}`: {error}"))
}

/// Applies one edit: `bytes PLACE: 00 ff`, or a field of a 64-bit ELF file such as `section .text: size = 0x10`. A place is an offset in
/// the file, or a section or symbol, and an offset in it (`.text+0x10`).
fn apply(patch: &mut Patch, named: &[u8], line: &str) -> Result<(), String> {
    let (place, value) = line.split_once(": ").ok_or("no `: ` after the place")?;
    let (kind, place) = place.split_once(' ').unwrap_or((place, ""));
    if kind == "bytes" {
        let start = file_offset(named, place)?;
        let bytes = hexadecimal(value)?;
        let end = start + bytes.len();
        patch.0.get_mut(start..end).ok_or("outside of the file")?.copy_from_slice(&bytes);
        return Ok(());
    }
    let (field, value) = value.split_once(" = ").ok_or("no ` = ` after the field")?;
    let value = number(value)?;
    let file = object::File::parse(named).map_err(|error| error.to_string())?;
    match kind {
        "header" => patch.header(header::named(field).ok_or("no such field")?, value),
        "segment" => {
            patch.segment(number(place)? as usize, segment::named(field).ok_or("no such field")?, value)
        }
        "section" => {
            let section = file.section_by_name(place).ok_or("no such section")?;
            patch.section(section.index().0, section::named(field).ok_or("no such field")?, value)
        }
        "symbol" => {
            let symbol = file.symbols().find(|symbol| symbol.name() == Ok(place)).ok_or("no such symbol")?;
            let table = file.section_by_name(".symtab").ok_or("no symbol table")?;
            patch.symbol(
                table.index().0,
                symbol.index().0,
                symbol::named(field).ok_or("no such field")?,
                value,
            )
        }
        _ => return Err("a patch begins with bytes, header, segment, section or symbol".to_owned()),
    };
    Ok(())
}

fn file_offset(named: &[u8], place: &str) -> Result<usize, String> {
    if let Ok(offset) = number(place) {
        return Ok(offset as usize);
    }
    let (name, offset) = place.split_once('+').unwrap_or((place, "0"));
    let offset = number(offset)?;
    let file = object::File::parse(named).map_err(|error| error.to_string())?;
    let in_file = |section: object::Section<'_, '_>| {
        section.file_range().map(|(start, _)| start).ok_or("it has no bytes in the file")
    };
    if let Some(section) = file.section_by_name(name) {
        return Ok((in_file(section)? + offset) as usize);
    }
    let symbol =
        file.symbols().find(|symbol| symbol.name() == Ok(name)).ok_or("no such section or symbol")?;
    let section = symbol
        .section_index()
        .and_then(|index| file.section_by_index(index).ok())
        .ok_or("it is in no section")?;
    let distance = symbol.address() - section.address();
    Ok((in_file(section)? + distance + offset) as usize)
}
