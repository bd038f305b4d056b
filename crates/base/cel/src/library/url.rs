//! Functions of URLs.

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::kinds::url::{Url, lossy, parse, why_not_a_request_uri};
use crate::value::{Map, Opaque, Pairs, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_to_url", "url", "(string) -> URL", url),
    declared("url_get_scheme", "getScheme", "URL.() -> string", |args| part(args, |url| url.scheme.clone())),
    declared("url_get_host", "getHost", "URL.() -> string", |args| part(args, |url| lossy(&url.host))),
    declared("url_get_hostname", "getHostname", "URL.() -> string", |args| part(args, |url| url.host_and_port().0)),
    declared("url_get_port", "getPort", "URL.() -> string", |args| part(args, |url| url.host_and_port().1)),
    declared("url_get_escaped_path", "getEscapedPath", "URL.() -> string", |args| part(args, Url::escaped_path)),
    declared("url_get_query", "getQuery", "URL.() -> map(string, list(string))", query),
    declared("is_url_string", "isURL", "(string) -> bool", is_url),
];

fn text<'v>(args: &'v [Value<'_>]) -> Result<&'v str, Error> {
    args.first().and_then(Value::as_str).ok_or(Error::NoSuchOverload)
}

fn url<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let text = text(args)?;
    let wrong = |why: String| Error::Argument(format!("URL parse error during conversion from string: {why}"));
    if let Some(why) = why_not_a_request_uri(text) {
        return Err(wrong(why));
    }
    parse(text).map(|url| Value::library(Opaque::Url(url))).map_err(wrong)
}

fn is_url<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(why_not_a_request_uri(text(args)?).is_none()))
}

fn one<'v>(args: &'v [Value<'_>]) -> Result<&'v Url, Error> {
    match args {
        [Value::Library(opaque)] => match &**opaque {
            Opaque::Url(url) => Ok(url),
            _ => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn part<'a>(args: &[Value<'a>], of: fn(&Url) -> String) -> Outcome<'a> {
    Ok(Value::string(of(one(args)?)))
}

fn query<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let mut pairs = Pairs::default();
    for (key, values) in one(args)?.query() {
        pairs.insert(Value::string(key), Value::list(values.into_iter().map(Value::string).collect()));
    }
    Ok(Value::Map(Map::Shared(std::sync::Arc::new(pairs))))
}
