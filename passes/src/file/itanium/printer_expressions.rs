//! Text of expressions, with the parentheses that precedence calls for.

use super::floats::float_text;
use super::nodes::{List, Node, NodeId};
use super::operators::{Operator, Precedence};
use super::printer::Printer;

impl Printer<'_, '_> {
    /// How tightly the operator of the node binds.
    pub(super) fn precedence(&self, id: NodeId) -> Precedence {
        match self.node(id) {
            Node::Enclosed { precedence, .. } => precedence,
            Node::Prefix { operator, .. }
            | Node::Binary { operator, .. }
            | Node::Member { operator, .. }
            | Node::NamedCast { operator, .. } => operator.precedence,
            Node::Postfix { .. } | Node::Subscript { .. } | Node::Call { .. } => Precedence::Postfix,
            Node::New { .. } | Node::Delete { .. } => Precedence::Unary,
            Node::Cast { .. } => Precedence::Cast,
            Node::Conditional { .. } => Precedence::Conditional,
            _ => Precedence::Primary,
        }
    }

    /// Prints an expression. `false` if the node is none.
    pub(super) fn expression(&mut self, node: &Node<'_>) -> bool {
        match *node {
            Node::Number(number) => match number.strip_prefix('n') {
                Some(digits) => {
                    self.text("-");
                    self.text(digits);
                }
                None => self.text(number),
            },
            Node::CastLiteral { kind, value } => {
                self.in_parentheses(|printer| printer.print(kind));
                self.print(value);
            }
            Node::Float { kind, digits } => self.text(&float_text(kind, digits)),
            Node::StringLiteral(kind) => {
                self.text("\"<");
                self.print(kind);
                self.text(">\"");
            }
            Node::Lambda { closure } => {
                self.text("[]");
                if let Node::Closure { declarator, .. } = self.node(closure) {
                    self.print(declarator);
                }
                self.text("{...}");
            }
            Node::Binary { operator, left, right } => self.binary(operator, left, right),
            Node::Prefix { operator, operand } => {
                self.text(operator.symbol);
                self.operand(operand, operator.precedence, false);
            }
            Node::Postfix { operator, operand } => {
                self.operand(operand, Precedence::Postfix, true);
                self.text(operator.symbol);
            }
            Node::Subscript { array, index } => {
                self.operand(array, Precedence::Postfix, false);
                self.between("[", "]", |printer| printer.print(index));
            }
            Node::Member { operator, object, member } => {
                self.operand(object, operator.precedence, true);
                self.text(operator.symbol);
                self.operand(member, operator.precedence, false);
            }
            Node::Conditional { condition, then, otherwise } => {
                self.operand(condition, Precedence::Conditional, false);
                self.text(" ? ");
                self.print(then);
                self.text(" : ");
                self.operand(otherwise, Precedence::Assign, true);
            }
            _ => return self.compound_expression(node),
        }
        true
    }

    /// Prints an expression with lists, types or statements in it. `false` if the node is none.
    fn compound_expression(&mut self, node: &Node<'_>) -> bool {
        match *node {
            Node::Call { function, arguments } => {
                self.print(function);
                self.in_parentheses(|printer| printer.list(arguments));
            }
            Node::New { operator, is_global, placement, kind, initializer } => {
                self.text(if is_global { "::" } else { "" });
                self.text(operator.symbol);
                self.list_in_parentheses(placement);
                self.text(" ");
                self.print(kind);
                if let Some(initializer) = initializer {
                    self.print(initializer);
                }
            }
            Node::Delete { operator, is_global, operand } => {
                self.text(if is_global { "::" } else { "" });
                self.text(operator.symbol);
                self.text(" ");
                self.print(operand);
            }
            Node::NamedCast { operator, kind, operand } => {
                self.text(operator.symbol);
                self.in_angle_brackets(|printer| printer.left(kind));
                self.in_parentheses(|printer| printer.print(operand));
            }
            Node::Cast { kind, operands } => {
                self.in_parentheses(|printer| printer.print(kind));
                self.in_parentheses(|printer| printer.list(operands));
            }
            Node::Braces { kind, elements } => {
                if let Some(kind) = kind {
                    self.print(kind);
                }
                self.text("{");
                self.list(elements);
                self.text("}");
            }
            Node::Designated { designator, is_index, value } => {
                let (open, close) = if is_index { ("[", "]") } else { (".", "") };
                self.text(open);
                self.print(designator);
                self.text(close);
                self.designated_value(value);
            }
            Node::DesignatedRange { first, last, value } => {
                self.text("[");
                self.print(first);
                self.text(" ... ");
                self.print(last);
                self.text("]");
                self.designated_value(value);
            }
            Node::Fold { operator, is_left, pack, initial } => {
                self.in_parentheses(|printer| printer.fold(operator, is_left, pack, initial));
            }
            Node::Subobject { object, kind, offset } => self.subobject(object, kind, offset),
            Node::Requires { parameters, requirements } => self.requires(parameters, requirements),
            Node::Requirement { expression, is_noexcept, constraint } => {
                self.requirement(expression, is_noexcept, constraint);
            }
            _ => return false,
        }
        true
    }

    fn list_in_parentheses(&mut self, list: List) {
        if !self.elements(list).is_empty() {
            self.in_parentheses(|printer| printer.list(list));
        }
    }

    /// Assignments group from the right, other operators from the left. In template arguments, an operator with `>`
    /// is in parentheses.
    fn binary(&mut self, operator: &Operator, left: NodeId, right: NodeId) {
        let print = |printer: &mut Self| {
            let is_assignment = operator.precedence == Precedence::Assign;
            let precedence = if is_assignment { Precedence::LogicalOr } else { operator.precedence };
            printer.operand(left, precedence, !is_assignment);
            printer.text(if operator.symbol == "," { "" } else { " " });
            printer.text(operator.symbol);
            printer.text(" ");
            printer.operand(right, operator.precedence, is_assignment);
        };
        if self.open_parentheses == 0 && matches!(operator.symbol, ">" | ">>") {
            self.in_parentheses(print);
        } else {
            print(self);
        }
    }

    fn designated_value(&mut self, value: NodeId) {
        if !matches!(self.node(value), Node::Designated { .. } | Node::DesignatedRange { .. }) {
            self.text(" = ");
        }
        self.print(value);
    }

    fn fold(&mut self, operator: &Operator, is_left: bool, pack: NodeId, initial: Option<NodeId>) {
        let print_pack = |printer: &mut Self| printer.in_parentheses(|printer| printer.expand(pack));
        let (first, last) = if is_left { (initial, None) } else { (None, initial) };
        if let Some(first) = first {
            self.operand(first, Precedence::Cast, true);
            self.spaced(operator);
        } else if !is_left {
            print_pack(self);
            self.spaced(operator);
        }
        self.text("...");
        if is_left {
            self.spaced(operator);
            print_pack(self);
        } else if let Some(last) = last {
            self.spaced(operator);
            self.operand(last, Precedence::Cast, true);
        }
    }

    fn spaced(&mut self, operator: &Operator) {
        self.text(" ");
        self.text(operator.symbol);
        self.text(" ");
    }

    fn subobject(&mut self, object: NodeId, kind: NodeId, offset: &str) {
        self.print(object);
        self.text(".<");
        self.print(kind);
        self.text(" at offset ");
        match offset.strip_prefix('n') {
            Some(digits) => {
                self.text("-");
                self.text(digits);
            }
            None => self.text(if offset.is_empty() { "0" } else { offset }),
        }
        self.text(">");
    }

    fn requires(&mut self, parameters: List, requirements: List) {
        self.text("requires");
        if !self.elements(parameters).is_empty() {
            self.text(" ");
            self.list_in_parentheses(parameters);
        }
        self.text(" ");
        self.between("{", " }", |printer| {
            for &requirement in printer.elements(requirements) {
                printer.print(requirement);
            }
        });
    }

    fn requirement(&mut self, expression: NodeId, is_noexcept: bool, constraint: Option<NodeId>) {
        self.text(" ");
        if is_noexcept || constraint.is_some() {
            self.between("{", "}", |printer| printer.print(expression));
        } else {
            self.print(expression);
        }
        self.text(if is_noexcept { " noexcept" } else { "" });
        if let Some(constraint) = constraint {
            self.text(" -> ");
            self.print(constraint);
        }
        self.text(";");
    }
}
