//! The tree of calls that allocate, and its rows.

use super::super::modules::{Image, Module, module_at};
use super::super::output::Output;
use crate::error::Error;
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use binframe_ir::tables::{HeapCallSite, HeapCallSiteBuilder};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Call sites at most. Of stacks that would have more, the most recent calls are left out.
const CALL_SITES_MAX: usize = 1 << 22;

/// What is above a call site in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// The call of the function that calls.
    Call(u32),
    /// Nothing: a thread starts there.
    Start,
    /// Calls that are not known.
    Unknown,
}

/// A call site by its callers and its place in a module, or in memory outside of modules.
type Key = (Caller, Option<u32>, u64);

/// The call sites so far.
#[derive(Default)]
pub(super) struct CallSites {
    /// By callers and return address, since modules were loaded last.
    by_address: FxHashMap<(Caller, u64), u32>,
    by_place: FxHashMap<Key, u32>,
    /// The number of callers of each call site.
    depths: Vec<u32>,
    /// Numbers of modules, by path.
    modules: FxHashMap<String, u32>,
    waiting: Vec<WaitingCall>,
}

/// A call site whose row is not written yet.
struct WaitingCall {
    id: u32,
    parent: Option<u32>,
    depth: u32,
    program_counter: u64,
    /// Path and file of the module, and what is added to addresses in the file.
    module: Option<(String, Arc<Image>, u64)>,
    is_cut: bool,
}

impl CallSites {
    /// Modules were loaded: an address may be another call than before.
    pub(super) fn reload(&mut self) {
        self.by_address.clear();
    }

    /// The call site of a return address.
    pub(super) fn find(&mut self, caller: Caller, address: u64, modules: &[Module]) -> u32 {
        if let Some(found) = self.by_address.get(&(caller, address)) {
            return *found;
        }
        let found = self.add(caller, address, modules);
        self.by_address.insert((caller, address), found);
        found
    }

    fn add(&mut self, caller: Caller, address: u64, modules: &[Module]) -> u32 {
        let parent = match caller {
            Caller::Call(parent) => Some(parent),
            Caller::Start | Caller::Unknown => None,
        };
        if self.depths.len() >= CALL_SITES_MAX {
            return parent.unwrap_or(1);
        }
        // The return address may be that of the next function, if the call does not return.
        let code_address = address.wrapping_sub(1);
        let module = module_at(modules, code_address);
        let bias = module.map_or(0, |module| module.load_bias);
        let number = module.map(|module| {
            let next = self.modules.len() as u32;
            *self.modules.entry(module.path.clone()).or_insert(next)
        });
        let next = self.depths.len() as u32 + 1;
        let place = (caller, number, address.wrapping_sub(bias));
        let id = *self.by_place.entry(place).or_insert(next);
        if id != next {
            return id;
        }
        let depth = parent.map_or(0, |parent| self.depths[parent as usize - 1] + 1);
        self.depths.push(depth);
        self.waiting.push(WaitingCall {
            id,
            parent,
            depth,
            program_counter: address,
            module: module.map(|module| (module.path.clone(), Arc::clone(&module.image), bias)),
            is_cut: caller == Caller::Unknown,
        });
        id
    }

    /// Appends the rows that wait, if they are many or if all are wanted. Debug information is read only now, because a
    /// program waits for the reader of its records.
    pub(super) fn append(&mut self, output: &mut Output, all: bool) -> Result<(), Error> {
        if self.waiting.is_empty() || (self.waiting.len() < ROW_GROUP_ROWS_MAX / 2 && !all) {
            return Ok(());
        }
        let mut rows = HeapCallSiteBuilder::default();
        for call in self.waiting.drain(..) {
            call.push(&mut rows);
        }
        output.append(rows.finish().batch())
    }
}

impl WaitingCall {
    fn push(&self, rows: &mut HeapCallSiteBuilder) {
        let module = self.module.as_ref();
        let code_address = |bias: u64| self.program_counter.wrapping_sub(bias).wrapping_sub(1);
        let function = module.and_then(|(_, image, bias)| image.function_at(code_address(*bias)));
        let calls = module.map(|(_, image, bias)| image.calls_at(code_address(*bias)));
        // The last one is the function itself, and not one that is inlined in it.
        let place = calls.as_ref().and_then(|calls| calls.last());
        rows.push(HeapCallSite {
            call_site_id: self.id,
            parent_id: self.parent,
            depth: self.depth,
            program_counter: self.program_counter,
            module_path: module.map(|(path, ..)| path.as_str()),
            build_id: module.and_then(|(_, image, _)| image.build_id.as_deref()),
            module_address: module.map(|(.., bias)| self.program_counter.wrapping_sub(*bias)),
            function_address: function.map(|(address, _)| address),
            function_name: function.and_then(|(_, name)| name),
            source_file: place.and_then(|place| place.file),
            source_line: place.and_then(|place| place.line),
            is_cut: self.is_cut,
        });
    }
}
