#!/usr/bin/env python3
"""Schemas with rules, and objects, that upstream is asked about, one JSON object a line; see main.go."""
import json


def put(**case):
    print(json.dumps(case, separators=(",", ":")))


def rule(text, **more):
    return {"rule": text, **more}


def node(kind, rules=(), **more):
    found = {"type": kind, **more}
    if rules:
        found["x-kubernetes-validations"] = [r if isinstance(r, dict) else rule(r) for r in rules]
    return found


def obj(rules=(), **properties):
    return node("object", rules, properties=properties)


def root(rules=(), **properties):
    return obj(rules, **properties)


INT, STR, BOOL, NUM = {"type": "integer"}, {"type": "string"}, {"type": "boolean"}, {"type": "number"}


def text(n):
    return {"type": "string", "maxLength": n}


def listed(items, rules=(), **more):
    return node("array", rules, items=items, **more)


def keyed(items, keys, rules=(), **more):
    return listed(items, rules, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}, **more)


def mapped(values, rules=(), **more):
    return node("object", rules, additionalProperties=values, **more)


ANY = {"x-kubernetes-int-or-string": True}
OPEN = {"x-kubernetes-preserve-unknown-fields": True}
EMBEDDED = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}

# --- definitions ---------------------------------------------------------------------------------------------------------------------

SPEC = dict(
    name=text(20), long=STR, n=INT, ratio=NUM, on=BOOL, port=ANY, any=OPEN, when={"type": "string", "format": "date-time"},
    took={"type": "string", "format": "duration"}, day={"type": "string", "format": "date"},
    data={"type": "string", "format": "byte"}, tags=listed(text(10), maxItems=5), free=listed(STR),
    labels=mapped(text(10), maxProperties=5), wild=mapped(STR), phase={"type": "string", "enum": ["Up", "Down"]},
    ports=keyed(obj(port=INT, name=text(10)) | {"required": ["port"]}, ["port"], maxItems=5),
    set=listed(text(5), maxItems=8, **{"x-kubernetes-list-type": "set"}), emb=EMBEDDED, nil={"type": "string", "nullable": True},
    **{"a-b": INT, "namespace": text(5), "x.y/z": INT, "ü": INT},
)


def spec(*rules, **properties):
    return root(spec=obj(list(rules), **{**SPEC, **properties}))


for expression in [
    # right
    "self.n > 0", "self.name.startsWith('a')", "has(self.n) ? self.n < 5 : true", "self.tags.all(t, t.size() < 3)",
    "self.ports.all(p, p.port > 0)", "self.labels.all(k, self.labels[k] != '')", "self.__namespace__ == 'x'", "self.a__dash__b == 1",
    "self.x__dot__y__slash__z == 1", "type(self.port) == int ? self.port < 5 : true", "self.when < timestamp('2024-01-01T00:00:00Z')",
    "self.took > duration('1s')", "self.data == b'x'", "self.emb.metadata.name == 'x'", "self.emb.kind == 'x'", "'a' in self.set",
    "self.set == oldSelf.set", "self == oldSelf", "self.?n.orValue(3) > 1", "quantity('1Gi').isGreaterThan(quantity('1Mi'))",
    "isURL(self.name)", "self.name.matches('^[a-z]+$')", "ip.isCanonical(self.name)", "semver('1.2.3') == semver('1.2.3')",
    "self.tags.map(t, t + 'x').size() > 0", "cel.bind(x, self.n, x > 1)", "[1, 2].exists(i, i == self.n)", "self.nil == null",
    "self.phase in ['Up', 'Down']", "format.dns1123Label().validate(self.name).hasValue()", "true", "self.day.getFullYear() > 2000",
    "self.tags.exists_one(t, t == 'a')", "sets.contains(self.tags, ['a'])", "self.tags.isSorted()", "self.ratio < 1.0",
    "self.ports.exists(p, p.port == 80 && p.name == 'x')", "[1].all(oldSelf, oldSelf > 0)",
    # wrong
    "self.nope == 1", "self.n == 'x'", "self.n + 'x' == ''", "self.n", "self.name", "1", "self.any == 1", "self.port", "self.n >", "(self.n",
    "foo == 1", "self.n == oldself.n", "self.name.nope()", "self.tags[0] == 1", "self.namespace == 'x'", "self.a-b == 1", "self.ü == 1",
    "self.name.matches('[')", "duration('x') == self.took", "self.emb.metadata.labels == {}", "self.metadata.name == ''", "self.labels.x == 1",
    "size(self.n) > 1", "has(self)", "self.n > 0 \n&& ", "'\\z' == self.name", "self.on + 1", "[1, 'a'].size() > 0", "self.data == 'x'",
    "self + 1 == 1", "self.ports[0].nope == 1", "self.tags.all(t, t)", "self.name == \"a\u00e9\" && x", "self.tags == self.n", "null",
    "authorizer.path('/x').check('get').allowed()", "self == 1", "self.spec == 1", "kind == ''",
]:
    put(define=spec(rule(expression, message="m") if "\n" in expression else expression))

for expression in [
    "'n is ' + string(self.n)", "self.name", "self.n", "self.nope", "'a' +", "oldSelf.name", "'x'.format(['a'])", "'%d'.format([self.n])",
    "self.long.replace('a', 'b')", "self.tags.join(', ')", "", " ",
]:
    put(define=spec(rule("self.n > 0", messageExpression=expression)))
put(define=spec(rule("self.nope", messageExpression="self.nope")))
put(define=spec(rule("self.nope", optionalOldSelf=True)))
put(define=spec(rule("self.n > 0", optionalOldSelf=True)))
put(define=spec(rule("self.n > 0", optionalOldSelf=False)))
put(define=spec(rule("oldSelf.hasValue()", optionalOldSelf=True)))
put(define=spec(rule("oldSelf.n > 1", optionalOldSelf=True)))
put(define=spec(rule("oldSelf.orValue(self) == self", optionalOldSelf=True)))
put(define=spec(rule("oldSelf.hasValue()")))
put(define=spec(rule("self.n > 0", reason="FieldValueForbidden", fieldPath=".n", message="x <y>")))
put(define=spec(rule("self.nope > 0", reason="FieldValueForbidden", fieldPath=".n", message="x <y>")))
put(define=spec(rule("self.n > 0", fieldPath=".nope")))
put(define=spec(rule("")))
put(define=spec("self.n > 0", "self.nope > 0", "self.n == ''"))

# The root, embedded resources, metadata.
for expression in [
    "self.metadata.name.startsWith('x')", "self.metadata.generateName == ''", "self.metadata.labels.size() > 0", "self.kind == 'Cat'",
    "self.apiVersion == 'x'", "self.status == 1", "self.spec.n > 1", "self == oldSelf", "self.metadata.namespace == ''",
    "self.metadata.name.matches('^(a|b|c|d|e|f|g|h)+$')", "self.metadata.name.split('').all(x, x.split('').all(y, x == y))",
]:
    put(define=root([expression], spec=obj(n=INT)))
    put(define=root([expression], spec=obj(n=INT), metadata=obj(name=text(10))))
put(define=root(spec=obj(n=INT), metadata=obj(name=text(10) | {"x-kubernetes-validations": [rule("self != 'x'")]})))
put(define=root(spec=obj(n=INT), metadata=obj(["self.name != 'x'"], name=text(10))))
put(define=root(spec=obj(n=INT), metadata=obj(["self.namespace != 'x'"], name=text(10))))
put(define=root(["true"], spec=obj(n=INT), metadata=obj(["self.name != 'x'"], name=STR)))
put(define=root(spec=obj(n=INT), metadata=obj(["self.name.split('').all(x, x.split('').all(y, x == y))"], name=STR)))
put(define=root(["true"], spec=obj(n=INT), metadata=obj(["self.name.split('').all(x, x.split('').all(y, x == y))"], name=STR)))
put(define=root(kind=STR | {"x-kubernetes-validations": [rule("self == 'Cat'")]}))
put(define=root(emb=EMBEDDED | {"x-kubernetes-validations": [rule("self.metadata.name == 'x' && self.kind == 'K'")]}))
put(define=root(emb=EMBEDDED | {"properties": {"spec": obj(n=INT)}, "x-kubernetes-validations": [rule("self.spec.n == 1 && self.nope == 1")]}))

# Types that expressions cannot have.
put(define=root(any=OPEN | {"x-kubernetes-validations": [rule("true")]}))
put(define=root(["true"], any=OPEN | {"x-kubernetes-validations": [rule("true")]}))
put(define=root(["true"], any=OPEN | {"properties": {"x": INT | {"x-kubernetes-validations": [rule("self > 1")]}}}))
put(define=root(any=OPEN | {"properties": {"x": INT | {"x-kubernetes-validations": [rule("self > 1")]}}}))
put(define=root(list=listed(OPEN, ["true"])))
put(define=root(list=listed(OPEN | {"x-kubernetes-validations": [rule("true")]})))
put(define=root(open=node("object", ["self == oldSelf"], **{"x-kubernetes-preserve-unknown-fields": True})))
put(define=root(port=ANY | {"x-kubernetes-validations": [rule("self == 1 || self == 'x'")]}))
put(define=root(**{"ü": INT | {"x-kubernetes-validations": [rule("self > 1")]}}))
put(define=root(n=INT | {"x-kubernetes-validations": [rule("self > 1"), rule("self.x > 1"), rule("self + 1")]}))
put(define=root(n=INT | {"allOf": [{"x-kubernetes-validations": [rule("self > 1")]}]}))
put(define=root(n={"type": "integer", "x-kubernetes-validations": [rule("self > ''")], "pattern": "("}))

# Where there is no old value.
TRANSITION = [rule("self == oldSelf")]
put(define=root(list=listed(text(5) | {"x-kubernetes-validations": TRANSITION}, maxItems=3)))
put(define=root(list=listed(text(5) | {"x-kubernetes-validations": TRANSITION}, maxItems=3, **{"x-kubernetes-list-type": "set"})))
put(define=root(list=keyed(obj(["self == oldSelf"], k=text(5)) | {"required": ["k"]}, ["k"], maxItems=3)))
put(define=root(map=mapped(text(5) | {"x-kubernetes-validations": TRANSITION}, maxProperties=3)))
put(define=root(map=mapped(text(5) | {"x-kubernetes-validations": TRANSITION}, maxProperties=3, **{"x-kubernetes-map-type": "atomic"})))
put(define=root(list=listed(obj(x=obj(["self == oldSelf"], n=INT)), maxItems=3)))
put(define=root(list=listed(obj(x=obj([rule("oldSelf.hasValue()", optionalOldSelf=True)], n=INT)), maxItems=3)))

# Costs.
EXPENSIVE = "self.all(x, self.all(y, x == y))"
for items, more in [(STR, {}), (text(10), {}), (text(10), {"maxItems": 10}), (text(10), {"maxItems": 100}), (text(10), {"maxItems": 500}),
                    (text(10), {"maxItems": 1000}), (text(10), {"maxItems": 2000}), (INT, {"maxItems": 1500}), (INT, {"maxItems": 1800}), (INT, {})]:
    put(define=root(list=listed(items, [EXPENSIVE], **more)))
    put(define=root(list=listed(items, [rule("self.size() > 1", messageExpression="self.map(x, self.map(y, string(x)).join('')).join('')")], **more)))
for expression in ["self.all(x, x.size() > 1)", "self.all(x, x.startsWith('a'))", "self.all(x, x.matches('^a+$'))", "self.exists(x, x == 'a')",
                   "self.map(x, x + 'a').join(',') != ''", "self.filter(x, x in self).size() > 1", "sets.contains(self, ['a'])", "self.isSorted()",
                   "self == self", "self.size() > 3", "'a' in self", "self.all(x, x.split('').size() > 1)", "self.all(x, x.find('a') == '')",
                   "self.all(x, quantity(x).isInteger())", "self.all(x, url(x).getHost() == '')", "self.indexOf('a') == 1"]:
    for items, more in [(STR, {}), (text(10), {}), (text(100), {"maxItems": 1000}), (STR, {"maxItems": 10})]:
        put(define=root(list=listed(items, [expression], **more)))
# Rules below lists and maps, bounded and not.
for outer in [dict(), dict(maxItems=10), dict(maxItems=5000)]:
    for inner in [dict(), dict(maxProperties=100)]:
        put(define=root(list=listed(mapped(obj(["self.a == self.b"], a=STR, b=text(100)), **inner), **outer)))
        put(define=root(list=listed(mapped(obj(["self.a == 1"], a=INT, b=INT) | {"required": ["a"]}, **inner), **outer)))
put(define=root(list=listed({"type": "string", "enum": ["aaa", "bb"], "x-kubernetes-validations": [rule("self.matches('^a*$')")]})))
put(define=root(list=listed({"type": "string", "format": "date-time", "x-kubernetes-validations": [rule("self > timestamp('2024-01-01T00:00:00Z')")]})))
put(define=root(list=listed(ANY | {"x-kubernetes-validations": [rule("self == 1 || self == '1'")]})))
put(define=root(list=listed(EMBEDDED | {"x-kubernetes-validations": [rule("self.metadata.name == self.kind")]})))
put(define=root(list=listed(node("boolean", ["self"]))))
put(define=root(list=listed(obj(["self.a.size() > 3"], a=listed(INT)))))
put(define=root(list=listed(listed(text(3), ["self.size() > 3"]), maxItems=-1)))
put(define=root([r"self.list.all(x, x.all(y, y.all(z, z == 'x')))"], list=listed(listed(listed(text(10), maxItems=30), maxItems=30), maxItems=30)))
# All together.
put(define=root(**{f"p{n}": listed(text(10), [EXPENSIVE], maxItems=m) for n, m in enumerate([900, 950, 800, 700, 600, 990, 980, 970, 960, 100, 900, 900, 900, 900])}))
put(define=root(**{f"p{n}": listed(STR, [rule("self.size() > 1", messageExpression=EXPENSIVE.replace("self.all", "self.map") + ".size() > 1 ? 'a' : 'b'")], maxItems=10) for n in range(3)}))

# Updates of definitions.
DEAR = root(list=listed(STR, [EXPENSIVE]))
put(define=DEAR, was=DEAR)
put(define=DEAR | {"description": "x"}, was=DEAR)
put(define=spec("self.nope"), was=spec("self.nope"))
put(define=spec("self.n > 0"), was=spec("self.n > 1"))
# Functions that new expressions may not use yet, and stored ones may.
put(define=spec(rule("self.n > 0", messageExpression="string(self.n)")), was=spec(rule("self.n > 0", messageExpression="string(self.n)")))

# Defaults.
put(define=root(n=INT | {"default": 3, "x-kubernetes-validations": [rule("self < 3")]}))
put(define=root(n=INT | {"default": 3, "x-kubernetes-validations": [rule("self <= 3")]}))
put(define=root(n=INT | {"default": 3, "x-kubernetes-validations": [rule("oldSelf.hasValue()", optionalOldSelf=True)]}))
put(define=root(n=INT | {"default": 3, "x-kubernetes-validations": [rule("!oldSelf.hasValue()", optionalOldSelf=True)]}))
put(define=root(n=INT | {"default": 3, "x-kubernetes-validations": [rule("self > oldSelf", messageExpression="'was ' + string(oldSelf)")]}))
put(define=root(spec=obj(["self.n < 3"], n=INT) | {"default": {"n": 3}}))
put(define=root(spec=obj([rule("self.n < 3", fieldPath=".n", reason="FieldValueForbidden", message="no")], n=INT) | {"default": {"n": 3}}))
put(define=root(spec=obj(list=listed(INT | {"x-kubernetes-validations": [rule("self > 1")]}, maxItems=5)) | {"default": {"list": [1, 2, 1]}}))
put(define=root(spec=obj(map=mapped(INT | {"x-kubernetes-validations": [rule("self > 1")]}, maxProperties=5)) | {"default": {"map": {"a": 1}}}))
put(define=root(spec=obj(n=INT | {"default": 1, "x-kubernetes-validations": [rule("self.x")]})))
put(define=root(spec=obj(n=INT | {"default": 1, "x-kubernetes-validations": [rule("1 / (self - 1) == 3")]})))
put(define=root(spec=obj(n=INT | {"default": "x", "x-kubernetes-validations": [rule("self > 3")]})))
put(define=root(spec=obj(["self.n == 'x'"], n=INT | {"default": 1})))
put(define=root(emb=EMBEDDED | {"default": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}}, "x-kubernetes-validations": [rule("self.metadata.name == 'y' || self.kind == 'L'")]}))

# --- objects -------------------------------------------------------------------------------------------------------------------------


def held(schema, *objects, **more):
    for one in objects:
        if isinstance(one, tuple):
            put(schema=schema, object=one[1], old=one[0], **more)
        else:
            put(schema=schema, object=one, **more)


N = root(n=INT | {"x-kubernetes-validations": [rule("self > 3")]})
held(N, {}, {"n": 4}, {"n": 3}, {"n": "x"}, {"n": None}, ({"n": 3}, {"n": 3}), ({"n": 2}, {"n": 3}), ({"n": 4}, {"n": 3}), ({}, {"n": 3}))
for kind, value in [("integer", 1), ("number", 1.5), ("number", 1), ("number", 1e6), ("number", 1e21), ("string", "a\u0001\"é<\u200b"), ("boolean", True),
                    ("object", {}), ("array", [])]:
    more = {"items": INT} if kind == "array" else {}
    for reason in [None, "FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"]:
        extra = {"reason": reason} if reason else {}
        held(root(x=node(kind, [rule("false", message="no", **extra)], **more)), {"x": value})
held(root(x=ANY | {"x-kubernetes-validations": [rule("type(self) == int ? self < 5 : self == 'x'")]}), {"x": 5}, {"x": 4}, {"x": "y"}, {"x": "x"})
held(root(x=ANY | {"x-kubernetes-validations": [rule("self < 5")]}), {"x": 5}, {"x": 4}, {"x": "y"})
held(root(x=ANY | {"x-kubernetes-validations": [rule("self.startsWith('x')", message=" say it ")]}), {"x": 5}, {"x": "y"}, {"x": "xy"})
held(root(["self.spec.n < 5"], spec=obj(n=INT)), {"spec": {"n": 4}}, {"spec": {"n": 5}}, {"spec": {}}, {}, ({"spec": {"n": 5}}, {"spec": {"n": 5}}))
held(root(["has(self.spec) && has(self.spec.n)"], spec=obj(n=INT)), {"spec": {"n": 4}}, {"spec": {}}, {})

# The root's own fields.
for expression in ["self.kind == 'Cat'", "self.kind == 'Dog'", "self.apiVersion == 'example.com/v1'", "self.metadata.name == 'tom'", "self.metadata.name == 'jerry'",
                   "has(self.metadata.generateName)", "self == self", "size(self.metadata.name) == 3", "has(self.kind) && has(self.apiVersion)", "self.?kind.orValue('') == 'Dog'"]:
    held(root([expression], n=INT), {"n": 1})
held(root(["self == oldSelf"], n=INT), ({"n": 1}, {"n": 1}), ({"n": 1}, {"n": 2}), {"n": 1}, ({"n": 1}, {"n": 1, "x": 1}))
held(root(["self.n == oldSelf.n"], n=INT), ({"n": 1}, {"n": 1}), ({"n": 1}, {"n": 2}), ({}, {"n": 2}), {"n": 1})
held(root(kind=STR | {"x-kubernetes-validations": [rule("self == 'Dog'")]}), {"x": 1}, ({}, {}))
held(root(["self.metadata.name == oldSelf.metadata.name"], metadata=obj(name=text(9))), ({}, {}))

# Embedded resources.
emb = root(emb=EMBEDDED | {"x-kubernetes-validations": [rule("self.metadata.name == self.kind", messageExpression="self.apiVersion + '/' + self.metadata.name")]})
held(emb, {"emb": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "K"}}}, {"emb": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "k"}}},
     {"emb": {"apiVersion": "v1", "kind": "K"}}, {"emb": {"kind": "K"}}, {"emb": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "k", "labels": {"a": "b"}}, "spec": {"x": 1}}})
held(root(["self.embs.all(e, e.metadata.name != 'x')"], embs=listed(EMBEDDED)), {"embs": [{"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}}]})

# Messages.
for more in [dict(), dict(message="m"), dict(message="  m  "), dict(messageExpression="'n is ' + string(self.n)"), dict(message="m", messageExpression="'e'"),
             dict(messageExpression="''"), dict(messageExpression="'  '"), dict(message="m", messageExpression="'a\\nb'"), dict(messageExpression="' a '"),
             dict(messageExpression="string(1 / (self.n - 3))"), dict(message="m", messageExpression="self.list[7]"), dict(messageExpression="'x' + oldSelf.name"),
             dict(messageExpression="self.list.map(x, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa').join('')"), dict(messageExpression="self.n"),
             dict(messageExpression="self.list.map(a, self.list.map(b, self.list.map(c, 'x').join('')).join('')).join('')"), dict(messageExpression="'a\\nb\\n'"),
             dict(fieldPath=".n"), dict(fieldPath=".list"), dict(fieldPath=".map['a b']", reason="FieldValueRequired"), dict(fieldPath=".n", messageExpression="'e'", reason="FieldValueDuplicate")]:
    schema = root(spec=obj([rule("self.n < 3", **more)], n=INT, name=STR, list=listed(STR), map=mapped(STR)))
    held(schema, {"spec": {"n": 3, "list": []}}, {"spec": {"n": 3, "list": ["a"] * 100}})
    held(schema, ({"spec": {"n": 2, "name": "old"}}, {"spec": {"n": 3, "name": "new"}}))
held(root([rule("self.n < 3", fieldPath=".n", message="no")], n=INT), {"n": 3})
held(root([rule("self.map['a'] < 3", fieldPath=".map.a", message="no")], map=mapped(INT)), {"map": {"a": 3}})
held(root(map=mapped(INT, [rule("self['a'] < 3", fieldPath=".a", message="no")])), {"map": {"a": 3}})

# Errors while evaluating.
for expression in ["1 / self.n == 0", "self.n % self.n == 0", "self.list[3] == 'a'", "self.map['x'] == 'a'", "self.n + 9223372036854775807 > 0", "int(self.name) > 0",
                   "duration(self.name) > duration('1s')", "self.opt == 'x'", "self.n > 0 || self.opt == 'x'", "self.opt == 'x' || self.n == 0", "timestamp(self.name) > timestamp('2024-01-01T00:00:00Z')",
                   "quantity(self.name).isInteger()", "self.name.matches(self.name)", "dyn(self.n) == 'x' || dyn(self.n) > 'x'", "self.list.all(x, self.list[x.size()] == x)",
                   "url(self.name).getHost() == ''", "ip(self.name).family() == 4", "self.name.substring(5) == ''", "optional.none().value() == 1", "dyn(self.name) + 1 == 2"]:
    held(root(spec=obj([expression], n=INT, list=listed(STR), map=mapped(STR), name=STR, opt=STR)), {"spec": {"n": 0, "list": ["a", "b"], "map": {"a": "b"}, "name": "(["}})

# Strings by format.
fmt = root(spec=obj(["self.when < timestamp('2024-01-01T00:00:00Z')", "self.took < duration('1m')", "self.day.getFullYear() == 2024", "self.data == b'abc'"],
                    when=SPEC["when"], took=SPEC["took"], day=SPEC["day"], data=SPEC["data"]))
GOOD = {"when": "2023-01-01T00:00:00Z", "took": "1s", "day": "2024-02-03", "data": "YWJj"}
held(fmt, {"spec": GOOD}, {"spec": {"when": "2025-01-01T00:00:00.5+02:00", "took": "2h", "day": "2023-02-03", "data": "YWJk"}}, {"spec": {**GOOD, "when": "x"}})
held(fmt, {"spec": {**GOOD, "when": "2023-01-01t00:00:00z"}}, name="a date-time in small letters")
held(fmt, ({"spec": {**GOOD, "when": "x"}}, {"spec": {**GOOD, "when": "x"}}), name="a date-time that is none")

# Lists and maps.
lists = root(list=listed(obj(["self.a < 3"], a=INT), ["self.size() < 3"]), map=mapped(INT | {"x-kubernetes-validations": [rule("self < 3")]}, ["self.size() < 3"]))
held(lists, {"list": [{"a": 1}, {"a": 3}]}, {"list": [{"a": 1}, {"a": 3}, {"a": 4}, None]}, {"map": {"a": 1, "b": 3, "c.d": 4}}, ({"list": [{"a": 3}]}, {"list": [{"a": 3}]}),
     ({"list": [{"a": 3}]}, {"list": [{"a": 3}, {"a": 1}]}), ({"list": [{"a": 1}, {"a": 3}]}, {"list": [{"a": 1}, {"a": 3}]}), ({"map": {"a": 3}}, {"map": {"a": 3, "b": 4}}),
     ({"map": {"a": 3}}, {"map": {"a": 4}}), ({}, {"map": {"a": 3}}))
item = obj([rule("self.v >= oldSelf.v", message="may not shrink"), rule("self.v != 7")], k=text(5), v=INT) | {"required": ["k"]}
ratchet = root(list=keyed(item, ["k"]), atomic=listed(obj(["self.v != 7"], v=INT)))
held(ratchet, {"list": [{"k": "a", "v": 7}]}, ({"list": [{"k": "a", "v": 7}]}, {"list": [{"k": "a", "v": 7}]}), ({"list": [{"k": "a", "v": 7}]}, {"list": [{"k": "b", "v": 1}, {"k": "a", "v": 7}]}),
     ({"list": [{"k": "a", "v": 3}]}, {"list": [{"k": "b", "v": 1}, {"k": "a", "v": 2}]}), ({"list": [{"k": "a", "v": 3}]}, {"list": [{"k": "a", "v": 7}]}),
     ({"list": [{"k": "a", "v": 3}, {"k": "a", "v": 5}]}, {"list": [{"k": "a", "v": 4}]}), ({"list": []}, {"list": [{"k": "a", "v": 7}]}),
     ({"atomic": [{"v": 7}]}, {"atomic": [{"v": 7}]}), ({"atomic": [{"v": 7}]}, {"atomic": [{"v": 7}, {"v": 1}]}), ({"atomic": [{"v": 7}, {"v": 1}]}, {"atomic": [{"v": 1}, {"v": 7}]}))
two = root(list=keyed(obj(["self.v >= oldSelf.v"], k=text(5), p=ANY, f=NUM, v=INT) | {"required": ["k", "p", "f"]}, ["k", "p", "f"]))
held(two, ({"list": [{"k": "a", "p": 1, "f": 1.5, "v": 3}]}, {"list": [{"k": "a", "p": 1, "f": 1.5, "v": 2}]}), ({"list": [{"k": "a", "p": 1, "f": 1.5, "v": 3}]}, {"list": [{"k": "a", "p": "1", "f": 1.5, "v": 2}]}),
     ({"list": [{"k": "a", "p": 1, "f": 1.00000001, "v": 3}]}, {"list": [{"k": "a", "p": 1, "f": 1.00000002, "v": 2}]}), ({"list": [{"k": "a", "p": 1, "f": 1.5, "v": 3}]}, {"list": [{"k": "b", "p": 1, "f": 1.5, "v": 2}]}))
held(root(set=listed(STR, ["self.all(x, x in oldSelf)"], **{"x-kubernetes-list-type": "set"})), ({"set": ["a", "b"]}, {"set": ["b"]}), ({"set": ["a"]}, {"set": ["b", "a"]}))
held(root(set=listed(STR, ["self == oldSelf"], **{"x-kubernetes-list-type": "set"}), list=listed(STR, ["self == oldSelf"])), ({"set": ["a", "b"], "list": ["a", "b"]}, {"set": ["b", "a"], "list": ["b", "a"]}))
held(root(list=keyed(obj(k=text(3), v=INT) | {"required": ["k"]}, ["k"], ["self == oldSelf"])), ({"list": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]}, {"list": [{"k": "b", "v": 2}, {"k": "a", "v": 1}]}),
     ({"list": [{"k": "a", "v": 1}]}, {"list": [{"k": "a", "v": 2}]}))
held(root(map=mapped(INT | {"x-kubernetes-validations": [rule("self > oldSelf")]})), ({"map": {"a": 1}}, {"map": {"a": 1, "b": 1}}), ({"map": {"a": 1}}, {"map": {"a": 2}}))
held(root(map=mapped(INT | {"x-kubernetes-validations": [rule("self > oldSelf")]}, **{"x-kubernetes-map-type": "atomic"})), ({"map": {"a": 1}}, {"map": {"a": 1}}))

# Optional old values.
opt = root(spec=obj([rule("oldSelf.hasValue() || self.n == 1", optionalOldSelf=True, message="begins with 1"), rule("!oldSelf.hasValue() || self.n >= oldSelf.value().n", optionalOldSelf=True),
                     rule("oldSelf.optMap(o, o.n).orValue(0) <= self.n", optionalOldSelf=True, messageExpression="'was ' + string(oldSelf.orValue(self).n)")], n=INT))
held(opt, {"spec": {"n": 1}}, {"spec": {"n": 2}}, {"spec": {"n": -1}}, ({"spec": {"n": 1}}, {"spec": {"n": 2}}), ({"spec": {"n": 3}}, {"spec": {"n": 2}}), ({}, {"spec": {"n": 2}}), ({"spec": {"n": 3}}, {"spec": {"n": 3}}))
held(root(spec=obj([rule("self.n == 1", messageExpression="'was ' + string(oldSelf.n)"), "self.n == oldSelf.n"], n=INT)), ({"spec": {"n": 1}}, {"spec": {"n": 2}}), {"spec": {"n": 2}})
held(root(spec=obj([rule("self.n == 1", messageExpression="'was ' + string(oldSelf.n)")], n=INT)), ({"spec": {"n": 1}}, {"spec": {"n": 2}}))
held(root(list=listed(obj([rule("oldSelf.hasValue()", optionalOldSelf=True)], n=INT))), ({"list": [{"n": 1}]}, {"list": [{"n": 1}]}), ({"list": [{"n": 1}]}, {"list": [{"n": 2}]}))

# Ratcheting.
deep = root(["!has(self.spec.x)"], spec=obj(["self.n < 3", rule("self.n <= oldSelf.n", message="shrinks")], n=INT, x=STR, sub=obj([rule("self.m < 3", fieldPath=".m", reason="FieldValueForbidden")], m=INT, other=INT)))
held(deep, ({"spec": {"n": 5, "sub": {"m": 5}}}, {"spec": {"n": 5, "sub": {"m": 5}}}), ({"spec": {"n": 5, "sub": {"m": 5}}}, {"spec": {"n": 5, "sub": {"m": 6}}}),
     ({"spec": {"n": 5, "sub": {"m": 5}}}, {"spec": {"n": 6, "sub": {"m": 5}}}), ({"spec": {"n": 1, "sub": {"m": 5}}}, {"spec": {"n": 1, "sub": {"m": 5, "other": 1}}}),
     ({"spec": {"n": 1, "x": "a"}}, {"spec": {"n": 1, "x": "a"}}), ({"spec": {"n": 5, "y": 1}}, {"spec": {"n": 5, "y": 1}}))
META = obj(name=STR, resourceVersion=STR, uid=STR)
whole = root(["self.n < 3"], n=INT, apiVersion=STR, kind=STR, metadata=META)
held(whole, ({"n": 5}, {"n": 5}), ({"n": 5}, {"n": 6}))
held(root(["self.n < 3"], n=INT, metadata=META), ({"n": 5}, {"n": 5}))
held(root(["self.kind == 'Dog'"], n=INT, apiVersion=STR, kind=STR, metadata=META), ({"n": 5}, {"n": 5}))
held(root(spec=obj(["self.nil == null", "self.n != null"], nil={"type": "string", "nullable": True}, n=INT)), {"spec": {"nil": None, "n": 1}}, {"spec": {"nil": "x", "n": 1}}, {"spec": {"n": 1}}, ({"spec": {"nil": None}}, {"spec": {"nil": None}}))
held(root(spec=obj(["!has(self.open.a)", "self.open == oldSelf.open"], open=node("object", **OPEN))), {"spec": {"open": {"a": 1}}}, ({"spec": {"open": {"a": 1}}}, {"spec": {"open": {"a": 1}}}), ({"spec": {"open": {"a": 1}}}, {"spec": {"open": {"a": 2}}}))
held(root(open=node("object", ["self == oldSelf"], **OPEN)), ({"open": {"a": 1}}, {"open": {"a": 1}}), ({"open": {"a": 1}}, {"open": {"a": 2}}), ({"open": {"a": 1}}, {"open": {"b": 2}}))

# What is found before.
blocked = root(["self.n > 100"], n=INT, name=text(3), phase=SPEC["phase"], few=listed(INT, maxItems=1), set=SPEC["set"]) | {"required": ["n"]}
held(blocked, {"n": 1}, {}, {"n": "x"}, {"n": 1, "name": "long"}, {"n": 1, "phase": "x"}, {"n": 1, "few": [1, 2]}, {"n": 1, "set": ["a", "a"]}, {"n": 101, "set": ["a", "a"]},
     ({"n": 1, "name": "long"}, {"n": 1, "name": "long"}), ({"n": 101, "name": "longer"}, {"n": 102, "name": "long"}))
held(root(n=INT | {"minimum": 5, "x-kubernetes-validations": [rule("self > 7")]}), {"n": 3}, {"n": 6})
held(root(n=INT | {"minimum": 5}), {"n": "x"})

# The status.
status = root(["self.status.n < self.spec.n"], spec=obj(["self.n < 10"], n=INT), status=obj(["self.n < 5", "self.n >= oldSelf.n"], n=INT))
held(status, ({"spec": {"n": 10}, "status": {"n": 1}}, {"spec": {"n": 10}, "status": {"n": 2}}), ({"spec": {"n": 10}, "status": {"n": 3}}, {"spec": {"n": 10}, "status": {"n": 2}}),
     ({"spec": {"n": 3}, "status": {"n": 3}}, {"spec": {"n": 3}, "status": {"n": 4}}), ({"spec": {"n": 3}, "status": {"n": 3}}, {"spec": {"n": 3}, "status": {"n": "x"}}),
     ({"spec": {"n": 3}, "status": {"n": 7}}, {"spec": {"n": 3}, "status": {"n": 7}}), ({"spec": {"n": 3}}, {"spec": {"n": 3}, "status": {"n": 7}}), status=True)

# Budgets.
many = root(list=listed(text(10), ["self.all(x, self.all(y, x == y || x != y))"]), lists=listed(listed(text(10), ["self.all(x, self.all(y, x == y || x != y))"])))
held(many, {"list": ["a"] * 100}, {"list": ["a"] * 1000}, {"lists": [["a"] * 200] * 40}, {"lists": [["a"] * 400] * 40}, ({"list": ["a"] * 1000}, {"list": ["a"] * 1000}))
held(root(lists=listed(listed(INT, ["self.all(x, self.all(y, x == y))", rule("self.size() == 0", messageExpression="self.map(x, self.map(y, 'a').join('')).join('').replace('a', '')")]))), {"lists": [[1] * 250] * 60})
held(root(list=listed(INT | {"x-kubernetes-validations": [rule("self < 3")]})), {"list": list(range(6))})

# Names that are escaped.
esc = root(spec=obj(["self.a__dash__b == 1", "self.__namespace__ == 'x'", "self.x__dot__y__slash__z == 1", "has(self.a__dash__b)"], **{"a-b": INT, "namespace": STR, "x.y/z": INT, "ü": INT | {"x-kubernetes-validations": [rule("self > 1")]}}))
held(esc, {"spec": {"a-b": 1, "namespace": "x", "x.y/z": 1, "ü": 1}}, {"spec": {"a-b": 2, "namespace": "y", "x.y/z": 3, "ü": 2}}, {"spec": {}})

# Definitions whose rules stand in unlikely places.
put(define=root(spec=obj(a=obj(["self.b == 1"], b=INT) | {"nullable": True})))
put(define=root(spec=obj(a={"type": "object", "x-kubernetes-validations": [rule("self == {}")]})))
put(define=root(spec=obj(a={"type": "object", "additionalProperties": False, "x-kubernetes-validations": [rule("size(self) == 0")]})))
put(define=root(spec=obj(a={"type": "object", "additionalProperties": True, "x-kubernetes-validations": [rule("size(self) == 0")]})))
put(define=root(spec=obj(a={"type": "array", "items": {"type": "object"}, "x-kubernetes-validations": [rule("self == []")]})))
put(define=root(spec=obj(n=INT | {"anyOf": [{"minimum": 3}], "not": {"minimum": 7}, "x-kubernetes-validations": [rule("self < 3")]})))
put(define=root(spec=obj(n=INT | {"not": {"x-kubernetes-validations": [rule("self < 3")]}})))
put(define={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-validations": [rule("self.metadata.name != ''")]})
put(define={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-validations": [rule("self.spec != ''")]})
put(define=root(**{"in": INT, "true": INT, "a__b": INT, "__x__": INT, "x-kubernetes-y": INT}) | {"x-kubernetes-validations": [rule("self.__in__ + self.__true__ + self.a__underscores__b + self.x__dash__kubernetes__dash__y > 1")]})
put(define=root(n=INT) | {"x-kubernetes-validations": [rule("self.n > " + "(" * 40 + "1" + ")" * 40)]})
put(define=root(n=INT) | {"x-kubernetes-validations": [rule("self.n > " + "(" * 300 + "1" + ")" * 300)]})
put(define=root(n=INT) | {"x-kubernetes-validations": [rule("self.n > 1" + " && self.n > 1" * 200)]})
# Required fields make for fewer items.
for required in [[], ["a"], ["a", "b", "c"]]:
    put(define=root(list=listed(obj(["self.a == self.b"], a=STR, b=STR, c=obj(d=INT) | {"required": ["d"]}) | {"required": required})))
    put(define=root(map=mapped(obj(["self.a == self.b"], a=STR, b=STR, c=INT | {"default": 1}) | {"required": required})))
# A value of each type that is null, absent, and of another type.
for kind in ["integer", "number", "string", "boolean", "object"]:
    schema = root(spec=obj(["!has(self.x)"], x=node(kind, ["true"], nullable=True)))
    held(schema, {"spec": {"x": None}}, {"spec": {}}, ({"spec": {"x": None}}, {"spec": {"x": None}}))
held(root(list=listed(STR | {"nullable": True, "x-kubernetes-validations": [rule("self != 'x'")]}, ["self.all(x, x == null)"])), {"list": [None, "x"]}, {"list": [None]})
held(root(list=listed(STR, ["self.all(x, x != '')"])), {"list": [None, "x"]})
held(root(n=NUM | {"x-kubernetes-validations": [rule("self == 1.0")]}), {"n": 1}, {"n": 1.0}, {"n": 1.5})
held(root(n=INT | {"x-kubernetes-validations": [rule("self == 1")]}), {"n": 1}, {"n": 1.0}, {"n": 2.0})
held(root(n=INT | {"x-kubernetes-validations": [rule("self < 9223372036854775807")]}), {"n": 9223372036854775807}, {"n": 9223372036854775806}, {"n": 18446744073709551615})
held(root(a=obj(b=obj(c=obj(["self.d == oldSelf.d"], d=INT)))), ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": {"d": 2}}}}), ({"a": {"b": {}}}, {"a": {"b": {"c": {"d": 2}}}}), ({"a": {"b": None}}, {"a": {"b": {"c": {"d": 2}}}}), ({"a": 1}, {"a": {"b": {"c": {"d": 2}}}}))
held(root(ports=keyed(obj(port=INT, protocol=STR | {"default": "TCP"}) | {"required": ["port"]}, ["port", "protocol"], ["self.all(p, oldSelf.exists(o, o.port == p.port))"])),
     ({"ports": [{"port": 1, "protocol": "TCP"}]}, {"ports": [{"port": 1, "protocol": "TCP"}, {"port": 2, "protocol": "TCP"}]}))

# A function that the previous release does not know: only expressions that were there before may use it.
NEWER = "self.tags.includes('a')"
put(define=spec(NEWER))
put(define=spec(NEWER), was=spec("true"))
put(define=spec(NEWER), was=spec(NEWER))
put(define=spec(rule("true", messageExpression="self.tags.includes('a') ? 'a' : 'b'")), was=spec(NEWER))
put(define=spec(rule("true", messageExpression="self.tags.includes('a') ? 'a' : 'b'")), was=spec(rule("true", messageExpression="self.tags.includes('a') ? 'a' : 'b'")))
put(define=spec(rule("true", messageExpression=NEWER)), was=spec(NEWER))
put(define=spec(NEWER, "self.tags.includes('b')"), was=root(tags=SPEC["tags"], n=INT | {"x-kubernetes-validations": [rule(NEWER)]}))
held(spec(NEWER), {"spec": {"tags": ["a"]}}, {"spec": {"tags": ["b"]}})

# What no definition has that was accepted: an older server may have accepted it.
held(root(n=INT | {"x-kubernetes-validations": [rule("self.x"), rule("self"), rule(""), rule("self > 1")]}), {"n": 1})
held(root(n=INT | {"x-kubernetes-validations": [rule("self > 1", messageExpression="self.x"), rule("self > 2", messageExpression="self"), rule("self > 3", message=" ", messageExpression=" ")]}), {"n": 1})
held(root(n=INT | {"x-kubernetes-validations": [rule("self > 1", fieldPath=".x", reason="Unheard"), rule("self > 1", fieldPath=" ")]}), {"n": 1})
held(root(any=OPEN | {"x-kubernetes-validations": [rule("true")]}), {"any": 1})
held(root(["true"], any=OPEN | {"properties": {"x": INT | {"x-kubernetes-validations": [rule("self > 1")]}}}), {"any": {"x": 1}})
held(root(list=listed(OPEN, ["true"])), {"list": [1]})
held(root(list=listed(OPEN | {"x-kubernetes-validations": [rule("false")]})), {"list": [1]})
held(root(open=node("object", ["self.x == 1"], **OPEN)), {"open": {"x": 1}})
held(root(**{"ü": OPEN | {"x-kubernetes-validations": [rule("false")]}}), {"ü": 1})
held(root(n=INT | {"allOf": [{"x-kubernetes-validations": [rule("false")]}]}), {"n": 1})
held(root(list=listed(INT | {"x-kubernetes-validations": [rule("self == oldSelf")]})), ({"list": [1]}, {"list": [2]}))
put(define=root(any=OPEN | {"default": 1, "x-kubernetes-validations": [rule("false")]}))
put(define=root(any=OPEN | {"properties": {"x": INT | {"default": 1, "x-kubernetes-validations": [rule("self > 1")]}}}))
put(define=root(list=listed(obj(n=INT | {"default": 1, "x-kubernetes-validations": [rule("self > 1")]}))))
put(define=root(a=obj(["self.n > 5"], n=INT | {"default": 4}) | {"default": {}}))
put(define=root(a=obj(["self.n > 5"], n=INT) | {"default": {"n": 1}}, b=obj(["self.n > 5"], n=INT | {"default": 2, "x-kubernetes-validations": [rule("self > 3")]}) | {"default": {"n": 3}}))
held(root(["true"], spec=obj([rule("self.n > 1", messageExpression="self.x", fieldPath=".n"), rule("self.n > 1", fieldPath=".n")], n=INT)), {"spec": {"n": 1}})
