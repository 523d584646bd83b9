//! Text of types. A declarator like a pointer or an array surrounds the declared name with text.

use super::nodes::{DEPTH_MAX, Node, NodeId};
use super::printer::Printer;

impl Printer<'_, '_> {
    /// Prints the left part of a type. `false` if the node is none.
    pub(super) fn type_left(&mut self, node: &Node<'_>) -> bool {
        match *node {
            Node::Qualified { inner, qualifiers } => {
                self.left(inner);
                self.qualifiers(qualifiers);
            }
            Node::VendorQualified { inner, name, arguments } => {
                self.print(inner);
                self.text(" ");
                self.text(name);
                if let Some(arguments) = arguments {
                    self.in_angle_brackets(|printer| printer.print(arguments));
                }
            }
            Node::Protocol { inner, protocol } => {
                self.print(inner);
                self.text("<");
                self.text(protocol);
                self.text(">");
            }
            Node::Pointer(inner) => self.pointer_left(inner),
            Node::Reference { inner, is_rvalue } => {
                let (inner, is_rvalue) = self.collapsed(inner, is_rvalue);
                self.declarator_left(inner, if is_rvalue { "&&" } else { "&" });
            }
            Node::MemberPointer { class, member } => {
                self.left(member);
                let shape = self.shape(member);
                self.text(if shape.is_array || shape.is_function { "(" } else { " " });
                self.print(class);
                self.text("::*");
            }
            Node::Array { element, .. } => self.left(element),
            Node::Vector { element, dimension } => {
                self.print(element);
                self.text(" vector[");
                if let Some(dimension) = dimension {
                    self.print(dimension);
                }
                self.text("]");
            }
            Node::FunctionType { result, .. } => {
                self.left(result);
                self.text(" ");
            }
            _ => return false,
        }
        true
    }

    /// The right part of a type, an encoding or a template parameter. Nothing for other nodes.
    pub(super) fn declarator_right(&mut self, node: &Node<'_>) {
        match *node {
            Node::Qualified { inner, .. } | Node::Tagged { name: inner, .. } => self.right(inner),
            Node::Pointer(inner) if self.is_object_pointer(inner) => {}
            Node::Pointer(inner) => self.enclosed_right(inner),
            Node::Reference { inner, is_rvalue } => {
                let (inner, _) = self.collapsed(inner, is_rvalue);
                self.enclosed_right(inner);
            }
            Node::MemberPointer { member, .. } => self.enclosed_right(member),
            Node::Array { element, dimension } => {
                self.text(if self.ends_with(']') { "[" } else { " [" });
                if let Some(dimension) = dimension {
                    self.print(dimension);
                }
                self.text("]");
                self.right(element);
            }
            Node::FunctionType { result, parameters, exceptions, qualifiers } => {
                self.in_parentheses(|printer| printer.list(parameters));
                self.right(result);
                self.function_qualifiers(qualifiers);
                if let Some(exceptions) = exceptions {
                    self.text(" ");
                    self.print(exceptions);
                }
            }
            _ => self.name_right(node),
        }
    }

    fn pointer_left(&mut self, inner: NodeId) {
        match self.node(inner) {
            Node::Protocol { protocol, .. } if self.is_object_pointer(inner) => {
                self.text("id<");
                self.text(protocol);
                self.text(">");
            }
            _ => self.declarator_left(inner, "*"),
        }
    }

    /// Whether a pointer to the type is `id` of Objective-C with a protocol.
    fn is_object_pointer(&self, inner: NodeId) -> bool {
        let Node::Protocol { inner, .. } = self.node(inner) else { return false };
        matches!(self.node(inner), Node::Text("objc_object"))
    }

    fn declarator_left(&mut self, inner: NodeId, symbol: &str) {
        self.left(inner);
        let shape = self.shape(inner);
        self.text(if shape.is_array { " " } else { "" });
        self.text(if shape.is_array || shape.is_function { "(" } else { "" });
        self.text(symbol);
    }

    fn enclosed_right(&mut self, inner: NodeId) {
        let shape = self.shape(inner);
        self.text(if shape.is_array || shape.is_function { ")" } else { "" });
        self.right(inner);
    }

    /// The type that a reference to references refers to: it is an rvalue reference if all of them are.
    fn collapsed(&mut self, mut inner: NodeId, mut is_rvalue: bool) -> (NodeId, bool) {
        for _ in 0..DEPTH_MAX {
            let resolved = self.resolved(inner);
            let Node::Reference { inner: next, is_rvalue: is_next_rvalue } = self.node(resolved) else {
                break;
            };
            is_rvalue &= is_next_rvalue;
            inner = next;
        }
        (inner, is_rvalue)
    }
}
