//! Splits SQL text into statements, and parses statements in which addresses may be hexadecimal.

use crate::error::{KnownNames, QueryError};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::VecDeque;

/// Maximum nesting depth of a statement.
const DEPTH_MAX: usize = 100;

/// Maximum number of operators in a statement. A chain of operators is a tree of that depth, which is planned recursively.
const OPERATORS_MAX: usize = 1000;

/// Maximum nesting depth of [`RETRIED`] words, of which each doubles the time of the parser for a statement with an error.
const RETRIED_DEPTH_MAX: usize = 12;

/// Words that the parser takes for the name of a function or column if their operand has an error.
const RETRIED: [Keyword; 13] = [
    Keyword::CAST,
    Keyword::CEIL,
    Keyword::CONVERT,
    Keyword::EXISTS,
    Keyword::EXTRACT,
    Keyword::FLOOR,
    Keyword::OVERLAY,
    Keyword::POSITION,
    Keyword::SAFE_CAST,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRIM,
    Keyword::TRY_CAST,
];

/// The statements of a text, without their semicolons. Text after the last semicolon is a statement too, unless it is empty.
pub fn split(text: &str) -> Result<Vec<&str>, QueryError> {
    let mut statements = Vec::new();
    let (mut start_of_statement, mut has_content) = (0, false);
    let mut offsets = Offsets::of(text);
    for token in tokens(text)? {
        let start = offsets.next(&token);
        match token.token {
            Token::SemiColon => {
                if has_content {
                    statements.push(text[start_of_statement..start].trim());
                }
                (start_of_statement, has_content) = (start + 1, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_content = true,
        }
    }
    if has_content {
        statements.push(text[start_of_statement..].trim());
    }
    Ok(statements)
}

/// Whether a text ends inside a statement, so that more lines are needed.
pub fn is_unfinished(text: &str) -> bool {
    match tokens(text) {
        Ok(tokens) => {
            let is_blank = |token: &&TokenWithSpan| matches!(token.token, Token::Whitespace(_) | Token::EOF);
            let last = tokens.iter().rev().find(|token| !is_blank(token));
            last.is_some_and(|token| token.token != Token::SemiColon)
        }
        // A quote or comment is open.
        Err(_) => true,
    }
}

/// Parses a text that is one statement.
pub(crate) fn parse_one(query: &str) -> Result<Statement, QueryError> {
    let failure = |error: DataFusionError| QueryError::of(&error, query, &KnownNames::default());
    let tokens = with_hexadecimal_numbers(query, tokens(query)?);
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators > OPERATORS_MAX {
        let message = format!("the query has {operators} operators; at most {OPERATORS_MAX} are allowed");
        return Err(QueryError::failed(message + "; compare with many values by IN"));
    }
    let depth = retried_depth(&tokens);
    if depth > RETRIED_DEPTH_MAX {
        let message =
            format!("NOT, CAST and similar words nest {depth} deep; at most {RETRIED_DEPTH_MAX} are allowed");
        return Err(QueryError::failed(message));
    }
    let parser = DFParserBuilder::new(tokens).with_recursion_limit(DEPTH_MAX).build();
    let statements: VecDeque<_> = parser.and_then(|mut parser| parser.parse_statements()).map_err(failure)?;
    let count = statements.len();
    match <[_; 1]>::try_from(Vec::from(statements)) {
        Ok([statement]) => Ok(statement),
        Err(_) => Err(QueryError::failed(format!("expected one statement, found {count}"))),
    }
}

/// Whether a token connects two expressions or queries.
fn is_operator(token: &Token) -> bool {
    use Keyword::{AND, EXCEPT, INTERSECT, OR, UNION};
    match token {
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        Token::Word(word) => matches!(word.keyword, AND | EXCEPT | INTERSECT | OR | UNION),
        _ => false,
    }
}

/// How deep [`RETRIED`] words and NOT nest. NOT extends to the end of its operand.
fn retried_depth(tokens: &[TokenWithSpan]) -> usize {
    let (mut depth_max, mut depth, mut negations) = (0, 0, 0);
    let mut open = Vec::new();
    let mut is_retried = false;
    for token in tokens.iter().map(|token| &token.token) {
        let keyword = match token {
            Token::Whitespace(_) => continue,
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        match (token, keyword) {
            (Token::LParen | Token::LBracket | Token::LBrace, _) | (_, Keyword::CASE) => {
                open.push((depth, negations));
                depth += negations + usize::from(is_retried);
                negations = 0;
            }
            (Token::RParen | Token::RBracket | Token::RBrace, _) | (_, Keyword::END) => {
                (depth, negations) = open.pop().unwrap_or_default();
            }
            (_, Keyword::NOT) => negations += 1,
            (Token::Comma, _)
            | (_, Keyword::AND | Keyword::OR | Keyword::WHEN | Keyword::THEN | Keyword::ELSE) => {
                negations = 0;
            }
            _ => {}
        }
        is_retried = RETRIED.contains(&keyword);
        depth_max = depth_max.max(depth + negations);
    }
    depth_max
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, QueryError> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    tokens.map_err(|error| {
        let error = DataFusionError::from(ParserError::TokenizerError(error.to_string()));
        QueryError::of(&error, text, &KnownNames::default())
    })
}

/// Replaces tokens such as `0x401000`, which are bytes in SQL, by numbers. `X'401000'` remains bytes.
fn with_hexadecimal_numbers(text: &str, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut offsets = Offsets::of(text);
    for token in &mut tokens {
        if let Token::HexStringLiteral(digits) = &token.token
            && text[offsets.next(token)..].starts_with('0')
            && let Ok(number) = u64::from_str_radix(digits, 16)
        {
            token.token = Token::Number(number.to_string(), false);
        }
    }
    tokens
}

/// The byte offsets of tokens, which are asked for in their order: a long line is read only once.
struct Offsets<'a> {
    text: &'a str,
    lines: Vec<usize>,
    /// Line and column of the last token, both from 1, and its offset.
    last: (u64, u64, usize),
}

impl<'a> Offsets<'a> {
    fn of(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines, last: (1, 1, 0) }
    }

    /// The offset of a token that does not come before the last one.
    fn next(&mut self, token: &TokenWithSpan) -> usize {
        let (line, column) = (token.span.start.line, token.span.start.column);
        let (last_line, last_column, last_offset) = self.last;
        let (start, skipped) = match line == last_line && column >= last_column {
            true => (last_offset, column - last_column),
            false => match line.checked_sub(1).and_then(|line| self.lines.get(line as usize)) {
                Some(start) => (*start, column.saturating_sub(1)),
                None => return self.text.len(),
            },
        };
        let character = self.text[start..].char_indices().nth(skipped as usize);
        let offset = character.map_or(self.text.len(), |(at, _)| start + at);
        self.last = (line, column, offset);
        offset
    }
}
