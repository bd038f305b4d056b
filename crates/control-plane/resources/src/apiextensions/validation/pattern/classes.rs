//! The names of classes of characters that Go knows.

/// Categories and their other names, without the signs between their words.
const CATEGORIES: &str = "Any Ascii Assigned C Casedletter Cc Cf Closepunctuation Cn Cntrl Co Combiningmark \
    Connectorpunctuation Control Cs Currencysymbol Dashpunctuation Decimalnumber Digit Enclosingmark Finalpunctuation Format \
    Initialpunctuation L Lc Letter Letternumber Lineseparator Ll Lm Lo Lowercaseletter Lt Lu M Mark Mathsymbol Mc Me Mn \
    Modifierletter Modifiersymbol N Nd Nl No Nonspacingmark Number Openpunctuation Other Otherletter Othernumber \
    Otherpunctuation Othersymbol P Paragraphseparator Pc Pd Pe Pf Pi Po Privateuse Ps Punct Punctuation S Sc Separator Sk Sm So \
    Spaceseparator Spacingmark Surrogate Symbol Titlecaseletter Unassigned Uppercaseletter Z Zl Zp Zs";

/// Scripts. Go cannot find those whose names are of several words.
const SCRIPTS: &str = "Adlam Ahom Arabic Armenian Avestan Balinese Bamum Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid \
    Carian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Dogra Duployan \
    Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gurmukhi Han Hangul Hanunoo Hatran \
    Hebrew Hiragana Inherited Javanese Kaithi Kannada Katakana Kawi Kharoshthi Khmer Khojki Khudawadi Lao Latin \
    Lepcha Limbu Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Medefaidrin Miao Modi \
    Mongolian Mro Multani Myanmar Nabataean Nandinagari Newa Nko Nushu Ogham Oriya Osage Osmanya Palmyrene Phoenician \
    Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sinhala Sogdian Soyombo Sundanese Syriac Tagalog \
    Tagbanwa Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho \
    Yezidi Yi";

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Whether `\p{name}` is known. Cases, blanks, dashes and underscores do not count.
pub(super) fn is_unicode_class(name: &str) -> bool {
    let plain = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    let plain: String = plain
        .enumerate()
        .map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    CATEGORIES.split(' ').chain(SCRIPTS.split(' ')).filter(|known| !known.is_empty()).any(|known| known == plain)
}

/// Whether `[:name:]` is known; a class may be turned round by `^`.
pub(super) fn is_posix_class(name: &str) -> bool {
    POSIX.contains(&name.strip_prefix('^').unwrap_or(name))
}
