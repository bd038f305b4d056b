//! Signatures as text: `(A, list(A)) -> bool`, or `string.(int) -> string` for a function that is called on its first argument.

use crate::types::{LibraryType, Type};

/// What a function takes and gives.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) member: bool,
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
}

impl Signature {
    /// Reads a signature. Signatures are constants of this crate, so one that is wrong is found by the first test.
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader { rest: text };
        let mut parameters = Vec::new();
        let member = !reader.eat("(");
        if member {
            parameters.push(reader.of_type());
            assert!(reader.eat(".("), "{text}");
        }
        while !reader.eat(")") {
            parameters.push(reader.of_type());
            reader.eat(", ");
        }
        assert!(reader.eat(" -> "), "{text}");
        let result = reader.of_type();
        assert!(reader.rest.is_empty(), "{text}");
        Self { member, parameters, result }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn argument(&mut self) -> Type {
        let argument = self.of_type();
        assert!(self.eat(")"), "{}", self.rest);
        argument
    }

    fn of_type(&mut self) -> Type {
        if self.eat("list(") {
            return Type::list(self.argument());
        }
        if self.eat("optional(") {
            return Type::optional(self.argument());
        }
        if self.eat("type(") {
            return Type::of_type(self.argument());
        }
        if self.eat("map(") {
            let key = self.of_type();
            assert!(self.eat(", "), "{}", self.rest);
            return Type::map(key, self.argument());
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        named(word)
    }
}

fn named(word: &str) -> Type {
    if let [letter @ b'A'..=b'Z'] = word.as_bytes() {
        return Type::Parameter(char::from(*letter));
    }
    match word {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Type(None),
        "URL" => Type::Library(LibraryType::Url),
        "IP" => Type::Library(LibraryType::Ip),
        "CIDR" => Type::Library(LibraryType::Cidr),
        "Quantity" => Type::Library(LibraryType::Quantity),
        "Semver" => Type::Library(LibraryType::Semver),
        "Format" => Type::Library(LibraryType::Format),
        "Authorizer" => Type::Library(LibraryType::Authorizer),
        "PathCheck" => Type::Library(LibraryType::PathCheck),
        "GroupCheck" => Type::Library(LibraryType::GroupCheck),
        "ResourceCheck" => Type::Library(LibraryType::ResourceCheck),
        "Decision" => Type::Library(LibraryType::Decision),
        _ => panic!("no type is named {word:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read() {
        let signature = Signature::read("map(K, list(V)).(K, optional(int)) -> Quantity");
        assert!(signature.member);
        let parameters: Vec<String> = signature.parameters.iter().map(Type::to_string).collect();
        assert_eq!(parameters, ["map(K, list(V))", "K", "optional_type(int)"]);
        assert_eq!(signature.result.to_string(), "kubernetes.Quantity");
        assert!(Signature::read("() -> bool").parameters.is_empty());
    }
}
