//! Names and encodings: what the symbol denotes, in which scope, with which parameters.

use super::nodes::{List, Node, NodeId};
use super::parser::{NameFacts, Parser};

impl Parser<'_> {
    /// A function with its parameters, a variable, or an object that the compiler makes.
    pub(super) fn encoding(&mut self) -> Option<NodeId> {
        self.deeper(|parser| parser.apart(Self::encoding_apart))
    }

    fn encoding_apart(&mut self) -> Option<NodeId> {
        if matches!(self.peek(), b'G' | b'T') {
            return self.special_name();
        }
        let mut facts = NameFacts { is_encoding: true, ..NameFacts::default() };
        let forward_start = self.forward_references.len();
        let name = self.name(&mut facts)?;
        self.resolve_forward_references(forward_start)?;
        if self.is_encoding_end() {
            return Some(name);
        }
        let conditions = if self.eat_text("Ua9enable_ifI") {
            let conditions = self.list_until(b'E', Self::template_argument)?;
            Some(self.add(Node::List(conditions)))
        } else {
            None
        };
        let result = if facts.is_template && !facts.is_conversion { Some(self.type_node()?) } else { None };
        let parameters = self.function_parameters(facts.has_explicit_object)?;
        let constraint = self.optional_constraint()?;
        let qualifiers = facts.qualifiers;
        Some(self.add(Node::Function { result, name, parameters, conditions, constraint, qualifiers }))
    }

    fn is_encoding_end(&self) -> bool {
        matches!(self.peek(), 0 | b'E' | b'.' | b'_')
    }

    fn function_parameters(&mut self, has_explicit_object: bool) -> Option<List> {
        let start = self.pending.len();
        if !self.eat(b'v') {
            loop {
                let mut parameter = self.type_node()?;
                if has_explicit_object && self.pending.len() == start {
                    parameter = self.add(Node::Prefixed { prefix: "this ", node: parameter });
                }
                self.pending.push(parameter);
                if self.is_encoding_end() || self.peek() == b'Q' {
                    break;
                }
            }
        }
        Some(self.list_from(start))
    }

    /// A name with its scope and template arguments.
    pub(super) fn name(&mut self, facts: &mut NameFacts) -> Option<NodeId> {
        match self.peek() {
            b'N' => return self.nested_name(facts),
            b'Z' => return self.local_name(facts),
            _ => {}
        }
        let (name, is_substitution) = self.unscoped_name(facts)?;
        if self.peek() == b'I' {
            if !is_substitution {
                self.substitutions.push(name);
            }
            let arguments = self.template_arguments(facts.is_encoding)?;
            facts.is_template = true;
            return Some(self.add(Node::Template { name, arguments }));
        }
        (!is_substitution).then_some(name)
    }

    /// A name without a scope, or in `std`; or a substitution, which the second result tells.
    pub(super) fn unscoped_name(&mut self, facts: &mut NameFacts) -> Option<(NodeId, bool)> {
        let scope = self.eat_text("St").then(|| self.add_text("std"));
        let mut module = None;
        if self.peek() == b'S' {
            let substitution = self.substitution()?;
            if matches!(self.node(substitution), Node::Module { .. }) {
                module = Some(substitution);
            } else if scope.is_none() {
                return Some((substitution, true));
            } else {
                return None;
            }
        }
        Some((self.unqualified_name(facts, scope, module)?, false))
    }

    /// `N … E`: components from the outermost scope to the name.
    fn nested_name(&mut self, facts: &mut NameFacts) -> Option<NodeId> {
        self.expect(b'N')?;
        if self.eat(b'H') {
            facts.has_explicit_object = true;
        } else {
            facts.qualifiers.object = self.qualifiers();
            facts.qualifiers.is_rvalue = self.eat(b'O');
            facts.qualifiers.is_lvalue = !facts.qualifiers.is_rvalue && self.eat(b'R');
        }
        let mut scope = None;
        while !self.eat(b'E') {
            facts.is_template = false;
            scope = Some(self.nested_component(facts, scope)?);
            // Marks the member whose initializer is the scope of a lambda.
            self.eat(b'M');
        }
        // The whole name is recorded where it is used: as a type, or as a template.
        self.substitutions.pop()?;
        scope
    }

    /// The scope, extended by a component, and recorded as a substitution.
    fn nested_component(&mut self, facts: &mut NameFacts, scope: Option<NodeId>) -> Option<NodeId> {
        let component = match (self.peek(), scope) {
            (b'S', _) => {
                let start = if self.eat_text("St") { self.add_text("std") } else { self.substitution()? };
                if !matches!(self.node(start), Node::Module { .. }) {
                    return if scope.is_none() { Some(start) } else { None };
                }
                self.unqualified_name(facts, scope, Some(start))?
            }
            (b'T', None) => self.template_parameter()?,
            (b'D', None) if matches!(self.peek_at(1), b't' | b'T') => self.decltype()?,
            (b'I', Some(name)) if !matches!(self.node(name), Node::Template { .. }) => {
                let arguments = self.template_arguments(facts.is_encoding)?;
                facts.is_template = true;
                self.add(Node::Template { name, arguments })
            }
            (b'T' | b'I', _) => return None,
            _ => self.unqualified_name(facts, scope, None)?,
        };
        self.substitutions.push(component);
        Some(component)
    }

    /// `Z <function> E <entity>`: an entity that a function declares.
    fn local_name(&mut self, facts: &mut NameFacts) -> Option<NodeId> {
        self.expect(b'Z')?;
        let scope = self.encoding()?;
        self.expect(b'E')?;
        if self.eat(b's') {
            self.discriminator();
            let name = self.add_text("string literal");
            return Some(self.add(Node::Scoped { scope, name }));
        }
        let is_in_default_argument = self.eat(b'd');
        if is_in_default_argument {
            self.number(true);
            self.expect(b'_')?;
        }
        let name = if facts.is_encoding {
            self.levels.clear();
            self.name(facts)?
        } else {
            self.apart(|parser| parser.name(facts))?
        };
        if !is_in_default_argument {
            self.discriminator();
        }
        Some(self.add(Node::Scoped { scope, name }))
    }

    /// Skips the number that distinguishes entities of one name in one function.
    fn discriminator(&mut self) {
        let is_long = self.rest().starts_with("__");
        let skipped = if is_long { 2 } else { usize::from(self.peek() == b'_') };
        let digits = self.rest()[skipped..].bytes().take_while(u8::is_ascii_digit).count();
        let is_closed = self.peek_at(skipped + digits) == b'_';
        match (skipped, digits) {
            (_, 0) => {}
            (2, _) if is_closed => self.skip(skipped + digits + 1),
            (2, _) => {}
            (1, _) => self.skip(2),
            // Some compilers write digits only, which end the name.
            _ if self.peek_at(digits) == 0 => self.skip(digits),
            _ => {}
        }
    }
}
