//! `(program, compiler, flags) -> executable with its ground truth, and stripped variants`.
//!
//! Each build has a folder and is built again only if its recipe changes:
//!
//! ```text
//! full           the linked file with all labels
//! stripped       without symbols
//! bare           without symbols and unwind tables
//! truth.txt      the statements of the compiler
//! recipe.txt     compiler, flags and sources
//! ```

use crate::assembly::{self, ObjectFacts};
use crate::programs::{Kind, Language, Program};
use crate::statements::Statements;
use crate::{truth, variants};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Version of the ground truth; a change invalidates all builds.
const VERSION: u32 = 1;

/// Words in names of source files that do not belong to a program.
const LEFT_OUT: [&str; 5] = ["test", "bench", "windows", "leveldbutil", "lua.c"];

/// A program with one compiler and one set of flags.
#[derive(Clone)]
pub(crate) struct Build {
    /// The program.
    pub(crate) program: &'static Program,
    /// `gcc` or `clang`.
    pub(crate) compiler: &'static str,
    /// Optimization level.
    pub(crate) level: &'static str,
    /// Kind of the linked file.
    pub(crate) kind: Kind,
    /// Folder of the build.
    pub(crate) folder: PathBuf,
}

impl Build {
    /// A build whose folder is in `below`.
    pub(crate) fn new(
        program: &'static Program,
        (compiler, level, kind): (&'static str, &'static str, Kind),
        below: &Path,
    ) -> Self {
        let kind_name = match kind {
            Kind::Pie => "pie",
            Kind::Fixed => "fixed",
            Kind::Shared => "shared",
        };
        let folder = below.join(format!("{}-{compiler}-{level}-{kind_name}", program.name));
        Self { program, compiler, level, kind, folder }
    }

    /// Name of the build and of its folder.
    pub(crate) fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Command of the compiler.
    fn command(&self) -> String {
        let name = match (self.compiler, self.program.language) {
            ("gcc", Language::C) => "gcc",
            ("gcc", Language::Cpp) => "g++",
            (_, Language::C) => "clang",
            (_, Language::Cpp) => "clang++",
        };
        if self.compiler == "clang" { format!("{name}-19") } else { name.to_owned() }
    }

    /// Whether the compiler is installed.
    pub(crate) fn can_be_made(&self) -> bool {
        run(Command::new(self.command()).arg("--version")).is_ok()
    }

    /// Compiler flags for a source.
    fn flags(&self, source: &Path) -> Vec<String> {
        let mut flags = vec![format!("-{}", self.level), "-w".to_owned()];
        let (place, separate) = match self.kind {
            Kind::Pie => ("-fPIE", true),
            Kind::Fixed => ("-fno-pie", true),
            Kind::Shared => ("-fPIC", false),
        };
        flags.push(place.to_owned());
        if separate {
            flags.push("-ffunction-sections".to_owned());
        }
        let source = source.to_string_lossy();
        flags.extend(self.program.flags.iter().map(|flag| flag.replace("{}", &source)));
        if self.compiler == "clang" {
            let map = ["-fbasic-block-address-map", "-mllvm", "-pgo-analysis-map=br-prob"];
            flags.extend(map.map(str::to_owned));
        }
        flags
    }

    /// Linker flags.
    fn link_flags(&self) -> Vec<&'static str> {
        let mut flags = match self.kind {
            Kind::Pie => vec!["-pie", "-Wl,--gc-sections"],
            Kind::Fixed => vec!["-no-pie", "-Wl,--gc-sections"],
            Kind::Shared => vec!["-shared"],
        };
        flags.push(if self.compiler == "clang" { "-fuse-ld=lld" } else { "-Wl,--discard-none" });
        flags
    }

    /// Builds the program with debug information and relocations, unless it exists.
    pub(crate) fn make_with_debug_information(&self, source: &Path) -> Result<(), String> {
        let full = self.folder.join("debug");
        if full.exists() {
            return Ok(());
        }
        print_progress(&format!("building {} with debug information", self.name()));
        let work = self.folder.join("debug-work");
        let sources = self.sources(source, &work)?;
        for (index, path) in sources.iter().enumerate() {
            let mut compiler = Command::new(self.command());
            compiler.args(self.flags(source)).args(["-g", "-c", "-I"]).arg(&work).arg(path);
            run(compiler.arg("-o").arg(work.join(format!("{index}.o"))))?;
        }
        let partial = work.join("linked");
        self.link(&work, sources.len(), &["-Wl,--emit-relocs"], &partial)?;
        fs::rename(partial, full).map_err(|error| error.to_string())?;
        fs::remove_dir_all(&work).map_err(|error| error.to_string())
    }

    /// Builds the program, unless it exists. `source` is the folder of its crate.
    pub(crate) fn make(&self, source: &Path) -> Result<(), String> {
        let command = self.command();
        let version = run(Command::new(&command).arg("--version"))?;
        let recipe = format!(
            "{VERSION}\n{version}\n{:?}\n{:?}\n{:?}\n{}\n{}",
            self.flags(source),
            self.link_flags(),
            self.program.sources,
            source.display(),
            self.program.main,
        );
        let recipe_path = self.folder.join("recipe.txt");
        if fs::read_to_string(&recipe_path).is_ok_and(|old| old == recipe) {
            return Ok(());
        }
        print_progress(&format!("building {}", self.name()));
        let work = self.folder.join("work");
        drop(fs::remove_dir_all(&self.folder));
        let sources = self.sources(source, &work)?;
        let facts = self.compile(&sources, source, &work)?;
        let full = self.folder.join("full");
        self.link(&work, sources.len(), &[], &full)?;
        let statements = self.truth(&full, &facts)?;
        variants::write(&full, &self.folder)?;
        fs::write(self.folder.join("truth.txt"), statements.to_text()).map_err(|error| error.to_string())?;
        drop(fs::remove_dir_all(&work));
        fs::write(recipe_path, recipe).map_err(|error| error.to_string())
    }

    /// Copies generated sources to the working folder, and returns all sources of the program.
    fn sources(&self, source: &Path, work: &Path) -> Result<Vec<PathBuf>, String> {
        fs::create_dir_all(work).map_err(|error| error.to_string())?;
        let mut sources = sources(source, self.program.sources)?;
        fs::write(work.join("config.h"), "").map_err(|error| error.to_string())?;
        if self.kind != Kind::Shared {
            let name = if self.program.language == Language::C { "main.c" } else { "main.cc" };
            fs::write(work.join(name), self.program.main).map_err(|error| error.to_string())?;
            sources.push(work.join(name));
        }
        Ok(sources)
    }

    fn compile(&self, sources: &[PathBuf], source: &Path, work: &Path) -> Result<Vec<ObjectFacts>, String> {
        let mut all = Vec::new();
        for (index, path) in sources.iter().enumerate() {
            let object = work.join(format!("{index}.o"));
            let mut compiler = Command::new(self.command());
            compiler.args(self.flags(source)).arg("-I").arg(work).arg(path).arg("-o");
            if self.compiler == "clang" {
                run(compiler.arg(&object).arg("-c"))?;
                continue;
            }
            let printed = work.join("printed.s");
            run(compiler.arg(&printed).args(["-S", "-dP"]))?;
            let text = fs::read(&printed).map_err(|error| error.to_string())?;
            let (text, facts) = assembly::read(&String::from_utf8_lossy(&text), index, ".L");
            fs::write(&printed, text).map_err(|error| error.to_string())?;
            run(Command::new("as").args(["--64", "-L"]).arg(&printed).arg("-o").arg(&object))?;
            all.push(facts);
        }
        Ok(all)
    }

    fn link(&self, work: &Path, objects: usize, flags: &[&str], full: &Path) -> Result<(), String> {
        let mut linker = Command::new(self.command());
        linker
            .args(self.link_flags())
            .args(flags)
            .args((0..objects).map(|index| work.join(format!("{index}.o"))));
        run(linker.args(self.program.libraries).arg("-o").arg(full)).map(drop)
    }

    fn truth(&self, full: &Path, facts: &[ObjectFacts]) -> Result<Statements, String> {
        let bytes = fs::read(full).map_err(|error| error.to_string())?;
        let file = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
        if self.compiler == "gcc" {
            return Ok(truth::of_gcc(&file, facts));
        }
        let (statements, _) = truth::of_clang(&file).ok_or("the basic block address map cannot be read")?;
        Ok(statements)
    }
}

/// Sorted source files of a folder that match the patterns.
pub(crate) fn sources(folder: &Path, patterns: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for pattern in patterns {
        let Some((parent, ending)) = pattern.split_once('*') else {
            found.push(folder.join(pattern));
            continue;
        };
        let entries = fs::read_dir(folder.join(parent)).map_err(|error| format!("{pattern}: {error}"))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter(|name| name.ends_with(ending) && !LEFT_OUT.iter().any(|word| name.contains(word)))
            .collect();
        names.sort();
        found.extend(names.into_iter().map(|name| folder.join(parent).join(name)));
    }
    Ok(found)
}

/// Prints the progress of long operations.
#[expect(clippy::print_stdout, reason = "printing progress is its purpose")]
pub(crate) fn print_progress(message: &str) {
    println!("{message}");
}

/// Runs a tool and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // The last argument is the output or input file.
    let last = command.get_args().last().unwrap_or_default().to_string_lossy().into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let first: Vec<&str> = errors.lines().take(5).collect();
    Err(format!("{name} … {last}: {}", first.join("\n")))
}
