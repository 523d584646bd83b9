//! Types.

use super::nodes::{FunctionQualifiers, Node, NodeId};
use super::operators::Precedence;
use super::parser::{NameFacts, Parser};

/// The builtin type of one letter.
pub(super) fn builtin_type(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'v' => "void",
        b'w' => "wchar_t",
        b'b' => "bool",
        b'c' => "char",
        b'a' => "signed char",
        b'h' => "unsigned char",
        b's' => "short",
        b't' => "unsigned short",
        b'i' => "int",
        b'j' => "unsigned int",
        b'l' => "long",
        b'm' => "unsigned long",
        b'x' => "long long",
        b'y' => "unsigned long long",
        b'n' => "__int128",
        b'o' => "unsigned __int128",
        b'f' => "float",
        b'd' => "double",
        b'e' => "long double",
        b'g' => "__float128",
        b'z' => "...",
        _ => return None,
    })
}

/// The builtin type of `D` and one letter.
fn extended_builtin_type(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'd' => "decimal64",
        b'e' => "decimal128",
        b'f' => "decimal32",
        b'h' => "half",
        b'i' => "char32_t",
        b's' => "char16_t",
        b'u' => "char8_t",
        b'a' => "auto",
        b'c' => "decltype(auto)",
        b'n' => "std::nullptr_t",
        _ => return None,
    })
}

impl<'a> Parser<'a> {
    /// A type. All types but the builtin ones are recorded as substitutions.
    pub(super) fn type_node(&mut self) -> Option<NodeId> {
        if let Some(builtin) = builtin_type(self.peek()) {
            self.skip(1);
            return Some(self.add_text(builtin));
        }
        self.deeper(|parser| {
            let (node, is_new) = parser.compound_type()?;
            if is_new {
                parser.substitutions.push(node);
            }
            Some(node)
        })
    }

    /// A type, and whether it is to be recorded.
    fn compound_type(&mut self) -> Option<(NodeId, bool)> {
        let node = match self.peek_pair() {
            [b'r' | b'V' | b'K', _] if self.is_qualified_function() => self.function_type()?,
            [b'r' | b'V' | b'K' | b'U', _] => self.qualified_type()?,
            [b'u', _] => self.vendor_type()?,
            [b'D', _] => return self.extended_type(),
            [b'F', _] => self.function_type()?,
            [b'A', _] => self.array_type()?,
            [b'M', _] => self.member_pointer_type()?,
            [b'T', b's' | b'u' | b'e'] => self.elaborated_type()?,
            [b'T', _] => self.parameter_type()?,
            [b'P', _] => {
                self.skip(1);
                let inner = self.type_node()?;
                self.add(Node::Pointer(inner))
            }
            [letter @ (b'R' | b'O'), _] => {
                self.skip(1);
                let inner = self.type_node()?;
                self.add(Node::Reference { inner, is_rvalue: letter == b'O' })
            }
            [letter @ (b'C' | b'G'), _] => {
                self.skip(1);
                let node = self.type_node()?;
                let suffix = if letter == b'C' { " complex" } else { " imaginary" };
                self.add(Node::Suffixed { node, suffix })
            }
            [b'S', second] if second != b't' => return self.substituted_type(),
            _ => self.name(&mut NameFacts::default())?,
        };
        Some((node, true))
    }

    fn is_qualified_function(&self) -> bool {
        let mut offset = 0;
        for letter in *b"rVK" {
            offset += usize::from(self.peek_at(offset) == letter);
        }
        match self.peek_at(offset) {
            b'F' => true,
            b'D' => matches!(self.peek_at(offset + 1), b'o' | b'O' | b'w' | b'x'),
            _ => false,
        }
    }

    fn qualified_type(&mut self) -> Option<NodeId> {
        if self.eat(b'U') {
            return self.vendor_qualified_type();
        }
        let qualifiers = self.qualifiers();
        let inner = self.type_node()?;
        Some(self.add(Node::Qualified { inner, qualifiers }))
    }

    /// `U <qualifier> [<template-args>] <type>`: the type may have further qualifiers, which are not recorded alone.
    fn vendor_qualified_type(&mut self) -> Option<NodeId> {
        let name = self.identifier_text()?;
        if let Some(protocol) = name.strip_prefix("objcproto") {
            let protocol = Parser::new(protocol, false).identifier_text()?;
            let inner = self.unrecorded_qualified_type()?;
            return Some(self.add(Node::Protocol { inner, protocol }));
        }
        let arguments = if self.peek() == b'I' {
            let arguments = self.template_arguments(false)?;
            Some(self.add(Node::List(arguments)))
        } else {
            None
        };
        let inner = self.unrecorded_qualified_type()?;
        Some(self.add(Node::VendorQualified { inner, name, arguments }))
    }

    fn unrecorded_qualified_type(&mut self) -> Option<NodeId> {
        match self.peek() {
            b'r' | b'V' | b'K' | b'U' => self.deeper(Self::qualified_type),
            _ => self.type_node(),
        }
    }

    /// `u <name> [I <type> E]`: a type, or a trait that maps a type to another one.
    fn vendor_type(&mut self) -> Option<NodeId> {
        self.skip(1);
        let name = self.identifier_text()?;
        if !self.eat(b'I') {
            return Some(self.add_text(name));
        }
        let node = self.type_node()?;
        self.expect(b'E')?;
        Some(self.enclosed(name, node, Precedence::Primary))
    }

    /// Types whose first letter is `D`.
    fn extended_type(&mut self) -> Option<(NodeId, bool)> {
        let letter = self.peek_at(1);
        if let Some(builtin) = extended_builtin_type(letter) {
            self.skip(2);
            return Some((self.add_text(builtin), false));
        }
        let node = match letter {
            b't' | b'T' => self.decltype()?,
            b'o' | b'O' | b'w' | b'x' => self.function_type()?,
            b'v' => self.vector_type()?,
            b'p' => {
                self.skip(2);
                let pattern = self.type_node()?;
                self.add(Node::Expansion(pattern))
            }
            b'F' => return Some((self.float_type()?, false)),
            b'B' | b'U' => return Some((self.integer_type()?, false)),
            b'k' | b'K' => {
                self.skip(2);
                let node = self.name(&mut NameFacts::default())?;
                let suffix = if letter == b'k' { " auto" } else { " decltype(auto)" };
                return Some((self.add(Node::Suffixed { node, suffix }), false));
            }
            _ => return None,
        };
        Some((node, true))
    }

    /// `DF16b` and `DF <bits> _`.
    fn float_type(&mut self) -> Option<NodeId> {
        self.skip(2);
        if self.eat_text("16b") {
            return Some(self.add_text("std::bfloat16_t"));
        }
        let bits = self.number(false);
        self.expect(b'_')?;
        let node = self.add_text(bits);
        Some(self.add(Node::Prefixed { prefix: "_Float", node }))
    }

    /// `DB <bits> _` and `DU <bits> _`; the number of bits may be an expression.
    fn integer_type(&mut self) -> Option<NodeId> {
        let name = if self.peek_at(1) == b'U' { "unsigned _BitInt" } else { "_BitInt" };
        self.skip(2);
        let bits = self.number_or_expression()?;
        self.expect(b'_')?;
        Some(self.enclosed(name, bits, Precedence::Primary))
    }

    fn number_or_expression(&mut self) -> Option<NodeId> {
        if self.peek().is_ascii_digit() {
            let number = self.number(false);
            return Some(self.add_text(number));
        }
        self.expression()
    }

    /// `[<number> | <expression>] _`: a size, if known.
    fn dimension(&mut self) -> Option<Option<NodeId>> {
        if self.eat(b'_') {
            return Some(None);
        }
        let dimension = self.number_or_expression()?;
        self.expect(b'_')?;
        Some(Some(dimension))
    }

    fn vector_type(&mut self) -> Option<NodeId> {
        self.skip(2);
        let is_number = self.peek().is_ascii_digit();
        let dimension = self.dimension()?;
        let element = if is_number && self.eat(b'p') { self.add_text("pixel") } else { self.type_node()? };
        Some(self.add(Node::Vector { element, dimension }))
    }

    fn array_type(&mut self) -> Option<NodeId> {
        self.skip(1);
        let dimension = self.dimension()?;
        let element = self.type_node()?;
        Some(self.add(Node::Array { element, dimension }))
    }

    fn member_pointer_type(&mut self) -> Option<NodeId> {
        self.skip(1);
        let class = self.type_node()?;
        let member = self.type_node()?;
        Some(self.add(Node::MemberPointer { class, member }))
    }

    /// `Ts`, `Tu` or `Te`, then a name: a class, union or enumeration that the source names as such.
    fn elaborated_type(&mut self) -> Option<NodeId> {
        let prefix = match self.peek_at(1) {
            b's' => "struct ",
            b'u' => "union ",
            _ => "enum ",
        };
        self.skip(2);
        let node = self.name(&mut NameFacts::default())?;
        Some(self.add(Node::Prefixed { prefix, node }))
    }

    /// A template parameter, which may be a template.
    fn parameter_type(&mut self) -> Option<NodeId> {
        let name = self.template_parameter()?;
        if !(self.reads_type_arguments && self.peek() == b'I') {
            return Some(name);
        }
        self.substitutions.push(name);
        let arguments = self.template_arguments(false)?;
        Some(self.add(Node::Template { name, arguments }))
    }

    /// A substitution, which may be a template, or a module that a name follows.
    fn substituted_type(&mut self) -> Option<(NodeId, bool)> {
        let (name, is_substitution) = self.unscoped_name(&mut NameFacts::default())?;
        if self.peek() != b'I' || (is_substitution && !self.reads_type_arguments) {
            return Some((name, !is_substitution));
        }
        if !is_substitution {
            self.substitutions.push(name);
        }
        let arguments = self.template_arguments(false)?;
        Some((self.add(Node::Template { name, arguments }), true))
    }

    /// `Dt` or `DT`, then an expression.
    pub(super) fn decltype(&mut self) -> Option<NodeId> {
        if !matches!(self.peek_pair(), [b'D', b't' | b'T']) {
            return None;
        }
        self.skip(2);
        let expression = self.expression()?;
        self.expect(b'E')?;
        Some(self.enclosed("decltype", expression, Precedence::Primary))
    }

    /// `[<qualifiers>] [<exceptions>] [Dx] F [Y] <result> <parameters> [R | O] E`.
    fn function_type(&mut self) -> Option<NodeId> {
        let object = self.qualifiers();
        let exceptions = self.exceptions()?;
        self.eat_text("Dx");
        self.expect(b'F')?;
        self.eat(b'Y');
        let result = self.type_node()?;
        let mut qualifiers = FunctionQualifiers { object, ..FunctionQualifiers::default() };
        let start = self.pending.len();
        while !self.eat(b'E') {
            if self.eat(b'v') {
                continue;
            }
            qualifiers.is_lvalue = self.eat_text("RE");
            qualifiers.is_rvalue = !qualifiers.is_lvalue && self.eat_text("OE");
            if qualifiers.is_lvalue || qualifiers.is_rvalue {
                break;
            }
            let parameter = self.type_node()?;
            self.pending.push(parameter);
        }
        let parameters = self.list_from(start);
        Some(self.add(Node::FunctionType { result, parameters, exceptions, qualifiers }))
    }

    fn exceptions(&mut self) -> Option<Option<NodeId>> {
        if self.eat_text("Do") {
            return Some(Some(self.add_text("noexcept")));
        }
        if self.eat_text("DO") {
            let condition = self.expression()?;
            self.expect(b'E')?;
            return Some(Some(self.enclosed("noexcept", condition, Precedence::Primary)));
        }
        if self.eat_text("Dw") {
            let types = self.list_until(b'E', Self::type_node)?;
            let list = self.add(Node::List(types));
            return Some(Some(self.enclosed("throw", list, Precedence::Primary)));
        }
        Some(None)
    }

    /// `prefix(node)`.
    pub(super) fn enclosed(&mut self, prefix: &'a str, node: NodeId, precedence: Precedence) -> NodeId {
        self.add(Node::Enclosed { prefix, node, precedence })
    }
}
