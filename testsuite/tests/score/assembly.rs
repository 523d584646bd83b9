//! `(assembly as GCC prints it with -dP) -> (assembly with labels for what it says, what it says in terms of labels)`.
//!
//! With `-dP`, GCC prints its own form of each instruction as a comment before it: there stand the calls that do not return
//! (`REG_NORETURN`), and whether an indirect jump is a jump (`jump_insn`) or a call (`call_insn`). The table of a jump follows it at
//! once. A jump without a table is a computed goto, and goes to any label of its function whose address is taken, as GCC
//! itself has it. Labels change no byte of the code; the linked file's symbol table has their addresses.

use std::collections::BTreeSet;

/// What is said of one object's code. Labels are those of the assembly that is returned beside.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Names of functions and of parts of functions.
    pub(crate) functions: BTreeSet<String>,
    /// An indirect jump and its targets.
    pub(crate) tables: Vec<(String, Vec<String>)>,
    /// Computed gotos.
    pub(crate) gotos: Vec<String>,
    /// Labels whose addresses are taken.
    pub(crate) taken: Vec<String>,
    /// Behind calls that do not return.
    pub(crate) away: Vec<String>,
    /// Where the unwinder enters.
    pub(crate) pads: Vec<String>,
}

/// Reads the assembly of one object; its labels get a number, so that those of all objects of a program differ.
pub(crate) fn read(assembly: &str, object: usize) -> (String, Said) {
    let mut reader = Reader { prefix: format!(".Lo{object}."), ..Reader::default() };
    for line in assembly.lines() {
        reader.line(line);
    }
    reader.end_table();
    (reader.text, reader.said)
}

#[derive(Default)]
struct Reader {
    prefix: String,
    text: String,
    said: Said,
    labels: usize,
    /// What the comment before the instruction says.
    is_jump: bool,
    is_away: bool,
    /// The indirect jump whose table may follow, and the table's targets.
    jump: Option<(String, Vec<String>)>,
    /// Number of the field of the unwinder's table that is next; none outside of one.
    call_site_field: Option<usize>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(comment) = line.strip_prefix('#') {
            self.comment(comment);
            return;
        }
        let is_text = [".string", ".ascii", ".file", ".ident"];
        let code = line.trim_start();
        if is_text.iter().any(|directive| code.starts_with(directive)) {
            self.put(line);
            return;
        }
        let line = renamed(line, &self.prefix);
        let code = line.split('#').next().unwrap_or_default().trim();
        if let Some(label) = code.strip_suffix(':') {
            self.label(label);
        } else if code.starts_with('.') {
            self.directive(code);
        } else if !code.is_empty() {
            self.instruction(code);
            return;
        }
        self.put(code);
    }

    fn put(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn comment(&mut self, comment: &str) {
        if comment.starts_with('(') || comment.starts_with("APP") || comment.starts_with("NO_APP") {
            self.is_jump = comment.starts_with("(jump_insn");
            self.is_away = false;
        }
        self.is_away |= comment.contains("(expr_list:REG_NORETURN");
    }

    fn label(&mut self, label: &str) {
        let own = label.strip_prefix(&self.prefix).unwrap_or_default();
        if own.starts_with("LSDACSB") {
            self.call_site_field = Some(0);
        } else if own.starts_with("LSDACSE") {
            self.call_site_field = None;
        } else if self.jump.as_ref().is_some_and(|(_, targets)| !targets.is_empty()) {
            self.end_table();
        }
    }

    fn directive(&mut self, code: &str) {
        let (name, operands) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
        let is_table = matches!(name, ".long" | ".quad" | ".byte" | ".value");
        if let (".type", Some((function, "@function"))) = (name, operands.split_once(", ")) {
            self.said.functions.insert(function.to_owned());
        }
        if let (".uleb128", Some(field)) = (name, self.call_site_field) {
            // Start, length, landing pad, action.
            if let Some((pad, _)) = operands.split_once('-').filter(|_| field % 4 == 2) {
                self.said.pads.push(pad.to_owned());
            }
            self.call_site_field = Some(field + 1);
        }
        let target = operands.split('-').next().unwrap_or_default();
        if is_table && is_code_label(target, &self.prefix) {
            match &mut self.jump {
                Some((_, targets)) => targets.push(target.to_owned()),
                None => self.said.taken.push(target.to_owned()),
            }
        } else if self.jump.as_ref().is_some_and(|(_, targets)| !targets.is_empty()) {
            self.end_table();
        }
    }

    fn instruction(&mut self, code: &str) {
        self.end_table();
        let code = code.strip_prefix("notrack ").unwrap_or(code);
        let (name, operands) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
        let operands = operands.trim();
        if name == "jmp" && operands.starts_with('*') && self.is_jump {
            let label = self.new_label();
            self.put(&format!("{label}:"));
            self.jump = Some((label, Vec::new()));
        } else if name.starts_with("lea") || name.starts_with("mov") {
            let operand = operands.split([',', '(']).next().unwrap_or_default().trim_start_matches('$');
            if is_code_label(operand, &self.prefix) {
                self.said.taken.push(operand.to_owned());
            }
        }
        self.put(code);
        if name == "call" && self.is_away {
            let label = self.new_label();
            self.put(&format!("{label}:"));
            self.said.away.push(label);
        }
    }

    fn new_label(&mut self) -> String {
        self.labels += 1;
        format!("{}at{}", self.prefix, self.labels)
    }

    fn end_table(&mut self) {
        if let Some((jump, targets)) = self.jump.take() {
            if targets.is_empty() {
                self.said.gotos.push(jump);
            } else {
                self.said.tables.push((jump, targets));
            }
        }
    }
}

/// Whether a label is of the kind that GCC gives to code: a number alone.
fn is_code_label(label: &str, prefix: &str) -> bool {
    let number = label.strip_prefix(prefix).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The line with another prefix for local labels.
fn renamed(line: &str, prefix: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(position) = rest.find(".L") {
        let is_inside =
            rest[..position].ends_with(|byte: char| byte.is_alphanumeric() || "_.".contains(byte));
        text.push_str(&rest[..position]);
        text.push_str(if is_inside { ".L" } else { prefix });
        rest = &rest[position + 2..];
    }
    text + rest
}

#[test]
fn tables_gotos_and_calls_that_do_not_return_are_read() {
    let assembly = "\t.type\tf, @function\nf:\n.LFB0:\n#(jump_insn 1\n\tjmp\t*%rax\t# 17\n\t.section\t.rodata\n\
                    .L4:\n\t.long\t.L6-.L4\n\t.long\t.L5-.L4\n\t.text\n.L6:\n#(call_insn 2\n# (expr_list:REG_NORETURN\n\
                    \tcall\tabort@PLT\n.L5:\n#(call_insn/j 3\n\tjmp\t*%rdx\n#(jump_insn 4\n\tjmp\t*%rcx\n\tret\n\
                    \t.section .data\n\t.quad\t.L5\n\t.string \".L5\"\n";
    let (text, said) = read(assembly, 7);
    assert_eq!(said.functions, ["f".to_owned()].into());
    assert_eq!(said.tables, [(".Lo7.at1".to_owned(), vec![".Lo7.6".to_owned(), ".Lo7.5".to_owned()])]);
    assert_eq!(said.gotos, [".Lo7.at3"]);
    assert_eq!((said.away, said.taken), (vec![".Lo7.at2".to_owned()], vec![".Lo7.5".to_owned()]));
    assert!(text.contains("\n.Lo7.6:\ncall\tabort@PLT\n.Lo7.at2:\n") && text.contains("\".L5\""), "{text}");
}
