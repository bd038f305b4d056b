//! Walks the automaton over the tokens, reports errors and recovers from them.

use super::super::lex::{Lexeme, Token, hidden_text};
use super::automaton::{Automaton, StateId, StateKind, Tokens, Transition};
use super::predict::predict;
use super::rules::ESCAPE_IDENT;
use crate::issues::Collector;
use crate::source::{Location, Source};

/// How often the walk goes on after an error.
const RECOVERIES_MAX: usize = 30;
/// How many tokens are skipped in one recovery.
const SKIPPED_MAX: usize = 256;
/// How many steps are walked; more than a text of any length needs.
const STEPS_MAX: usize = 20_000_000;

/// A rule that is being read.
struct Frame {
    /// The state after the call of the rule.
    follow: StateId,
    precedence: u32,
}

pub(super) struct Walk<'a> {
    automaton: &'a Automaton,
    source: &'a Source,
    lexemes: &'a [Lexeme],
    issues: &'a mut Collector,
    at: usize,
    state: StateId,
    frames: Vec<Frame>,
    /// Whether nothing was read since the last error.
    recovering: bool,
    recoveries: usize,
    last_error: Option<(usize, Vec<StateId>)>,
}

/// Why a rule is given up.
enum Failure {
    Mismatch,
    /// No alternative fits; the lexeme at which that is clear.
    NoAlternative(usize),
    /// The walk ends here.
    Stop,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        automaton: &'a Automaton,
        source: &'a Source,
        lexemes: &'a [Lexeme],
        issues: &'a mut Collector,
    ) -> Self {
        let state = automaton.starts[0];
        let frames = Vec::new();
        Self {
            automaton,
            source,
            lexemes,
            issues,
            at: 0,
            state,
            frames,
            recovering: false,
            recoveries: 0,
            last_error: None,
        }
    }

    pub(super) fn run(mut self) {
        for _ in 0..STEPS_MAX {
            let state = &self.automaton.states[self.state];
            if state.kind == StateKind::RuleStop {
                let Some(frame) = self.frames.pop() else { return };
                self.state = frame.follow;
                continue;
            }
            let rule = state.rule;
            match self.step() {
                Ok(()) => {}
                Err(Failure::Stop) => return,
                Err(failure) => {
                    self.report(&failure);
                    if rule == ESCAPE_IDENT {
                        // Upstream goes on to build what it could read, and this is what it makes of a name that is missing.
                        let place = self.source.location(self.lexeme(0).start);
                        self.issues.report(place, "unsupported ident kind".to_owned());
                    }
                    if self.recover().is_err() {
                        return;
                    }
                    self.state = self.automaton.stops[rule];
                }
            }
        }
    }

    fn lexeme(&self, ahead: usize) -> Lexeme {
        // The end is last, and stands for all that would follow.
        self.lexemes[(self.at + ahead).min(self.lexemes.len() - 1)]
    }

    fn token(&self) -> Token {
        self.lexeme(0).token
    }

    fn consume(&mut self) {
        if self.at + 1 < self.lexemes.len() {
            self.at += 1;
        }
    }

    fn follows(&self) -> Vec<StateId> {
        self.frames.iter().map(|frame| frame.follow).collect()
    }

    fn expected(&self) -> Tokens {
        self.automaton.expected(self.state, &self.follows())
    }

    fn step(&mut self) -> Result<(), Failure> {
        let automaton = self.automaton;
        let state = &automaton.states[self.state];
        self.sync(state.kind)?;
        let choice = match state.transitions.len() {
            1 => 0,
            _ if state.looks_ahead => {
                let precedence = self.frames.last().map_or(0, |frame| frame.precedence);
                predict(automaton, self.state, precedence, self.lexemes, self.at).map_err(Failure::NoAlternative)?
            }
            count => self.choose(count)?,
        };
        match state.transitions[choice] {
            Transition::Free(to) | Transition::Precedence(_, to) => self.state = to,
            Transition::Token(tokens, to) => {
                if tokens.has(self.token()) {
                    self.recovering = false;
                    self.last_error = None;
                    self.consume();
                } else {
                    self.recover_inline()?;
                }
                self.state = to;
            }
            Transition::Rule { rule, precedence, follow } => {
                self.frames.push(Frame { follow, precedence });
                self.state = automaton.starts[rule];
            }
        }
        Ok(())
    }

    /// A choice by the next token; what is optional is left out if nothing fits.
    fn choose(&self, count: usize) -> Result<usize, Failure> {
        let transitions = &self.automaton.states[self.state].transitions;
        let fits = |transition: &Transition| self.automaton.next(Automaton::target(*transition)).has(self.token());
        if let Some(choice) = transitions.iter().position(fits) {
            return Ok(choice);
        }
        let is_alternatives = self.automaton.states[self.state].kind == StateKind::Block
            && transitions.iter().all(|t| !self.leads_on(Automaton::target(*t)));
        if is_alternatives { Err(Failure::NoAlternative(self.at)) } else { Ok(count - 1) }
    }

    /// Whether a state is the end of what is optional or repeats.
    fn leads_on(&self, state: StateId) -> bool {
        matches!(self.automaton.states[state].transitions.as_slice(), [Transition::Free(_)])
    }

    /// Looks before a choice whether anything fits, and mends what is easily mended.
    fn sync(&mut self, kind: StateKind) -> Result<(), Failure> {
        if self.recovering || kind == StateKind::Plain {
            return Ok(());
        }
        let next = self.automaton.next(self.state);
        if next.has_rule_end() || next.has(self.token()) {
            return Ok(());
        }
        match kind {
            StateKind::Block | StateKind::LoopEntry => {
                if self.delete_token() {
                    Ok(())
                } else {
                    Err(Failure::Mismatch)
                }
            }
            StateKind::LoopBack | StateKind::PlusLoopBack => {
                self.unwanted_token();
                let until = self.expected().with(self.recovery_set());
                self.consume_until(until)
            }
            StateKind::Plain | StateKind::RuleStop => Ok(()),
        }
    }

    /// Skips a token if the one after it fits.
    fn delete_token(&mut self) -> bool {
        if !self.expected().has(self.lexeme(1).token) {
            return false;
        }
        self.unwanted_token();
        self.consume();
        self.recovering = false;
        self.last_error = None;
        true
    }

    fn recover_inline(&mut self) -> Result<(), Failure> {
        self.attempt()?;
        if self.delete_token() {
            self.consume();
            return Ok(());
        }
        // A missing token is imagined if what is there fits after it.
        let next = Automaton::target(self.automaton.states[self.state].transitions[0]);
        if self.automaton.expected(next, &self.follows()).has(self.token()) {
            self.missing_token();
            return Ok(());
        }
        Err(Failure::Mismatch)
    }

    fn attempt(&mut self) -> Result<(), Failure> {
        if self.recoveries == RECOVERIES_MAX {
            self.syntax(self.lexeme(0), &format!("error recovery attempt limit exceeded: {RECOVERIES_MAX}"));
            return Err(Failure::Stop);
        }
        self.recoveries += 1;
        Ok(())
    }

    /// Skips to where the rule or one of its callers can go on.
    fn recover(&mut self) -> Result<(), Failure> {
        self.attempt()?;
        let mut states = Vec::new();
        if let Some((at, seen)) = self.last_error.take()
            && at == self.at
        {
            if seen.contains(&self.state) {
                self.consume();
            }
            states = seen;
        }
        states.push(self.state);
        self.last_error = Some((self.at, states));
        let until = self.recovery_set();
        self.consume_until(until)
    }

    fn recovery_set(&self) -> Tokens {
        let follows = self.frames.iter().map(|frame| self.automaton.next(frame.follow));
        follows.fold(Tokens::default(), Tokens::with).without_rule_end()
    }

    fn consume_until(&mut self, until: Tokens) -> Result<(), Failure> {
        let mut skipped = 0;
        while self.token() != Token::End && !until.has(self.token()) {
            if skipped == SKIPPED_MAX {
                let message = format!("error recovery token lookahead limit exceeded: {SKIPPED_MAX}");
                self.issues.report(Location::NONE, message);
                return Err(Failure::Stop);
            }
            skipped += 1;
            self.consume();
        }
        Ok(())
    }

    fn text(&self, lexeme: Lexeme) -> String {
        if lexeme.token == Token::End {
            return "'<EOF>'".to_owned();
        }
        quoted(&self.source.text(lexeme.start as usize, lexeme.end as usize))
    }

    fn syntax(&mut self, at: Lexeme, message: &str) {
        let place = self.source.location(at.start);
        self.issues.report(place, format!("Syntax error: {message}"));
    }

    fn report(&mut self, failure: &Failure) {
        if std::mem::replace(&mut self.recovering, true) {
            return;
        }
        match failure {
            Failure::Stop => {}
            Failure::Mismatch => {
                let lexeme = self.lexeme(0);
                let message = format!("mismatched input {} expecting {}", self.text(lexeme), self.expected().display());
                self.syntax(lexeme, &message);
            }
            Failure::NoAlternative(position) => {
                let position = (*position).min(self.lexemes.len() - 1);
                let message = self.no_alternative(position);
                self.syntax(self.lexemes[position], &message);
            }
        }
    }

    fn no_alternative(&self, offending: usize) -> String {
        let start = self.lexeme(0);
        if start.token == Token::End {
            return "no viable alternative at input '<EOF>'".to_owned();
        }
        let mut text = String::new();
        let mut end = start.start as usize;
        for lexeme in &self.lexemes[self.at..=offending] {
            let (from, to) = (lexeme.start as usize, lexeme.end as usize);
            text.push_str(&hidden_text(&self.source.characters()[end..from]));
            text.push_str(&self.source.text(from, to));
            end = to;
        }
        // Upstream keeps what it said of reserved words before.
        let word = text.chars().skip(1).collect::<String>();
        if matches!(word.as_str(), "true" | "false" | "null") {
            return format!("mismatched input '{word}' expecting IDENTIFIER");
        }
        format!("no viable alternative at input {}", quoted(&text))
    }

    fn unwanted_token(&mut self) {
        if std::mem::replace(&mut self.recovering, true) {
            return;
        }
        let lexeme = self.lexeme(0);
        let message = format!("extraneous input {} expecting {}", self.text(lexeme), self.expected().display());
        self.syntax(lexeme, &message);
    }

    fn missing_token(&mut self) {
        if std::mem::replace(&mut self.recovering, true) {
            return;
        }
        let lexeme = self.lexeme(0);
        let message = format!("missing {} at {}", self.expected().display(), self.text(lexeme));
        self.syntax(lexeme, &message);
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"))
}
