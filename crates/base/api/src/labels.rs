//! Label selectors, in both forms: the string of a query parameter and the structure of a spec.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::names;

/// A conjunction of requirements on labels; with none it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    /// Selects nothing, whatever the labels are: an absent selector structure.
    nothing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// Why a selector cannot be used, in the words that a client sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Labels that a selector can look into.
pub trait Labels {
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.label(key))
    }
}

impl Selector {
    pub fn everything() -> Self {
        Self::default()
    }

    pub fn nothing() -> Self {
        Self { nothing: true, ..Self::default() }
    }

    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Equality with each of `labels`, as Services and ReplicationControllers select.
    pub fn from_map<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let requirements = labels
            .into_iter()
            .map(|(key, value)| Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] })
            .collect();
        Self { requirements, nothing: false }
    }

    /// Reads the structure of a spec. `None` selects nothing and an empty one everything, as upstream has it.
    pub fn from_structure(selector: Option<&LabelSelector>) -> Result<Self, ParseError> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let mut all = Self::from_map(selector.match_labels.iter().flatten());
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(ParseError(format!("{other:?} is not a valid label selector operator"))),
            };
            let values = expression.values.clone().unwrap_or_default();
            all.requirements.push(Requirement { key: expression.key.clone(), operator, values });
        }
        Ok(all)
    }

    /// Reads a query parameter: `app=web,tier in (a,b),!legacy,env!=prod,size>3`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Parser { rest: text }.selector()
    }

    pub fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// The requirements as the structure of a selector has them: key, operator and values. Comparisons of numbers, which it has no operators for,
    /// are left out.
    pub fn requirements(&self) -> impl Iterator<Item = (&str, &'static str, &[String])> {
        self.requirements.iter().filter_map(|requirement| {
            let operator = match requirement.operator {
                Operator::In => "In",
                Operator::NotIn => "NotIn",
                Operator::Exists => "Exists",
                Operator::DoesNotExist => "DoesNotExist",
                Operator::GreaterThan | Operator::LessThan => return None,
            };
            Some((requirement.key.as_str(), operator, requirement.values.as_slice()))
        })
    }

    /// The value that the selector demands of `key`, when it demands exactly one.
    pub fn required_value(&self, key: &str) -> Option<&str> {
        self.requirements.iter().find_map(|r| match (r.operator, r.values.as_slice()) {
            (Operator::In, [value]) if r.key == key => Some(value.as_str()),
            _ => None,
        })
    }
}

impl std::fmt::Display for Selector {
    /// The form that [`Selector::parse`] reads, with sorted keys, as `status.selector` of a Scale shows it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<(&str, String)> =
            self.requirements.iter().map(|r| (r.key.as_str(), r.to_string())).collect();
        parts.sort();
        let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
        f.write_str(&parts.join(","))
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.key;
        let mut values = self.values.clone();
        values.sort();
        match (self.operator, values.as_slice()) {
            (Operator::In, [value]) => write!(f, "{key}={value}"),
            (Operator::In, _) => write!(f, "{key} in ({})", values.join(",")),
            (Operator::NotIn, [value]) => write!(f, "{key}!={value}"),
            (Operator::NotIn, _) => write!(f, "{key} notin ({})", values.join(",")),
            (Operator::Exists, _) => f.write_str(key),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::GreaterThan, _) => write!(f, "{key}>{}", values.join("")),
            (Operator::LessThan, _) => write!(f, "{key}<{}", values.join("")),
        }
    }
}

impl Requirement {
    fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        let value = labels.label(&self.key);
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let number = value.and_then(|v| v.parse::<i64>().ok());
                let bound = self.values.first().and_then(|v| v.parse::<i64>().ok());
                let (Some(number), Some(bound)) = (number, bound) else { return false };
                if self.operator == Operator::GreaterThan { number > bound } else { number < bound }
            }
        }
    }

    fn checked(self) -> Result<Self, ParseError> {
        if let Some(problem) = names::qualified_name(&self.key).first() {
            return Err(ParseError(format!("<nil>: Invalid value: {:?}: {problem}", self.key)));
        }
        if matches!(self.operator, Operator::GreaterThan | Operator::LessThan) {
            if !self.values.iter().all(|v| v.parse::<i64>().is_ok()) {
                return Err(ParseError(format!(
                    "values[0]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer",
                    self.values.first().map_or("", String::as_str)
                )));
            }
            return Ok(self);
        }
        for (index, value) in self.values.iter().enumerate() {
            if let Some(problem) = names::label_value(value).first() {
                return Err(ParseError(format!("values[{index}][{}]: Invalid value: {value:?}: {problem}", self.key)));
            }
        }
        Ok(self)
    }
}

/// A recursive-descent reader of the selector grammar (apimachinery `labels/selector.go`).
struct Parser<'a> {
    rest: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    End,
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> (Token<'a>, &'a str) {
        let rest = self.rest.trim_start();
        for symbol in ["!=", "==", "=", "!", ">", "<", "(", ")", ","] {
            if let Some(after) = rest.strip_prefix(symbol) {
                return (Token::Symbol(&rest[..symbol.len()]), after);
            }
        }
        let end = rest.find(|c: char| c.is_whitespace() || "!=><(),".contains(c)).unwrap_or(rest.len());
        if end == 0 { (Token::End, rest) } else { (Token::Word(&rest[..end]), &rest[end..]) }
    }

    fn next(&mut self) -> Token<'a> {
        let (token, rest) = self.peek();
        self.rest = rest;
        token
    }

    fn selector(mut self) -> Result<Selector, ParseError> {
        let mut requirements = Vec::new();
        match self.peek().0 {
            Token::End => return Ok(Selector::everything()),
            Token::Word(_) | Token::Symbol("!") => {}
            other => return Err(found(other, "!, identifier, or 'end of string'")),
        }
        loop {
            let requirement = self.requirement().and_then(Requirement::checked);
            requirements.push(
                requirement.map_err(|ParseError(why)| ParseError(format!("unable to parse requirement: {why}")))?,
            );
            match self.next() {
                Token::End => return Ok(Selector { requirements, nothing: false }),
                Token::Symbol(",") => {}
                other => return Err(found(other, "',' or 'end of string'")),
            }
            if !matches!(self.peek().0, Token::Word(_) | Token::Symbol("!")) {
                return Err(found(self.peek().0, "identifier after ','"));
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, ParseError> {
        let make = |key: &str, operator, values| Ok(Requirement { key: key.to_owned(), operator, values });
        if self.peek().0 == Token::Symbol("!") {
            self.next();
            let key = self.word()?;
            return make(key, Operator::DoesNotExist, Vec::new());
        }
        let key = self.word()?;
        let operator = match self.peek().0 {
            Token::End | Token::Symbol(",") => return make(key, Operator::Exists, Vec::new()),
            Token::Symbol("=" | "==") | Token::Word("in") => Operator::In,
            Token::Symbol("!=") | Token::Word("notin") => Operator::NotIn,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            other => return Err(found(other, "in, notin, =, ==, !=, gt, lt")),
        };
        let values = match self.next() {
            Token::Word(_) => self.set()?,
            _ => vec![self.value()?.to_owned()],
        };
        make(key, operator, values)
    }

    fn word(&mut self) -> Result<&'a str, ParseError> {
        match self.next() {
            Token::Word(word) => Ok(word),
            other => Err(found(other, "identifier")),
        }
    }

    /// A value after an operator; it may be empty.
    fn value(&mut self) -> Result<&'a str, ParseError> {
        if matches!(self.peek().0, Token::End | Token::Symbol(",")) { Ok("") } else { self.word() }
    }

    /// `(a,b,)`: an empty place between commas is an empty value.
    fn set(&mut self) -> Result<Vec<String>, ParseError> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(ParseError(format!("found '{}' expected: '('", other.text()))),
        }
        let mut expected = "',', ')' or identifier";
        let mut values = Vec::new();
        loop {
            let value = match self.peek().0 {
                Token::Word(word) => {
                    self.next();
                    word
                }
                Token::Symbol("," | ")") => "",
                other => return Err(found(other, expected)),
            };
            values.push(value.to_owned());
            match self.next() {
                Token::Symbol(",") => expected = "',', or identifier",
                Token::Symbol(")") => return Ok(values),
                other => return Err(found(other, "',' or ')'")),
            }
        }
    }
}

fn found(token: Token<'_>, expected: &str) -> ParseError {
    ParseError(format!("found '{}', expected: {expected}", token.text()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn matching() {
        let cases = [
            ("", "", true),
            ("x", "x=1", true),
            ("x", "", false),
            ("!x", "", true),
            ("!x", "x=", false),
            ("x=1", "x=1", true),
            ("x==1", "x=2", false),
            ("x!=1", "", true),
            ("x!=1", "x=1", false),
            ("x in (1,2)", "x=2", true),
            ("x in (1, 2) , y", "x=2,y=z", true),
            ("x notin (1,2)", "x=3", true),
            ("x notin (1,2)", "x=2", false),
            ("x in ()", "x=", true),
            ("x=", "x=", true),
            ("x>3", "x=4", true),
            ("x>3", "x=3", false),
            ("x<3", "x=abc", false),
            ("a.b/c=d,e", "a.b/c=d,e=", true),
        ];
        for (selector, object, expected) in cases {
            assert_eq!(Selector::parse(selector).unwrap().matches(&labels(object)), expected, "{selector} on {object}");
        }
    }

    #[test]
    fn refuses() {
        for bad in
            ["=", "x=1=2", "x in", "x in (", "x in (a", ",", "x,,y", "!!x", "x in a", "x>b", "-x=1", "x=-", "(x)"]
        {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words() {
        let inside = "unable to parse requirement: ";
        for (text, prefix, expected) in [
            ("!", inside, "found '', expected: identifier"),
            ("!!a", inside, "found '!', expected: identifier"),
            (",a", "", "found ',', expected: !, identifier, or 'end of string'"),
            ("=a", "", "found '=', expected: !, identifier, or 'end of string'"),
            ("a,", "", "found '', expected: identifier after ','"),
            ("a=!", inside, "found '!', expected: identifier"),
            ("a in (b", inside, "found '', expected: ',' or ')'"),
            ("a in (b c)", inside, "found 'c', expected: ',' or ')'"),
            ("a in (b,", inside, "found '', expected: ',', or identifier"),
            ("a in (=)", inside, "found '=', expected: ',', ')' or identifier"),
            ("a in b", inside, "found 'b' expected: '('"),
            ("a b", inside, "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("!a=b", "", "found '=', expected: ',' or 'end of string'"),
            ("a=b=", "", "found '=', expected: ',' or 'end of string'"),
            ("a=a b", "", "found 'b', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err().to_string(), format!("{prefix}{expected}"), "{text}");
        }
    }

    #[test]
    fn structures() {
        let everything: LabelSelector = serde_json::from_str("{}").unwrap();
        assert!(Selector::from_structure(Some(&everything)).unwrap().matches(&labels("")));
        assert!(!Selector::from_structure(None).unwrap().matches(&labels("")));
        let selector: LabelSelector = serde_json::from_str(
            r#"{"matchLabels":{"b":"1"},"matchExpressions":[{"key":"a","operator":"In","values":["y","x"]}]}"#,
        )
        .unwrap();
        let selector = Selector::from_structure(Some(&selector)).unwrap();
        assert_eq!(selector.to_string(), "a in (x,y),b=1");
        assert!(selector.matches(&labels("a=x,b=1")));
        assert!(!selector.matches(&labels("a=x")));
        assert_eq!(selector.required_value("b"), Some("1"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-c!=<>(), inot]{0,20}|\\PC{0,20}") {
            let _ = Selector::parse(&text);
        }

        #[test]
        fn printed_form_reads_back(text in "[a-c]( in \\([a-c](,[a-c])?\\)|=[a-c]|!=[a-c]|)(,!?[d-f])?") {
            let selector = Selector::parse(&text).unwrap();
            let again = Selector::parse(&selector.to_string()).unwrap();
            prop_assert_eq!(again.to_string(), selector.to_string());
        }
    }
}
