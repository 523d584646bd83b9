//! What a compiler and a linker state of a program's code, and the form in which it is kept beside the program.
//!
//! One record a line, addresses in hexadecimal:
//!
//! ```text
//! part START END FUNCTION NAME     code of the function that begins at FUNCTION
//! table JUMP TARGET...             the indirect jump at JUMP goes to one of the targets
//! away END                         control does not go on behind the instruction that ends at END
//! pad ADDRESS                      the unwinder enters the function there
//! flow                             the records above but `part` are all there are of their kinds
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A range of code of one function. Most functions have one; compilers put what is seldom run into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Address of the first byte.
    pub(crate) start: u64,
    /// Address after the last byte.
    pub(crate) end: u64,
    /// Where its function begins.
    pub(crate) function: u64,
    /// The name of the symbol.
    pub(crate) name: String,
}

/// What is known of one program's code from those who made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statements {
    /// The code, in order of address and without overlaps. Code of start files and of libraries is not here.
    pub(crate) parts: Vec<Part>,
    /// Where each indirect jump that is no call goes, by its address.
    pub(crate) tables: BTreeMap<u64, BTreeSet<u64>>,
    /// Ends of instructions behind which control never goes on, though their encoding lets it: calls that do not return.
    pub(crate) away: BTreeSet<u64>,
    /// Where the unwinder enters functions.
    pub(crate) pads: BTreeSet<u64>,
    /// Whether anything but the parts is stated.
    pub(crate) flow: bool,
}

impl Statements {
    /// Sorts the parts; of parts that begin at one address, the longest stays under the name that sorts first.
    pub(crate) fn sort(&mut self) {
        self.parts.retain(|part| part.start < part.end);
        self.parts.sort_by(|left, right| {
            (left.start, right.end, &left.name).cmp(&(right.start, left.end, &right.name))
        });
        self.parts.dedup_by_key(|part| part.start);
        let mut end = 0;
        self.parts.retain(|part| {
            let apart = part.start >= end;
            end = end.max(part.end);
            apart
        });
    }

    /// The part that an address lies in.
    pub(crate) fn part_at(&self, address: u64) -> Option<&Part> {
        let before = self.parts.partition_point(|part| part.start <= address);
        self.parts[..before].last().filter(|part| address < part.end)
    }

    /// The text form.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for Part { start, end, function, name } in &self.parts {
            writeln!(text, "part {start:x} {end:x} {function:x} {name}").expect("text takes all");
        }
        for (jump, targets) in &self.tables {
            write!(text, "table {jump:x}").expect("text takes all");
            for target in targets {
                write!(text, " {target:x}").expect("text takes all");
            }
            text.push('\n');
        }
        for (word, addresses) in [("away", &self.away), ("pad", &self.pads)] {
            for address in addresses {
                writeln!(text, "{word} {address:x}").expect("text takes all");
            }
        }
        text + if self.flow { "flow\n" } else { "" }
    }

    /// Reads the text form.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut statements = Self::default();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let mut fields = rest.split(' ');
            let mut address = || u64::from_str_radix(fields.next()?, 16).ok();
            match word {
                "part" => {
                    let (start, end, function) = (address()?, address()?, address()?);
                    let name = rest.splitn(4, ' ').nth(3)?.to_owned();
                    statements.parts.push(Part { start, end, function, name });
                }
                "table" => {
                    let jump = address()?;
                    let targets = std::iter::from_fn(address).collect();
                    statements.tables.insert(jump, targets);
                }
                "away" => drop(statements.away.insert(address()?)),
                "pad" => drop(statements.pads.insert(address()?)),
                "flow" => statements.flow = true,
                _ => return None,
            }
        }
        Some(statements)
    }
}

#[test]
fn the_text_form_reads_back() {
    let part = |start, end, name: &str| Part { start, end, function: 0x10, name: name.to_owned() };
    let statements = Statements {
        parts: vec![part(0x10, 0x20, "operator new"), part(0x30, 0x40, "f.cold")],
        tables: [(0x12, [0x13, 0x34].into())].into(),
        away: [0x20].into(),
        pads: [0x18].into(),
        flow: true,
    };
    assert_eq!(Statements::from_text(&statements.to_text()), Some(statements));
}
