//! Classes without a name: of lambda expressions, of blocks, and unnamed ones.

use super::nodes::{List, Node, NodeId};
use super::parser::{NameFacts, Parser};

impl<'a> Parser<'a> {
    /// `Ut`, `Ul` or `Ub`.
    pub(super) fn unnamed_type(&mut self, facts: &NameFacts) -> Option<NodeId> {
        if facts.is_encoding {
            // Arguments of enclosing templates are not those that parameters in the type refer to.
            self.levels.clear();
        }
        if self.eat_text("Ut") {
            let count = self.closing_number()?;
            return Some(self.add(Node::Unnamed { count }));
        }
        if self.eat_text("Ul") {
            return self.closure();
        }
        if self.eat_text("Ub") {
            self.closing_number()?;
            return Some(self.add_text("'block-literal'"));
        }
        None
    }

    /// The number, which an underscore ends, that distinguishes unnamed types of one scope.
    fn closing_number(&mut self) -> Option<&'a str> {
        let number = self.number(false);
        self.expect(b'_')?;
        Some(number)
    }

    /// The class of a lambda expression. Its template parameters, declared or due to `auto`, are a level of their own.
    fn closure(&mut self) -> Option<NodeId> {
        let level = self.levels.len();
        let outer_lambda_level = self.lambda_level.replace(level);
        self.levels.push(Vec::new());
        let template_parameters = self.template_parameter_declarations(level)?;
        if self.arena().elements(template_parameters).is_empty() {
            self.levels.truncate(level);
        }
        let template_constraint = self.optional_constraint()?;
        let parameters = self.closure_parameters()?;
        let constraint = self.optional_constraint()?;
        self.expect(b'E')?;
        self.levels.truncate(level);
        self.lambda_level = outer_lambda_level;
        let count = self.closing_number()?;
        let declarator =
            self.add(Node::Declarator { template_parameters, template_constraint, parameters, constraint });
        Some(self.add(Node::Closure { count, declarator }))
    }

    fn template_parameter_declarations(&mut self, level: usize) -> Option<List> {
        let start = self.pending.len();
        while self.is_template_parameter_declaration() {
            let parameter = self.template_parameter_declaration(Some(level))?;
            self.pending.push(parameter);
        }
        Some(self.list_from(start))
    }

    fn closure_parameters(&mut self) -> Option<List> {
        let start = self.pending.len();
        if !self.eat(b'v') {
            loop {
                let parameter = self.type_node()?;
                self.pending.push(parameter);
                if matches!(self.peek(), b'E' | b'Q') {
                    break;
                }
            }
        }
        Some(self.list_from(start))
    }
}
