//! Functions, blocks and edges of small programs whose source says what they are, with symbols and without.

mod content;
mod discovery;
mod imports;
mod jump_tables;
mod labels;
mod landing_pads;
mod noreturn;
mod parts;

use binframe::ir::tables::{BasicBlock, CallEdge, CfgEdge, Function};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::{control_flow, programs};
use bytes::Bytes;
use object::{Object, ObjectSymbol};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A program that is no library's, at one address, so that all its code is its source's.
const ALONE: [&str; 4] = ["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"];

/// The tables of a program, and where its symbols stand, which it may not have itself.
struct Program {
    name: String,
    tables: Tables,
    symbols: BTreeMap<String, u64>,
}

type Compile = fn(&str, &str, &[&str]) -> Option<PathBuf>;

/// A program with symbols, and without; none on a machine without the compiler.
fn both(compile: Compile, name: &str, source: &str, flags: &[&str]) -> Vec<Program> {
    let stripped = [flags, &["-s"]].concat();
    let paths = [compile(name, source, flags), compile(&format!("{name}-stripped"), source, &stripped)];
    let [Some(full), Some(bare)] = paths else { return Vec::new() };
    let read = |path: &PathBuf| Bytes::from(fs::read(path).expect("the file can be read"));
    let bytes = read(&full);
    let file = object::File::parse(&*bytes).expect("an executable");
    let symbols: BTreeMap<String, u64> = file
        .symbols()
        .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))
        .filter(|(name, address)| !name.is_empty() && *address > 0)
        .collect();
    let program = |path: &PathBuf| {
        let tables = tables(&read(path));
        let name = path.display().to_string();
        assert_eq!(control_flow::broken(&tables), Vec::<String>::new(), "{name}");
        Program { name, tables, symbols: symbols.clone() }
    };
    vec![program(&full), program(&bare)]
}

fn compile_c(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    programs::compile_c(name, source, flags)
}

/// Assembly, which stands in a C program so that the C compiler takes it.
fn assembly(name: &str, source: &str) -> Vec<Program> {
    let lines: Vec<_> = source.lines().map(|line| format!("\"{}\\n\"", line.trim())).collect();
    both(compile_c, name, &format!("asm({});\n", lines.join("\n")), &ALONE)
}

impl Program {
    fn address(&self, symbol: &str) -> u64 {
        *self
            .symbols
            .get(symbol)
            .unwrap_or_else(|| panic!("{} has no {symbol}: {:?}", self.name, self.symbols))
    }

    /// The symbol that stands at an address.
    fn symbol(&self, address: u64) -> String {
        let symbol = self.symbols.iter().find(|(_, other)| **other == address);
        symbol.map_or_else(|| format!("{address:#x}"), |(name, _)| name.clone())
    }

    fn function(&self, symbol: &str) -> Option<Function<'_>> {
        let functions = self.tables.lowered.cfg.functions.columns();
        functions.address.binary_search(&self.address(symbol)).ok().map(|row| functions.row(row))
    }

    /// The block that holds an address.
    fn block(&self, address: u64) -> Option<BasicBlock> {
        let blocks = self.tables.lowered.cfg.basic_blocks.columns();
        let row = blocks.address.partition_point(|start| *start <= address).checked_sub(1)?;
        Some(blocks.row(row)).filter(|block| address - block.address < block.size)
    }

    /// The edges that leave the block that holds an address.
    fn edges_of(&self, address: u64) -> Vec<CfgEdge> {
        let block =
            self.block(address).unwrap_or_else(|| panic!("{}: no block holds {address:#x}", self.name));
        let edges = self.tables.lowered.cfg.cfg_edges.columns();
        edges.iter().filter(|edge| edge.source_address == block.address).collect()
    }

    fn calls_of(&self, symbol: &str) -> Vec<CallEdge<'_>> {
        let address = self.address(symbol);
        let calls = self.tables.lowered.cfg.call_edges.columns();
        calls.iter().filter(|call| call.caller_address == address).collect()
    }
}
