//! The grammar (cel-go `parser/gen/CEL.g4`), built into the automaton the way ANTLR builds it.

use super::super::lex::Token;
use super::automaton::{Automaton, RuleId, State, StateId, StateKind, Tokens, Transition};

const START: RuleId = 0;
const EXPR: RuleId = 1;
const OR: RuleId = 2;
const AND: RuleId = 3;
const RELATION: RuleId = 4;
const CALC: RuleId = 5;
const UNARY: RuleId = 6;
const MEMBER: RuleId = 7;
const PRIMARY: RuleId = 8;
const EXPR_LIST: RuleId = 9;
const LIST_INIT: RuleId = 10;
const FIELD_INIT: RuleId = 11;
const OPT_FIELD: RuleId = 12;
const MAP_INIT: RuleId = 13;
pub(super) const ESCAPE_IDENT: RuleId = 14;
const OPT_EXPR: RuleId = 15;
const LITERAL: RuleId = 16;
const RULES: usize = 17;

/// A part of a rule. Choices by one token alone are those that ANTLR makes so.
enum Part {
    Token(Token),
    AnyOf(&'static [Token]),
    Rule(RuleId),
    /// A rule that is read only as far as it binds.
    Binding(RuleId, u32),
    Precedence(u32),
    Sequence(Vec<Part>),
    /// Alternatives by lookahead.
    Choice(Vec<Part>),
    /// Alternatives by the next token.
    Simple(Vec<Part>),
    Optional(Box<Part>),
    /// Repeated by the next token, or by lookahead.
    Repeated(Box<Part>, bool),
    AtLeastOnce(Box<Part>, bool),
}

use Part::{AnyOf, AtLeastOnce, Binding, Choice, Precedence, Repeated, Rule, Sequence, Simple};

fn token(token: Token) -> Part {
    Part::Token(token)
}

fn optional(part: Part) -> Part {
    Part::Optional(Box::new(part))
}

fn sequence<const N: usize>(parts: [Part; N]) -> Part {
    Sequence(parts.into())
}

/// `item (',' item)*`
fn separated(item: fn() -> Part, looks_ahead: bool) -> Part {
    let more = sequence([token(Token::Comma), item()]);
    sequence([item(), Repeated(Box::new(more), looks_ahead)])
}

fn rule(rule: RuleId) -> Part {
    match rule {
        START => sequence([Rule(EXPR), token(Token::End)]),
        EXPR => sequence([
            Rule(OR),
            optional(sequence([token(Token::Question), Rule(OR), token(Token::Colon), Rule(EXPR)])),
        ]),
        OR => sequence([Rule(AND), Repeated(Box::new(sequence([token(Token::Or), Rule(AND)])), false)]),
        AND => sequence([Rule(RELATION), Repeated(Box::new(sequence([token(Token::And), Rule(RELATION)])), false)]),
        RELATION => {
            let operators = AnyOf(&[
                Token::Equals,
                Token::NotEquals,
                Token::In,
                Token::Less,
                Token::LessEquals,
                Token::GreaterEquals,
                Token::Greater,
            ]);
            let more = sequence([Precedence(1), operators, Binding(RELATION, 2)]);
            sequence([Rule(CALC), Repeated(Box::new(more), true)])
        }
        CALC => {
            let products = AnyOf(&[Token::Star, Token::Slash, Token::Percent]);
            let sums = AnyOf(&[Token::Minus, Token::Plus]);
            let more = Choice(vec![
                sequence([Precedence(2), products, Binding(CALC, 3)]),
                sequence([Precedence(1), sums, Binding(CALC, 2)]),
            ]);
            sequence([Rule(UNARY), Repeated(Box::new(more), true)])
        }
        UNARY => Choice(vec![
            Rule(MEMBER),
            sequence([AtLeastOnce(Box::new(token(Token::Not)), false), Rule(MEMBER)]),
            sequence([AtLeastOnce(Box::new(token(Token::Minus)), true), Rule(MEMBER)]),
        ]),
        MEMBER => sequence([Rule(PRIMARY), Repeated(Box::new(selections()), true)]),
        PRIMARY => primary(),
        EXPR_LIST => separated(|| Rule(EXPR), false),
        LIST_INIT => separated(|| Rule(OPT_EXPR), true),
        FIELD_INIT => separated(|| sequence([Rule(OPT_FIELD), token(Token::Colon), Rule(EXPR)]), true),
        OPT_FIELD => sequence([optional(token(Token::Question)), Rule(ESCAPE_IDENT)]),
        MAP_INIT => separated(|| sequence([Rule(OPT_EXPR), token(Token::Colon), Rule(EXPR)]), true),
        ESCAPE_IDENT => Simple(vec![token(Token::Ident), token(Token::EscapedIdent)]),
        OPT_EXPR => sequence([optional(token(Token::Question)), Rule(EXPR)]),
        _ => literal(),
    }
}

fn selections() -> Part {
    let question = || optional(token(Token::Question));
    Choice(vec![
        sequence([Precedence(3), token(Token::Dot), question(), Rule(ESCAPE_IDENT)]),
        sequence([
            Precedence(2),
            token(Token::Dot),
            token(Token::Ident),
            token(Token::LeftParen),
            optional(Rule(EXPR_LIST)),
            token(Token::RightParen),
        ]),
        sequence([Precedence(1), token(Token::LeftBracket), question(), Rule(EXPR), token(Token::RightBracket)]),
    ])
}

fn primary() -> Part {
    let dot = || optional(token(Token::Dot));
    let comma = || optional(token(Token::Comma));
    let name = || token(Token::Ident);
    Choice(vec![
        sequence([dot(), name()]),
        sequence([dot(), name(), token(Token::LeftParen), optional(Rule(EXPR_LIST)), token(Token::RightParen)]),
        sequence([token(Token::LeftParen), Rule(EXPR), token(Token::RightParen)]),
        sequence([token(Token::LeftBracket), optional(Rule(LIST_INIT)), comma(), token(Token::RightBracket)]),
        sequence([token(Token::LeftBrace), optional(Rule(MAP_INIT)), comma(), token(Token::RightBrace)]),
        sequence([
            dot(),
            name(),
            Repeated(Box::new(sequence([token(Token::Dot), name()])), false),
            token(Token::LeftBrace),
            optional(Rule(FIELD_INIT)),
            comma(),
            token(Token::RightBrace),
        ]),
        Rule(LITERAL),
    ])
}

fn literal() -> Part {
    let sign = || optional(token(Token::Minus));
    Choice(vec![
        sequence([sign(), token(Token::Int)]),
        token(Token::Uint),
        sequence([sign(), token(Token::Float)]),
        token(Token::String),
        token(Token::Bytes),
        token(Token::True),
        token(Token::False),
        token(Token::Null),
    ])
}

pub(super) fn automaton() -> Automaton {
    let mut builder = Builder { automaton: Automaton::default(), rule: 0 };
    for rule in 0..RULES {
        builder.rule = rule;
        let start = builder.state(StateKind::Plain);
        let stop = builder.state(StateKind::RuleStop);
        builder.automaton.starts.push(start);
        builder.automaton.stops.push(stop);
    }
    for id in 0..RULES {
        builder.rule = id;
        let (first, last) = builder.part(&rule(id));
        let (start, stop) = (builder.automaton.starts[id], builder.automaton.stops[id]);
        builder.free(start, first);
        builder.free(last, stop);
    }
    builder.automaton
}

struct Builder {
    automaton: Automaton,
    rule: RuleId,
}

impl Builder {
    fn state(&mut self, kind: StateKind) -> StateId {
        let state = State { rule: self.rule, kind, looks_ahead: false, transitions: Vec::new() };
        self.automaton.states.push(state);
        self.automaton.states.len() - 1
    }

    fn choice(&mut self, kind: StateKind, looks_ahead: bool) -> StateId {
        let state = self.state(kind);
        self.automaton.states[state].looks_ahead = looks_ahead;
        state
    }

    fn add(&mut self, from: StateId, transition: Transition) {
        self.automaton.states[from].transitions.push(transition);
    }

    fn free(&mut self, from: StateId, to: StateId) {
        self.add(from, Transition::Free(to));
    }

    /// A state that leads by one transition to a second one.
    fn pair(&mut self, transition: impl FnOnce(StateId) -> Transition) -> (StateId, StateId) {
        let (from, to) = (self.state(StateKind::Plain), self.state(StateKind::Plain));
        self.add(from, transition(to));
        (from, to)
    }

    /// Builds a part; returns its first and last states.
    fn part(&mut self, part: &Part) -> (StateId, StateId) {
        match part {
            Part::Token(token) => self.pair(|to| Transition::Token(Tokens::of(&[*token]), to)),
            AnyOf(tokens) => self.pair(|to| Transition::Token(Tokens::of(tokens), to)),
            Rule(rule) => self.pair(|follow| Transition::Rule { rule: *rule, precedence: 0, follow }),
            Binding(rule, precedence) => {
                self.pair(|follow| Transition::Rule { rule: *rule, precedence: *precedence, follow })
            }
            Precedence(precedence) => self.pair(|to| Transition::Precedence(*precedence, to)),
            Sequence(parts) => {
                let built: Vec<_> = parts.iter().map(|part| self.part(part)).collect();
                for neighbours in built.windows(2) {
                    self.free(neighbours[0].1, neighbours[1].0);
                }
                (built[0].0, built[built.len() - 1].1)
            }
            Choice(parts) => self.block(parts, true),
            Simple(parts) => self.block(parts, false),
            Part::Optional(part) => {
                let start = self.choice(StateKind::Block, false);
                let (first, last) = self.part(part);
                let end = self.state(StateKind::Plain);
                self.free(start, first);
                self.free(start, end);
                self.free(last, end);
                (start, end)
            }
            Repeated(part, looks_ahead) => {
                let entry = self.choice(StateKind::LoopEntry, *looks_ahead);
                let (first, last) = self.part(part);
                let (back, end) = (self.state(StateKind::LoopBack), self.state(StateKind::Plain));
                self.free(entry, first);
                self.free(entry, end);
                self.free(last, back);
                self.free(back, entry);
                (entry, end)
            }
            AtLeastOnce(part, looks_ahead) => {
                let start = self.state(StateKind::Block);
                let (first, last) = self.part(part);
                let back = self.choice(StateKind::PlusLoopBack, *looks_ahead);
                let end = self.state(StateKind::Plain);
                self.free(start, first);
                self.free(last, back);
                self.free(back, start);
                self.free(back, end);
                (start, end)
            }
        }
    }

    fn block(&mut self, parts: &[Part], looks_ahead: bool) -> (StateId, StateId) {
        let (start, end) = (self.choice(StateKind::Block, looks_ahead), self.state(StateKind::Plain));
        for part in parts {
            let (first, last) = self.part(part);
            self.free(start, first);
            self.free(last, end);
        }
        (start, end)
    }
}
