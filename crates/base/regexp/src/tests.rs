//! What patterns match, what is wrong with them, and what they may take.

use super::*;

const WEIGHT_MAX: usize = Limits::OF_SCHEMAS.each;

fn parse(source: &str) -> Result<Pattern, PatternError> {
    Pattern::parse(source, WEIGHT_MAX)
}

#[test]
fn classes_are_ascii() {
    let cases = [
        (r"^\d+$", "١", false),
        (r"^\d+$", "12", true),
        (r"^\w$", "é", false),
        (r"^[\w-]+$", "a-b_", true),
        (r"^\s$", "\u{b}", false),
        (r"^[[:alpha:]]+$", "abc", true),
        (r"a{,2}", "a{,2}", true),
        (r"a{1,2}$", "aa", true),
        (r"[a&&b]", "&", true),
        (r"\Q.*\E", "x.*", true),
        (r"\.\-\/", ".-/", true),
        (r"(?i)STRASSE", "strasse", true),
        (r"\pL", "é", true),
        (r"[^\D]", "5", true),
        (r"\x41\x{42}\103", "ABC", true),
        (r"^$", "", true),
        (r"[]a]", "]", true),
        (r"a|*", "a", false),
        (r"[~~]", "~", true),
        (r"^[a-]+$", "a-", true),
    ];
    for (pattern, text, expected) in cases {
        let matches = parse(pattern).and_then(|pattern| pattern.is_match(text)) == Ok(true);
        assert_eq!(matches, expected, "{pattern}");
    }
}

#[test]
fn faults_in_the_words_of_go() {
    let cases = [
        ("[", "missing closing ]: `[`"),
        ("a(b", "missing closing ): `a(b`"),
        ("a)b", "unexpected ): `a)b`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        (r"\q", r"invalid escape sequence: `\q`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        (r"\pX", r"invalid character class range: `\pX`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
    ];
    for (pattern, expected) in cases {
        assert_eq!(parse(pattern).unwrap_err().to_string(), format!("error parsing regexp: {expected}"));
    }
}

#[test]
fn matches_are_found() {
    let pattern = parse("a*").unwrap();
    assert_eq!(pattern.find_all("baac", None).unwrap(), ["", "aa", ""]);
    assert_eq!(pattern.find_all("baac", Some(1)).unwrap(), [""]);
    assert_eq!(parse("b+").unwrap().find("abb").unwrap(), "bb");
}

#[test]
fn matches_as_go_does() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("^a+$", &["a", "aaa"], &["", "ab", "a\n"]),
        ("b", &["abc"], &["ac"]),
        (r"^\d+$", &["12"], &["١٢", "x"]),
        (r"^[\d_]+$", &["1_2"], &["١"]),
        (r"^\D$", &["١", "x"], &["1"]),
        (r"^[^\D]$", &["1"], &["x"]),
        (r"^\w\W\s\S$", &["aé x", "_-\tx"], &["éa x", "a-\u{a0}x"]),
        (r"\bfoo\b", &["a foo b", "éfoo"], &["afoo"]),
        (r"^[a[b]+$", &["a[b"], &["]"]),
        (r"^[]a]+$", &["]a"], &["b"]),
        (r"^[^]a]$", &["b"], &["]", "a"]),
        (r"^[a&&b]+$", &["a&b"], &["c"]),
        (r"^[a~~b]$", &["~"], &["c"]),
        (r"^[--0]$", &["-", ".", "/", "0"], &["1", ","]),
        (r"^[+--]$", &["+", ",", "-"], &["."]),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["a-b"], &["-a"]),
        (r"^a{$", &["a{"], &["a"]),
        (r"^a{,2}$", &["a{,2}"], &["a", "aa"]),
        (r"^a{x}$", &["a{x}"], &[]),
        (r"^a{2,3}$", &["aa"], &["a"]),
        (r"^\Qa.b\E+$", &["a.b", "a.bb"], &["axb"]),
        (r"^\<\>\/\-\_\!$", &["<>/-_!"], &[]),
        (r"^[[:alpha:]_]+$", &["a_"], &["1"]),
        (r"(?i)^k$", &["k", "K", "\u{212a}"], &["x"]),
        (r"^\pL\p{Greek}[\p{Lu}]$", &["aαB"], &["1αB"]),
        (r"^\x41\x{1F600}\101$", &["A😀A"], &[]),
        (r"^.$", &["é"], &["\n", ""]),
        (r"^(?s).$", &["\n"], &[]),
        (r"\z", &[""], &[]),
        (r"^[\p{L}\p{N}]{1,253}$", &["aé1"], &["-"]),
    ];
    for (pattern, good, bad) in cases {
        let pattern = parse(pattern).unwrap();
        for text in *good {
            assert_eq!(pattern.is_match(text), Ok(true), "{pattern:?} {text:?}");
        }
        for text in *bad {
            assert_eq!(pattern.is_match(text), Ok(false), "{pattern:?} {text:?}");
        }
    }
}

#[test]
fn weights_hold_what_is_compiled() {
    let many = ["a", "(a)", "[^a]", ".", r"\pL", r"\W", "(?i)k", r"(?i)\pL", "a?", "a|b", r"\b", "[^a-z]?é"]
        .map(|part| part.repeat(40));
    let others = [
        r"^[\p{L}\p{N}]{1,253}$",
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        r"\pL{90}x",
        r"[\x{0}-\x{10ffff}]{500}",
        r"[\x{80}-\x{10fffe}]{1,500}",
        r"\w{1000}",
        r".{0,1000}",
        r"(a|b|ab)*c",
        r"((((a{30}){30}))){1}",
        r"(\pL?){100}",
        "(|a|){1000}",
        "(foo|bar|baz){100}",
        "é{1000}",
        r"\PL{99}",
        r"\p{Lu}\p{Cyrillic}\p{Nd}",
        "",
    ];
    for source in many.iter().map(String::as_str).chain(others) {
        let pattern = parse(source).unwrap();
        assert!(pattern.compile(pattern.weight()).is_some(), "{source} takes more than {} bytes", pattern.weight());
    }
}

#[test]
fn large_patterns_are_refused() {
    let nested = "(".repeat(300) + "a" + &")".repeat(300);
    let sources =
        [r"(\pL{30}){30}", r"\pL{1000}", r"^(\pL{1000}){1000}$", "(((((a{100}){100}){100}){100}){100})", &nested];
    for source in sources {
        let PatternError::Invalid { what, .. } = parse(source).unwrap_err() else { panic!("{source}") };
        assert!(matches!(what, "expression too large" | "expression nests too deeply"), "{source}: {what}");
    }
}

/// Each of these takes a second or much more, where reading goes over the rest again and again, or is not bounded.
#[test]
fn reading_is_linear_and_bounded() {
    let many = |part: &str, count: usize| part.repeat(count);
    let names: String = (0..30_000).map(|number| format!("(?P<n{number}>a)")).collect();
    let sources = [
        many("{", 1 << 19),
        many("[[:a]", 1 << 16),
        format!("[{}", many("[:", 1 << 17)),
        names,
        many(r"\pL", 1 << 20),
        many("(?i)[^a-b[:^space:]]", 1000),
    ];
    let begin = std::time::Instant::now();
    for source in sources {
        let _ = parse(&source);
    }
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn patterns_are_charged_once_and_compiled_late() {
    let large = |number: usize| format!(r"\pL{{90}}{number}");
    let patterns = Patterns::new(Limits::OF_EXPRESSIONS);
    let first = patterns.get(&large(0)).unwrap();
    for _ in 0..100 {
        assert!(!patterns.get(&large(0)).unwrap().is_compiled());
    }
    assert_eq!(first.is_match("é"), Ok(false));
    assert!(patterns.get(&large(0)).unwrap().is_compiled());
    let taken = (1..150).take_while(|number| patterns.get(&large(*number)).is_ok()).count();
    let room = Limits::OF_EXPRESSIONS.together / first.weight();
    assert!((1..room).contains(&taken), "{taken} of {room}");
    let error = patterns.get(&large(149)).unwrap_err();
    assert_eq!(error.to_string(), r"regular expressions of this definition are too large together: `\pL{90}149`");
    assert!(patterns.get("^[a-z]+$").is_ok());
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken(text in r#"([-a-zLN0-9:,<>\[\](){}|?*+^$\\.é\n]|\\[pPdDsSwWbB]|\\pL|\{2,3\}|\(\?i\)|\[\^){0,24}"#) {
        if let Ok(pattern) = parse(&text) {
            let compiled = pattern.compile(pattern.weight());
            assert!(compiled.is_some(), "{text} takes more than {} bytes", pattern.weight());
        }
    }
}
