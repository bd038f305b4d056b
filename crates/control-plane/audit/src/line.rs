//! An event as a line of the log.

use windlass_api::text::quoted;
use windlass_api::time::rfc3339_nano;

use crate::event::Event;

/// How events are written into the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Json,
    /// Words for people, of a part of what is known.
    Legacy,
}

const TYPE_META: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;

/// An event's JSON with its type in front, and the end of the line.
pub(crate) fn json(event: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(TYPE_META.len() + event.len());
    line.extend_from_slice(TYPE_META.as_bytes());
    line.extend_from_slice(event.strip_prefix(b"{").unwrap_or(event));
    line.push(b'\n');
    line
}

/// The same in words. Source: apiserver `pkg/audit/format.go`.
pub(crate) fn legacy(event: &Event) -> String {
    let some = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
    let list = |groups: &[String]| groups.iter().map(|group| quoted(group)).collect::<Vec<_>>().join(",");
    let user = &event.user;
    let groups = if user.name.is_empty() { String::new() } else { list(&user.groups) };
    let (as_user, as_groups) = match &event.impersonated_user {
        Some(user) => (user.name.clone(), some(&list(&user.groups), "<lookup>")),
        None => ("<self>".to_owned(), "<lookup>".to_owned()),
    };
    let namespace = event.object_ref.as_ref().map_or("", |reference| &reference.namespace);
    let response = event.response_status.as_ref().map_or_else(|| "<deferred>".to_owned(), |s| s.code.to_string());
    let ip = event.source_ips.first().map_or_else(|| "<unknown>".to_owned(), ToString::to_string);
    format!(
        "{} AUDIT: id={} stage={} ip={} method={} user={} groups={} as={} asgroups={} user-agent={} namespace={} uri={} response=\"{response}\"\n",
        rfc3339_nano(event.request_received_timestamp),
        quoted(&event.audit_id),
        quoted(event.stage.name()),
        quoted(&ip),
        quoted(&event.verb),
        quoted(&some(&user.name, "<none>")),
        quoted(&some(&groups, "<none>")),
        quoted(&as_user),
        quoted(&as_groups),
        quoted(&event.user_agent),
        quoted(&some(namespace, "<none>")),
        quoted(&event.request_uri),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    #[test]
    fn in_words() {
        let expected = concat!(
            r#"1970-01-01T00:00:00Z AUDIT: id="id" stage="RequestReceived" ip="10.0.0.1" method="list" user="jane" "#,
            r#"groups="\"ops\",\"system:authenticated\"" as="<self>" asgroups="<lookup>" user-agent="kubectl" namespace="<none>" "#,
            r#"uri="/api/v1/pods?limit=1" response="<deferred>""#,
            "\n"
        );
        assert_eq!(legacy(&event()), expected);
    }
}
