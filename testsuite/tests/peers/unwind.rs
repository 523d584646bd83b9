//! Reads `binary_unwind_entries`: call frame information as `llvm-dwarfdump` prints it, and function tables of PE files as
//! `llvm-readobj` does.

use crate::File;
use crate::blocks::{all, number, parts, text};
use crate::rows::{Row, hexadecimal, or_none};
use binframe::ir::Enumeration;
use binframe::ir::tables::UnwindSource;
use serde_json::Value;

pub(super) fn found_frames(file: &File) -> Option<Vec<Row>> {
    let entries = file.sections.unwind_entries.columns();
    let of_dwarf = |kind| matches!(kind, UnwindSource::EhFrame | UnwindSource::DebugFrame);
    let row = entries.iter().filter(|row| of_dwarf(row.unwind_kind)).map(|row| {
        let cells = vec![
            ("address", hexadecimal(row.address)),
            ("size", row.size.to_string()),
            ("lsda_address", or_none(row.lsda_address.map(hexadecimal))),
            ("is_signal_frame", row.is_signal_frame.to_string()),
        ];
        Row { key: format!("{} {}", row.unwind_kind.name(), hexadecimal(row.entry_offset)), cells }
    });
    Some(row.collect())
}

/// `00000018 00000014 0000001c FDE cie=00000000 pc=000035c0...000035e2`, below the name of the section.
pub(super) fn expected_frames(file: &File) -> Option<Vec<Row>> {
    // Without section headers, the tool finds no call frame information.
    if file.dynamic_relocations.is_some() {
        return None;
    }
    let printed = file.output("llvm-dwarfdump", &["--eh-frame"])?;
    let hexadecimal_of = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let mut source = UnwindSource::EhFrame;
    let mut signal_frames = Vec::new();
    let mut common = None;
    let mut rows: Vec<Row> = Vec::new();
    for line in printed.lines() {
        if line.ends_with("frame contents:") {
            let is_debug = line.contains("debug_frame");
            source = if is_debug { UnwindSource::DebugFrame } else { UnwindSource::EhFrame };
            signal_frames.clear();
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            [offset, _, _, "CIE"] => common = Some((*offset).to_owned()),
            ["Augmentation:", augmentation] if augmentation.contains('S') => {
                signal_frames.extend(common.take());
            }
            ["LSDA", "Address:", address] => {
                let address = hexadecimal_of(address).map(hexadecimal);
                if let Some(row) = rows.last_mut() {
                    row.cells[2].1 = or_none(address);
                }
            }
            [offset, _, _, "FDE", common, range] => {
                let (start, end) = range.strip_prefix("pc=")?.split_once("...")?;
                let (start, end) = (hexadecimal_of(start)?, hexadecimal_of(end)?);
                let is_signal_frame =
                    signal_frames.iter().any(|one| common.strip_prefix("cie=") == Some(one));
                let cells = vec![
                    ("address", hexadecimal(start)),
                    ("size", end.wrapping_sub(start).to_string()),
                    ("lsda_address", or_none(None::<u64>)),
                    ("is_signal_frame", is_signal_frame.to_string()),
                ];
                let key = format!("{} {}", source.name(), hexadecimal(hexadecimal_of(offset)?));
                rows.push(Row { key, cells });
            }
            _ => {}
        }
    }
    Some(rows)
}

/// Entries of the function table of an image, by address. Several may describe the same code.
pub(super) fn found_functions(file: &File) -> Option<Vec<Row>> {
    let entries = file.sections.unwind_entries.columns();
    let row = entries.iter().filter(|row| row.unwind_kind == UnwindSource::FunctionTable).map(|row| {
        let key = format!("function {}", hexadecimal(row.address));
        Row { key, cells: vec![("size", row.size.to_string())] }
    });
    Some(row.collect())
}

pub(super) fn expected_functions(file: &File) -> Option<Vec<Row>> {
    let printed = crate::blocks::parse(&file.output("llvm-readobj", &["--unwind"])?);
    let functions = all(&printed["UnwindInformation"][0], "RuntimeFunction");
    Some(functions.filter_map(function).collect())
}

fn function(function: &Value) -> Option<Row> {
    let (start, size) = match text(function, "StartAddress") {
        "" => {
            let (_, start) = parts(text(function, "Function"));
            let lengths =
                [function, &function["ExceptionData"][0]].map(|node| number(node, "FunctionLength"));
            (start?, lengths.into_iter().max()?)
        }
        start => {
            let start = parts(start).1?;
            (start, parts(text(function, "EndAddress")).1?.checked_sub(start)?)
        }
    };
    Some(Row { key: format!("function {}", hexadecimal(start)), cells: vec![("size", size.to_string())] })
}
