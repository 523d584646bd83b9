//! Commands of the shell that begin with a dot.

use super::printer::Printer;
use crate::failure::Failure;
use crate::output::destination;
use crate::output::row_writer::RowFormat;
use arrow_schema::DataType;
use binframe::ir::table_named;
use binframe_query::{FUNCTIONS, Session, TABLE_FUNCTIONS, VIEWS};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A dot command.
pub(super) struct DotCommand {
    pub(super) name: &'static str,
    parameters: &'static str,
    help: &'static str,
    run: fn(&Session, &mut Printer, &[&str]) -> Result<String, Failure>,
}

/// All dot commands.
pub(super) const COMMANDS: &[DotCommand] = &[
    DotCommand { name: "tables", parameters: "", help: "List tables and views", run: |_, _, _| Ok(tables()) },
    DotCommand {
        name: "schema",
        parameters: "[TABLE]",
        help: "Show columns and their meanings",
        run: schema,
    },
    DotCommand {
        name: "functions",
        parameters: "",
        help: "List the functions that binframe adds to SQL",
        run: |_, _, _| Ok(functions()),
    },
    DotCommand {
        name: "inputs",
        parameters: "",
        help: "List the inputs",
        run: |session, _, _| Ok(inputs(session)),
    },
    DotCommand { name: "mode", parameters: "[FORMAT]", help: "Show or set the output format", run: mode },
    DotCommand {
        name: "output",
        parameters: "[FILE]",
        help: "Write results to a file; without one, to the terminal",
        run: output,
    },
    DotCommand { name: "timer", parameters: "on|off", help: "Show the duration of each query", run: timer },
    DotCommand { name: "help", parameters: "", help: "Show this list", run: |_, _, _| Ok(help()) },
    DotCommand { name: "quit", parameters: "", help: "Exit", run: |_, _, _| Ok(String::new()) },
];

/// Runs a command, given without its dot. `Break` ends the shell.
pub(super) fn run(session: &Session, printer: &mut Printer, text: &str) -> Result<ControlFlow<()>, Failure> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Failure::Usage(format!("there is no command `.{name}`; `.help` lists them")));
    };
    let arguments: Vec<_> = words.collect();
    let text = (command.run)(session, printer, &arguments)?;
    let mut out = destination::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(if name == "quit" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

fn help() -> String {
    let mut text = String::new();
    for DotCommand { name, parameters, help, .. } in COMMANDS {
        let usage = format!(".{name} {parameters}");
        _ = writeln!(text, "{usage:<20} {help}");
    }
    text + "Other input is SQL and ends with a semicolon. EXPLAIN ANALYZE shows the plan and the passes that ran.\n\
     Ctrl-C cancels a query; Ctrl-D exits.\n"
}

/// The first sentence of a documentation text.
fn first_sentence(doc: &str) -> &str {
    doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.')
}

fn tables() -> String {
    let mut text = String::new();
    for table in binframe::ir::TABLES {
        _ = writeln!(text, "{:<28} {}", table.name, first_sentence(table.doc));
    }
    text += "\nViews:\n";
    for view in VIEWS {
        _ = writeln!(text, "{:<28} {}", view.name, first_sentence(view.doc));
    }
    text
}

fn functions() -> String {
    let mut text = String::new();
    for function in FUNCTIONS {
        let mut parameters: Vec<_> = function.parameters.iter().map(|parameter| parameter.name()).collect();
        parameters.extend(function.reads_binary.then_some("[binary]"));
        let usage = format!("{}({})", function.name, parameters.join(", "));
        _ = writeln!(text, "{usage:<36} {}", function.doc);
    }
    text += "\nTable functions, used as in SELECT * FROM callers('main'):\n";
    for function in TABLE_FUNCTIONS {
        let usage = format!("{}({}, [binary])", function.name, function.parameters.join(", "));
        _ = writeln!(text, "{usage:<36} {}", function.doc);
    }
    text
}

fn inputs(session: &Session) -> String {
    let mut text = String::new();
    for path in session.inputs().paths() {
        _ = writeln!(text, "{}", path.display());
    }
    text
}

fn schema(session: &Session, _: &mut Printer, arguments: &[&str]) -> Result<String, Failure> {
    let names = match arguments {
        [] => session.table_names(),
        names => names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut text = String::new();
    for name in names {
        let Some(schema) = session.columns(&name) else {
            return Err(Failure::Failed(format!("there is no table `{name}`; `.tables` lists them")));
        };
        let view = VIEWS.iter().find(|view| view.name == name);
        let doc = table_named(&name).map(|table| table.doc).or(view.map(|view| view.doc)).unwrap_or_default();
        _ = writeln!(text, "{name}: {doc}");
        let width = schema.fields().iter().map(|field| field.name().len()).max().unwrap_or(0);
        for field in schema.fields() {
            let doc = field.metadata().get("doc").map_or("", String::as_str);
            let type_name = type_name(field.data_type());
            _ = writeln!(text, "  {:<width$}  {type_name:<9}  {doc}", field.name());
        }
    }
    Ok(text)
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::BinaryView => "bytes".to_owned(),
        DataType::List(element) => format!("{}[]", type_name(element.data_type())),
        other => other.to_string().to_lowercase(),
    }
}

fn mode(_: &Session, printer: &mut Printer, arguments: &[&str]) -> Result<String, Failure> {
    let names: Vec<_> = RowFormat::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
    let formats = || names.iter().map(PossibleValue::get_name).collect::<Vec<_>>().join(", ");
    match arguments {
        [] => {
            let name = printer.format.to_possible_value();
            Ok(format!("{}\n", name.as_ref().map_or("", |name| name.get_name())))
        }
        [name] => {
            let format = RowFormat::from_str(name, true);
            printer.format = format.map_err(|_| {
                Failure::Usage(format!("there is no format `{name}`; the formats are {}", formats()))
            })?;
            Ok(String::new())
        }
        _ => Err(Failure::Usage(format!("`.mode` takes one format: {}", formats()))),
    }
}

fn output(_: &Session, printer: &mut Printer, arguments: &[&str]) -> Result<String, Failure> {
    printer.output = match arguments {
        [] => None,
        [path] => Some(PathBuf::from(path)),
        _ => return Err(Failure::Usage("`.output` takes one file, or nothing".to_owned())),
    };
    Ok(String::new())
}

fn timer(_: &Session, printer: &mut Printer, arguments: &[&str]) -> Result<String, Failure> {
    printer.has_timer = match arguments {
        ["on"] => true,
        ["off"] => false,
        _ => return Err(Failure::Usage("`.timer` takes `on` or `off`".to_owned())),
    };
    Ok(String::new())
}
