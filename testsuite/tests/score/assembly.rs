//! `(assembly of gcc -dP) -> (assembly with added labels, statements in terms of labels)`.
//!
//! With `-dP`, GCC prints the RTL of each instruction as a comment before it. It contains noreturn calls
//! (`REG_NORETURN`) and distinguishes indirect jumps (`jump_insn`) from calls (`call_insn`). A jump table immediately
//! follows its jump. An indirect jump without a table is a computed goto to any address-taken label of its function,
//! as in GCC itself. Added labels change no code bytes; the symbol table of the linked file contains their addresses.

use std::collections::BTreeSet;

/// Statements about the code of one object, in terms of labels of the returned assembly.
#[derive(Debug, Default)]
pub(crate) struct ObjectFacts {
    /// Names of functions and fragments.
    pub(crate) functions: BTreeSet<String>,
    /// Indirect jumps through tables, and their targets.
    pub(crate) tables: Vec<(String, Vec<String>)>,
    /// Computed gotos.
    pub(crate) gotos: Vec<String>,
    /// Address-taken labels.
    pub(crate) address_taken: Vec<String>,
    /// Labels after noreturn calls.
    pub(crate) noreturn_ends: Vec<String>,
    /// Labels of landing pads.
    pub(crate) landing_pads: Vec<String>,
}

/// Reads the assembly of one object, whose local labels start with `marker`. Labels are prefixed with the object's
/// number, so that they are unique in a program.
pub(crate) fn read(assembly: &str, object: usize, marker: &'static str) -> (String, ObjectFacts) {
    let mut reader = Reader { prefix: format!(".Lo{object}."), marker, ..Reader::default() };
    for line in assembly.lines() {
        reader.line(line);
    }
    reader.end_table();
    (reader.text, reader.facts)
}

#[derive(Default)]
struct Reader {
    prefix: String,
    text: String,
    facts: ObjectFacts,
    /// Start of local labels.
    marker: &'static str,
    /// Functions that are declared as in COFF.
    declared: BTreeSet<String>,
    labels: usize,
    /// Facts from the comment before the instruction.
    is_jump: bool,
    is_noreturn: bool,
    /// The last indirect jump whose table may follow, and the targets of the table.
    jump: Option<(String, Vec<String>)>,
    /// Index of the next field in an LSDA call-site table; `None` outside one.
    call_site_field: Option<usize>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(comment) = line.trim_start().strip_prefix('#') {
            self.comment(comment);
            return;
        }
        let is_text = [".string", ".ascii", ".file", ".ident"];
        let code = line.trim_start();
        if is_text.iter().any(|directive| code.starts_with(directive)) {
            self.put(line);
            return;
        }
        let line = renamed(line, self.marker, &self.prefix);
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
            self.is_noreturn = false;
        }
        self.is_noreturn |= comment.contains("(expr_list:REG_NORETURN");
    }

    fn label(&mut self, label: &str) {
        if self.declared.contains(label) {
            self.facts.functions.insert(label.to_owned());
        }
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
            self.facts.functions.insert(function.to_owned());
        }
        // In COFF, functions have type 32. Undefined functions have a directive too.
        if let (".def", Some((function, attributes))) = (name, operands.split_once(';'))
            && attributes.contains(".type\t32;")
        {
            self.declared.insert(function.to_owned());
        }
        if let (".uleb128", Some(field)) = (name, self.call_site_field) {
            // Start, length, landing pad, action.
            if let Some((pad, _)) = operands.split_once('-').filter(|_| field % 4 == 2) {
                self.facts.landing_pads.push(pad.to_owned());
            }
            self.call_site_field = Some(field + 1);
        }
        let target = operands.split(['-', '@']).next().unwrap_or_default();
        if is_table && is_code_label(target, &self.prefix) {
            match &mut self.jump {
                Some((_, targets)) => targets.push(target.to_owned()),
                None => self.facts.address_taken.push(target.to_owned()),
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
                self.facts.address_taken.push(operand.to_owned());
            }
        }
        self.put(code);
        if name == "call" && self.is_noreturn {
            let label = self.new_label();
            self.put(&format!("{label}:"));
            self.facts.noreturn_ends.push(label);
        }
    }

    fn new_label(&mut self) -> String {
        self.labels += 1;
        format!("{}at{}", self.prefix, self.labels)
    }

    fn end_table(&mut self) {
        if let Some((jump, targets)) = self.jump.take() {
            if targets.is_empty() {
                self.facts.gotos.push(jump);
            } else {
                self.facts.tables.push((jump, targets));
            }
        }
    }
}

/// Whether a label is one of GCC's code labels: a plain number.
fn is_code_label(label: &str, prefix: &str) -> bool {
    let number = label.strip_prefix(prefix).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The line with a different prefix of local labels.
fn renamed(line: &str, marker: &str, prefix: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    let mut is_inside = false;
    while let Some(position) = rest.find(marker) {
        let is_name = |byte: char| byte.is_alphanumeric() || "_.".contains(byte);
        is_inside = if position == 0 { is_inside } else { rest[..position].ends_with(is_name) };
        text.push_str(&rest[..position]);
        text.push_str(if is_inside { marker } else { prefix });
        rest = &rest[position + marker.len()..];
        is_inside = true;
    }
    text + rest
}

#[test]
fn tables_gotos_and_noreturn_calls_are_read() {
    let assembly = "\t.type\tf, @function\nf:\n.LFB0:\n#(jump_insn 1\n\tjmp\t*%rax\t# 17\n\t.section\t.rodata\n\
                    .L4:\n\t.long\t.L6-.L4\n\t.long\t.L5-.L4\n\t.text\n.L6:\n#(call_insn 2\n# (expr_list:REG_NORETURN\n\
                    \tcall\tabort@PLT\n.L5:\n#(call_insn/j 3\n\tjmp\t*%rdx\n#(jump_insn 4\n\tjmp\t*%rcx\n\tret\n\
                    \t.section .data\n\t.quad\t.L5\n\t.string \".L5\"\n";
    let (text, facts) = read(assembly, 7, ".L");
    assert_eq!(facts.functions, ["f".to_owned()].into());
    assert_eq!(facts.tables, [(".Lo7.at1".to_owned(), vec![".Lo7.6".to_owned(), ".Lo7.5".to_owned()])]);
    assert_eq!(facts.gotos, [".Lo7.at3"]);
    assert_eq!(
        (facts.noreturn_ends, facts.address_taken),
        (vec![".Lo7.at2".to_owned()], vec![".Lo7.5".to_owned()])
    );
    assert!(text.contains("\n.Lo7.6:\ncall\tabort@PLT\n.Lo7.at2:\n") && text.contains("\".L5\""), "{text}");
}

#[test]
fn labels_and_functions_of_coff_are_read() {
    let assembly = "\t.def\t_f;\t.scl\t2;\t.type\t32;\t.endef\n\t.def\t_exit;\t.scl\t2;\t.type\t32;\t.endef\n_f:\n \
                    #(jump_insn 1\n\tjmp\t*L4(,%eax,4)\nL4:\n\t.long\tL6\n\t.text\nL6:\n\tcall\t_LL5\n";
    let (text, facts) = read(assembly, 0, "L");
    assert_eq!(facts.functions, ["_f".to_owned()].into());
    assert_eq!(facts.tables, [(".Lo0.at1".to_owned(), vec![".Lo0.6".to_owned()])]);
    assert!(text.contains("jmp\t*.Lo0.4(,%eax,4)") && text.contains("call\t_LL5"), "{text}");
}
