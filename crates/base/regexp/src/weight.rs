//! How much memory a pattern takes when it is compiled, found out without compiling it.
//!
//! The `regex` crate makes an automaton of bytes: a literal is a state for each of its bytes, a class of characters one for each byte
//! of each of its ranges in UTF-8, and what is repeated is written out as often. `\pL` has 660 ranges, so that `\pL{300}` takes 13 MB.

use regex_syntax::ast::{self, Ast, ClassSetItem, FlagsItemKind};
use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

/// The bytes of a state, with a transition of its own. More than a state has, for there are some that join others.
const STATE: usize = 64;
/// What every pattern takes.
const PATTERN: usize = 4 << 10;
/// The bytes that a class of Unicode takes when it is read, before anything is made of it.
const NAMED_CLASS: usize = 4 << 10;
/// The bytes of a class with characters beyond ASCII: some, and those of each byte of its sequences, many of which share states.
const CLASS: usize = 512;
const CLASS_BYTE: usize = 20;
/// The time that it takes to find the other case of a character, in bytes that are written in it.
const FOLDED_CHARACTER: usize = 4;
/// The characters of a class of many that it takes as long for. What has no other case is skipped by its table.
const FOLDED_CLASS: usize = 1 << 16;

/// What came of weighing.
pub(crate) enum Weighed {
    Bytes(usize),
    /// Groups nest too deep to be looked into.
    TooDeep,
}

/// Returns what a pattern weighs at least, by its text alone: so that nothing is read that is too large to be.
pub(crate) fn at_least(source: &str) -> usize {
    let named = source.as_bytes().windows(2).filter(|pair| matches!(*pair, [b'\\', b'p' | b'P'])).count();
    // Two characters like `a?` may be one state, and four like `\x41`.
    (source.len() / 4 * STATE).saturating_add(named * NAMED_CLASS)
}

/// Weighs a pattern in the syntax of the crate; what exceeds the limit by how it is written is not read further.
pub(crate) fn of(translated: &str, limit: usize) -> Weighed {
    let Ok(tree) = ast::parse::Parser::new().parse(translated) else { return Weighed::TooDeep };
    let folding = folding(&tree);
    if folding > limit {
        return Weighed::Bytes(folding);
    }
    match regex_syntax::hir::translate::Translator::new().translate(translated, &tree) {
        Ok(pattern) => Weighed::Bytes(folding.saturating_add(PATTERN).saturating_add(weigh(&pattern))),
        Err(_) => Weighed::TooDeep,
    }
}

/// What it takes to find the other cases of all characters of classes; nothing where case matters.
fn folding(tree: &Ast) -> usize {
    let folding = ast::visit(tree, Folding::default());
    folding.unwrap_or(usize::MAX)
}

/// Counts the characters of classes.
#[derive(Default)]
struct Folding {
    characters: usize,
    ignores_case: bool,
}

impl ast::Visitor for Folding {
    type Output = usize;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<usize, Self::Err> {
        Ok(if self.ignores_case { self.characters.saturating_mul(FOLDED_CHARACTER) } else { 0 })
    }

    fn visit_pre(&mut self, node: &Ast) -> Result<(), Self::Err> {
        let flags = match node {
            Ast::Flags(set) => Some(&set.flags),
            Ast::Group(group) => group.flags(),
            _ => None,
        };
        let ignores = |kind: &FlagsItemKind| matches!(kind, FlagsItemKind::Flag(ast::Flag::CaseInsensitive));
        self.ignores_case |= flags.is_some_and(|flags| flags.items.iter().any(|item| ignores(&item.kind)));
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        self.characters += match item {
            ClassSetItem::Range(range) => range.end.c as usize - range.start.c as usize,
            ClassSetItem::Unicode(_) => FOLDED_CLASS,
            ClassSetItem::Bracketed(class) if class.negated => FOLDED_CLASS,
            ClassSetItem::Ascii(class) if class.negated => FOLDED_CLASS,
            _ => 1,
        };
        Ok(())
    }
}

/// The recursion is as deep as the crate lets groups nest.
fn weigh(pattern: &Hir) -> usize {
    let own = match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() * STATE,
        HirKind::Class(class) => of_class(class),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min + 1).max(1);
            weigh(&repetition.sub).saturating_add(STATE).saturating_mul(times as usize)
        }
        HirKind::Capture(capture) => weigh(&capture.sub),
        HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().map(weigh).fold(0, usize::saturating_add),
    };
    own.saturating_add(STATE)
}

fn of_class(class: &Class) -> usize {
    let Class::Unicode(class) = class else { return 0 };
    if class.is_ascii() {
        return class.ranges().len() * STATE;
    }
    let sequences = class.ranges().iter().flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
    CLASS + CLASS_BYTE * sequences.map(|sequence| sequence.len()).sum::<usize>()
}
