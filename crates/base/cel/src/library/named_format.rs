//! Functions of formats by name: `format.dns1123Label().validate(text)`.

use crate::error::Error;
use crate::functions::{Declared, Style, declared};
use crate::kinds::named_format::FORMATS;
use crate::value::{Opaque, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("format-validate", "validate", "Format.(string) -> optional(list(string))", validate),
    declared("format-named", "format.named", "(string) -> optional(Format)", named),
    constant::<0>("format.dns1123Label"),
    constant::<1>("format.dns1123Subdomain"),
    constant::<2>("format.dns1035Label"),
    constant::<3>("format.qualifiedName"),
    constant::<4>("format.dns1123LabelPrefix"),
    constant::<5>("format.dns1123SubdomainPrefix"),
    constant::<6>("format.dns1035LabelPrefix"),
    constant::<7>("format.labelValue"),
    constant::<8>("format.uri"),
    constant::<9>("format.uuid"),
    constant::<10>("format.byte"),
    constant::<11>("format.date"),
    constant::<12>("format.datetime"),
];

/// The function that returns a format of the table.
const fn constant<const INDEX: usize>(function: &'static str) -> Declared {
    Declared { id: function, function, signature: "() -> Format", style: Style::Own(at::<INDEX>) }
}

fn at<'a, const INDEX: usize>(_: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::library(Opaque::Format(&FORMATS[INDEX])))
}

fn named<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let name = args.first().and_then(Value::as_str).ok_or(Error::NoSuchOverload)?;
    let found = FORMATS.iter().find(|format| format.name == name);
    Ok(found.map_or(Value::Optional(None), |format| Value::some(Value::library(Opaque::Format(format)))))
}

fn validate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Library(opaque), Value::String(text)] = args else { return Err(Error::NoSuchOverload) };
    let Opaque::Format(format) = &**opaque else { return Err(Error::NoSuchOverload) };
    let problems = (format.validate)(text.as_str());
    if problems.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(problems.into_iter().map(Value::string).collect())))
}
