//! How large an expression is: Go refuses what would need too much memory, nest too deeply, or repeat too often.

/// Instructions of the compiled form.
const INSTRUCTIONS_MAX: u64 = (128 << 20) / 40;
const HEIGHT_MAX: u32 = 1000;
/// How often something may be repeated, counted through all repetitions around it.
pub(super) const COPIES_MAX: u64 = 1000;

/// A part of an expression that can be repeated as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    instructions: u64,
    height: u32,
    copies: u64,
}

/// A repetition operator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Repeat {
    /// `*`
    Star,
    /// `+` and `?`
    PlusOrQuest,
    /// `{least,most}`; no `most` is without end.
    Counted { least: u64, most: Option<u64> },
}

/// Parts that stand one after the other, or instead of one another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    parts: u64,
    instructions: u64,
    height: u32,
    copies: u64,
}

impl Term {
    /// One character, class or anchor; also nothing at all.
    pub(super) const SINGLE: Self = Self { instructions: 1, height: 1, copies: 1 };

    /// The same in a group that remembers what it matched.
    pub(super) fn captured(self) -> Self {
        Self { instructions: self.instructions + 2, height: self.height + 1, ..self }
    }

    pub(super) fn repeated(self, repeat: Repeat) -> Self {
        let times = |count: u64| count.saturating_mul(self.instructions);
        let instructions = match repeat {
            Repeat::Star | Repeat::Counted { least: 0, most: None } => self.instructions + 2,
            Repeat::PlusOrQuest => self.instructions + 1,
            Repeat::Counted { least, most: None } => times(least) + 1,
            Repeat::Counted { least, most: Some(most) } => times(most) + most.saturating_sub(least),
        };
        let copies = match repeat {
            Repeat::Star | Repeat::PlusOrQuest => self.copies,
            // What is never there is not copied.
            Repeat::Counted { most: Some(0), .. } => 1,
            Repeat::Counted { least, most } => most.unwrap_or(least).max(1).saturating_mul(self.copies),
        };
        Self { instructions: instructions.max(1), height: self.height + 1, copies }
    }

    pub(super) fn has_too_many_copies(self) -> bool {
        self.copies > COPIES_MAX
    }

    pub(super) fn is_too_large(self) -> bool {
        self.instructions > INSTRUCTIONS_MAX
    }

    pub(super) fn is_too_deep(self) -> bool {
        self.height > HEIGHT_MAX
    }
}

impl Sum {
    pub(super) fn add(&mut self, term: Term) {
        self.parts += 1;
        self.instructions += term.instructions;
        self.height = self.height.max(term.height);
        self.copies = self.copies.max(term.copies);
    }

    /// The parts one after the other.
    pub(super) fn sequence(self) -> Term {
        self.join(0)
    }

    /// The parts instead of one another.
    pub(super) fn alternatives(self) -> Term {
        self.join(self.parts.saturating_sub(1))
    }

    fn join(self, between: u64) -> Term {
        let Self { parts, instructions, height, copies } = self;
        match parts {
            0 => Term::SINGLE,
            1 => Term { instructions, height, copies },
            _ => Term { instructions: instructions + between, height: height + 1, copies },
        }
    }
}
