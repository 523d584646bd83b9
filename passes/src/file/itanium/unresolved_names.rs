//! Names in expressions that depend on template parameters: what they denote is not known in the template.

use super::nodes::{Node, NodeId};
use super::parser::{NameFacts, Parser};

impl Parser<'_> {
    /// A name, with its scope if `sr` starts it.
    pub(super) fn unresolved_name(&mut self, is_global: bool) -> Option<NodeId> {
        if !self.eat_text("sr") {
            let name = self.unresolved_base()?;
            return Some(self.global_if(is_global, name));
        }
        let scope = if self.scopes_are_types {
            self.type_node()?
        } else if self.eat(b'N') {
            let start = self.unresolved_type_with_arguments()?;
            self.simple_scopes(Some(start), is_global)?
        } else if self.peek().is_ascii_digit() {
            self.simple_scopes(None, is_global)?
        } else {
            self.unresolved_type_with_arguments()?
        };
        let name = self.unresolved_base()?;
        Some(self.add(Node::Scoped { scope, name }))
    }

    fn global_if(&mut self, is_global: bool, node: NodeId) -> NodeId {
        if is_global { self.add(Node::Prefixed { prefix: "::", node }) } else { node }
    }

    /// Identifiers with template arguments, until `E`, in the scope.
    fn simple_scopes(&mut self, mut scope: Option<NodeId>, is_global: bool) -> Option<NodeId> {
        while !self.eat(b'E') || scope.is_none() {
            let name = self.simple_name()?;
            scope = Some(match scope {
                Some(scope) => self.add(Node::Scoped { scope, name }),
                None => self.global_if(is_global, name),
            });
        }
        scope
    }

    /// A type, with template arguments if it is a template.
    fn unresolved_type_with_arguments(&mut self) -> Option<NodeId> {
        let node = self.unresolved_type()?;
        self.with_arguments(node)
    }

    fn unresolved_type(&mut self) -> Option<NodeId> {
        let node = match self.peek() {
            b'T' => self.template_parameter()?,
            b'D' => self.decltype()?,
            _ => return self.substitution(),
        };
        self.substitutions.push(node);
        Some(node)
    }

    /// An identifier, maybe with template arguments.
    fn simple_name(&mut self) -> Option<NodeId> {
        let name = self.identifier()?;
        self.with_arguments(name)
    }

    /// The name, with the template arguments that follow, if any.
    fn with_arguments(&mut self, name: NodeId) -> Option<NodeId> {
        if self.peek() != b'I' {
            return Some(name);
        }
        let arguments = self.template_arguments(false)?;
        Some(self.add(Node::Template { name, arguments }))
    }

    /// The last component: an identifier, an operator (`on`), or a destructor (`dn`).
    fn unresolved_base(&mut self) -> Option<NodeId> {
        if self.peek().is_ascii_digit() {
            return self.simple_name();
        }
        if self.eat_text("dn") {
            let is_identifier = self.peek().is_ascii_digit();
            let node = if is_identifier { self.simple_name()? } else { self.unresolved_type()? };
            return Some(self.add(Node::Prefixed { prefix: "~", node }));
        }
        self.eat_text("on");
        let name = self.operator_name(&mut NameFacts::default())?;
        self.with_arguments(name)
    }
}
