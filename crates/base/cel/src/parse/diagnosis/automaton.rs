//! The automaton of a grammar: states and what leads from one to the next.

use super::super::lex::Token;

pub(super) type StateId = usize;
pub(super) type RuleId = usize;

/// A set of tokens, which may have the end of a rule in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens(u64);

const END_OF_RULE: u64 = 1 << 63;

impl Tokens {
    pub(super) fn of(tokens: &[Token]) -> Self {
        Self(tokens.iter().fold(0, |set, token| set | 1 << *token as u64))
    }

    pub(super) const RULE_END: Self = Self(END_OF_RULE);

    pub(super) fn has(self, token: Token) -> bool {
        self.0 & (1 << token as u64) != 0
    }

    pub(super) fn has_rule_end(self) -> bool {
        self.0 & END_OF_RULE != 0
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without_rule_end(self) -> Self {
        Self(self.0 & !END_OF_RULE)
    }

    /// Writes the set as messages do, in the grammar's order, with the end first.
    pub(super) fn display(self) -> String {
        let mut shown: Vec<&str> = Vec::new();
        if self.has(Token::End) {
            shown.push(Token::End.display());
        }
        shown.extend(Token::ALL.iter().filter(|t| **t != Token::End && self.has(**t)).map(|token| token.display()));
        match shown.as_slice() {
            [only] => (*only).to_owned(),
            many => format!("{{{}}}", many.join(", ")),
        }
    }
}

/// What kind of choice a state is, which decides how errors are handled there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateKind {
    Plain,
    RuleStop,
    /// Alternatives, or something optional.
    Block,
    /// Before something that may repeat.
    LoopEntry,
    /// After one repetition, before the next.
    LoopBack,
    /// The same, of what must stand at least once.
    PlusLoopBack,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Transition {
    Free(StateId),
    Token(Tokens, StateId),
    Rule {
        rule: RuleId,
        precedence: u32,
        follow: StateId,
    },
    /// Only if the rule that is read binds no tighter.
    Precedence(u32, StateId),
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) rule: RuleId,
    pub(super) kind: StateKind,
    /// Whether the choice is made by looking ahead as far as needed, and not by the next token alone.
    pub(super) looks_ahead: bool,
    pub(super) transitions: Vec<Transition>,
}

#[derive(Debug, Default)]
pub(super) struct Automaton {
    pub(super) states: Vec<State>,
    pub(super) starts: Vec<StateId>,
    pub(super) stops: Vec<StateId>,
}

/// Where a rule was called from: the state after the call, and the caller's own callers.
pub(super) type Follows<'a> = &'a [StateId];

impl Automaton {
    pub(super) fn target(transition: Transition) -> StateId {
        match transition {
            Transition::Free(to) | Transition::Token(_, to) | Transition::Precedence(_, to) => to,
            Transition::Rule { follow, .. } => follow,
        }
    }

    /// Returns the tokens that can come next within the rule, and whether the rule can end.
    pub(super) fn next(&self, state: StateId) -> Tokens {
        let mut seen = vec![false; self.states.len()];
        self.look(state, &mut seen, 0)
    }

    /// Recurses as deep as the grammar has rules and states.
    fn look(&self, state: StateId, seen: &mut [bool], called: u32) -> Tokens {
        if std::mem::replace(&mut seen[state], true) {
            return Tokens::default();
        }
        let State { kind, transitions, .. } = &self.states[state];
        if *kind == StateKind::RuleStop {
            return Tokens::RULE_END;
        }
        let mut tokens = Tokens::default();
        for transition in transitions {
            tokens = tokens.with(match *transition {
                Transition::Free(to) | Transition::Precedence(_, to) => self.look(to, seen, called),
                Transition::Token(of, _) => of,
                Transition::Rule { rule, .. } if called & (1 << rule) != 0 => Tokens::default(),
                Transition::Rule { rule, follow, .. } => {
                    let mut seen_below = vec![false; self.states.len()];
                    let first = self.look(self.starts[rule], &mut seen_below, called | 1 << rule);
                    let mut tokens = first.without_rule_end();
                    if first.has_rule_end() {
                        tokens = tokens.with(self.look(follow, seen, called));
                    }
                    tokens
                }
            });
        }
        tokens
    }

    /// Returns the tokens that can come next, given what called the rule; `follows` has the innermost caller last.
    pub(super) fn expected(&self, state: StateId, follows: Follows<'_>) -> Tokens {
        let mut tokens = self.next(state);
        for follow in follows.iter().rev() {
            if !tokens.has_rule_end() {
                return tokens;
            }
            tokens = tokens.without_rule_end().with(self.next(*follow));
        }
        if tokens.has_rule_end() { tokens.without_rule_end().with(Tokens::of(&[Token::End])) } else { tokens }
    }
}
