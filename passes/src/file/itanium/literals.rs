//! Literals and other primary expressions: `L … E`.

use super::nodes::{Node, NodeId};
use super::parser::{NameFacts, Parser};
use super::types::builtin_type;

/// The suffix of literals of a builtin type; `None` if the literal is written as a cast.
fn literal_suffix(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'i' => "",
        b'j' => "u",
        b'l' => "l",
        b'm' => "ul",
        b'x' => "ll",
        b'y' => "ull",
        _ => return None,
    })
}

impl<'a> Parser<'a> {
    /// `L <type> <value> E`, or `L _Z <encoding> E`.
    pub(super) fn literal(&mut self) -> Option<NodeId> {
        self.expect(b'L')?;
        match self.peek_pair() {
            [b'b', b'0' | b'1'] => {
                let text = if self.peek_at(1) == b'1' { "true" } else { "false" };
                self.skip(2);
                self.expect(b'E')?;
                Some(self.add_text(text))
            }
            [letter @ (b'f' | b'd' | b'e'), _] => {
                self.skip(1);
                let digits = self.float_digits(letter)?;
                self.expect(b'E')?;
                let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hexadecimal.then(|| self.add(Node::Float { kind: letter, digits }))
            }
            [
                b'w' | b'c' | b'a' | b'h' | b's' | b't' | b'i' | b'j' | b'l' | b'm' | b'x' | b'y' | b'n'
                | b'o',
                _,
            ] => self.integer_literal(),
            [b'_', b'Z'] => {
                self.skip(2);
                let encoding = self.encoding()?;
                self.expect(b'E')?;
                Some(encoding)
            }
            [b'A', _] => {
                let kind = self.type_node()?;
                self.expect(b'E')?;
                Some(self.add(Node::StringLiteral(kind)))
            }
            [b'D', b'n'] => {
                self.skip(2);
                self.eat(b'0');
                self.expect(b'E')?;
                Some(self.add_text("nullptr"))
            }
            [b'U', b'l'] => {
                let closure = self.unnamed_type(&NameFacts::default())?;
                self.expect(b'E')?;
                Some(self.add(Node::Lambda { closure }))
            }
            [b'T', _] => None,
            _ => self.typed_literal(),
        }
    }

    /// The digits of a floating-point literal: of `long double`, 20 or 32.
    fn float_digits(&mut self, letter: u8) -> Option<&'a str> {
        let size = match letter {
            b'f' => 8,
            b'd' => 16,
            _ => self.rest().bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count(),
        };
        self.take(size)
    }

    /// A literal of a builtin integer type.
    fn integer_literal(&mut self) -> Option<NodeId> {
        let letter = self.peek();
        self.skip(1);
        let number = self.number(true);
        if number.is_empty() {
            return None;
        }
        self.expect(b'E')?;
        let value = self.add(Node::Number(number));
        Some(match literal_suffix(letter) {
            Some("") => value,
            Some(suffix) => self.add(Node::Suffixed { node: value, suffix }),
            None => {
                let kind = self.add_text(builtin_type(letter)?);
                self.add(Node::CastLiteral { kind, value })
            }
        })
    }

    /// A value of an enumeration, or a type alone.
    fn typed_literal(&mut self) -> Option<NodeId> {
        let kind = self.type_node()?;
        let number = self.number(true);
        self.expect(b'E')?;
        if number.is_empty() {
            return Some(kind);
        }
        let value = self.add(Node::Number(number));
        Some(self.add(Node::CastLiteral { kind, value }))
    }
}
