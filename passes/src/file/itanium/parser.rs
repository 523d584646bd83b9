//! State of the parser: the cursor, the table of substitutions, the template arguments that `T_` may refer to.

use super::nodes::{Arena, DEPTH_MAX, FunctionQualifiers, List, Node, NodeId, Qualifiers};

/// What a name tells about the rest of its encoding.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct NameFacts {
    /// Whether the name is that of an encoding, so that its template arguments are those that `T_` refers to.
    pub(super) is_encoding: bool,
    /// Whether the name is a constructor, a destructor or a conversion: their result is not encoded.
    pub(super) is_conversion: bool,
    /// Whether the name ends with template arguments: only then the result is encoded.
    pub(super) is_template: bool,
    /// Whether the object is an explicit parameter.
    pub(super) has_explicit_object: bool,
    /// Qualifiers of the member function.
    pub(super) qualifiers: FunctionQualifiers,
}

/// The parser of one name. Methods named after a production read it from the cursor; `None` stops the parser.
#[expect(clippy::struct_excessive_bools, reason = "independent modes, each for a part of the name")]
pub(super) struct Parser<'a> {
    name: &'a str,
    position: usize,
    depth: usize,
    arena: Arena<'a>,
    /// Nodes of lists that are not complete yet, innermost last.
    pub(super) pending: Vec<NodeId>,
    pub(super) substitutions: Vec<NodeId>,
    /// Template arguments or parameters by level, outermost first.
    pub(super) levels: Vec<Vec<NodeId>>,
    /// Template parameters that the arguments in the name resolve later.
    pub(super) forward_references: Vec<NodeId>,
    /// Whether a template parameter may refer to arguments that follow: in the type of a conversion.
    pub(super) permits_forward_references: bool,
    /// Whether `I` after a type starts its arguments. After the type of a conversion, it starts the operator's.
    pub(super) reads_type_arguments: bool,
    /// Whether template parameters are printed as such: levels are not known inside of a constraint.
    pub(super) is_in_constraint: bool,
    /// The level of the parameters of the lambda that is being read; its `auto` parameters are of this level.
    pub(super) lambda_level: Option<usize>,
    /// Whether the scope after `sr` is a type, as gcc writes it.
    pub(super) scopes_are_types: bool,
    /// Number of synthetic names given so far, by kind.
    pub(super) synthetic_counts: [usize; 3],
}

impl<'a> Parser<'a> {
    /// A parser of a name without its prefix `_Z`.
    pub(super) fn new(name: &'a str, scopes_are_types: bool) -> Self {
        Self {
            name,
            position: 0,
            depth: 0,
            arena: Arena::new(name.len()),
            pending: Vec::new(),
            substitutions: Vec::new(),
            levels: Vec::new(),
            forward_references: Vec::new(),
            permits_forward_references: false,
            reads_type_arguments: true,
            is_in_constraint: false,
            lambda_level: None,
            scopes_are_types,
            synthetic_counts: [0; 3],
        }
    }

    /// The nodes read so far.
    pub(super) fn arena(&self) -> &Arena<'a> {
        &self.arena
    }

    /// The text after the cursor.
    pub(super) fn rest(&self) -> &'a str {
        &self.name[self.position..]
    }

    /// The byte `offset` bytes after the cursor, or 0.
    pub(super) fn peek_at(&self, offset: usize) -> u8 {
        self.name.as_bytes().get(self.position + offset).copied().unwrap_or(0)
    }

    /// The byte at the cursor, or 0.
    pub(super) fn peek(&self) -> u8 {
        self.peek_at(0)
    }

    /// The two bytes at the cursor; 0 if the text has ended.
    pub(super) fn peek_pair(&self) -> [u8; 2] {
        [self.peek(), self.peek_at(1)]
    }

    /// Skips the byte, if it is next. The byte is of ASCII.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte && self.position < self.name.len();
        self.position += usize::from(is_next);
        is_next
    }

    /// Skips the text, if it is next.
    pub(super) fn eat_text(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    /// Skips the byte; `None` if it is not next.
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    /// The next `size` bytes; `None` if fewer follow.
    pub(super) fn take(&mut self, size: usize) -> Option<&'a str> {
        let taken = self.rest().get(..size)?;
        self.position += size;
        Some(taken)
    }

    /// Skips bytes of ASCII.
    pub(super) fn skip(&mut self, size: usize) {
        self.position += size;
    }

    /// Skips all that follows.
    pub(super) fn skip_to_end(&mut self) {
        self.position = self.name.len();
    }

    /// The longest run of bytes that satisfy the condition, which only ASCII satisfies.
    fn take_while(&mut self, condition: impl Fn(u8) -> bool) -> &'a str {
        let size = self.rest().bytes().take_while(|&byte| condition(byte)).count();
        let taken = &self.rest()[..size];
        self.position += size;
        taken
    }

    /// Digits, after `n` for a minus sign if permitted; empty if there are none.
    pub(super) fn number(&mut self, may_be_negative: bool) -> &'a str {
        let start = self.position;
        let is_negative = may_be_negative && self.eat(b'n');
        if self.take_while(|byte| byte.is_ascii_digit()).is_empty() && is_negative {
            self.position = start;
        }
        &self.name[start..self.position]
    }

    /// The value of digits.
    pub(super) fn count(&mut self) -> Option<usize> {
        self.number(false).parse().ok()
    }

    /// An index written as nothing for 0, and as its predecessor otherwise; then an underscore.
    pub(super) fn index(&mut self) -> Option<usize> {
        if self.eat(b'_') {
            return Some(0);
        }
        let predecessor = self.count()?;
        self.expect(b'_')?;
        predecessor.checked_add(1)
    }

    /// Like [`Self::index`], to the base 36.
    pub(super) fn sequence_number(&mut self) -> Option<usize> {
        if self.eat(b'_') {
            return Some(0);
        }
        let digits = self.take_while(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        self.expect(b'_')?;
        usize::from_str_radix(digits, 36).ok()?.checked_add(1)
    }

    /// Reads a part of the name one level deeper.
    pub(super) fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Option<NodeId>) -> Option<NodeId> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    /// Reads a part of the name that has template parameters of its own, unrelated to those around it.
    pub(super) fn apart(&mut self, read: impl FnOnce(&mut Self) -> Option<NodeId>) -> Option<NodeId> {
        let outer = std::mem::take(&mut self.levels);
        let node = read(self);
        self.levels = outer;
        node
    }

    /// Adds a node to the arena.
    pub(super) fn add(&mut self, node: Node<'a>) -> NodeId {
        self.arena.add(node)
    }

    /// Adds a node of text.
    pub(super) fn add_text(&mut self, text: &'a str) -> NodeId {
        self.arena.add(Node::Text(text))
    }

    /// The node.
    pub(super) fn node(&self, id: NodeId) -> Node<'a> {
        self.arena.node(id)
    }

    /// Moves the pending nodes from index `start` on into a list.
    pub(super) fn list_from(&mut self, start: usize) -> List {
        self.arena.add_list(self.pending.drain(start..))
    }

    /// Adds what `read` reads to a list, until the byte `end`, which is skipped.
    pub(super) fn list_until(
        &mut self,
        end: u8,
        mut read: impl FnMut(&mut Self) -> Option<NodeId>,
    ) -> Option<List> {
        let start = self.pending.len();
        while !self.eat(end) {
            let node = read(self)?;
            self.pending.push(node);
        }
        Some(self.list_from(start))
    }

    /// A list of one node.
    pub(super) fn list_of(&mut self, node: NodeId) -> List {
        self.arena.add_list(std::iter::once(node))
    }

    /// Resolves the forward references from index `start` on: the arguments have been read.
    pub(super) fn resolve_forward_references(&mut self, start: usize) -> Option<()> {
        for reference in self.forward_references.split_off(start) {
            let Node::Forward { index, .. } = self.arena.node(reference) else { continue };
            let argument = *self.levels.first()?.get(index)?;
            self.arena.set_target(reference, argument);
        }
        Some(())
    }

    /// `[r] [V] [K]`.
    pub(super) fn qualifiers(&mut self) -> Qualifiers {
        let is_restrict = self.eat(b'r');
        let is_volatile = self.eat(b'V');
        let is_const = self.eat(b'K');
        Qualifiers { is_const, is_volatile, is_restrict }
    }
}
