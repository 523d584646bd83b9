//! Which source file of a crate imports which: `(sources) -> edges among files`.
//!
//! A file imports another if it names an item of it: in a `use` declaration, or in a path that begins with `crate`, `super`,
//! `self`, a child module or a module in scope. The importing file's tokens are read, not its types: methods of a value whose
//! type is never named are not seen.
//!
//! An item is attributed to the file that defines it. A file that only passes a name on (`use`, `pub use`, globs included) is
//! looked through, so that a `mod.rs` of re-exports ties nothing together. A module that is itself imported counts when one
//! of its items is named. `#[cfg(test)]` items are left out: tests may name anything.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A path of modules, or of modules and an item, from the root of the crate.
type ModulePath = Vec<String>;

/// Stands for all names of a module.
const GLOB: &str = "*";

/// A path as it is written, and the module in which it is written.
#[derive(Clone)]
struct Written {
    module: ModulePath,
    path: Vec<String>,
}

/// The declarations and paths of one source file.
#[derive(Default)]
struct Source {
    /// Names that `use` brings into scope, with the path of each.
    scope: BTreeMap<String, Written>,
    /// Modules whose names `use …::*` brings into scope.
    globs: Vec<Written>,
    /// Names of the items that the file defines.
    definitions: BTreeSet<String>,
    /// Names of the macros that the file defines.
    macros: BTreeSet<String>,
    /// Paths of two words and more in expressions, types and patterns.
    paths: Vec<Written>,
}

/// The source files of a crate, by the path of the module that each is.
pub(crate) struct Sources {
    files: BTreeMap<ModulePath, Source>,
    names: BTreeMap<ModulePath, PathBuf>,
}

/// For each file that imports others: those, and the names that it takes from each.
pub(crate) type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

impl Sources {
    /// Reads the sources below the folder `src` of a crate.
    pub(crate) fn read(src: &Path, paths: &[PathBuf]) -> Self {
        let (mut files, mut names) = (BTreeMap::new(), BTreeMap::new());
        for path in paths {
            let module = module_of(path.strip_prefix(src).expect("sources are below the folder"));
            let text = fs::read_to_string(path).expect("a source can be read");
            let tokens: TokenStream =
                text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut source = Source::default();
            Reader { source: &mut source }.read(tokens, &module);
            files.insert(module.clone(), source);
            names.insert(module, path.clone());
        }
        Self { files, names }
    }

    /// The imports among the files.
    pub(crate) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (module, source) in &self.files {
            let used = source.paths.iter().filter_map(|written| self.in_scope(written));
            let named = source.scope.values().filter_map(|written| self.absolute(written));
            let globs = source.globs.iter().filter_map(|written| self.absolute(written));
            let globs = globs.map(|glob| [&glob[..], &[GLOB.to_owned()]].concat());
            for path in used.chain(named).chain(globs) {
                if let Some((file, name)) = self.definition(&path, 0)
                    && file != *module
                {
                    let of_file = imports.entry(self.names[module].clone()).or_default();
                    of_file.entry(self.names[&file].clone()).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// The path from the root of a path in an expression; `None` for a path of another crate.
    fn in_scope(&self, written: &Written) -> Option<ModulePath> {
        let aliases = &self.files[&self.file_of(&written.module)].scope;
        self.absolute(written).or_else(|| {
            let module = self.absolute(aliases.get(&written.path[0])?)?;
            Some([&module[..], &written.path[1..]].concat())
        })
    }

    /// The path from the root of a path in a `use` declaration; `None` for a path of another crate.
    fn absolute(&self, Written { module, path }: &Written) -> Option<ModulePath> {
        let supers = path.iter().take_while(|word| *word == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&module[..], &path[1..]].concat()),
            "super" => Some([&module[..module.len().checked_sub(supers)?], &path[supers..]].concat()),
            child => {
                let child = [&module[..], &[child.to_owned()]].concat();
                self.files.contains_key(&child).then(|| [&child[..], &path[1..]].concat())
            }
        }
    }

    /// The innermost module around this one, or itself, that is a file.
    fn file_of(&self, module: &[String]) -> ModulePath {
        let lengths = (0..=module.len()).rev();
        lengths
            .map(|length| module[..length].to_vec())
            .find(|module| self.files.contains_key(module))
            .unwrap_or_default()
    }

    /// The file that defines what an absolute path names, and its name; `None` for a module itself and for other crates.
    fn definition(&self, path: &[String], depth: usize) -> Option<(ModulePath, String)> {
        const DEPTH_MAX: usize = 16;
        let file = self.file_of(path);
        let name = path.get(file.len()).filter(|_| depth < DEPTH_MAX)?;
        let source = &self.files[&file];
        if source.definitions.contains(name) || name == GLOB {
            return Some((file, name.clone()));
        }
        let rest = &path[file.len() + 1..];
        if let Some(written) = source.scope.get(name) {
            return self.definition(&[&self.absolute(written)?[..], rest].concat(), depth + 1);
        }
        let of_glob = |glob: &Written| {
            let glob = self.absolute(glob)?;
            let found = self.definition(&[&glob[..], &path[file.len()..]].concat(), depth + 1)?;
            self.files[&found.0].definitions.contains(&found.1).then_some(found)
        };
        if let Some(found) = source.globs.iter().find_map(of_glob) {
            return Some(found);
        }
        // Exported macros are at the root, wherever they are defined.
        let defines = |entry: &(&ModulePath, &Source)| file.is_empty() && entry.1.macros.contains(name);
        let of_macro = self.files.iter().find(defines).map(|entry| entry.0.clone());
        Some((of_macro.unwrap_or(file), name.clone()))
    }
}

/// The module that a file is: `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module_of(path: &Path) -> ModulePath {
    let mut module: Vec<_> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod")
        || matches!(&module[..], [only] if only == "lib" || only == "main")
    {
        module.pop();
    }
    module
}

/// Collects what the tokens of a file say.
struct Reader<'a> {
    source: &'a mut Source,
}

/// Words before the name of an item.
const ITEMS: [&str; 8] = ["struct", "enum", "fn", "trait", "type", "const", "static", "union"];

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut next = 0;
        while next < tokens.len() {
            next = self.read_at(&tokens, next, module);
        }
    }

    /// Reads what begins with a token and returns the position after it.
    fn read_at(&mut self, tokens: &[TokenTree], at: usize, module: &[String]) -> usize {
        match &tokens[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' && is_test(tokens.get(at + 1)) => {
                after_item(tokens, at + 2)
            }
            TokenTree::Group(group) => {
                self.read(group.stream(), module);
                at + 1
            }
            TokenTree::Ident(word) => self.read_word(&word.to_string(), tokens, at, module),
            _ => at + 1,
        }
    }

    fn read_word(&mut self, word: &str, tokens: &[TokenTree], at: usize, module: &[String]) -> usize {
        let name = tokens.get(at + 1).and_then(ident);
        match (word, name) {
            ("mod", Some(name)) => {
                if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                    self.read(body.stream(), &[module, &[name]].concat());
                }
                at + 3
            }
            ("macro_rules", _) => {
                self.source.macros.extend(tokens.get(at + 2).and_then(ident));
                at + 3
            }
            ("use", _) if !is_punct(tokens.get(at + 1), '<') => {
                let end = at + tokens[at..].iter().position(|token| is_punct(Some(token), ';')).unwrap_or(1);
                self.read_use(&tokens[at + 1..end], &[], module);
                end
            }
            (_, Some(name)) if ITEMS.contains(&word) => {
                self.source.definitions.insert(name);
                at + 2
            }
            _ => {
                let (path, end) = path_at(tokens, at);
                if path.len() > 1 {
                    self.source.paths.push(Written { module: module.to_vec(), path });
                }
                end
            }
        }
    }

    /// Reads a tree of a `use` declaration, of which `before` comes first.
    fn read_use(&mut self, tree: &[TokenTree], before: &[String], module: &[String]) {
        let (path, end) = path_at(tree, usize::from(is_punct(tree.first(), ':')) * 2);
        let mut path = [before, &path[..]].concat();
        match tree.get(end) {
            Some(TokenTree::Group(group)) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                for part in inner.split(|token| is_punct(Some(token), ',')).filter(|part| !part.is_empty()) {
                    self.read_use(part, &path, module);
                }
            }
            Some(token) if is_punct(Some(token), '*') => {
                self.source.globs.push(Written { module: module.to_vec(), path });
            }
            rest => {
                let is_renamed = rest.and_then(ident).is_some_and(|word| word == "as");
                let alias = tree.get(end + 1).filter(|_| is_renamed).and_then(ident);
                if path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                if let Some(name) = alias.or_else(|| path.last().cloned()) {
                    self.source.scope.insert(name, Written { module: module.to_vec(), path });
                }
            }
        }
    }
}

/// The words from one on that `::` joins, and the position after them.
fn path_at(tokens: &[TokenTree], at: usize) -> (Vec<String>, usize) {
    let (mut path, mut next) = (Vec::new(), at);
    while let Some(word) = tokens.get(next).and_then(ident) {
        path.push(word);
        next += 1;
        if !(is_punct(tokens.get(next), ':') && is_punct(tokens.get(next + 1), ':')) {
            break;
        }
        next += 2;
    }
    (path, next.max(at + 1).min(tokens.len()))
}

fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    }
}

fn is_punct(token: Option<&TokenTree>, letter: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == letter)
}

/// Whether an attribute's brackets hold `cfg(test)`.
fn is_test(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// The position after an item: after its braces or its semicolon.
fn after_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| {
        is_punct(Some(token), ';')
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens[at.min(tokens.len())..].iter().position(is_end).map_or(tokens.len(), |end| at + end + 1)
}
