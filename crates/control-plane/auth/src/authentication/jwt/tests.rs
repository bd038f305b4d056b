//! Claims, as upstream maps and refuses them.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Errors, Path};
use windlass_pki::{SignatureAlgorithm, SignedToken};

use super::settings::JwtAuthenticator;
use super::{Issuer, algorithm};
use crate::User;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Settings with these mappings and rules.
fn settings(more: &Value) -> Value {
    let mut settings = json!({
        "issuer": {"url": "https://issuer.example", "audiences": ["client"]},
        "claimMappings": {"username": {"claim": "sub", "prefix": "o:"}},
    });
    for (field, value) in more.as_object().unwrap() {
        settings[field] = value.clone();
    }
    settings
}

fn compile(settings: &Value) -> Result<Issuer, Vec<String>> {
    let settings: JwtAuthenticator = serde_json::from_value(settings.clone()).unwrap();
    let mut errors = Errors::new();
    let issuer = Issuer::compile(&settings, "https://own", &mut errors, &Path::new("jwt").index(0));
    if errors.is_empty() { Ok(issuer) } else { Err(errors.iter().map(ToString::to_string).collect()) }
}

/// The user of sound claims with these in place.
fn user(more: &Value, changed: &Value) -> Result<User, String> {
    let mut claims = json!({"iss": "https://issuer.example", "aud": "client", "sub": "jane", "exp": NOW + 60});
    for (claim, value) in changed.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    compile(&settings(more)).unwrap().user(claims.as_object().unwrap(), now())
}

#[test]
fn users_by_claims() {
    let mappings = json!({"claimMappings": {
        "username": {"claim": "sub", "prefix": "o:"},
        "groups": {"claim": "groups", "prefix": "g:"},
        "uid": {"claim": "oid"},
    }});
    let jane = user(&mappings, &json!({"groups": ["a", "b"], "oid": "7", "jti": "t1"})).unwrap();
    assert_eq!((jane.name.as_str(), jane.uid.as_str()), ("o:jane", "7"));
    assert_eq!(jane.groups, ["g:a", "g:b"]);
    assert_eq!(jane.extra["authentication.kubernetes.io/credential-id"], ["JTI=t1"]);
    assert_eq!(user(&mappings, &json!({"groups": "one", "oid": "7"})).unwrap().groups, ["g:one"]);
    assert!(user(&mappings, &json!({"groups": null, "oid": "7"})).unwrap().groups.is_empty());
    for (claims, why) in [
        (
            json!({"oid": "7", "sub": 5}),
            "oidc: parse username claims \"sub\": json: cannot unmarshal number into Go value of type string",
        ),
        (json!({"oid": "7", "sub": null}), "oidc: parse username claims \"sub\": json: cannot unmarshal null"),
        (json!({"oid": "7", "groups": {"a": 1}}), "oidc: parse groups claim \"groups\": json: cannot unmarshal object"),
        (json!({"oid": "7", "groups": ["a", 1]}), "oidc: parse groups claim \"groups\": json: cannot unmarshal number"),
        (json!({}), "oidc: parse uid claim \"oid\": claim not present"),
        (json!({"oid": ["7"]}), "oidc: parse uid claim \"oid\": json: cannot unmarshal array"),
    ] {
        let found = user(&mappings, &claims).unwrap_err();
        assert!(found.starts_with(why), "{claims}: {found}");
    }
}

#[test]
fn addresses_must_be_verified() {
    let by_email = json!({"claimMappings": {"username": {"claim": "email", "prefix": ""}}});
    let with = |verified: Value| user(&by_email, &json!({"email": "j@x", "email_verified": verified}));
    assert_eq!(user(&by_email, &json!({"email": "j@x"})).unwrap().name, "j@x");
    assert_eq!(with(json!(true)).unwrap().name, "j@x");
    assert_eq!(with(json!(false)).unwrap_err(), "oidc: email not verified");
    assert_eq!(
        with(json!("true")).unwrap_err(),
        "oidc: parse 'email_verified' claim: json: cannot unmarshal string into Go value of type bool"
    );
    let expression = |source: &str| settings(&json!({"claimMappings": {"username": {"expression": source}}}));
    let refused = compile(&expression("claims.email")).unwrap_err();
    assert!(refused[0].starts_with("jwt[0].claimMappings.username.expression: Invalid value: \"claims.email\": claims.email_verified must be used"), "{refused:?}");
    assert!(compile(&expression("claims.?email.orValue('')")).is_err());
    assert!(compile(&expression("[claims].map(c, c.email)[0]")).is_ok(), "as upstream, whose search is by the name");
    assert!(compile(&expression("claims.email_verified ? claims.email : claims.sub")).is_ok());
    let by_rule = json!({"claimMappings": {"username": {"expression": "claims.email"}},
        "claimValidationRules": [{"expression": "claims.?email_verified.orValue(true) == true"}]});
    assert!(compile(&settings(&by_rule)).is_ok());
}

#[test]
fn users_by_expressions() {
    let mappings = json!({"claimMappings": {
        "username": {"expression": "claims.sub + '@' + claims.org__dot__name"},
        "groups": {"expression": "claims.roles.map(r, 'r:' + r.name__dash__x)"},
        "uid": {"expression": "string(claims.number)"},
        "extra": [
            {"key": "example.org/one", "valueExpression": "claims.sub"},
            {"key": "example.org/none", "valueExpression": "''"},
            {"key": "example.org/many", "valueExpression": "['a', '', 'b']"},
        ],
    }});
    let claims = json!({"org.name": "x", "roles": [{"name-x": "a"}, {"name-x": "b"}], "number": 5});
    let jane = user(&mappings, &claims).unwrap();
    assert_eq!((jane.name.as_str(), jane.uid.as_str()), ("jane@x", "5"));
    assert_eq!(jane.groups, ["r:a", "r:b"]);
    assert_eq!(jane.extra.len(), 2);
    assert_eq!(jane.extra["example.org/many"], ["a", "b"]);
    let by = |mapping: &str, source: &str| {
        let mut mappings = json!({"claimMappings": {"username": {"claim": "sub", "prefix": ""}}});
        mappings["claimMappings"][mapping] = json!({"expression": source});
        user(&mappings, &json!({}))
    };
    let mut nameless = json!({"claimMappings": {"username": {"expression": "''"}}});
    assert_eq!(user(&nameless, &json!({})).unwrap_err(), "oidc: empty username via CEL expression is not allowed");
    nameless["claimMappings"]["username"]["expression"] = json!("claims.absent");
    assert_eq!(
        user(&nameless, &json!({})).unwrap_err(),
        "oidc: error evaluating username claim expression: expression 'claims.absent' resulted in error: no such key: absent"
    );
    assert!(by("groups", "claims.exp").unwrap_err().ends_with("expression must return a string or a list of strings"));
    assert!(
        by("groups", "[claims.exp]").unwrap_err().ends_with("expression must return a string or a list of strings")
    );
    assert!(by("groups", "null").unwrap().groups.is_empty());
    assert!(by("uid", "1").unwrap_err().ends_with("uid claim expression must return a string"));
}

#[test]
fn rules_of_claims_and_users() {
    let rules = json!({
        "claimValidationRules": [
            {"claim": "hd", "requiredValue": "example.org"},
            {"expression": "claims.exp - claims.iat <= 3600.0", "message": "lives too long"},
        ],
        "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "reserved"}],
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    });
    let with = |claims: Value| user(&rules, &claims).map(|user| user.name);
    assert_eq!(with(json!({"hd": "example.org", "iat": NOW})).unwrap(), "jane");
    for (claims, why) in [
        (json!({"iat": NOW}), "oidc: required claim hd not present in ID token"),
        (
            json!({"iat": NOW, "hd": 1}),
            "oidc: parse claim hd: json: cannot unmarshal number into Go value of type string",
        ),
        (json!({"iat": NOW, "hd": "b"}), "oidc: required claim hd value does not match. Got = b, want = example.org"),
        (
            json!({"hd": "example.org", "iat": NOW - 9000}),
            "oidc: error evaluating claim validation expression: validation expression 'claims.exp - claims.iat <= 3600.0' failed: lives too long",
        ),
        (
            json!({"hd": "example.org", "iat": NOW, "sub": "system:admin"}),
            "oidc: error evaluating user info validation rule: validation expression '!user.username.startsWith('system:')' failed: reserved",
        ),
    ] {
        assert_eq!(with(claims.clone()).unwrap_err(), why, "{claims}");
    }
}

#[test]
fn tokens_of_others_and_of_other_times() {
    let with = |claims: Value| user(&json!({}), &claims).map(|user| user.name);
    assert_eq!(with(json!({"nbf": NOW + 59, "exp": NOW})).unwrap(), "o:jane");
    assert_eq!(with(json!({"aud": ["other", "client"], "exp": (NOW + 5) as f64 + 0.5})).unwrap(), "o:jane");
    for (claims, why) in [
        (json!({"aud": "other"}), "oidc: verify token: oidc: expected audience \"client\" got [\"other\"]"),
        (json!({"aud": []}), "oidc: verify token: oidc: expected audience \"client\" got []"),
        (json!({"aud": 1}), "oidc: verify token: oidc: failed to unmarshal claims: json: cannot unmarshal number"),
        (
            json!({"exp": NOW - 1}),
            "oidc: verify token: oidc: token is expired (Token Expiry: 2027-01-15 07:59:59 +0000 UTC)",
        ),
        (
            json!({"exp": null}),
            "oidc: verify token: oidc: token is expired (Token Expiry: 0001-01-01 00:00:00 +0000 UTC)",
        ),
        (json!({"exp": -1e300}), "oidc: verify token: oidc: token is expired"),
        (json!({"exp": "soon"}), "oidc: verify token: oidc: failed to unmarshal claims"),
        (
            json!({"nbf": NOW + 61}),
            "oidc: verify token: oidc: current time 2027-01-15 08:00:00 +0000 UTC before the nbf (not before) time: 2027-01-15 08:01:01 +0000 UTC",
        ),
        (json!({"nbf": 1e300}), "oidc: verify token: oidc: current time"),
    ] {
        let found = with(claims.clone()).unwrap_err();
        assert!(found.starts_with(why), "{claims}: {found}");
    }
    let several = json!({"issuer": {"url": "https://issuer.example", "audiences": ["b", "a"], "audienceMatchPolicy": "MatchAny"}});
    assert_eq!(
        user(&several, &json!({})).unwrap_err(),
        "oidc: verify token: oidc: expected audience in [\"a\" \"b\"] got [\"client\"]"
    );
}

#[test]
fn distributed_groups_are_not_left_out_in_silence() {
    let mappings = json!({"claimMappings": {
        "username": {"claim": "sub", "prefix": ""}, "groups": {"claim": "groups", "prefix": ""}}});
    let names = |source: Value| json!({"_claim_names": {"groups": "s"}, "_claim_sources": source});
    let refused = user(&mappings, &names(json!({"s": {"endpoint": "https://elsewhere"}}))).unwrap_err();
    assert!(
        refused.starts_with("oidc: could not expand distributed claims: while getting distributed claim \"groups\""),
        "{refused}"
    );
    let refused = user(&mappings, &names(json!({}))).unwrap_err();
    assert!(refused.ends_with("id token _claim_names contained a source s missing in _claims_sources"), "{refused}");
    assert!(user(&mappings, &names(json!({"s": {"JWT": "x"}}))).unwrap().groups.is_empty());
    let mut both = names(json!({"s": {"endpoint": "https://elsewhere"}}));
    both["groups"] = json!(["here"]);
    assert_eq!(user(&mappings, &both).unwrap().groups, ["here"]);
}

#[test]
fn algorithms() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let of = |name: &str| {
        let token = format!("{}.{}.", encode(&format!("{{\"alg\":\"{name}\"}}")), encode("{}"));
        algorithm(&SignedToken::parse(&token).unwrap(), &[SignatureAlgorithm::Es256, SignatureAlgorithm::Rs256])
    };
    assert_eq!(of("RS256"), Ok(SignatureAlgorithm::Rs256));
    for name in ["none", "None", "HS256", "rs256", "PS256", "EdDSA", ""] {
        let expected =
            format!("oidc: id token signed with unsupported algorithm, expected [\"ES256\" \"RS256\"] got {name:?}");
        assert_eq!(of(name), Err(expected));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_wrong_with_settings() {
    let at = "jwt[0]";
    let cases = [
        (json!({"issuer": {}}), "issuer.url: Required value"),
        (
            json!({"issuer": {"url": "http://a", "audiences": ["x"]}}),
            "issuer.url: Invalid value: \"http://a\": URL scheme must be https",
        ),
        (
            json!({"issuer": {"url": "https://u:p@a", "audiences": ["x"]}}),
            "issuer.url: Invalid value: \"https://u:p@a\": URL must not contain a username or password",
        ),
        (
            json!({"issuer": {"url": "https://a?x=y", "audiences": ["x"]}}),
            "issuer.url: Invalid value: \"https://a?x=y\": URL must not contain a query",
        ),
        (
            json!({"issuer": {"url": "https://a", "discoveryURL": "https://a/", "audiences": ["x"]}}),
            "issuer.discoveryURL: Invalid value: \"https://a/\": discoveryURL must be different from URL",
        ),
        (
            json!({"issuer": {"url": "https://a"}}),
            "issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required",
        ),
        (
            json!({"issuer": {"url": "https://a", "audiences": ["x", "x"], "audienceMatchPolicy": "MatchAny"}}),
            "issuer.audiences[1]: Duplicate value: \"x\"",
        ),
        (
            json!({"issuer": {"url": "https://a", "audiences": ["x", "y"]}}),
            "issuer.audienceMatchPolicy: Invalid value: \"\": audienceMatchPolicy must be MatchAny for multiple audiences",
        ),
        (
            json!({"issuer": {"url": "https://a", "audiences": ["x"], "certificateAuthority": "x"}}),
            "issuer.certificateAuthority: Invalid value: \"<omitted>\": data does not contain any valid RSA or ECDSA certificates",
        ),
        (
            json!({"issuer": {"url": "https://a", "audiences": ["x"], "egressSelectorType": "moon"}}),
            "issuer.egressSelectorType: Invalid value: \"moon\": egress selector must be either controlplane or cluster",
        ),
        (json!({"claimMappings": {}}), "claimMappings.username: Required value: claim or expression is required"),
        (
            json!({"claimMappings": {"username": {"claim": "sub"}}}),
            "claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing",
        ),
        (
            json!({"claimMappings": {"username": {"claim": "a", "expression": "b"}}}),
            "claimMappings.username: Invalid value: \"\": claim and expression can't both be set",
        ),
        (
            json!({"claimMappings": {"username": {"expression": "nobody"}}}),
            "claimMappings.username.expression: Invalid value: \"nobody\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'nobody'",
        ),
        (
            json!({"claimMappings": {"username": {"claim": "a", "prefix": ""}, "extra": [{"key": "a", "valueExpression": "''"}]}}),
            "claimMappings.extra[0].key: Invalid value: \"a\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
        (
            json!({"claimMappings": {"username": {"claim": "a", "prefix": ""}, "extra": [{"key": "x.k8s.io/a", "valueExpression": "''"}]}}),
            "claimMappings.extra[0].key: Invalid value: \"x.k8s.io/a\": k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use",
        ),
        (
            json!({"claimValidationRules": [{}]}),
            "claimValidationRules[0]: Required value: claim or expression is required",
        ),
        (
            json!({"claimValidationRules": [{"expression": "claims.a"}]}),
            "claimValidationRules[0].expression: Invalid value: \"claims.a\": must evaluate to bool",
        ),
        (
            json!({"claimValidationRules": [{"claim": "a", "message": "m"}]}),
            "claimValidationRules[0].message: Invalid value: \"m\": may not be specified when claim is set",
        ),
        (
            json!({"userValidationRules": [{"expression": "user.name == ''"}]}),
            "userValidationRules[0].expression: Invalid value: \"user.name == ''\": compilation failed: ERROR: <input>:1:5: undefined field 'name'",
        ),
        (
            json!({"userValidationRules": [{"expression": "true"}, {"expression": "true"}]}),
            "userValidationRules[1].expression: Duplicate value: \"true\"",
        ),
    ];
    for (more, why) in cases {
        let found = compile(&settings(&more)).unwrap_err();
        let expected = format!("{at}.{why}");
        assert!(found.iter().any(|found| found.starts_with(&expected)), "{more}: {found:?}");
    }
}
