//! Statements of compiler and linker about the code of a program, and their text format.
//!
//! One record per line, with hexadecimal addresses:
//!
//! ```text
//! part START END FUNCTION NAME     range of code of the function at FUNCTION
//! table JUMP TARGET...             targets of the indirect jump at JUMP
//! away END                         the instruction that ends at END does not fall through
//! pad ADDRESS                      landing pad
//! open ADDRESS                     whether a function starts at ADDRESS is not known
//! flow                             `table`, `away` and `pad` records are complete
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A range of code of one function. Most functions have one range; hot/cold splitting adds another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Address of the first byte.
    pub(crate) start: u64,
    /// Address after the last byte.
    pub(crate) end: u64,
    /// Start address of the function.
    pub(crate) function: u64,
    /// Symbol name.
    pub(crate) name: String,
}

/// Ground truth about the code of one program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statements {
    /// Code ranges, sorted by address, without overlaps. Code of start files and libraries is not included.
    pub(crate) parts: Vec<Part>,
    /// Targets of indirect jumps by address of the jump.
    pub(crate) tables: BTreeMap<u64, BTreeSet<u64>>,
    /// End addresses of noreturn calls and other instructions that never fall through.
    pub(crate) noreturn_ends: BTreeSet<u64>,
    /// Landing pads.
    pub(crate) landing_pads: BTreeSet<u64>,
    /// Addresses with symbols that do not say whether a function starts there.
    pub(crate) open: BTreeSet<u64>,
    /// Whether there are statements about control flow, not only `parts`.
    pub(crate) flow: bool,
}

impl Statements {
    /// Sorts the parts. Of parts at the same address, the longest is retained with the name that sorts first.
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

    /// The part that contains an address.
    pub(crate) fn part_at(&self, address: u64) -> Option<&Part> {
        let before = self.parts.partition_point(|part| part.start <= address);
        self.parts[..before].last().filter(|part| address < part.end)
    }

    /// The text form.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for Part { start, end, function, name } in &self.parts {
            writeln!(text, "part {start:x} {end:x} {function:x} {name}")
                .expect("writing to a string does not fail");
        }
        for (jump, targets) in &self.tables {
            write!(text, "table {jump:x}").expect("writing to a string does not fail");
            for target in targets {
                write!(text, " {target:x}").expect("writing to a string does not fail");
            }
            text.push('\n');
        }
        for (word, addresses) in
            [("away", &self.noreturn_ends), ("pad", &self.landing_pads), ("open", &self.open)]
        {
            for address in addresses {
                writeln!(text, "{word} {address:x}").expect("writing to a string does not fail");
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
                "away" => drop(statements.noreturn_ends.insert(address()?)),
                "pad" => drop(statements.landing_pads.insert(address()?)),
                "open" => drop(statements.open.insert(address()?)),
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
        noreturn_ends: [0x20].into(),
        landing_pads: [0x18].into(),
        open: [0x38].into(),
        flow: true,
    };
    assert_eq!(Statements::from_text(&statements.to_text()), Some(statements));
}
