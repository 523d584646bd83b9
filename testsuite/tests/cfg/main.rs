//! Functions, blocks and edges of small programs match their source, with and without symbols.

mod content;
mod discovery;
mod fragments;
mod imports;
mod jump_tables;
mod labels;
mod landing_pads;
mod noreturn;
mod sections;

use binframe::ir::tables::{BasicBlock, CallEdge, CfgEdge, Function};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::{control_flow, programs};
use bytes::Bytes;
use object::{Object, ObjectSymbol};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Flags for a freestanding program at a fixed address, whose code is only that of the source.
const FREESTANDING: [&str; 4] = ["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"];

/// Tables of a program, and its symbols, which may be stripped from the file itself.
struct Program {
    name: String,
    tables: Tables,
    symbols: BTreeMap<String, u64>,
}

type Compile = fn(&str, &str, &[&str]) -> Option<PathBuf>;

/// A program with and without symbols; empty if the compiler is not installed.
fn compile_variants(compile: Compile, name: &str, source: &str, flags: &[&str]) -> Vec<Program> {
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
        assert_eq!(control_flow::violations(&tables), Vec::<String>::new(), "{name}");
        Program { name, tables, symbols: symbols.clone() }
    };
    vec![program(&full), program(&bare)]
}

fn compile_c(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    programs::compile_c(name, source, flags)
}

/// A program of assembly, wrapped in a C source for the C compiler.
fn assembly(name: &str, source: &str) -> Vec<Program> {
    let lines: Vec<_> = source.lines().map(|line| format!("\"{}\\n\"", line.trim())).collect();
    compile_variants(compile_c, name, &format!("asm({});\n", lines.join("\n")), &FREESTANDING)
}

impl Program {
    fn address(&self, symbol: &str) -> u64 {
        *self
            .symbols
            .get(symbol)
            .unwrap_or_else(|| panic!("{} has no {symbol}: {:?}", self.name, self.symbols))
    }

    /// Name of the symbol at an address.
    fn symbol(&self, address: u64) -> String {
        let symbol = self.symbols.iter().find(|(_, other)| **other == address);
        symbol.map_or_else(|| format!("{address:#x}"), |(name, _)| name.clone())
    }

    fn function(&self, symbol: &str) -> Option<Function<'_>> {
        let functions = self.tables.lowered.cfg.functions.columns();
        functions.address.binary_search(&self.address(symbol)).ok().map(|row| functions.row(row))
    }

    /// The block that contains an address.
    fn block(&self, address: u64) -> Option<BasicBlock> {
        let blocks = self.tables.lowered.cfg.basic_blocks.columns();
        let row = blocks.address.partition_point(|start| *start <= address).checked_sub(1)?;
        Some(blocks.row(row)).filter(|block| address - block.address < block.size)
    }

    /// Outgoing edges of the block that contains an address.
    fn edges_of(&self, address: u64) -> Vec<CfgEdge> {
        let block =
            self.block(address).unwrap_or_else(|| panic!("{}: no block contains {address:#x}", self.name));
        let edges = self.tables.lowered.cfg.cfg_edges.columns();
        edges.iter().filter(|edge| edge.source_address == block.address).collect()
    }

    fn calls_of(&self, symbol: &str) -> Vec<CallEdge<'_>> {
        let address = self.address(symbol);
        let calls = self.tables.lowered.cfg.call_edges.columns();
        calls.iter().filter(|call| call.caller_address == address).collect()
    }
}
