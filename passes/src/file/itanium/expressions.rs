//! Expressions: in array sizes, template arguments, `decltype`, `noexcept` and constraints.

use super::nodes::{Node, NodeId};
use super::operators::{Operator, OperatorKind, Precedence};
use super::parser::{NameFacts, Parser};

impl Parser<'_> {
    /// An expression.
    pub(super) fn expression(&mut self) -> Option<NodeId> {
        self.deeper(|parser| {
            let is_global = parser.eat_text("gs");
            match Operator::of_letters(parser.peek_pair()) {
                Some(operator) => {
                    parser.skip(2);
                    parser.operation(operator, is_global)
                }
                None => parser.primary_expression(is_global),
            }
        })
    }

    /// The operands of the operator.
    fn operation(&mut self, operator: &'static Operator, is_global: bool) -> Option<NodeId> {
        let node = match operator.kind {
            OperatorKind::Prefix => Node::Prefix { operator, operand: self.expression()? },
            OperatorKind::Postfix if self.eat(b'_') => Node::Prefix { operator, operand: self.expression()? },
            OperatorKind::Postfix => Node::Postfix { operator, operand: self.expression()? },
            OperatorKind::Binary => {
                Node::Binary { operator, left: self.expression()?, right: self.expression()? }
            }
            OperatorKind::Subscript => {
                Node::Subscript { array: self.expression()?, index: self.expression()? }
            }
            OperatorKind::Dot | OperatorKind::Arrow => {
                Node::Member { operator, object: self.expression()?, member: self.expression()? }
            }
            OperatorKind::Conditional => Node::Conditional {
                condition: self.expression()?,
                then: self.expression()?,
                otherwise: self.expression()?,
            },
            OperatorKind::Call => Node::Call {
                function: self.expression()?,
                arguments: self.list_until(b'E', Self::expression)?,
            },
            OperatorKind::New => self.new_expression(operator, is_global)?,
            OperatorKind::Delete => Node::Delete { operator, is_global, operand: self.expression()? },
            OperatorKind::NamedCast => {
                Node::NamedCast { operator, kind: self.type_node()?, operand: self.expression()? }
            }
            OperatorKind::OfType | OperatorKind::OfExpression => {
                let is_type = operator.kind == OperatorKind::OfType;
                let node = if is_type { self.type_node()? } else { self.expression()? };
                Node::Enclosed { prefix: operator.symbol, node, precedence: operator.precedence }
            }
            OperatorKind::NameOnly => return None,
        };
        Some(self.add(node))
    }

    /// `<placement>* _ <type>`, then `E`, `pi <argument>* E`, or a list in braces.
    fn new_expression(&mut self, operator: &'static Operator, is_global: bool) -> Option<Node<'static>> {
        let placement = self.list_until(b'_', Self::expression)?;
        let kind = self.type_node()?;
        if self.peek_pair() == *b"il" {
            let initializer = Some(self.braces()?);
            return Some(Node::New { operator, is_global, placement, kind, initializer });
        }
        let has_arguments = self.eat_text("pi");
        let arguments =
            self.list_until(b'E', |parser| if has_arguments { parser.expression() } else { None })?;
        let is_empty = self.arena().elements(arguments).is_empty();
        let list = self.add(Node::List(arguments));
        let initializer = (!is_empty).then(|| self.enclosed("", list, Precedence::Primary));
        Some(Node::New { operator, is_global, placement, kind, initializer })
    }

    /// An expression that no operator of the table starts.
    fn primary_expression(&mut self, is_global: bool) -> Option<NodeId> {
        match self.peek_pair() {
            [b'L', _] => self.literal(),
            [b'T', _] => self.template_parameter(),
            [b'f', b'p'] => self.function_parameter(),
            [b'f', b'L'] if self.peek_at(2).is_ascii_digit() => self.function_parameter(),
            [b'f', _] => self.fold(),
            [b'c', b'v'] => self.conversion(),
            [b'i' | b't', b'l'] => self.braces(),
            [b'm', b'c'] => self.member_pointer_conversion(),
            [b'n', b'x'] => {
                self.skip(2);
                let operand = self.expression()?;
                Some(self.enclosed("noexcept ", operand, Precedence::Unary))
            }
            [b's', b'P' | b'Z'] => self.pack_size(),
            [b's', b'o'] => self.subobject(),
            [b's', b'p'] => {
                self.skip(2);
                let pattern = self.expression()?;
                Some(self.add(Node::Expansion(pattern)))
            }
            [b't', b'r'] => {
                self.skip(2);
                Some(self.add_text("throw"))
            }
            [b't', b'w'] => {
                self.skip(2);
                let node = self.expression()?;
                Some(self.add(Node::Prefixed { prefix: "throw ", node }))
            }
            [b'u', _] => self.vendor_expression(),
            [b'r', b'q' | b'Q'] => self.requires(),
            _ => self.unresolved_name(is_global),
        }
    }

    /// `cv <type> <expression>`, or `cv <type> _ <expression>* E`.
    fn conversion(&mut self) -> Option<NodeId> {
        self.skip(2);
        let reads_arguments = std::mem::replace(&mut self.reads_type_arguments, false);
        let kind = self.type_node()?;
        self.reads_type_arguments = reads_arguments;
        let operands = if self.eat(b'_') {
            self.list_until(b'E', Self::expression)?
        } else {
            let operand = self.expression()?;
            self.list_of(operand)
        };
        Some(self.add(Node::Cast { kind, operands }))
    }

    /// `mc <type> <expression> [<offset>] E`.
    fn member_pointer_conversion(&mut self) -> Option<NodeId> {
        self.skip(2);
        let kind = self.type_node()?;
        let operand = self.expression()?;
        self.number(true);
        self.expect(b'E')?;
        let operands = self.list_of(operand);
        Some(self.add(Node::Cast { kind, operands }))
    }

    /// `so <type> <expression> [<offset>] (_ [<selector>])* [p] E`: a part of an object.
    fn subobject(&mut self) -> Option<NodeId> {
        self.skip(2);
        let kind = self.type_node()?;
        let object = self.expression()?;
        let offset = self.number(true);
        while self.eat(b'_') {
            self.number(false);
        }
        self.eat(b'p');
        self.expect(b'E')?;
        Some(self.add(Node::Subobject { object, kind, offset }))
    }

    /// `sZ <pack>` or `sP <template-arg>* E`.
    fn pack_size(&mut self) -> Option<NodeId> {
        let is_list = self.peek_at(1) == b'P';
        self.skip(2);
        if is_list {
            let arguments = self.list_until(b'E', Self::template_argument)?;
            let list = self.add(Node::List(arguments));
            return Some(self.enclosed("sizeof... ", list, Precedence::Primary));
        }
        if self.peek() == b'T' {
            let pack = self.template_parameter()?;
            let expansion = self.add(Node::Expansion(pack));
            return Some(self.enclosed("sizeof...", expansion, Precedence::Primary));
        }
        let parameter = self.function_parameter()?;
        Some(self.enclosed("sizeof... ", parameter, Precedence::Primary))
    }

    /// `fpT`, `fp [<qualifiers>] [<number>] _`, or `fL <number> p [<qualifiers>] [<number>] _`.
    fn function_parameter(&mut self) -> Option<NodeId> {
        if self.eat_text("fpT") {
            return Some(self.add_text("this"));
        }
        if !self.eat_text("fp") {
            if !self.eat_text("fL") || self.number(false).is_empty() {
                return None;
            }
            self.expect(b'p')?;
        }
        self.qualifiers();
        let number = self.number(false);
        self.expect(b'_')?;
        let node = self.add_text(number);
        Some(self.add(Node::Prefixed { prefix: "fp", node }))
    }

    /// `fl`, `fr`, `fL` or `fR`, an operator, the pack, and the initial value for the upper-case forms.
    fn fold(&mut self) -> Option<NodeId> {
        self.expect(b'f')?;
        let form = self.peek();
        if !matches!(form, b'l' | b'r' | b'L' | b'R') {
            return None;
        }
        self.skip(1);
        let operator = Operator::of_letters(self.peek_pair())?;
        let is_member = operator.symbol.ends_with('*')
            && matches!(operator.kind, OperatorKind::Dot | OperatorKind::Arrow);
        if operator.kind != OperatorKind::Binary && !is_member {
            return None;
        }
        self.skip(2);
        let is_left = form.eq_ignore_ascii_case(&b'l');
        let mut pack = self.expression()?;
        let mut initial = None;
        if form.is_ascii_uppercase() {
            let second = self.expression()?;
            initial = Some(if is_left { std::mem::replace(&mut pack, second) } else { second });
        }
        Some(self.add(Node::Fold { operator, is_left, pack, initial }))
    }

    /// `il <element>* E` or `tl <type> <element>* E`.
    fn braces(&mut self) -> Option<NodeId> {
        let is_typed = self.peek() == b't';
        self.skip(2);
        let kind = if is_typed { Some(self.type_node()?) } else { None };
        let elements = self.list_until(b'E', Self::braced_element)?;
        Some(self.add(Node::Braces { kind, elements }))
    }

    /// An expression, or one with a designator: `di`, `dx` or `dX`.
    fn braced_element(&mut self) -> Option<NodeId> {
        self.deeper(|parser| {
            let letters = parser.peek_pair();
            if !matches!(letters, [b'd', b'i' | b'x' | b'X']) {
                return parser.expression();
            }
            parser.skip(2);
            let is_index = letters[1] != b'i';
            let designator = if is_index { parser.expression()? } else { parser.identifier()? };
            let last = if letters[1] == b'X' { Some(parser.expression()?) } else { None };
            let value = parser.braced_element()?;
            Some(parser.add(match last {
                Some(last) => Node::DesignatedRange { first: designator, last, value },
                None => Node::Designated { designator, is_index, value },
            }))
        })
    }

    /// `u <name> <template-arg>* E`: an operation of a vendor.
    fn vendor_expression(&mut self) -> Option<NodeId> {
        self.expect(b'u')?;
        let name = self.identifier_text()?;
        let function = self.add_text(name);
        // An older form, where a letter tells the kind of the only operand.
        let arguments = if name == "__uuidof" && self.eat(b't') {
            let operand = self.type_node()?;
            self.list_of(operand)
        } else if name == "__uuidof" && self.eat(b'z') {
            let operand = self.expression()?;
            self.list_of(operand)
        } else {
            self.list_until(b'E', Self::template_argument)?
        };
        Some(self.add(Node::Call { function, arguments }))
    }

    /// `rq <requirement>+ E`, or `rQ <parameter>+ _ <requirement>+ E`.
    fn requires(&mut self) -> Option<NodeId> {
        let has_parameters = self.peek_at(1) == b'Q';
        self.skip(2);
        let start = self.pending.len();
        if has_parameters {
            while !self.eat(b'_') {
                let parameter = self.type_node()?;
                self.pending.push(parameter);
            }
        }
        let parameters = self.list_from(start);
        let first = self.requirement()?;
        self.pending.push(first);
        while !self.eat(b'E') {
            let requirement = self.requirement()?;
            self.pending.push(requirement);
        }
        let requirements = self.list_from(start);
        Some(self.add(Node::Requires { parameters, requirements }))
    }

    fn requirement(&mut self) -> Option<NodeId> {
        if self.eat(b'X') {
            let expression = self.expression()?;
            let is_noexcept = self.eat(b'N');
            let constraint = if self.eat(b'R') { Some(self.name(&mut NameFacts::default())?) } else { None };
            return Some(self.add(Node::Requirement { expression, is_noexcept, constraint }));
        }
        let (prefix, node) = if self.eat(b'T') {
            (" typename ", self.type_node()?)
        } else {
            self.expect(b'Q')?;
            (" requires ", self.expression()?)
        };
        let node = self.add(Node::Prefixed { prefix, node });
        Some(self.add(Node::Suffixed { node, suffix: ";" }))
    }
}
