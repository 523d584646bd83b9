//! `binframe schemas`

use crate::Folder;
use binframe::ir::{TABLES, schemas_markdown, table_named};

#[test]
fn markdown_is_generated_from_the_declarations() {
    let folder = Folder::with(&[]);
    assert_eq!(folder.text(&["schemas", "--markdown"]), schemas_markdown(None));
    let functions = table_named("functions");
    assert_eq!(folder.text(&["schemas", "functions", "--markdown"]), schemas_markdown(functions));
}

#[test]
fn text_describes_every_column_of_every_table() {
    let text = Folder::with(&[]).text(&["schemas"]);
    for table in TABLES {
        assert!(text.contains(&format!("{}: {}\n", table.name, table.doc)), "{}", table.name);
        for column in table.columns {
            let line = text.lines().find(|line| {
                line.split_whitespace().next() == Some(column.name) && line.contains(column.doc)
            });
            assert!(line.is_some(), "{}.{}", table.name, column.name);
        }
    }
}

#[test]
fn one_table_is_described() {
    let text = Folder::with(&[]).text(&["schemas", "call_edges"]);
    insta::assert_snapshot!(text);
}
