//! `binframe schemas`

use crate::Folder;
use binframe::ir::BINARY_COLUMN;
use binframe::ir::{TABLES, schemas_markdown, table_named};
use binframe_testsuite::reserved_words::RESERVED_WORDS;

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

/// Names of views, functions and their columns.
#[cfg(feature = "sql")]
fn names_in_sql() -> Vec<String> {
    use binframe_query::{FUNCTIONS, TABLE_FUNCTIONS, VIEWS};
    let views = VIEWS.iter().map(|view| view.name);
    let functions = FUNCTIONS.iter().map(|function| function.name);
    let table_functions = TABLE_FUNCTIONS.iter().map(|function| function.name);
    views.chain(functions).chain(table_functions).map(str::to_owned).collect()
}

#[cfg(not(feature = "sql"))]
fn names_in_sql() -> Vec<String> {
    Vec::new()
}

#[test]
fn no_name_needs_quotes_in_sql() {
    let mut names = names_in_sql();
    names.push(BINARY_COLUMN.to_owned());
    for table in TABLES {
        let columns = table.columns.iter().map(|column| column.name);
        names.extend(columns.chain([table.name]).map(str::to_owned));
    }
    for (engine, words) in RESERVED_WORDS {
        let found: Vec<_> = names.iter().filter(|name| words.split(' ').any(|word| word == **name)).collect();
        assert!(found.is_empty(), "reserved by {engine}: {found:?}");
    }
}

/// Of the columns of all tables and views, none needs quotes.
#[test]
#[cfg(feature = "sql")]
fn every_column_can_be_selected_by_its_name() {
    let (folder, _) = crate::loops();
    let mut queries = String::new();
    for table in TABLES {
        let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        queries += &format!("SELECT {}, {BINARY_COLUMN} FROM {} LIMIT 0;\n", names.join(", "), table.name);
    }
    std::fs::write(folder.path().join("all.sql"), queries).expect("written");
    folder.text(&["sql", "-f", "all.sql", "loops"]);
}
