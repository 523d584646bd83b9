//! Compares `binary_loader_commands` with `readelf -d`.

use crate::{Lowered, Outcome, hexadecimal, same};

/// Name, value, text.
type Command = (String, Option<u64>, Option<String>);

/// Names of Android's entries, and their numbers.
const UNNAMED: [(&str, &str); 7] = [
    ("ANDROID_REL", "6000000f"),
    ("ANDROID_RELSZ", "60000010"),
    ("ANDROID_RELA", "60000011"),
    ("ANDROID_RELASZ", "60000012"),
    ("ANDROID_RELR", "6fffe000"),
    ("ANDROID_RELRSZ", "6fffe001"),
    ("ANDROID_RELRENT", "6fffe003"),
];

/// `readelf` prints flags and some values as words (`PLTREL RELA`); these values are not compared.
pub(super) fn compare(lowered: &Lowered, text: &str) -> Outcome {
    let expected: Vec<Command> =
        text.lines().filter_map(parse).take_while(|command| command.0 != "NULL").collect();
    let commands = lowered.linkage.loader_commands.columns();
    let found = commands.iter().enumerate().map(|(position, row)| {
        let mut name = row.command.strip_prefix("DT_").unwrap_or(row.command).to_owned();
        let expected = expected.get(position);
        // The tool has no names for these entries.
        if let Some((_, number)) = UNNAMED.iter().find(|(own, _)| *own == name) {
            name = format!("Operating System specific: {number}");
        }
        let is_compared = expected.is_some_and(|expected| expected.1.is_some());
        let value = row.value.filter(|_| is_compared && row.text.is_none());
        (name, value, row.text.map(str::to_owned))
    });
    same(&found.collect::<Vec<_>>(), &expected)
}

/// ` 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]`
fn parse(line: &str) -> Option<Command> {
    let rest = line.trim_start().strip_prefix("0x")?;
    let (_, rest) = rest.split_once(" (")?;
    let (name, value) = rest.split_once(')')?;
    let value = value.trim();
    let text = value.split_once(": [").map(|(_, text)| text.strip_suffix(']').unwrap_or(text).to_owned());
    let number = match value.strip_suffix(" (bytes)") {
        Some(size) => size.parse().ok(),
        None if value.starts_with("0x") => hexadecimal(value),
        None => value.parse().ok(),
    };
    Some((name.to_owned(), number.filter(|_| text.is_none()), text))
}
