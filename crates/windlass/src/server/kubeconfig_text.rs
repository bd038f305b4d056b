//! Changes the text of a kubeconfig entry by entry, so that comments, order and layout of what others wrote stay as they are.
//!
//! It knows the layout that kubectl and people write: lists in blocks below `clusters:`, `users:` and `contexts:`. Who calls it reads the
//! result again; a file in another layout is written anew as a whole.

use serde_json::{Value, json};
use windlass_machinery::yaml;

/// The lists of a kubeconfig whose entries have names.
pub(super) const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// A kubeconfig as lines.
pub(super) struct Text {
    lines: Vec<String>,
}

/// Where an entry stands: the lines of it, and how far its dash is indented.
struct Place {
    start: usize,
    end: usize,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    /// Puts an entry into a list, in the place of the one of its name or behind the others.
    pub(super) fn put(&mut self, list: &str, entry: &Value) {
        let Some((key, end, indent)) = self.list(list) else {
            self.lines.push(format!("{list}:"));
            self.lines.extend(lines_of(entry, 0));
            return;
        };
        // A list of nothing is written behind its key.
        self.lines[key] = format!("{list}:");
        let place = self.entry(list, &entry["name"]).unwrap_or(Place { start: end, end });
        self.lines.splice(place.start..place.end, lines_of(entry, indent));
    }

    /// Takes the entry of a name out of a list.
    pub(super) fn remove(&mut self, list: &str, name: &Value) {
        let Some(place) = self.entry(list, name) else { return };
        self.lines.drain(place.start..place.end);
        if let Some((key, end, _)) = self.list(list)
            && end == key + 1
        {
            self.lines[key] = format!("{list}: []");
        }
    }

    /// Sets a field of the file itself.
    pub(super) fn set(&mut self, field: &str, value: &str) {
        let line = format!("{field}: {}", if value.is_empty() { "\"\"" } else { value });
        match self.lines.iter().position(|line| is_key(line, field)) {
            Some(at) => self.lines[at] = line,
            None => self.lines.push(line),
        }
    }

    pub(super) fn finish(self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// The line of a list's key, the line behind its last entry, and the indentation of its dashes.
    fn list(&self, list: &str) -> Option<(usize, usize, usize)> {
        let key = self.lines.iter().position(|line| is_key(line, list))?;
        let below = |line: &String| line.starts_with([' ', '-']) || line.is_empty() || line.starts_with('#');
        let mut end = key + 1 + self.lines[key + 1..].iter().take_while(|line| below(line)).count();
        // Blank lines and comments before the next key are about that.
        while end > key + 1 && (self.lines[end - 1].trim().is_empty() || self.lines[end - 1].starts_with('#')) {
            end -= 1;
        }
        let first = self.lines[key + 1..end].iter().find(|line| line.trim_start().starts_with("- "));
        Some((key, end, first.map_or(0, |line| indent_of(line))))
    }

    fn entry(&self, list: &str, name: &Value) -> Option<Place> {
        let (key, end, indent) = self.list(list)?;
        let dash = format!("{}- ", " ".repeat(indent));
        let starts: Vec<usize> = (key + 1..end).filter(|at| self.lines[*at].starts_with(&dash)).collect();
        let ends = starts.iter().copied().skip(1).chain([end]);
        starts.iter().copied().zip(ends).map(|(start, end)| Place { start, end }).find(|place| {
            let text = self.lines[place.start..place.end].join("\n");
            let read = yaml::parse(text.as_bytes());
            read.is_ok_and(|document| document.value.pointer("/0/name") == Some(name))
        })
    }
}

fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn lines_of(entry: &Value, indent: usize) -> Vec<String> {
    let text = yaml::write(&json!([entry]));
    text.lines().map(|line| format!("{}{line}", " ".repeat(indent))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: &str = "\
# mine
apiVersion: v1
kind: Config
clusters:
# the office
- name: work   # slow
  cluster: {server: 'https://w'}
users: []
contexts:
  - context:
      cluster: work
    name: work

# last
current-context: work
";

    #[test]
    fn what_others_wrote_stays() {
        let mut text = Text::new(WORK);
        text.put("clusters", &json!({"name": "own", "cluster": {"server": "s"}}));
        text.put("users", &json!({"name": "own", "user": {"client-key-data": "k".repeat(200)}}));
        text.put("contexts", &json!({"name": "own", "context": {"cluster": "own"}}));
        text.set("current-context", "own");
        let put = text.finish();
        for line in WORK.lines().filter(|line| !matches!(*line, "users: []" | "current-context: work")) {
            assert!(put.lines().any(|other| other == line), "{line}\n{put}");
        }
        let read = yaml::parse(put.as_bytes()).unwrap().value;
        assert_eq!(read["clusters"].as_array().unwrap().len(), 2, "{put}");
        assert_eq!((&read["users"][0]["name"], &read["contexts"][1]["name"]), (&json!("own"), &json!("own")));
        assert_eq!(read["current-context"], "own");
        assert!(put.contains(&format!("client-key-data: {}", "k".repeat(200))), "data stand on one line: {put}");
        let mut again = Text::new(&put);
        again.put("clusters", &json!({"name": "own", "cluster": {"server": "s"}}));
        assert_eq!(again.finish(), put);
        let mut rest = Text::new(&put);
        for list in LISTS {
            rest.remove(list, &json!("own"));
        }
        rest.set("current-context", "work");
        assert_eq!(rest.finish(), WORK);
    }
}
