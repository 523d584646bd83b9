//! Parts of names: identifiers, operators, constructors, substitutions, and what decorates them.

use super::nodes::{Abbreviation, Node, NodeId};
use super::operators::Operator;
use super::parser::{NameFacts, Parser};

/// Abbreviations of names in `std`.
static ABBREVIATIONS: [Abbreviation; 6] = [
    Abbreviation { letter: b'a', name: "std::allocator", class: "allocator", full: "std::allocator" },
    Abbreviation {
        letter: b'b',
        name: "std::basic_string",
        class: "basic_string",
        full: "std::basic_string",
    },
    Abbreviation {
        letter: b's',
        name: "std::string",
        class: "basic_string",
        full: "std::basic_string<char, std::char_traits<char>, std::allocator<char>>",
    },
    Abbreviation {
        letter: b'i',
        name: "std::istream",
        class: "basic_istream",
        full: "std::basic_istream<char, std::char_traits<char>>",
    },
    Abbreviation {
        letter: b'o',
        name: "std::ostream",
        class: "basic_ostream",
        full: "std::basic_ostream<char, std::char_traits<char>>",
    },
    Abbreviation {
        letter: b'd',
        name: "std::iostream",
        class: "basic_iostream",
        full: "std::basic_iostream<char, std::char_traits<char>>",
    },
];

impl<'a> Parser<'a> {
    /// A name in the scope, with the module it is attached to.
    pub(super) fn unqualified_name(
        &mut self,
        facts: &mut NameFacts,
        mut scope: Option<NodeId>,
        module: Option<NodeId>,
    ) -> Option<NodeId> {
        let module = self.module_name(module)?;
        let is_friend = scope.is_some() && self.eat(b'F');
        // Marks internal linkage.
        self.eat(b'L');
        let mut name = match self.peek_pair() {
            [b'1'..=b'9', _] => self.identifier()?,
            [b'U', _] => self.unnamed_type(facts)?,
            [b'D', b'C'] => self.structured_binding()?,
            [b'C' | b'D', _] if module.is_none() => self.constructor(facts, scope.as_mut()?)?,
            _ => self.operator_name(facts)?,
        };
        if let Some(module) = module {
            name = self.add(Node::Attached { name, module });
        }
        name = self.tagged(name)?;
        Some(match scope {
            Some(scope) if is_friend => self.add(Node::Friend { scope, name }),
            Some(scope) => self.add(Node::Scoped { scope, name }),
            None => name,
        })
    }

    /// Components of a module's name, after those read so far.
    pub(super) fn module_name(&mut self, mut module: Option<NodeId>) -> Option<Option<NodeId>> {
        while self.eat(b'W') {
            let is_partition = self.eat(b'P');
            let name = self.identifier()?;
            let node = self.add(Node::Module { parent: module, name, is_partition });
            self.substitutions.push(node);
            module = Some(node);
        }
        Some(module)
    }

    /// `<length> <identifier>`, without its length.
    pub(super) fn identifier_text(&mut self) -> Option<&'a str> {
        let size = self.count().filter(|&size| size > 0)?;
        self.take(size)
    }

    /// An identifier, or an anonymous namespace.
    pub(super) fn identifier(&mut self) -> Option<NodeId> {
        let text = self.identifier_text()?;
        let is_anonymous = text.starts_with("_GLOBAL__N");
        Some(self.add_text(if is_anonymous { "(anonymous namespace)" } else { text }))
    }

    /// `DC <identifier>+ E`.
    fn structured_binding(&mut self) -> Option<NodeId> {
        self.skip(2);
        let variables = self.list_until(b'E', Self::identifier)?;
        Some(self.add(Node::Binding(variables)))
    }

    /// A constructor or destructor of the scope. A scope like `std::string` is then spelled in full.
    fn constructor(&mut self, facts: &mut NameFacts, scope: &mut NodeId) -> Option<NodeId> {
        if let Node::Abbreviated { abbreviation, .. } = self.node(*scope) {
            *scope = self.add(Node::Abbreviated { abbreviation, is_full: true });
        }
        let is_destructor = self.peek() == b'D';
        self.skip(1);
        let is_inherited = !is_destructor && self.eat(b'I');
        match (self.peek(), is_destructor) {
            (b'1'..=b'5', false) | (b'0' | b'1' | b'2' | b'4' | b'5', true) => self.skip(1),
            _ => return None,
        }
        facts.is_conversion = true;
        if is_inherited {
            // The class that declares the constructor.
            self.deeper(|parser| parser.name(facts))?;
        }
        Some(self.add(Node::Constructor { class: *scope, is_destructor }))
    }

    /// The name of an operator function.
    pub(super) fn operator_name(&mut self, facts: &mut NameFacts) -> Option<NodeId> {
        if self.eat_text("cv") {
            let reads_arguments = std::mem::replace(&mut self.reads_type_arguments, false);
            let permits = self.permits_forward_references;
            self.permits_forward_references |= facts.is_encoding;
            let node = self.type_node()?;
            self.reads_type_arguments = reads_arguments;
            self.permits_forward_references = permits;
            facts.is_conversion = true;
            return Some(self.add(Node::Prefixed { prefix: "operator ", node }));
        }
        if self.eat_text("li") {
            let node = self.identifier()?;
            return Some(self.add(Node::Prefixed { prefix: "operator\"\" ", node }));
        }
        if self.peek() == b'v' && self.peek_at(1).is_ascii_digit() {
            self.skip(2);
            let node = self.identifier()?;
            return Some(self.add(Node::Prefixed { prefix: "operator ", node }));
        }
        let operator = Operator::of_letters(self.peek_pair()).filter(|operator| operator.has_name())?;
        self.skip(2);
        Some(self.add(Node::OperatorName(operator)))
    }

    /// The name with the ABI tags that follow it.
    pub(super) fn tagged(&mut self, mut name: NodeId) -> Option<NodeId> {
        while self.eat(b'B') {
            let tag = self.identifier_text()?;
            name = self.add(Node::Tagged { name, tag });
        }
        Some(name)
    }

    /// `S_`, `S0_`, …: a component that has been spelled before; `Sa`, `Ss`, …: an abbreviation.
    pub(super) fn substitution(&mut self) -> Option<NodeId> {
        self.expect(b'S')?;
        if !self.peek().is_ascii_lowercase() {
            let index = self.sequence_number()?;
            return self.substitutions.get(index).copied();
        }
        let abbreviation = ABBREVIATIONS.iter().find(|abbreviation| abbreviation.letter == self.peek())?;
        self.skip(1);
        let name = self.add(Node::Abbreviated { abbreviation, is_full: false });
        let tagged = self.tagged(name)?;
        if tagged != name {
            self.substitutions.push(tagged);
        }
        Some(tagged)
    }
}
