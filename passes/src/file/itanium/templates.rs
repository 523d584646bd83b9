//! Templates: their arguments, references to parameters, declarations of parameters, constraints.

use super::nodes::{List, Node, NodeId, ParameterKind};
use super::parser::{NameFacts, Parser};

impl Parser<'_> {
    /// `I … E`. If the arguments are `recorded`, parameters refer to them from here on.
    pub(super) fn template_arguments(&mut self, recorded: bool) -> Option<List> {
        self.expect(b'I')?;
        if recorded {
            self.levels.clear();
            self.levels.push(Vec::new());
        }
        let reads_type_arguments = std::mem::replace(&mut self.reads_type_arguments, true);
        let start = self.pending.len();
        while !self.eat(b'E') {
            if recorded && self.is_template_parameter_declaration() {
                // A constraint of the parameter may refer to the argument, which follows.
                let permits = std::mem::replace(&mut self.permits_forward_references, true);
                self.template_parameter_declaration(None)?;
                self.permits_forward_references = permits;
            }
            let argument = self.template_argument()?;
            self.pending.push(argument);
            if recorded {
                let parameter = match self.node(argument) {
                    Node::List(elements) => self.add(Node::Pack(elements)),
                    _ => argument,
                };
                self.levels.first_mut()?.push(parameter);
            }
            if self.optional_constraint()?.is_some() {
                self.expect(b'E')?;
                break;
            }
        }
        self.reads_type_arguments = reads_type_arguments;
        Some(self.list_from(start))
    }

    /// A type, a value, a template, or a pack of arguments.
    pub(super) fn template_argument(&mut self) -> Option<NodeId> {
        self.deeper(|parser| match parser.peek_pair() {
            [b'X', _] => {
                parser.skip(1);
                let expression = parser.expression()?;
                parser.expect(b'E')?;
                Some(expression)
            }
            // Older compilers write `I`.
            [b'J' | b'I', _] => {
                parser.skip(1);
                let elements = parser.list_until(b'E', Self::template_argument)?;
                Some(parser.add(Node::List(elements)))
            }
            [b'L', b'Z'] => {
                parser.skip(2);
                let encoding = parser.encoding()?;
                parser.expect(b'E')?;
                Some(encoding)
            }
            [b'L', _] => parser.literal(),
            // The declaration of the parameter precedes an argument that alone is ambiguous.
            [b'T', _] if parser.is_template_parameter_declaration() => {
                parser.template_parameter_declaration(None)?;
                parser.template_argument()
            }
            _ => parser.type_node(),
        })
    }

    /// `T_`, `T0_`, `TL0__`, …: the argument that the parameter stands for.
    pub(super) fn template_parameter(&mut self) -> Option<NodeId> {
        let text = self.rest();
        self.expect(b'T')?;
        let level = if self.eat(b'L') { self.count_then_underscore()?.checked_add(1)? } else { 0 };
        let index = self.index()?;
        if self.permits_forward_references && level == 0 {
            let reference = self.add(Node::Forward { index, target: None });
            self.forward_references.push(reference);
            return Some(reference);
        }
        if self.is_in_constraint {
            let size = text.len() - self.rest().len() - 1;
            return Some(self.add_text(&text[..size]));
        }
        if let Some(argument) = self.levels.get(level).and_then(|level| level.get(index)) {
            return Some(*argument);
        }
        if self.lambda_level == Some(level) && level <= self.levels.len() {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            return Some(self.add_text("auto"));
        }
        None
    }

    fn count_then_underscore(&mut self) -> Option<usize> {
        let count = self.count()?;
        self.expect(b'_')?;
        Some(count)
    }

    /// Whether a declaration of a template parameter is next.
    pub(super) fn is_template_parameter_declaration(&self) -> bool {
        matches!(self.peek_pair(), [b'T', b'y' | b'p' | b't' | b'n' | b'k'])
    }

    /// `Ty`, `Tk`, `Tn`, `Tt` or `Tp`. The parameter gets a synthetic name and is recorded at the level, if any.
    pub(super) fn template_parameter_declaration(&mut self, level: Option<usize>) -> Option<NodeId> {
        self.deeper(|parser| {
            let kind = parser.peek_at(1);
            parser.skip(2);
            match kind {
                b'y' => {
                    let name = parser.synthetic_name(ParameterKind::Type, level);
                    Some(parser.add(Node::TypeParameter { constraint: None, name }))
                }
                b'k' => {
                    let constraint = Some(parser.name(&mut NameFacts::default())?);
                    let name = parser.synthetic_name(ParameterKind::Type, level);
                    Some(parser.add(Node::TypeParameter { constraint, name }))
                }
                b'n' => {
                    let name = parser.synthetic_name(ParameterKind::Value, level);
                    let kind = parser.type_node()?;
                    Some(parser.add(Node::ValueParameter { kind, name }))
                }
                b't' => parser.template_template_parameter(level),
                b'p' => {
                    let parameter = parser.template_parameter_declaration(level)?;
                    Some(parser.add(Node::PackParameter(parameter)))
                }
                _ => None,
            }
        })
    }

    fn template_template_parameter(&mut self, level: Option<usize>) -> Option<NodeId> {
        let name = self.synthetic_name(ParameterKind::Template, level);
        let inner_level = self.levels.len();
        self.levels.push(Vec::new());
        let start = self.pending.len();
        let mut constraint = None;
        while !self.eat(b'E') {
            let parameter = self.template_parameter_declaration(Some(inner_level))?;
            self.pending.push(parameter);
            constraint = self.optional_constraint()?;
            if constraint.is_some() {
                self.expect(b'E')?;
                break;
            }
        }
        let parameters = self.list_from(start);
        self.levels.truncate(inner_level);
        Some(self.add(Node::TemplateParameter { parameters, name, constraint }))
    }

    fn synthetic_name(&mut self, kind: ParameterKind, level: Option<usize>) -> NodeId {
        let count = &mut self.synthetic_counts[kind as usize];
        let index = *count;
        *count += 1;
        let name = self.add(Node::Synthetic { kind, index });
        if let Some(level) = level.and_then(|level| self.levels.get_mut(level)) {
            level.push(name);
        }
        name
    }

    /// `Q` and a constraint, if next.
    pub(super) fn optional_constraint(&mut self) -> Option<Option<NodeId>> {
        if self.eat(b'Q') { self.constraint().map(Some) } else { Some(None) }
    }

    /// An expression in which template parameters are printed as such.
    pub(super) fn constraint(&mut self) -> Option<NodeId> {
        let is_in_constraint = std::mem::replace(&mut self.is_in_constraint, true);
        let expression = self.expression()?;
        self.is_in_constraint = is_in_constraint;
        Some(expression)
    }
}
