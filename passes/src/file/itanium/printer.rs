//! State of the printer: the text, its limits, and the element that is selected of each pack.

use super::nodes::{Arena, DEPTH_MAX, List, Node, NodeId};
use super::operators::Precedence;

/// Number of steps and bytes that the printer may spend per byte of text.
const COST_MAX_PER_BYTE: usize = 16;

/// Size of the text that the printer has room for at first, in bytes.
const TEXT_SIZE_USUAL: usize = 128;

/// Writes the text of nodes of one name.
pub(super) struct Printer<'n, 'a> {
    arena: &'n Arena<'a>,
    text: String,
    size_max: usize,
    /// What is left of the number of steps and bytes.
    budget: usize,
    depth: usize,
    /// Whether a limit was reached; from then on nothing is printed.
    has_stopped: bool,
    /// The innermost expansion of packs, if any.
    pub(super) expansion: Option<Selection>,
    /// The forward references that are being printed.
    forward_references: Vec<NodeId>,
    /// Number of parentheses since the innermost `<`, where `>` closes the arguments. One outside of arguments.
    pub(super) open_parentheses: usize,
}

/// The element that an expansion prints.
#[derive(Clone, Copy)]
pub(super) struct Selection {
    index: usize,
    /// The size of the packs, once one of them has been met.
    size: Option<usize>,
}

/// What the text of a type consists of.
#[derive(Clone, Copy, Default)]
pub(super) struct Shape {
    /// Whether text follows the declared name.
    pub(super) has_right: bool,
    /// Whether the type is an array.
    pub(super) is_array: bool,
    /// Whether the type is a function.
    pub(super) is_function: bool,
}

impl<'n, 'a> Printer<'n, 'a> {
    /// A printer of text of at most `size_max` bytes.
    pub(super) fn new(arena: &'n Arena<'a>, size_max: usize) -> Self {
        Self {
            arena,
            text: String::with_capacity(size_max.min(TEXT_SIZE_USUAL)),
            size_max,
            budget: size_max.saturating_mul(COST_MAX_PER_BYTE),
            depth: 0,
            has_stopped: false,
            expansion: None,
            forward_references: Vec::new(),
            open_parentheses: 1,
        }
    }

    /// The text; `None` if a limit was reached.
    pub(super) fn finish(self) -> Option<String> {
        (!self.has_stopped).then_some(self.text)
    }

    /// Writes the text.
    pub(super) fn text(&mut self, text: &str) {
        if self.text.len() + text.len() > self.size_max || self.budget < text.len() {
            self.has_stopped = true;
        }
        if !self.has_stopped {
            self.budget -= text.len();
            self.text.push_str(text);
        }
    }

    /// Whether the text ends so.
    pub(super) fn ends_with(&self, end: char) -> bool {
        self.text.ends_with(end)
    }

    /// The node.
    pub(super) fn node(&self, id: NodeId) -> Node<'a> {
        self.arena.node(id)
    }

    /// The elements of the list.
    pub(super) fn elements(&self, list: List) -> &'n [NodeId] {
        self.arena.elements(list)
    }

    /// Takes one step. `false` if a limit is reached.
    fn step(&mut self) -> bool {
        self.has_stopped |= self.budget == 0;
        if !self.has_stopped {
            self.budget -= 1;
        }
        !self.has_stopped
    }

    /// Prints one level deeper.
    fn deeper(&mut self, print: impl FnOnce(&mut Self)) {
        self.has_stopped |= self.depth == DEPTH_MAX;
        if self.step() {
            self.depth += 1;
            print(self);
            self.depth -= 1;
        }
    }

    /// The whole text of the node.
    pub(super) fn print(&mut self, id: NodeId) {
        self.left(id);
        self.right(id);
    }

    /// The text of the node, or its part before the declared name.
    pub(super) fn left(&mut self, id: NodeId) {
        self.deeper(|printer| {
            let node = printer.node(id);
            match node {
                Node::Pack(elements) => printer.of_selected(elements, Self::left),
                Node::Forward { target, .. } => printer.of_target(id, target, Self::left),
                Node::Expansion(pattern) => printer.expand(pattern),
                _ => {
                    let is_printed =
                        printer.name_left(&node) || printer.type_left(&node) || printer.expression(&node);
                    debug_assert!(is_printed, "no text for {node:?}");
                }
            }
        });
    }

    /// The part of the text after the declared name.
    pub(super) fn right(&mut self, id: NodeId) {
        self.deeper(|printer| match printer.node(id) {
            Node::Pack(elements) => printer.of_selected(elements, Self::right),
            Node::Forward { target, .. } => printer.of_target(id, target, Self::right),
            node => printer.declarator_right(&node),
        });
    }

    /// The node in parentheses, if it binds no tighter than `precedence`; as tight is enough for `may_be_equal`.
    pub(super) fn operand(&mut self, id: NodeId, precedence: Precedence, may_be_equal: bool) {
        let own = self.precedence(id);
        if own > precedence || (own == precedence && !may_be_equal) {
            self.in_parentheses(|printer| printer.print(id));
        } else {
            self.print(id);
        }
    }

    /// Prints between parentheses.
    pub(super) fn in_parentheses(&mut self, print: impl FnOnce(&mut Self)) {
        self.between("(", ")", print);
    }

    /// Prints between brackets, in which `>` does not close template arguments.
    pub(super) fn between(&mut self, open: &str, close: &str, print: impl FnOnce(&mut Self)) {
        self.open_parentheses += 1;
        self.text(open);
        print(self);
        self.open_parentheses -= 1;
        self.text(close);
    }

    /// Prints between `<` and `>`.
    pub(super) fn in_angle_brackets(&mut self, print: impl FnOnce(&mut Self)) {
        let open_parentheses = std::mem::replace(&mut self.open_parentheses, 0);
        self.text("<");
        print(self);
        self.text(">");
        self.open_parentheses = open_parentheses;
    }

    /// The elements, separated by commas. An element without text, like an empty pack, leaves no comma.
    pub(super) fn list(&mut self, list: List) {
        let mut is_first = true;
        for &element in self.elements(list) {
            let size_before = self.text.len();
            if !is_first {
                self.text(", ");
            }
            let size_after = self.text.len();
            self.operand(element, Precedence::Comma, false);
            if self.text.len() == size_after {
                self.text.truncate(size_before);
            } else {
                is_first = false;
            }
        }
    }

    /// The pattern for each element of the packs in it; with an ellipsis if there are no packs.
    pub(super) fn expand(&mut self, pattern: NodeId) {
        let outer = self.expansion.replace(Selection { index: 0, size: None });
        let size_before = self.text.len();
        self.print(pattern);
        match self.expansion.and_then(|selection| selection.size) {
            None => self.text("..."),
            Some(0) => self.text.truncate(size_before),
            Some(size) => {
                for index in 1..size {
                    if self.has_stopped {
                        break;
                    }
                    self.text(", ");
                    self.expansion = Some(Selection { index, size: Some(size) });
                    self.print(pattern);
                }
            }
        }
        self.expansion = outer;
    }

    /// The element that the innermost expansion selects.
    fn selected(&mut self, pack: List) -> Option<NodeId> {
        let elements = self.elements(pack);
        let selection = self.expansion.get_or_insert(Selection { index: 0, size: None });
        selection.size.get_or_insert(elements.len());
        elements.get(selection.index).copied()
    }

    fn of_selected(&mut self, pack: List, print: impl FnOnce(&mut Self, NodeId)) {
        if let Some(element) = self.selected(pack) {
            print(self, element);
        }
    }

    /// Prints what a forward reference stands for, unless it is part of that.
    fn of_target(
        &mut self,
        reference: NodeId,
        target: Option<NodeId>,
        print: impl FnOnce(&mut Self, NodeId),
    ) {
        if let Some(target) = target.filter(|_| !self.forward_references.contains(&reference)) {
            self.forward_references.push(reference);
            print(self, target);
            self.forward_references.pop();
        }
    }

    /// The node that a pack or a forward reference stands for; the node itself if it is none. A reference to itself is
    /// followed for a while.
    pub(super) fn resolved(&mut self, mut id: NodeId) -> NodeId {
        for _ in 0..DEPTH_MAX {
            let next = match self.node(id) {
                Node::Pack(elements) => self.selected(elements),
                Node::Forward { target, .. } => target,
                _ => None,
            };
            let Some(next) = next else { break };
            id = next;
        }
        id
    }

    /// The shape of the type.
    pub(super) fn shape(&mut self, mut id: NodeId) -> Shape {
        let mut is_direct = true;
        for _ in 0..DEPTH_MAX {
            if !self.step() {
                break;
            }
            id = self.resolved(id);
            match self.node(id) {
                Node::Qualified { inner, .. } | Node::Tagged { name: inner, .. } => id = inner,
                Node::Pointer(inner)
                | Node::Reference { inner, .. }
                | Node::MemberPointer { member: inner, .. } => {
                    is_direct = false;
                    id = inner;
                }
                Node::Array { .. } => {
                    return Shape { has_right: true, is_array: is_direct, is_function: false };
                }
                Node::FunctionType { .. } | Node::Function { .. } => {
                    return Shape { has_right: true, is_array: false, is_function: is_direct };
                }
                Node::TypeParameter { .. }
                | Node::ValueParameter { .. }
                | Node::TemplateParameter { .. }
                | Node::PackParameter(_) => return Shape { has_right: true, ..Shape::default() },
                _ => break,
            }
        }
        Shape::default()
    }
}
