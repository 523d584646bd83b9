//! Takes SQL text apart: statements, tokens, numbers in hexadecimal.

use crate::error::QueryError;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::VecDeque;

/// Parentheses and operators that may lie in one another.
const DEPTH_MAX: usize = 100;

/// The statements of a text, each without the semicolon that ends it; what follows the last semicolon comes last, unless it is
/// empty.
pub fn split(text: &str) -> Result<Vec<&str>, QueryError> {
    let mut statements = Vec::new();
    let (mut begin, mut has_content) = (0, false);
    let lines = line_starts(text);
    for token in tokens(text)? {
        let start = offset(text, &lines, &token);
        match token.token {
            Token::SemiColon => {
                if has_content {
                    statements.push(text[begin..start].trim());
                }
                (begin, has_content) = (start + 1, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_content = true,
        }
    }
    if has_content {
        statements.push(text[begin..].trim());
    }
    Ok(statements)
}

/// Whether a text ends inside a statement: more lines have to come.
pub fn is_unfinished(text: &str) -> bool {
    match tokens(text) {
        Ok(tokens) => {
            let mut meant =
                tokens.iter().rev().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
            meant.next().is_some_and(|token| token.token != Token::SemiColon)
        }
        // A quote or comment that has not ended.
        Err(_) => true,
    }
}

/// The only statement of a text.
pub(crate) fn parse_one(query: &str) -> Result<Statement, QueryError> {
    let failure = |error: DataFusionError| QueryError::of(&error, query, &[]);
    let tokens = with_numbers(query, tokens(query)?);
    let parser = DFParserBuilder::new(tokens).with_recursion_limit(DEPTH_MAX).build();
    let statements: VecDeque<_> = parser.and_then(|mut parser| parser.parse_statements()).map_err(failure)?;
    let count = statements.len();
    match <[_; 1]>::try_from(Vec::from(statements)) {
        Ok([statement]) => Ok(statement),
        Err(_) => Err(QueryError::failed(format!("expected one statement, found {count}"))),
    }
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, QueryError> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    tokens.map_err(|error| {
        QueryError::of(&DataFusionError::from(ParserError::TokenizerError(error.to_string())), text, &[])
    })
}

/// The tokens with `0x401000` as the number that it is, where SQL sees bytes; `X'401000'` remains bytes.
fn with_numbers(text: &str, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let lines = line_starts(text);
    for token in &mut tokens {
        if let Token::HexStringLiteral(digits) = &token.token
            && text[offset(text, &lines, token)..].starts_with('0')
            && let Ok(number) = u64::from_str_radix(digits, 16)
        {
            token.token = Token::Number(number.to_string(), false);
        }
    }
    tokens
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// Where a token begins, in bytes.
fn offset(text: &str, lines: &[usize], token: &TokenWithSpan) -> usize {
    let place = token.span.start;
    let Some(start) = place.line.checked_sub(1).and_then(|line| lines.get(line as usize)) else {
        return text.len();
    };
    let letters = text[*start..].char_indices().nth((place.column.saturating_sub(1)) as usize);
    letters.map_or(text.len(), |(at, _)| start + at)
}
