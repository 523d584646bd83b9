//! Reads the text of `llvm-readobj` for formats that it does not print as JSON.

use serde_json::{Map, Value};

/// The text as a tree: `Name {` and `Name [ (0x2)` start a node that ends with `}` or `]`, and `Key: text` is a leaf; so is a flag, `Extern`.
/// Each node is an object that has a list of nodes or texts for each name. The text after the bracket is `head`.
pub(super) fn parse(text: &str) -> Value {
    let mut open: Vec<(String, Map<String, Value>)> = vec![(String::new(), Map::new())];
    for line in text.lines().map(str::trim) {
        if let Some((name, head)) = opened(line) {
            let mut node = Map::new();
            node.insert("head".to_owned(), head.into());
            open.push((name.to_owned(), node));
        } else if let ("}" | "]", true) = (line, open.len() > 1) {
            let (name, node) = open.pop().expect("two are open");
            add(&mut open, &name, node.into());
        } else if let Some((name, value)) = line.split_once(": ") {
            add(&mut open, name, value.into());
        } else if is_name(line) {
            add(&mut open, line, "".into());
        }
    }
    open.swap_remove(0).1.into()
}

/// Splits `Characteristics [ (0x2022)`.
fn opened(line: &str) -> Option<(&str, &str)> {
    let (name, head) = line.split_once(" {").or_else(|| line.split_once(" ["))?;
    is_name(name).then(|| (name, head.trim()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn add(open: &mut [(String, Map<String, Value>)], name: &str, value: Value) {
    let Some((_, node)) = open.last_mut() else { return };
    match node.get_mut(name) {
        Some(Value::Array(values)) => values.push(value),
        _ => _ = node.insert(name.to_owned(), vec![value].into()),
    }
}

/// The nodes or texts of a name.
pub(super) fn all<'a>(node: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    node[name].as_array().into_iter().flatten()
}

/// The first text of a name.
pub(super) fn text<'a>(node: &'a Value, name: &str) -> &'a str {
    node[name][0].as_str().unwrap_or_default()
}

/// The first number of a name: `0x20`, `32`, or in parentheses after a name, `ARM64 (0xAA64)`.
pub(super) fn number(node: &Value, name: &str) -> u64 {
    let text = match &node[name][0] {
        Value::Object(node) => node["head"].as_str().unwrap_or_default(),
        text => text.as_str().unwrap_or_default(),
    };
    let (_, number) = parts(text);
    number.unwrap_or_default()
}

/// Splits `WriteFile (1630)` into text and number; a text that is a number has no other text.
pub(super) fn parts(text: &str) -> (&str, Option<u64>) {
    let (name, digits) = match text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) {
        Some((name, digits)) => (name.trim(), digits),
        None => ("", text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    (if number.is_none() { text } else { name }, number)
}
