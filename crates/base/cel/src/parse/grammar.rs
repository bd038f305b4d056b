//! The grammar, read by descent. Each function is one rule, or a few that always follow each other.

use super::DEPTH_MAX;
use super::lex::{Lexeme, Token};
use super::macros::{self, Wrong};
use super::nodes::Nodes;
use super::unescape;
use crate::ast::operators::{self, CONDITIONAL, INDEX, NEGATE, NOT, OPT_INDEX, OPT_SELECT};
use crate::ast::{Call, Element, Entry, Expr, Field, Kind, Literal, Select, Struct};
use crate::issues::Collector;
use crate::source::Source;

/// Why there is no tree.
#[derive(Debug)]
pub(super) enum Refused {
    Syntax,
    Bound(String),
}

/// A node with how deep upstream's visitor descends below it.
struct Tree {
    expr: Expr,
    height: u32,
}

type Rule<T = Tree> = Result<T, Refused>;

/// Reads all of the lexemes, whose last is the end.
pub(super) fn read(source: &Source, lexemes: &[Lexeme], binds: bool, issues: &mut Collector) -> Rule<(Expr, Vec<u32>)> {
    let nodes = Nodes { source, issues, binds, offsets: vec![0] };
    let mut parser = Parser { lexemes, at: 0, nodes, expressions: 0, relations: 0, sums: 0 };
    let tree = parser.expression()?;
    parser.expect(Token::End)?;
    if tree.height > DEPTH_MAX {
        return Err(Refused::Bound("max recursion depth exceeded".to_owned()));
    }
    Ok((tree.expr, parser.nodes.offsets))
}

struct Parser<'a> {
    lexemes: &'a [Lexeme],
    at: usize,
    nodes: Nodes<'a>,
    // How many of a rule are being read at the moment.
    expressions: u32,
    relations: u32,
    sums: u32,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token {
        self.lexemes[self.at].token
    }

    fn peek_second(&self) -> Token {
        self.lexemes.get(self.at + 1).map_or(Token::End, |lexeme| lexeme.token)
    }

    fn next(&mut self) -> Lexeme {
        let lexeme = self.lexemes[self.at];
        // The end is read again and again.
        if lexeme.token != Token::End {
            self.at += 1;
        }
        lexeme
    }

    fn take(&mut self, token: Token) -> Option<Lexeme> {
        (self.peek() == token).then(|| self.next())
    }

    fn expect(&mut self, token: Token) -> Rule<Lexeme> {
        if self.peek() == token { Ok(self.next()) } else { Err(Refused::Syntax) }
    }

    fn text(&self, lexeme: Lexeme) -> String {
        self.nodes.source.text(lexeme.start as usize, lexeme.end as usize)
    }

    fn enter(depth: &mut u32) -> Rule<()> {
        *depth += 1;
        if *depth > DEPTH_MAX {
            return Err(Refused::Bound(format!("expression recursion limit exceeded: {DEPTH_MAX}")));
        }
        Ok(())
    }

    /// `or ? or : expression`
    fn expression(&mut self) -> Rule {
        Self::enter(&mut self.expressions)?;
        let condition = self.or()?;
        let tree = match self.take(Token::Question) {
            None => condition,
            Some(operator) => {
                let if_true = self.or()?;
                self.expect(Token::Colon)?;
                let if_false = self.expression()?;
                let height = 1 + condition.height.max(if_true.height).max(if_false.height);
                let args = vec![condition.expr, if_true.expr, if_false.expr];
                Tree { expr: self.nodes.call(operator.start, CONDITIONAL, args), height }
            }
        };
        self.expressions -= 1;
        Ok(tree)
    }

    fn or(&mut self) -> Rule {
        let first = self.and()?;
        if self.peek() != Token::Or {
            return Ok(first);
        }
        let mut terms = Terms::new(first);
        while let Some(operator) = self.take(Token::Or) {
            let term = self.and()?;
            terms.push(operator.start, term);
        }
        Ok(terms.balanced(&mut self.nodes, operators::OR))
    }

    fn and(&mut self) -> Rule {
        let first = self.relation(0)?;
        if self.peek() != Token::And {
            return Ok(first);
        }
        let mut terms = Terms::new(first);
        while let Some(operator) = self.take(Token::And) {
            let term = self.relation(0)?;
            terms.push(operator.start, term);
        }
        Ok(terms.balanced(&mut self.nodes, operators::AND))
    }

    /// Comparisons, which are read from the left: `level` is 1 for what stands right of one.
    fn relation(&mut self, level: u8) -> Rule {
        Self::enter(&mut self.relations)?;
        let mut left = self.sum(0)?;
        while level == 0
            && let Some(function) = comparison(self.peek())
        {
            let operator = self.next();
            let right = self.relation(1)?;
            left = self.binary(operator, function, left, right);
        }
        self.relations -= 1;
        Ok(left)
    }

    /// Sums (level 0), products (1) and what products are made of (2).
    fn sum(&mut self, level: u8) -> Rule {
        Self::enter(&mut self.sums)?;
        let mut left = self.unary()?;
        while let Some((function, binds)) = arithmetic(self.peek())
            && binds > level
        {
            let operator = self.next();
            let right = self.sum(binds)?;
            left = self.binary(operator, function, left, right);
        }
        self.sums -= 1;
        Ok(left)
    }

    fn binary(&mut self, operator: Lexeme, function: &str, left: Tree, right: Tree) -> Tree {
        let height = 1 + left.height.max(right.height);
        Tree { expr: self.nodes.call(operator.start, function, vec![left.expr, right.expr]), height }
    }

    /// An even number of `!` or of `-` is none.
    fn unary(&mut self) -> Rule {
        let operator = self.lexemes[self.at];
        let number = matches!(self.peek_second(), Token::Int | Token::Float);
        let function = match operator.token {
            Token::Not => NOT,
            Token::Minus if !number => NEGATE,
            _ => return self.member(),
        };
        let mut odd = false;
        while self.take(operator.token).is_some() {
            odd = !odd;
        }
        let operand = self.member()?;
        if !odd {
            return Ok(operand);
        }
        Ok(Tree { expr: self.nodes.call(operator.start, function, vec![operand.expr]), height: operand.height })
    }

    /// A primary expression and what is selected from it.
    fn member(&mut self) -> Rule {
        let mut tree = self.primary()?;
        loop {
            match self.peek() {
                Token::Dot => {
                    let dot = self.next();
                    tree = self.selection(dot, tree)?;
                }
                Token::LeftBracket => {
                    let bracket = self.next();
                    let optional = self.take(Token::Question).is_some();
                    let index = self.expression()?;
                    self.expect(Token::RightBracket)?;
                    let function = if optional { OPT_INDEX } else { INDEX };
                    tree = self.binary(bracket, function, tree, index);
                }
                _ => return Ok(tree),
            }
        }
    }

    fn selection(&mut self, dot: Lexeme, operand: Tree) -> Rule {
        let optional = self.take(Token::Question).is_some();
        let name = self.next();
        let field = match name.token {
            Token::Ident => self.text(name),
            Token::EscapedIdent => self.nodes.source.text(name.start as usize + 1, name.end as usize - 1),
            _ => return Err(Refused::Syntax),
        };
        if !optional && name.token == Token::Ident && self.peek() == Token::LeftParen {
            let paren = self.next();
            let (args, height) = self.arguments()?;
            let height = 1 + height.max(operand.height);
            let expr = self.called(paren.start, field, Some(operand.expr), args)?;
            return Ok(Tree { expr, height });
        }
        let height = 1 + operand.height;
        let expr = if optional {
            let field = self.nodes.literal(name.start, Literal::String(field));
            self.nodes.call(dot.start, OPT_SELECT, vec![operand.expr, field])
        } else {
            let select = Select { operand: operand.expr, field, test_only: false };
            self.nodes.node(dot.start, Kind::Select(Box::new(select)))
        };
        Ok(Tree { expr, height })
    }

    /// Arguments up to and with the closing parenthesis.
    fn arguments(&mut self) -> Rule<(Vec<Expr>, u32)> {
        let (mut args, mut height) = (Vec::new(), 0);
        if self.take(Token::RightParen).is_some() {
            return Ok((args, height));
        }
        loop {
            let arg = self.expression()?;
            height = height.max(arg.height);
            args.push(arg.expr);
            if self.take(Token::Comma).is_none() {
                self.expect(Token::RightParen)?;
                return Ok((args, height));
            }
        }
    }

    /// A call, or what its macro makes of it.
    fn called(&mut self, offset: u32, function: String, target: Option<Expr>, args: Vec<Expr>) -> Rule<Expr> {
        match macros::expand(&mut self.nodes, offset, &function, target, args) {
            Ok(Ok(expr)) => Ok(expr),
            Ok(Err(Wrong::Argument(id, message))) => {
                let offset = self.nodes.offset(id);
                Ok(self.nodes.wrong(offset, message))
            }
            Ok(Err(Wrong::TooManyNodes)) => Err(Refused::Bound("expression has too many nodes".to_owned())),
            Err((target, args)) => Ok(self.nodes.node(offset, Kind::Call(Box::new(Call { target, function, args })))),
        }
    }

    fn primary(&mut self) -> Rule {
        let first = self.lexemes[self.at];
        match first.token {
            Token::Dot | Token::Ident => self.named(),
            Token::LeftParen => {
                self.next();
                let tree = self.expression()?;
                self.expect(Token::RightParen)?;
                Ok(tree)
            }
            Token::LeftBracket => {
                self.next();
                self.list(first)
            }
            Token::LeftBrace => {
                self.next();
                self.map(first)
            }
            _ => {
                let expr = self.literal()?;
                Ok(Tree { expr, height: 0 })
            }
        }
    }

    /// An identifier, a call, or a message: `a`, `.a`, `a(…)`, `a.b.c{…}`.
    fn named(&mut self) -> Rule {
        if let Some(brace) = self.message_brace() {
            return self.message(brace);
        }
        let dot = self.take(Token::Dot);
        let name = self.expect(Token::Ident)?;
        let start = dot.map_or(name.start, |dot| dot.start);
        let text = self.text(name);
        let call = (self.peek() == Token::LeftParen).then(|| self.next());
        let called = match call {
            Some(paren) => Some((paren, self.arguments()?)),
            None => None,
        };
        let height = called.as_ref().map_or(0, |(_, (_, height))| *height);
        if RESERVED.contains(&text.as_str()) {
            return Ok(Tree { expr: self.nodes.wrong(start, format!("reserved identifier: {text}")), height });
        }
        let text = if dot.is_some() { format!(".{text}") } else { text };
        let expr = match called {
            Some((paren, (args, _))) => self.called(paren.start, text, None, args)?,
            None => self.nodes.ident(name.start, &text),
        };
        Ok(Tree { expr, height })
    }

    /// Returns where the brace of a message stands, if names with dots and then a brace follow.
    fn message_brace(&self) -> Option<usize> {
        let token = |at: usize| self.lexemes.get(at).map(|lexeme| lexeme.token);
        let mut at = self.at + usize::from(self.peek() == Token::Dot);
        while token(at) == Some(Token::Ident) {
            match token(at + 1) {
                Some(Token::LeftBrace) => return Some(at + 1),
                Some(Token::Dot) => at += 2,
                _ => return None,
            }
        }
        None
    }

    fn message(&mut self, brace: usize) -> Rule {
        let name = self.lexemes[self.at..brace].iter().map(|lexeme| self.text(*lexeme)).collect();
        self.at = brace;
        let brace = self.next();
        let (mut fields, mut height) = (Vec::new(), 0);
        while !matches!(self.peek(), Token::RightBrace | Token::Comma) {
            let optional = self.take(Token::Question).is_some();
            let field = self.next();
            let field = match field.token {
                Token::Ident => self.text(field),
                Token::EscapedIdent => self.nodes.source.text(field.start as usize + 1, field.end as usize - 1),
                _ => return Err(Refused::Syntax),
            };
            let colon = self.expect(Token::Colon)?;
            let value = self.expression()?;
            height = height.max(value.height);
            let id = self.nodes.id(colon.start);
            fields.push(Field { id, name: field, value: value.expr, optional });
            if !self.another(Token::RightBrace) {
                break;
            }
        }
        self.take(Token::Comma);
        self.expect(Token::RightBrace)?;
        let message = Struct { name, fields };
        Ok(Tree { expr: self.nodes.node(brace.start, Kind::Struct(Box::new(message))), height })
    }

    /// Whether a comma and another item follow; the comma is read if so. A last comma may stand before the end.
    fn another(&mut self, end: Token) -> bool {
        let more = self.peek() == Token::Comma && self.peek_second() != end;
        if more {
            self.next();
        }
        more
    }

    fn list(&mut self, bracket: Lexeme) -> Rule {
        let (mut elements, mut height) = (Vec::new(), 0);
        while !matches!(self.peek(), Token::RightBracket | Token::Comma) {
            let optional = self.take(Token::Question).is_some();
            let value = self.expression()?;
            height = height.max(value.height);
            elements.push(Element { value: value.expr, optional });
            if !self.another(Token::RightBracket) {
                break;
            }
        }
        self.take(Token::Comma);
        self.expect(Token::RightBracket)?;
        Ok(Tree { expr: self.nodes.node(bracket.start, Kind::List(elements)), height })
    }

    fn map(&mut self, brace: Lexeme) -> Rule {
        let (mut entries, mut height) = (Vec::new(), 0);
        while !matches!(self.peek(), Token::RightBrace | Token::Comma) {
            let optional = self.take(Token::Question).is_some();
            let key = self.expression()?;
            self.expect(Token::Colon)?;
            let value = self.expression()?;
            height = height.max(key.height).max(value.height);
            entries.push(Entry { key: key.expr, value: value.expr, optional });
            if !self.another(Token::RightBrace) {
                break;
            }
        }
        self.take(Token::Comma);
        self.expect(Token::RightBrace)?;
        Ok(Tree { expr: self.nodes.node(brace.start, Kind::Map(entries)), height })
    }

    fn literal(&mut self) -> Rule<Expr> {
        let sign = self.take(Token::Minus);
        let lexeme = self.next();
        let start = sign.map_or(lexeme.start, |sign| sign.start);
        let text = self.text(lexeme);
        let negative = sign.is_some();
        if negative && !matches!(lexeme.token, Token::Int | Token::Float) {
            return Err(Refused::Syntax);
        }
        let value = match lexeme.token {
            Token::Int => integer(&text, negative).map(Literal::Int).ok_or("invalid int literal"),
            Token::Uint => unsigned(&text[..text.len() - 1]).map(Literal::Uint).ok_or("invalid uint literal"),
            Token::Float => double(&text, negative).map(Literal::Double).ok_or("invalid double literal"),
            Token::String => unescape::string(&text).map(Literal::String),
            Token::Bytes => unescape::bytes(&text[1..]).map(Literal::Bytes),
            Token::True => Ok(Literal::Bool(true)),
            Token::False => Ok(Literal::Bool(false)),
            Token::Null => Ok(Literal::Null),
            _ => return Err(Refused::Syntax),
        };
        Ok(match value {
            Ok(value) => self.nodes.literal(start, value),
            Err(message) => self.nodes.wrong(start, message),
        })
    }
}

/// Names that are no variables.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "true",
    "var",
    "void",
    "while",
];

fn comparison(token: Token) -> Option<&'static str> {
    Some(match token {
        Token::Less => "_<_",
        Token::LessEquals => "_<=_",
        Token::Greater => "_>_",
        Token::GreaterEquals => "_>=_",
        Token::Equals => operators::EQUALS,
        Token::NotEquals => operators::NOT_EQUALS,
        Token::In => operators::IN,
        _ => return None,
    })
}

/// The function of an operator, and how tightly it binds.
fn arithmetic(token: Token) -> Option<(&'static str, u8)> {
    Some(match token {
        Token::Plus => (operators::ADD, 1),
        Token::Minus => ("_-_", 1),
        Token::Star => ("_*_", 2),
        Token::Slash => ("_/_", 2),
        Token::Percent => ("_%_", 2),
        _ => return None,
    })
}

fn integer(text: &str, negative: bool) -> Option<i64> {
    let sign = if negative { "-" } else { "" };
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16).ok(),
        None => format!("{sign}{text}").parse().ok(),
    }
}

fn unsigned(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn double(text: &str, negative: bool) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(if negative { -value } else { value })
}

/// What `&&` or `||` connect. The tree of them is balanced, for they may be many.
struct Terms {
    terms: Vec<Option<Expr>>,
    operators: Vec<u32>,
    height: u32,
}

impl Terms {
    fn new(first: Tree) -> Self {
        Self { terms: vec![Some(first.expr)], operators: Vec::new(), height: first.height }
    }

    fn push(&mut self, operator: u32, term: Tree) {
        self.operators.push(operator);
        self.terms.push(Some(term.expr));
        self.height = self.height.max(term.height);
    }

    fn balanced(mut self, nodes: &mut Nodes<'_>, function: &str) -> Tree {
        let last = self.operators.len() - 1;
        Tree { expr: self.subtree(nodes, function, 0, last), height: self.height }
    }

    fn subtree(&mut self, nodes: &mut Nodes<'_>, function: &str, low: usize, high: usize) -> Expr {
        let middle = (low + high).div_ceil(2);
        let left = if middle == low { self.term(middle) } else { self.subtree(nodes, function, low, middle - 1) };
        let right =
            if middle == high { self.term(middle + 1) } else { self.subtree(nodes, function, middle + 1, high) };
        nodes.call(self.operators[middle], function, vec![left, right])
    }

    fn term(&mut self, index: usize) -> Expr {
        self.terms[index].take().unwrap_or(Expr { id: 0, kind: Kind::Unspecified })
    }
}
