//! Text of names, templates and encodings.

use super::nodes::{FunctionQualifiers, Node, NodeId, ParameterKind, Qualifiers};
use super::printer::Printer;

impl Printer<'_, '_> {
    /// Prints a name, or the left part of an encoding or of a template parameter. `false` if the node is another one.
    pub(super) fn name_left(&mut self, node: &Node<'_>) -> bool {
        match *node {
            Node::Text(text) => self.text(text),
            Node::Prefixed { prefix, node } => {
                self.text(prefix);
                self.print(node);
            }
            Node::Suffixed { node, suffix } => {
                self.print(node);
                self.text(suffix);
            }
            Node::Enclosed { prefix, node, .. } => {
                self.text(prefix);
                self.in_parentheses(|printer| printer.print(node));
            }
            Node::List(elements) => self.list(elements),
            Node::Scoped { scope, name } => self.pair(scope, "::", name),
            Node::Friend { scope, name } => self.pair(scope, "::friend ", name),
            Node::Attached { name, module } => self.pair(name, "@", module),
            Node::ConstructionTable { base, class } => {
                self.text("construction vtable for ");
                self.pair(base, "-in-", class);
            }
            Node::Tagged { name, tag } => {
                self.left(name);
                self.tag(tag);
            }
            Node::Module { parent, name, is_partition } => self.module(parent, name, is_partition),
            Node::Abbreviated { abbreviation, is_full } => {
                self.text(if is_full { abbreviation.full } else { abbreviation.name });
            }
            Node::Constructor { class, is_destructor } => {
                self.text(if is_destructor { "~" } else { "" });
                self.class_name(class);
            }
            Node::OperatorName(operator) => {
                let is_word = operator.symbol.starts_with(|first: char| first.is_ascii_alphabetic());
                self.text(if is_word { "operator " } else { "operator" });
                self.text(operator.symbol);
            }
            Node::Template { name, arguments } => {
                self.print(name);
                self.in_angle_brackets(|printer| printer.list(arguments));
            }
            _ => return self.unnamed_left(node),
        }
        true
    }

    /// Prints what has no name in the source. `false` if the node is another one.
    fn unnamed_left(&mut self, node: &Node<'_>) -> bool {
        match *node {
            Node::Unnamed { count } => self.quoted("unnamed", count),
            Node::Closure { count, declarator } => {
                self.quoted("lambda", count);
                self.print(declarator);
            }
            Node::Declarator { .. } => self.declarator(node),
            Node::Binding(variables) => self.between("[", "]", |printer| printer.list(variables)),
            Node::Synthetic { kind, index } => {
                self.text(match kind {
                    ParameterKind::Type => "$T",
                    ParameterKind::Value => "$N",
                    ParameterKind::Template => "$TT",
                });
                if let Some(suffix) = index.checked_sub(1) {
                    self.text(&suffix.to_string());
                }
            }
            Node::Function { result: Some(result), name, .. } => {
                self.left(result);
                if !self.shape(result).has_right {
                    self.text(" ");
                }
                self.print(name);
            }
            Node::Function { result: None, name, .. } => self.print(name),
            Node::TypeParameter { constraint: None, .. } => self.text("typename "),
            Node::TypeParameter { constraint: Some(constraint), .. } => {
                self.print(constraint);
                self.text(" ");
            }
            Node::ValueParameter { kind, .. } => {
                self.left(kind);
                if !self.shape(kind).has_right {
                    self.text(" ");
                }
            }
            Node::TemplateParameter { parameters, .. } => {
                self.text("template");
                self.in_angle_brackets(|printer| printer.list(parameters));
                self.text(" typename ");
            }
            Node::PackParameter(parameter) => {
                self.left(parameter);
                self.text("...");
            }
            _ => return false,
        }
        true
    }

    /// The right part of an encoding or of a template parameter. Nothing for other nodes.
    pub(super) fn name_right(&mut self, node: &Node<'_>) {
        match *node {
            Node::Function { result, parameters, conditions, constraint, qualifiers, .. } => {
                self.in_parentheses(|printer| printer.list(parameters));
                if let Some(result) = result {
                    self.right(result);
                }
                self.function_qualifiers(qualifiers);
                if let Some(conditions) = conditions {
                    self.text(" [enable_if:");
                    self.print(conditions);
                    self.text("]");
                }
                self.requires_clause(constraint);
            }
            Node::TypeParameter { name, .. } => self.print(name),
            Node::ValueParameter { kind, name } => {
                self.print(name);
                self.right(kind);
            }
            Node::TemplateParameter { name, constraint, .. } => {
                self.print(name);
                self.requires_clause(constraint);
            }
            Node::PackParameter(parameter) => self.right(parameter),
            _ => {}
        }
    }

    /// The text after the name of a closure or the brackets of a lambda expression.
    pub(super) fn declarator(&mut self, node: &Node<'_>) {
        let Node::Declarator { template_parameters, template_constraint, parameters, constraint } = *node
        else {
            return;
        };
        if !self.elements(template_parameters).is_empty() {
            self.in_angle_brackets(|printer| printer.list(template_parameters));
        }
        if template_constraint.is_some() {
            self.requires_clause(template_constraint);
            self.text(" ");
        }
        self.in_parentheses(|printer| printer.list(parameters));
        self.requires_clause(constraint);
    }

    fn requires_clause(&mut self, constraint: Option<NodeId>) {
        if let Some(constraint) = constraint {
            self.text(" requires ");
            self.print(constraint);
        }
    }

    fn pair(&mut self, first: NodeId, separator: &str, second: NodeId) {
        self.print(first);
        self.text(separator);
        self.print(second);
    }

    fn quoted(&mut self, word: &str, count: &str) {
        self.text("'");
        self.text(word);
        self.text(count);
        self.text("'");
    }

    pub(super) fn tag(&mut self, tag: &str) {
        self.text("[abi:");
        self.text(tag);
        self.text("]");
    }

    fn module(&mut self, parent: Option<NodeId>, name: NodeId, is_partition: bool) {
        if let Some(parent) = parent {
            self.print(parent);
        }
        if is_partition {
            self.text(":");
        } else if parent.is_some() {
            self.text(".");
        }
        self.print(name);
    }

    /// The name of a class without its scope and its arguments, as its constructors are called.
    fn class_name(&mut self, mut class: NodeId) {
        // Each step descends in the graph, which has no cycle but through forward references.
        loop {
            class = match self.node(class) {
                Node::Scoped { name, .. }
                | Node::Friend { name, .. }
                | Node::Attached { name, .. }
                | Node::Tagged { name, .. }
                | Node::Template { name, .. } => name,
                Node::Text(_) | Node::OperatorName(_) => return self.print(class),
                Node::Abbreviated { abbreviation, is_full: true } => return self.text(abbreviation.class),
                Node::Abbreviated { abbreviation, is_full: false } => {
                    return self.text(abbreviation.name.trim_start_matches("std::"));
                }
                _ => return,
            };
        }
    }

    /// Qualifiers of a type, each after a space.
    pub(super) fn qualifiers(&mut self, qualifiers: Qualifiers) {
        self.text(if qualifiers.is_const { " const" } else { "" });
        self.text(if qualifiers.is_volatile { " volatile" } else { "" });
        self.text(if qualifiers.is_restrict { " restrict" } else { "" });
    }

    /// Qualifiers of a function.
    pub(super) fn function_qualifiers(&mut self, qualifiers: FunctionQualifiers) {
        self.qualifiers(qualifiers.object);
        self.text(if qualifiers.is_lvalue { " &" } else { "" });
        self.text(if qualifiers.is_rvalue { " &&" } else { "" });
    }
}
