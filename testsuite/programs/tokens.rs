//! A calculator: a tokenizer and a recursive parser with enums, vectors, closures, trait objects
//! and a panic that is caught. Prints its results and returns 0.

use std::collections::BTreeMap;
use std::fmt;
use std::panic;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(i64),
    Name(String),
    Operator(char),
    Open,
    Close,
}

#[derive(Debug)]
enum Error {
    UnexpectedCharacter(char),
    UnexpectedToken(Token),
    UnexpectedEnd,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnexpectedCharacter(character) => write!(f, "unexpected character {character:?}"),
            Error::UnexpectedToken(token) => write!(f, "unexpected token {token:?}"),
            Error::UnexpectedEnd => write!(f, "unexpected end"),
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&character) = characters.peek() {
        match character {
            ' ' => {
                characters.next();
            }
            '0'..='9' => {
                let mut number = 0_i64;
                while let Some(digit) = characters.peek().and_then(|c| c.to_digit(10)) {
                    number = number * 10 + i64::from(digit);
                    characters.next();
                }
                tokens.push(Token::Number(number));
            }
            'a'..='z' => {
                let mut name = String::new();
                while let Some(&letter) = characters.peek().filter(|c| c.is_ascii_lowercase()) {
                    name.push(letter);
                    characters.next();
                }
                tokens.push(Token::Name(name));
            }
            '+' | '-' | '*' | '/' => {
                tokens.push(Token::Operator(character));
                characters.next();
            }
            '(' => {
                tokens.push(Token::Open);
                characters.next();
            }
            ')' => {
                tokens.push(Token::Close);
                characters.next();
            }
            other => return Err(Error::UnexpectedCharacter(other)),
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    functions: &'a BTreeMap<&'static str, Box<dyn Fn(i64) -> i64>>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn sum(&mut self) -> Result<i64, Error> {
        let mut value = self.product()?;
        while let Some(Token::Operator(operator @ ('+' | '-'))) = self.tokens.first().cloned() {
            self.next();
            let right = self.product()?;
            value = if operator == '+' { value + right } else { value - right };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<i64, Error> {
        let mut value = self.atom()?;
        while let Some(Token::Operator(operator @ ('*' | '/'))) = self.tokens.first().cloned() {
            self.next();
            let right = self.atom()?;
            value = if operator == '*' { value * right } else { value / right };
        }
        Ok(value)
    }

    fn atom(&mut self) -> Result<i64, Error> {
        match self.next().ok_or(Error::UnexpectedEnd)? {
            Token::Number(number) => Ok(number),
            Token::Operator('-') => Ok(-self.atom()?),
            Token::Open => {
                let value = self.sum()?;
                match self.next() {
                    Some(Token::Close) => Ok(value),
                    Some(other) => Err(Error::UnexpectedToken(other)),
                    None => Err(Error::UnexpectedEnd),
                }
            }
            Token::Name(name) => {
                let argument = self.atom()?;
                match self.functions.get(name.as_str()) {
                    Some(function) => Ok(function(argument)),
                    None => Err(Error::UnexpectedToken(Token::Name(name))),
                }
            }
            other => Err(Error::UnexpectedToken(other)),
        }
    }
}

fn main() {
    let offset = std::env::args().count() as i64;
    let mut functions: BTreeMap<&'static str, Box<dyn Fn(i64) -> i64>> = BTreeMap::new();
    functions.insert("square", Box::new(|x| x * x));
    functions.insert("next", Box::new(move |x| x + offset));
    panic::set_hook(Box::new(|_| println!("a panic")));

    for line in ["1 + 2 * 3", "square (2 + 3) - next 4", "(1 + ", "7 $ 8", "6 / (3 - 3)", "cube 2"] {
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let tokens = tokenize(line)?;
            Parser { tokens: &tokens, functions: &functions }.sum()
        }));
        match result {
            Ok(Ok(value)) => println!("{line} = {value}"),
            Ok(Err(error)) => println!("{line}: {error}"),
            Err(_) => println!("{line}: caught"),
        }
    }
}
