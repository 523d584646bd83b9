//! `(toolchain, target, flags, program) -> executable with its ground truth, and stripped file`.
//!
//! Each row has a folder and is built again only if its recipe changes:
//!
//! ```text
//! full           the linked file with all symbols
//! stripped       without symbols
//! symbols.txt    functions of the whole file
//! flow.txt       statements of the compiler about control flow, if it makes any
//! recipe.txt     version of the compiler, commands and sources
//! ```

use super::rows::{Compile, Target, Toolchain};
use super::symbols;
use crate::assembly;
use crate::build::{print_progress, run, sources};
use crate::programs::{Language, PROGRAMS, Program};
use crate::statements::Statements;
use crate::truth;
use object::BinaryFormat;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Version of the ground truth; a change invalidates all rows.
const VERSION: u32 = 3;

/// Number of words of a row.
pub(crate) const CATEGORIES: usize = 5;

/// Name of the programs that are written for this score.
const OWN: &str = "kinds";

/// A program with one compiler, target and set of flags.
pub(crate) struct Row {
    /// The compiler.
    pub(crate) toolchain: &'static Toolchain,
    /// The architecture and system.
    target: &'static Target,
    /// Name of the flags.
    label: &'static str,
    flags: &'static str,
    /// A program of a crate; `None` for the program that is written for this score.
    pub(crate) package: Option<&'static Program>,
    /// Folder of the row.
    pub(crate) folder: PathBuf,
}

impl Row {
    /// Rows of a toolchain, with folders in `below`.
    pub(crate) fn all(toolchain: &'static Toolchain, below: &Path) -> Vec<Self> {
        let packages = PROGRAMS.iter().filter(|program| toolchain.packages.contains(&program.name)).map(Some);
        let mut rows = Vec::new();
        for package in std::iter::once(None).chain(packages) {
            for target in toolchain.targets {
                for build in toolchain.builds.iter().flat_map(|builds| builds.iter()) {
                    let (label, flags) = (build.label, build.words);
                    let mut row = Self { toolchain, target, label, flags, package, folder: PathBuf::new() };
                    row.folder = below.join(row.name());
                    let is_possible = build.targets.is_empty() || build.targets.contains(&target.name);
                    rows.extend(is_possible.then_some(row));
                }
            }
        }
        rows
    }

    /// Language, compiler, target, flags and program.
    pub(crate) fn words(&self) -> [&'static str; CATEGORIES] {
        let program = self.package.map_or(OWN, |program| program.name);
        [self.toolchain.language, self.toolchain.compiler, self.target.name, self.label, program]
    }

    /// Name of the row and of its folder.
    pub(crate) fn name(&self) -> String {
        self.words().join(" ")
    }

    /// Whether the compiler is installed.
    pub(crate) fn can_be_made(&self) -> bool {
        self.version().is_ok()
    }

    /// Whether the row was built.
    pub(crate) fn is_made(&self) -> bool {
        self.folder.join("recipe.txt").exists()
    }

    fn version(&self) -> Result<String, String> {
        let mut words = self.toolchain.version.split_whitespace();
        run(Command::new(words.next().unwrap_or_default()).args(words))
    }

    /// Builds the row, unless it exists.
    pub(crate) fn make(&self, crates: &BTreeMap<&str, PathBuf>) -> Result<(), String> {
        let Toolchain { compile, link, text, .. } = self.toolchain;
        let program = self.package.map_or("", |program| program.main);
        let version = self.version()?;
        let flags = (self.target.flags, self.flags);
        let recipe = format!("{VERSION}\n{version}\n{compile:?}\n{link:?}\n{flags:?}\n{text}{program}");
        let recipe_path = self.folder.join("recipe.txt");
        if fs::read_to_string(&recipe_path).is_ok_and(|old| old == recipe) {
            return Ok(());
        }
        print_progress(&format!("building {}", self.name()));
        let work = self.folder.join("work");
        drop(fs::remove_dir_all(&self.folder));
        fs::create_dir_all(&work).map_err(|error| error.to_string())?;
        let source = self.package.and_then(|program| program.package).and_then(|package| crates.get(package));
        let job = Job { row: self, work: &work, crate_folder: source.map(PathBuf::as_path) };
        let flow = job.build()?;
        let full = self.folder.join("full");
        let bytes = fs::read(&full).map_err(|error| format!("{}: {error}", full.display()))?;
        let file = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
        let functions = symbols::of(&file, self.toolchain.language);
        strip(&file, &full, &self.folder.join("stripped"))?;
        let flow = match flow {
            Some(facts) => Some(truth::of_gcc_in(&file, &facts, functions.clone())),
            None => truth::of_clang(&file).map(|(statements, _)| statements),
        };
        self.write("symbols.txt", &functions)?;
        if let Some(flow) = flow {
            self.write("flow.txt", &flow)?;
        }
        drop(fs::remove_dir_all(&work));
        fs::write(recipe_path, recipe).map_err(|error| error.to_string())
    }

    fn write(&self, name: &str, statements: &Statements) -> Result<(), String> {
        fs::write(self.folder.join(name), statements.to_text()).map_err(|error| error.to_string())
    }
}

fn strip(file: &object::File<'_>, full: &Path, stripped: &Path) -> Result<(), String> {
    // GNU strip does not read Mach-O files.
    let tool = if file.format() == BinaryFormat::MachO { "llvm-strip-19" } else { "strip" };
    let map = if file.format() == BinaryFormat::Elf { &["-R", ".llvm_bb_addr_map"][..] } else { &[] };
    run(Command::new(tool).arg("-s").args(map).arg(full).arg("-o").arg(stripped)).map(drop)
}

/// Commands of one row.
struct Job<'a> {
    row: &'a Row,
    work: &'a Path,
    /// Folder of the crate with the sources.
    crate_folder: Option<&'a Path>,
}

impl Job<'_> {
    /// Compiles and links. Returns GCC's statements, if it prints any.
    fn build(&self) -> Result<Option<Vec<assembly::ObjectFacts>>, String> {
        let sources = self.sources()?;
        // Objects for link-time optimization contain no code.
        let is_late = self.row.flags.contains("-flto");
        let mut facts = Vec::new();
        let mut objects = Vec::new();
        let Some(compile) = self.row.toolchain.compile else {
            self.link(&sources, &[])?;
            return Ok(None);
        };
        for (index, source) in sources.iter().enumerate() {
            let stem = source.file_stem().unwrap_or_default().to_string_lossy();
            let object = format!("{stem}.o");
            match compile {
                Compile::Printed { command, marker } if !is_late => {
                    let printed = self.work.join("printed.s");
                    self.compile(command, source, &["-S", "-dP"], "printed.s")?;
                    let text = fs::read(&printed).map_err(|error| error.to_string())?;
                    let (text, stated) = assembly::read(&String::from_utf8_lossy(&text), index, marker);
                    fs::write(&printed, text).map_err(|error| error.to_string())?;
                    let assembler = command.split_whitespace().next().unwrap_or_default();
                    let target = self.row.target.flags.split_whitespace();
                    let mut assembler = Command::new(assembler);
                    assembler.args(target).args(["-c", "-Wa,-L", "printed.s", "-o", &object]);
                    run(assembler.current_dir(self.work))?;
                    facts.push(stated);
                }
                Compile::Printed { command, .. } | Compile::Object { command } => {
                    self.compile(command, source, &["-c"], &object)?;
                }
            }
            objects.push(object);
        }
        self.link(&sources, &objects)?;
        Ok((!facts.is_empty()).then_some(facts))
    }

    /// Source files: that of this score, copied to the working folder, or those of a crate.
    fn sources(&self) -> Result<Vec<PathBuf>, String> {
        let Toolchain { source, text, .. } = self.row.toolchain;
        let Some(program) = self.row.package else {
            fs::write(self.work.join(source), text).map_err(|error| error.to_string())?;
            return Ok(vec![PathBuf::from(source)]);
        };
        let folder = self.crate_folder.expect("programs are from crates of the list");
        let mut found = sources(folder, program.sources)?;
        let main = if program.language == Language::C { "main.c" } else { "main.cc" };
        fs::write(self.work.join(main), program.main).map_err(|error| error.to_string())?;
        found.push(PathBuf::from(main));
        Ok(found)
    }

    fn compile(&self, command: &str, source: &Path, flags: &[&str], output: &str) -> Result<(), String> {
        let mut words = command.split_whitespace();
        let mut compiler = Command::new(words.next().unwrap_or_default());
        compiler.args(words).args(self.flags());
        if let (Some(program), Some(folder)) = (self.row.package, self.crate_folder) {
            let folder = folder.to_string_lossy();
            compiler.args(program.flags.iter().map(|flag| flag.replace("{}", &folder)));
        }
        compiler.args(flags).arg(source).args(["-o", output]);
        run(compiler.current_dir(self.work)).map(drop)
    }

    fn flags(&self) -> impl Iterator<Item = &'static str> {
        self.row.target.flags.split_whitespace().chain(self.row.flags.split_whitespace())
    }

    /// Runs the commands of the toolchain with their placeholders replaced.
    fn link(&self, sources: &[PathBuf], objects: &[String]) -> Result<(), String> {
        let full = std::path::absolute(self.row.folder.join("full")).map_err(|error| error.to_string())?;
        for command in self.row.toolchain.link {
            let mut words: Vec<String> = Vec::new();
            for word in command.split_whitespace() {
                match word {
                    "{flags}" => words.extend(self.flags().map(str::to_owned)),
                    "{objects}" => words.extend(objects.iter().cloned()),
                    "{libraries}" => {
                        let libraries = self.row.package.map_or(&[][..], |program| program.libraries);
                        words.extend(libraries.iter().map(|library| (*library).to_owned()));
                    }
                    _ => {
                        let source = sources.first().map(|path| path.to_string_lossy()).unwrap_or_default();
                        words.push(
                            word.replace("{out}", &full.to_string_lossy()).replace("{source}", &source),
                        );
                    }
                }
            }
            run(Command::new(&words[0]).args(&words[1..]).current_dir(self.work))?;
        }
        // Linkers for Windows append the ending.
        let windows = full.with_extension("exe");
        if windows.exists() { fs::rename(windows, full).map_err(|error| error.to_string()) } else { Ok(()) }
    }
}
