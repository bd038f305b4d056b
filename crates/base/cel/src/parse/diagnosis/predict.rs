//! Looking ahead: which alternative of a choice the next tokens can be.

use std::rc::Rc;

use super::super::lex::{Lexeme, Token};
use super::automaton::{Automaton, StateId, StateKind, Transition};

/// Where a choice could have led so far.
#[derive(Clone, Debug, PartialEq)]
struct Thread {
    state: StateId,
    alternative: usize,
    /// Rules that were called since the choice.
    calls: Option<Rc<Call>>,
    /// How tightly the rule that is read must bind; unknown outside the rule of the choice.
    precedence: Option<u32>,
    /// Whether the rule of the choice has been read to its end.
    outside: bool,
}

#[derive(Debug, PartialEq)]
struct Call {
    follow: StateId,
    precedence: Option<u32>,
    caller: Option<Rc<Call>>,
}

/// How many threads are followed at once; more than the grammar can need.
const THREADS_MAX: usize = 5_000;

/// Returns the alternative (from 0), or the lexeme at which there is none.
pub(super) fn predict(
    automaton: &Automaton,
    decision: StateId,
    precedence: u32,
    lexemes: &[Lexeme],
    at: usize,
) -> Result<usize, usize> {
    let mut threads = Vec::new();
    for (alternative, transition) in automaton.states[decision].transitions.iter().enumerate() {
        let state = Automaton::target(*transition);
        let thread = Thread { state, alternative, calls: None, precedence: Some(precedence), outside: false };
        close(automaton, thread, &mut threads);
    }
    if automaton.states[decision].kind == StateKind::LoopEntry {
        prefer_repeating(&mut threads);
    }
    let mut position = at;
    loop {
        if let Some(alternative) = only(&threads) {
            return Ok(alternative);
        }
        let token = lexemes.get(position).map_or(Token::End, |lexeme| lexeme.token);
        let mut next = Vec::new();
        for thread in &threads {
            for transition in &automaton.states[thread.state].transitions {
                if let Transition::Token(tokens, to) = transition
                    && tokens.has(token)
                {
                    close(automaton, Thread { state: *to, ..thread.clone() }, &mut next);
                }
            }
        }
        if next.is_empty() {
            // What had been read to its end is taken, and the error left to what follows.
            let finished = threads.iter().filter(|thread| thread.outside).map(|thread| thread.alternative);
            return finished.min().ok_or(position);
        }
        if token == Token::End || is_ambiguous(&next) || next.len() > THREADS_MAX {
            return Ok(next.iter().map(|thread| thread.alternative).min().unwrap_or(0));
        }
        threads = next;
        position += 1;
    }
}

/// Drops where leaving a loop only leads back into it, from outside of its rule.
fn prefer_repeating(threads: &mut Vec<Thread>) {
    let repeating: Vec<StateId> = threads
        .iter()
        .filter(|thread| thread.alternative == 0 && thread.calls.is_none())
        .map(|thread| thread.state)
        .collect();
    threads.retain(|thread| thread.alternative == 0 || thread.calls.is_some() || !repeating.contains(&thread.state));
}

/// Returns the alternative that all threads are of.
fn only(threads: &[Thread]) -> Option<usize> {
    let first = threads.first()?.alternative;
    threads.iter().all(|thread| thread.alternative == first).then_some(first)
}

/// Whether more than one alternative has come to each place.
fn is_ambiguous(threads: &[Thread]) -> bool {
    threads.iter().all(|thread| {
        threads.iter().any(|other| {
            other.alternative != thread.alternative && other.state == thread.state && other.calls == thread.calls
        })
    })
}

/// Follows a thread to where tokens are read.
fn close(automaton: &Automaton, thread: Thread, threads: &mut Vec<Thread>) {
    let mut open = vec![thread];
    let mut seen: Vec<Thread> = Vec::new();
    while let Some(thread) = open.pop() {
        if seen.contains(&thread) || threads.contains(&thread) {
            continue;
        }
        seen.push(thread.clone());
        let state = &automaton.states[thread.state];
        if state.kind == StateKind::RuleStop {
            leave(automaton, &thread, state.rule, threads, &mut open);
            continue;
        }
        let mut reads = false;
        for transition in &state.transitions {
            match *transition {
                Transition::Token(..) => reads = true,
                Transition::Free(to) => open.push(Thread { state: to, ..thread.clone() }),
                Transition::Precedence(precedence, to) => {
                    if thread.precedence.is_none_or(|least| precedence >= least) {
                        open.push(Thread { state: to, ..thread.clone() });
                    }
                }
                Transition::Rule { rule, precedence, follow } => {
                    let call = Call { follow, precedence: thread.precedence, caller: thread.calls.clone() };
                    let state = automaton.starts[rule];
                    let calls = Some(Rc::new(call));
                    open.push(Thread { state, calls, precedence: Some(precedence), ..thread.clone() });
                }
            }
        }
        if reads {
            threads.push(thread);
        }
    }
}

/// Follows a thread out of a rule: to its caller, or to all that could have called.
fn leave(automaton: &Automaton, thread: &Thread, rule: usize, threads: &mut Vec<Thread>, open: &mut Vec<Thread>) {
    if let Some(call) = &thread.calls {
        let (precedence, calls) = (call.precedence, call.caller.clone());
        open.push(Thread { state: call.follow, calls, precedence, ..thread.clone() });
        return;
    }
    let mut called = false;
    for state in &automaton.states {
        for transition in &state.transitions {
            if let Transition::Rule { rule: callee, follow, .. } = transition
                && *callee == rule
            {
                called = true;
                open.push(Thread { state: *follow, calls: None, precedence: None, outside: true, ..*thread });
            }
        }
    }
    if !called {
        threads.push(Thread { outside: true, ..thread.clone() });
    }
}
