//! `(sections, linkage, code, cfg) -> function_names`, all names that symbols, function tables and exports give to
//! functions.

use crate::code::cfg::CfgIr;
use crate::code::regions::Code;
use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{
    FunctionName, FunctionNameBuilder, FunctionNameKind, FunctionNames, SymbolBinding, SymbolType,
};
use binframe_ir::{Enumeration, Rows};

/// The names of the functions.
pub fn run(sections: &SectionsIr, linkage: &LinkageIr, code: &Code, cfg: &CfgIr) -> Rows<FunctionNames> {
    let functions = cfg.functions.columns();
    let row_of = |address: u64| functions.address.binary_search(&address).ok();
    let types = [SymbolType::Function, SymbolType::IndirectFunction].map(SymbolType::name);
    let symbols = sections.symbols.columns().iter();
    let symbols = symbols
        .filter(|symbol| symbol.section_index.is_some() && types.contains(&symbol.symbol_type))
        .filter_map(|symbol| {
            let function = row_of(symbol.symbol_address)?;
            Some((function, symbol.symbol_name, FunctionNameKind::Symbol, Some(symbol.binding)))
        });
    let listed = code.listed_names();
    let listed = listed
        .filter_map(|(address, name)| Some((row_of(address)?, name, FunctionNameKind::FunctionTable, None)));
    let exports = linkage.exports.columns().iter();
    let exports = exports.filter_map(|export| {
        Some((row_of(export.address?)?, export.export_name?, FunctionNameKind::Export, None))
    });
    let mut names: Vec<(usize, &str, FunctionNameKind, Option<SymbolBinding>)> =
        symbols.chain(listed).chain(exports).filter(|(_, name, ..)| !name.is_empty()).collect();
    names.sort_by_key(|(function, name, kind, binding)| {
        (*function, *name, kind.code(), binding.map(SymbolBinding::code))
    });
    names.dedup_by_key(|(function, name, ..)| (*function, *name));
    let mut rows = FunctionNameBuilder::default();
    for (function, function_name, name_kind, binding) in names {
        rows.push(FunctionName {
            function_address: functions.address[function],
            function_name,
            name_kind,
            binding,
            is_preferred: functions.function_name.get(function) == Some(function_name),
        });
    }
    rows.finish()
}
