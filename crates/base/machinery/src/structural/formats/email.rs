//! Mail addresses as Go's `mail.ParseAddress` reads them: one address, which may have a name, comments, or be a group's only one.

/// What is left to read. Every function takes what it knows from the front, and returns `None` where the text is no address.
struct Reader<'a> {
    rest: &'a str,
}

pub(super) fn is_email(text: &str) -> bool {
    let mut reader = Reader { rest: text };
    reader.address(true) == Some(1) && reader.comments().is_some() && reader.rest.is_empty()
}

impl Reader<'_> {
    /// Returns the number of addresses, which only a group can make other than one.
    fn address(&mut self, may_be_group: bool) -> Option<usize> {
        self.spaces();
        let start = self.rest;
        if self.bare_address().is_some() {
            self.spaces();
            if self.take('(') {
                let comment = self.comment()?;
                comment.split([' ', '\t']).all(is_readable).then_some(())?;
            }
            return Some(1);
        }
        self.rest = start;
        if self.rest.is_empty() {
            return None;
        }
        if !self.rest.starts_with('<') {
            self.phrase()?;
        }
        self.spaces();
        if may_be_group && self.take(':') {
            return self.group();
        }
        self.take('<').then_some(())?;
        self.bare_address()?;
        self.take('>').then_some(1)
    }

    fn group(&mut self) -> Option<usize> {
        let mut count = 0;
        self.spaces();
        if self.take(';') {
            self.comments()?;
            return Some(count);
        }
        loop {
            self.spaces();
            count += self.address(false)?;
            self.comments()?;
            if self.take(';') {
                self.comments()?;
                return Some(count);
            }
            self.take(',').then_some(())?;
        }
    }

    /// `local@domain`.
    fn bare_address(&mut self) -> Option<()> {
        self.spaces();
        if self.rest.starts_with('"') {
            (!self.quoted()?.is_empty()).then_some(())?;
        } else {
            let atom = self.atom()?;
            is_strict(atom).then_some(())?;
        }
        self.take('@').then_some(())?;
        self.spaces();
        if self.take('[') {
            let (literal, rest) = self.rest.split_once(']')?;
            literal.parse::<std::net::IpAddr>().ok()?;
            self.rest = rest;
            return Some(());
        }
        let atom = self.atom()?;
        is_strict(atom).then_some(())
    }

    /// The words of a name; there is at least one.
    fn phrase(&mut self) -> Option<()> {
        let mut words = 0;
        loop {
            if words > 0 {
                self.comments()?;
            }
            self.spaces();
            let word = if self.rest.is_empty() {
                None
            } else if self.rest.starts_with('"') {
                self.quoted().map(|_| ())
            } else {
                self.atom().filter(|word| is_readable(word)).map(|_| ())
            };
            match word {
                Some(()) => words += 1,
                None => return (words > 0).then_some(()),
            }
        }
    }

    fn quoted(&mut self) -> Option<String> {
        let mut content = String::new();
        let mut is_escaped = false;
        for (place, c) in self.rest.char_indices().skip(1) {
            let is_visible = ('!'..='~').contains(&c) || !c.is_ascii() || matches!(c, ' ' | '\t');
            match c {
                _ if !is_visible => return None,
                '"' if !is_escaped => {
                    self.rest = &self.rest[place + 1..];
                    return Some(content);
                }
                '\\' if !is_escaped => is_escaped = true,
                _ => {
                    is_escaped = false;
                    content.push(c);
                }
            }
        }
        None
    }

    fn atom(&mut self) -> Option<&str> {
        let is_special = |c: char| c.is_ascii() && (c <= ' ' || c == '\x7f' || "()<>[]:;@\\,\"".contains(c));
        let end = self.rest.find(is_special).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!atom.is_empty()).then_some(atom)
    }

    /// Spaces and comments.
    fn comments(&mut self) -> Option<()> {
        self.spaces();
        while self.take('(') {
            self.comment()?;
            self.spaces();
        }
        Some(())
    }

    /// A comment whose parenthesis has been taken.
    fn comment(&mut self) -> Option<String> {
        let (mut depth, mut content, mut is_escaped) = (1, String::new(), false);
        for (place, c) in self.rest.char_indices() {
            match c {
                '\\' if !is_escaped => {
                    is_escaped = true;
                    continue;
                }
                '(' if !is_escaped => depth += 1,
                ')' if !is_escaped => depth -= 1,
                _ => {}
            }
            is_escaped = false;
            if depth == 0 {
                self.rest = &self.rest[place + 1..];
                return Some(content);
            }
            content.push(c);
        }
        None
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn is_strict(atom: &str) -> bool {
    !(atom.starts_with('.') || atom.ends_with('.') || atom.contains(".."))
}

/// Whether a word of a name is not an encoded one (RFC 2047) in a character set that Go does not know.
fn is_readable(word: &str) -> bool {
    let Some(inside) = word.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?=")) else { return true };
    let parts: Vec<&str> = inside.split('?').collect();
    match parts[..] {
        [charset, "q" | "Q" | "b" | "B", _] => {
            ["utf-8", "iso-8859-1", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}
