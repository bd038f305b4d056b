//! The text of an expression, and where in it something stands: lines from 1, columns in characters from 0.

/// The text of one expression, by characters.
#[derive(Debug)]
pub(crate) struct Source {
    characters: Vec<char>,
    /// Where the second and later lines begin.
    line_offsets: Vec<u32>,
}

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) line: i32,
    pub(crate) column: i32,
}

impl Location {
    /// The place of what concerns the expression as a whole.
    pub(crate) const NONE: Self = Self { line: -1, column: -1 };
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let ends = characters.iter().enumerate().filter(|(_, c)| **c == '\n');
        let line_offsets = ends.map(|(at, _)| at as u32 + 1).collect();
        Self { characters, line_offsets }
    }

    pub(crate) fn characters(&self) -> &[char] {
        &self.characters
    }

    pub(crate) fn text(&self, from: usize, to: usize) -> String {
        self.characters[from.min(self.characters.len())..to.min(self.characters.len())].iter().collect()
    }

    pub(crate) fn location(&self, offset: u32) -> Location {
        if self.characters.is_empty() {
            // There is no column to stand in.
            return Location { line: 1, column: -1 };
        }
        let before = self.line_offsets.partition_point(|start| *start <= offset);
        let start = if before == 0 { 0 } else { self.line_offsets[before - 1] };
        Location { line: before as i32 + 1, column: (offset - start) as i32 }
    }

    /// Returns the text of a line, without its end.
    pub(crate) fn line(&self, line: i32) -> Option<String> {
        if line < 1 || self.characters.is_empty() {
            return None;
        }
        let start = |index: usize| if index == 0 { Some(0) } else { self.line_offsets.get(index - 1).copied() };
        let index = line as usize - 1;
        let from = start(index)? as usize;
        let to = start(index + 1).map_or(self.characters.len(), |next| next as usize - 1);
        Some(self.text(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns() {
        let source = Source::new("ab\n😀d\n");
        assert_eq!(source.location(1), Location { line: 1, column: 1 });
        assert_eq!(source.location(4), Location { line: 2, column: 1 });
        assert_eq!(source.location(6), Location { line: 3, column: 0 });
        assert_eq!(source.line(2).as_deref(), Some("😀d"));
        assert_eq!(source.line(3).as_deref(), Some(""));
        assert_eq!(source.line(4), None);
        assert_eq!(source.line(-1), None);
    }
}
