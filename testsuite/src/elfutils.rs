//! `(file) -> notes`, as `eu-readelf` of elfutils prints them.

use crate::tools;
use std::path::Path;
use std::process::Command;

/// Names that the tool uses for registers, and those of the tables.
pub const REGISTERS: [(&str, &str); 9] = [
    ("rflags", "eflags"),
    ("fs.base", "fs_base"),
    ("gs.base", "gs_base"),
    ("pswm", "psw_mask"),
    ("pswa", "psw_addr"),
    ("orig_gpr3", "orig_r3"),
    ("cr", "ccr"),
    ("lr", "link"),
    ("spsr", "cpsr"),
];

/// A note.
#[derive(Debug)]
pub struct Note {
    /// Name of the type, such as `PRSTATUS`.
    pub kind: String,
    /// The decoded content.
    pub lines: Vec<String>,
}

impl Note {
    /// Pairs of `name: number` in the content.
    pub fn numbers(&self) -> Vec<(&str, u64)> {
        let words: Vec<_> = self.lines.iter().flat_map(|line| line.split_whitespace()).collect();
        let pair = |pair: &[&'_ str]| pair[0].ends_with(':').then_some(()).and_then(|()| number(pair[1]));
        let pairs = words.windows(2).filter_map(|words| Some((words[0].trim_end_matches(':'), pair(words)?)));
        pairs.collect()
    }
}

/// A number in decimal or hexadecimal, which may be negative and end with a comma.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(',');
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse::<i128>().ok().map(|number| number as u64),
    }
}

/// The notes of a file. `None`, with a message, if the tool is not installed.
pub fn notes(file: &Path) -> Option<Vec<Note>> {
    let output = tools::output(Command::new("eu-readelf").arg("-n").arg(file))?;
    let mut notes: Vec<Note> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match line.strip_prefix("  ") {
            Some(content) if content.starts_with(' ') => {
                if let Some(note) = notes.last_mut() {
                    note.lines.push(content.to_owned());
                }
            }
            // `  CORE                 336  PRSTATUS`, after a line with titles.
            Some(head) if !head.starts_with("Owner ") => {
                let kind = head.split_whitespace().nth(2).unwrap_or_default().to_owned();
                notes.push(Note { kind, lines: Vec::new() });
            }
            _ => {}
        }
    }
    Some(notes)
}
