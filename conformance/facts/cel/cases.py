#!/usr/bin/env python3
"""The expressions that upstream is asked about, one JSON object a line; see main.go.

    python3 facts/cel/cases.py | go run ./facts/cel >../crates/base/cel/tests/it/answers.jsonl
"""
import json

SELF = {"a": 1, "b": -2, "s": "hello", "t": True, "n": None, "d": 1.5, "list": [1, 2, 3], "strs": ["x", "yy", "zzz"],
        "map": {"k": "v", "k2": "v2"}, "nested": {"x": {"y": {"z": 5}}}, "objs": [{"name": "a", "v": 1}, {"name": "b", "v": 2}],
        "e": [], "em": {}, "u": "héllo 😀", "big": 9007199254740993}

SCHEMA = {"type": "object", "required": ["name", "replicas"], "properties": {
    "name": {"type": "string", "maxLength": 63}, "long": {"type": "string"}, "replicas": {"type": "integer"},
    "ratio": {"type": "number"}, "on": {"type": "boolean"}, "port": {"x-kubernetes-int-or-string": True},
    "when": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
    "for": {"type": "string", "format": "duration"}, "data": {"type": "string", "format": "byte", "maxLength": 100},
    "phase": {"type": "string", "enum": ["Pending", "Running", "Succeeded"]},
    "namespace": {"type": "string", "maxLength": 10}, "a-b.c/d": {"type": "integer"}, "x__y": {"type": "integer"},
    "tags": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 20}},
    "free": {"type": "array", "items": {"type": "string"}},
    "nums": {"type": "array", "items": {"type": "integer"}},
    "labels": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "string", "maxLength": 30}},
    "open": {"type": "object", "additionalProperties": {"type": "integer"}},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 8, "items": {"type": "string", "maxLength": 5}},
    "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"], "maxItems": 6, "items": {
        "type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}, "name": {"type": "string", "maxLength": 15}}}},
    "spec": {"type": "object", "required": ["min"], "properties": {"min": {"type": "integer"}, "max": {"type": "integer"},
        "inner": {"type": "object", "properties": {"v": {"type": "string", "maxLength": 4}}}}},
    "opt": {"type": "string", "nullable": True}, "unknown": {"x-kubernetes-preserve-unknown-fields": True},
    "emb": {"type": "object", "x-kubernetes-embedded-resource": True},
    "matrix": {"type": "array", "maxItems": 3, "items": {"type": "array", "maxItems": 4, "items": {"type": "integer"}}},
    "byName": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object", "properties": {"q": {"type": "string", "maxLength": 3}}}}},
}}
TYPED = {"name": "web", "long": "a long text", "replicas": 3, "ratio": 2, "on": True, "port": "http", "when": "2020-05-06T07:08:09Z",
         "day": "2021-02-03", "for": "1h30m", "data": "aGk=", "phase": "Running", "namespace": "ns", "a-b.c/d": 7, "x__y": 8,
         "tags": ["a", "bb", "ccc"], "free": ["p", "q"], "nums": [3, 1, 2], "labels": {"app": "web", "tier": "front"},
         "open": {"one": 1, "two": 2}, "set": ["a", "b"], "ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}],
         "spec": {"min": 1, "max": 5, "inner": {"v": "abc"}}, "opt": None, "unknown": {"z": 1},
         "emb": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}, "matrix": [[1, 2], [3]], "byName": {"x": [{"q": "r"}]}}

LITERALS = r"""
1
-1
0x1F
-0xff
1u
0xFFu
1.5
-1.5e3
.5
1e-7
9223372036854775807
-9223372036854775808
9223372036854775808
18446744073709551615u
18446744073709551616u
1e999
true
false
null
'a'
"a\n\t\"\\"
'''a'b'''
r'\n'
b'abc\xff'
b"\377"
'\u00e9\U0001F600\x41\101'
'\ud800'
b'\u0041'
[]
[1, 2, 3]
[1, 2, 3,]
{}
{'a': 1}
{'a': 1, 'b': 2,}
{1: 'a', 2u: 'b'}
[1, 'a']
[1, 1.0]
[[1], ['a']]
[[], [1]]
{'a': 1, 'b': 'c'}
{'a': 1, 2: 3}
[null, 'a']
[1, null]
[dyn(1), 'a']
[dyn(1), dyn('a')]
{'a': dyn(1), 'b': dyn('c')}
type(1)
type(1) == int
type('a') == string
type([]) == list
type({}) == map
type(null) == null_type
type(type(1))
type(1u)
type(timestamp('2020-01-01T00:00:00Z')) == google.protobuf.Timestamp
type(duration('1s')) == google.protobuf.Duration
type(optional.of(1))
type(1) == type('a')
int
[int, string]
`a`
""".strip("\n").split("\n")

OPERATORS = r"""
1 + 2 * 3 - 4 / 2 % 3
(1 + 2) * 3
1 + 2u
1 + 1.0
1.0 + 2.0
1u + 2u
1u - 2u
9223372036854775807 + 1
-9223372036854775808 - 1
9223372036854775807 * 2
-9223372036854775808 / -1
-9223372036854775808 % -1
18446744073709551615u + 1u
18446744073709551615u * 2u
1 / 0
1 % 0
1u / 0u
1u % 0u
1.0 / 0.0
-1.0 / 0.0
0.0 / 0.0
7 / -2
-7 % 3
5.0 / 2.0
1.0 % 2.0
-(-9223372036854775808)
-(1)
--1
---1
-self.a
!true
!!true
!!!true
!self.t
-(1u)
'a' + 'b'
b'a' + b'b'
[1] + [2]
[1] + ['a']
[] + [1] + []
'a' + 1
'a' * 2
1 < 2
1 < 2u
1 < 1.5
1u >= 1
1.5 > 1u
2 <= 2.0
'a' < 'b'
b'a' < b'b'
false < true
true < 1
[1] < [2]
1 == 1.0
1 == 1u
1u == 1.0
dyn(1) == 1.0
dyn(1) == dyn(1u)
dyn(1) == dyn('1')
dyn(9223372036854775807) == 9223372036854775807.0
1 != 2
'a' == 'a'
'a' != 'b'
[1, 2] == [1, 2]
[1, 2] == [2, 1]
[dyn(1)] == [dyn(1.0)]
{'a': 1} == {'a': 1}
{'a': 1} == {'b': 1}
{dyn(1): 1} == {dyn(1u): 1}
null == null
dyn(null) == dyn(1)
dyn(1) < dyn('a')
dyn(1) + dyn('a')
dyn('a') + dyn('b')
dyn('a') - dyn('b')
dyn(true) + dyn(true)
dyn(null) + dyn(1)
dyn([1]) + dyn([2])
dyn({}) < dyn({})
-dyn('a')
-dyn(true)
!dyn(1)
0.0 / 0.0 == 0.0 / 0.0
0.0 / 0.0 < 1.0
1 in [1, 2]
3 in [1, 2]
1.0 in [1, 2]
dyn(1.0) in [1, 2]
dyn(1u) in [1, 2]
1 in []
'a' in ['a', 'b']
'a' in {'a': 1}
'b' in {'a': 1}
dyn(1) in {1: 2}
dyn(1.0) in {1: 2}
self.a in [1, 2, 3]
self.a in self.list
self.s in self.map
'k' in self.map
1 in self.map
2 in dyn('abc')
null in [null]
[1] in [[1], [2]]
b'a' in [b'a']
'a' in ['a', dyn(1)]
true && false
true || false
false && 1 / 0 == 1
true || 1 / 0 == 1
1 / 0 == 1 && false
1 / 0 == 1 || true
1 / 0 == 1 && true
1 / 0 == 1 || false
1 / 0 == 1 || 1 % 0 == 1
true && 'a'
1 || true
dyn(1) && true
dyn(1) || false
dyn('x') && false
true && true && true && false
false || false || true
true ? 1 : 2
false ? 1 : 2
true ? 1 : 'a'
true ? dyn(1) : 'a'
1 ? 2 : 3
dyn(1) ? 2 : 3
1 / 0 == 1 ? 1 : 2
true ? 1 : 1 / 0
self.t ? self.a : self.b
self.t ? self.nested.x : self.map
(self.t ? self.nested : self.map).x.y
(self.t ? self.list : self.e)[0]
self.t ? (self.a > 0 ? 'p' : 'n') : 'z'
self.t ? has(self.a) : false
[1, 2, 3][1]
[1, 2, 3][3]
[1, 2, 3][-1]
[1, 2, 3][1u]
[1, 2, 3][dyn(1u)]
[1, 2, 3][dyn(1.0)]
[1, 2, 3][dyn(1.5)]
[1, 2, 3][dyn('a')]
{'a': 1}['a']
{'a': 1}['b']
{'a': 1}.a
{'a': 1}.b
{'a': {'b': 2}}.a.b
{1: 'x'}[1]
{1: 'x'}[dyn(1.0)]
{1u: 'x'}[dyn(1)]
{'a': 1}[dyn(null)]
{'a': 1}[null]
'abc'[0]
1[0]
self.list[self.a]
self.list[self.nested.x.y.z]
self.map[self.s]
self.map['k']
self.list[1 + 1]
self.list[size(self.list) - 1]
self.list[self.t ? 0 : 1]
self.objs[0].name
self.objs[1]['v']
self.nested['x']['y'].z
[[1, 2], [3]][0][1]
[{'a': 1}][0].a
""".strip("\n").split("\n")

FIELDS = r"""
self
self.a
self.nope
self.nested.x.y.z
self.nested.nope.y
self.a.b
self.s.x
has(self.a)
has(self.nope)
has(self.n)
has(self.nested.x.y)
has(self.nested.nope.y)
has(self.a.b)
has(self.s.x)
has(self.list.x)
has({'a': 1}.a)
has({'a': 1}.b)
has(self)
has(self['a'])
has(1)
has(self.a, 1)
!has(self.nope) || self.nope > 1
has(self.map.k) && self.map.k == 'v'
self.n == null
self.nope == null
self.em == {}
self.e == []
self.list == [1, 2, 3]
self.list == [1.0, 2.0, 3.0]
self.nested.x == {'y': {'z': 5}}
self.big
self.d + 1.0
self.a + self.b
self.a + self.d
self.s + self.u
size(self.u)
size(self.list)
size(self.map)
size(self.s)
size(self.a)
self.list.size()
self.u.size()
size(b'abc')
size('')
size([])
size(1)
size('a', 'b')
nope
nope.x
.self.a
self.`a`
self.`a-b`
self.?a
self.?nope
self.?nested.x.y
self.?nested.?nope.y
self.?nope.x.hasValue()
self.?nope.orValue(5)
self.?a.orValue(5)
self.?a.value()
self.?nope.value()
self.?nope.or(self.?a)
self.?nope.or(self.?nope).hasValue()
self[?'a']
self[?'nope']
self.list[?0]
self.list[?9]
self.list[?self.a].orValue(0)
[1, 2][?1]
{'a': 1}[?'a'].value() == 1
{?'a': self.?nope, 'b': dyn(1)}
{?'a': optional.of(1)}
{?'a': 1}
[?self.?a, ?self.?nope]
[?optional.none(), 1]
[?1]
optional.none()
optional.of(1)
optional.of(optional.none())
optional.none().hasValue()
optional.of(1) == optional.of(1)
optional.of(1) == optional.none()
optional.none() == optional.none()
optional.ofNonZeroValue(0)
optional.ofNonZeroValue('')
optional.ofNonZeroValue('a')
optional.ofNonZeroValue([])
optional.ofNonZeroValue({})
optional.ofNonZeroValue(null)
optional.ofNonZeroValue(false)
optional.ofNonZeroValue(duration('0s'))
optional.of(1).optMap(x, x + 1)
optional.none().optMap(x, x + 1)
self.?a.optMap(x, x + 1).orValue(0)
self.?s.optMap(x, x + '!')
self.?nested.optFlatMap(x, x.?x)
optional.of([1, 2]).optMap(x, x.map(y, y * 2))
optional.of(1).optMap(1, 2)
optional.of({'a': 1}).a
optional.of({'a': 1}).?b
optional.of([1])[0]
optional.of([1])[?0]
optional.none().value()
optional.unwrap([optional.of(1), optional.none()])
[optional.of(1), optional.none()].unwrapOpt()
[1, 2].first()
[1, 2].last()
[].first()
self.list.last().value()
has(self.?nested.x)
has(self.?nope.x)
optional.of(1).value() + optional.of(2).value()
optional.of(1) + 1
dyn(1).orValue(2)
dyn(1).hasValue()
""".strip("\n").split("\n")

MACROS = r"""
[1, 2, 3].all(x, x > 0)
[1, 2, 3].all(x, x > 1)
[].all(x, x > 1)
[1, 2, 3].exists(x, x == 2)
[1, 2, 3].exists(x, x == 5)
[1, 2, 3].exists_one(x, x == 2)
[1, 2, 2].exists_one(x, x == 2)
[1, 2, 3].existsOne(x, x == 2)
[1, 2, 3].map(x, x * 2)
[1, 2, 3].map(x, x > 1, x * 2)
[1, 2, 3].filter(x, x > 1)
{'a': 1, 'b': 2}.all(k, k != 'c')
{'a': 1}.exists(k, k == 'a')
{'a': 1}.map(k, k + 'x')
{'a': 1}.filter(k, k == 'a')
self.list.all(x, x > 0)
self.list.map(x, x + self.a)
self.list.filter(x, x % 2 == 1).size()
self.objs.exists(o, o.name == 'b' && o.v == 2)
self.objs.map(o, o.name)
self.objs.filter(o, o.v > 1)[0].name
self.objs.all(o, self.objs.exists(p, p.name == o.name))
self.map.all(k, self.map[k].startsWith('v'))
self.strs.map(s, s.size()).exists(n, n == 3)
[1, 0].all(x, 1 / x > 0)
[0, 1].exists(x, 1 / x > 0)
[1, 0].map(x, 1 / x)
[0, 1].all(x, 1 / x > 5)
[0, 1].exists_one(x, 1 / x == 1)
[0, 2].filter(x, 1 / x == 0)
[[1, 2], [3]].map(l, l.map(x, x + 1))
[1, 2].map(x, [3, 4].map(y, x * y))
[1, 2].map(x, {'v': x})
[1, 2].map(x, x in [2, 3])
[1].map(x, [x, x + 1].filter(y, y > 1))
[1, 2, 3].filter(x, x in self.list)
1.all(x, true)
'abc'.all(x, true)
dyn(1).all(x, true)
dyn('abc').map(x, x)
dyn([1, 2]).map(x, x)
[1].all(1, true)
[1].all(x.y, true)
[1].map(1, 2)
[1].filter(1, true)
[1].all(__result__, true)
[1].map(__result__, 1)
[1].all(x, 1)
[1].exists(x, 'a')
[1].all(x, y)
[1].map(x, x.foo)
[1, 2].map(self, self + 1)
[1, 2].map(x, .self.a + x)
[1, 2].all(i, v, i < v)
[1, 2].exists(i, v, i == v)
[1, 2].exists_one(i, v, v == 2)
[1, 2].existsOne(i, v, v == 2)
[1, 2].transformList(i, v, i * v)
[1, 2].transformList(i, v, i > 0, v)
{'a': 1, 'b': 2}.transformList(k, v, v > 1, k)
{'a': 1, 'b': 2}.transformMap(k, v, v + 1)
{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 10)
[1, 2].transformMap(i, v, v * 2)
{'a': 'x', 'b': 'y'}.transformMapEntry(k, v, {v: k})
{'a': 'x', 'b': 'x'}.transformMapEntry(k, v, {v: k})
[1, 2].transformMapEntry(i, v, i > 0, {v: i})
{'a': 1}.all(k, v, k == 'a' && v == 1)
self.map.all(k, v, v.startsWith('v'))
self.list.exists(i, v, i + 1 == v)
[1].all(i, i, true)
[1].all(1, v, true)
[1].transformMap(i, v, i, v, 1)
[3, 1, 2].sortBy(x, x)
[3, 1, 2].sortBy(x, -x)
self.objs.sortBy(o, -o.v).map(o, o.name)
['a', 'ccc', 'bb'].sortBy(s, s.size())
'abc'.sortBy(x, x)
[[1], [2]].sortBy(x, x)
cel.bind(x, 1, x + 1)
[1, 2, 3].map(x, x > 1 ? 'big' : 'small')
[1, 2].all(x, x > 0 ? true : 1 / 0 > 0)
[1, 2, 3, 4, 5].map(a, [1, 2, 3, 4, 5].map(b, [1, 2, 3].all(c, a * b * c >= 0)))
lists.range(5).map(x, x * x)
lists.range(100).exists(x, x == 50)
lists.range(30).map(x, lists.range(30).filter(y, y < x).size()).sum()
""".strip("\n").split("\n")

STRINGS = r"""
'hello'.contains('ell')
'hello'.startsWith('he')
'hello'.endsWith('lo')
'hello'.contains('')
'hello'.matches('^h.*o$')
matches('hello', 'l+')
'hello'.matches('(')
self.s.matches('[')
self.s.matches(self.s)
'a\nb'.matches('a.b')
'é'.matches('^.$')
'hello'.contains(1)
dyn('hello').contains('l')
dyn(1).contains('l')
dyn('hello').startsWith(dyn(1))
'hello'.charAt(1)
'hello'.charAt(5)
'hello'.charAt(6)
'hello'.charAt(-1)
'héllo😀'.charAt(5)
'hello'.indexOf('l')
'hello'.indexOf('l', 3)
'hello'.indexOf('z')
'hello'.indexOf('')
'hello'.indexOf('', 9)
'hello'.indexOf('l', -1)
'hello'.indexOf('l', 10)
'hello'.lastIndexOf('l')
'hello'.lastIndexOf('l', 2)
'hello'.lastIndexOf('')
'hello'.lastIndexOf('z')
'hello'.lastIndexOf('hello world')
'hello'.lastIndexOf('l', -1)
'héllo'.indexOf('l')
'HeLLo é'.lowerAscii()
'HeLLo é'.upperAscii()
'hello'.replace('l', 'L')
'hello'.replace('l', 'L', 1)
'hello'.replace('l', 'L', 0)
'hello'.replace('l', 'L', -1)
'hello'.replace('', '-')
'hello'.replace('', '-', 2)
'a,b,c'.split(',')
'a,b,c'.split(',', 2)
'a,b,c'.split(',', 0)
'a,b,c'.split(',', 1)
'a,b,c'.split(',', -1)
'abc'.split('')
'abc'.split('', 2)
''.split(',')
''.split('')
'hello'.substring(1)
'hello'.substring(1, 3)
'hello'.substring(5)
'hello'.substring(6)
'hello'.substring(-1)
'hello'.substring(3, 1)
'hello'.substring(1, 9)
'héllo😀'.substring(1, 2)
'  a b \t\n'.trim()
'\u00a0\u2003x\u0085'.trim()
strings.quote('a"b\n\\')
strings.quote('é\u0007')
['a', 'b'].join()
['a', 'b'].join('-')
[].join('-')
[dyn('a'), dyn(1)].join('-')
['a', 'b'].join('-').split('-')
'abc'.reverse()
[1, 2, 3].reverse()
self.strs.join(', ')
'a' + 'b' == 'ab' && 'ab'.size() == 2
'%s'.format(['a'])
'%s %s'.format(['a', 1])
'%d'.format([5])
'%d'.format([5u])
'%d'.format(['a'])
'%d'.format([self.s])
'%f'.format([1.5])
'%.2f'.format([1234567.891])
'%.0f'.format([2.5])
'%.3f'.format([-0.0005])
'%e'.format([12345.678])
'%.2e'.format([0.00012345])
'%b'.format([5])
'%b'.format([-5])
'%b'.format([true])
'%x %X'.format([255, 255])
'%x'.format([-255])
'%x'.format(['hello'])
'%X'.format([b'hi\xff'])
'%o'.format([8])
'%o'.format([-8])
'%%'.format([])
'%s'.format([])
'%s'.format([1, 2])
'%'.format([1])
'%q'.format([1])
'%.f'.format([1.0])
'%.5'.format([1.0])
'%.2q'.format([1.0])
'%s'.format([[1, 'a', 1.5, true, null]])
'%s'.format([{'b': 1, 'a': [2]}])
'%s'.format([dyn({1: 'x', true: b'y'})])
'%s'.format([duration('1h30m')])
'%s'.format([timestamp('2020-01-01T00:00:00Z')])
'%s'.format([[duration('1s'), timestamp('2020-01-01T00:00:00Z')]])
'%s'.format([1.5])
'%s'.format([1e30])
'%s'.format([b'abc'])
'%s'.format([b'\xff'])
'%s'.format([null])
'%s'.format([true])
'%s'.format([int])
'%s'.format([optional.of(1)])
'%s'.format([dyn(optional.of(1))])
'%f'.format([dyn('NaN')])
'%f'.format(['Infinity'])
'%f'.format([1])
'%f'.format([dyn(1)])
'%e'.format([1.0 / 0.0])
'%s'.format([self.map])
'%d %s'.format([self.a, self.s])
'%s'.format(self.list)
self.s.format([1])
'hello'.find('l+')
'hello'.find('z')
'hello'.find('[')
'a1b22c333'.findAll('[0-9]+')
'a1b22c333'.findAll('[0-9]+', 2)
'a1b22c333'.findAll('[0-9]+', 0)
'a1b22c333'.findAll('[0-9]+', -1)
'abc'.findAll('x')
'baaac'.findAll('a*')
self.s.find(self.s)
self.s.find('(' + self.s)
self.s.findAll('l', self.a)
'x'.matches('\\d')
'5'.matches('^\\d$')
'٣'.matches('^\\d$')
'a.b'.matches('a\\.b')
'ab'.matches('a{1,2}b')
'ab'.matches('a{1001}')
'ab'.matches('(?i)AB')
'ab'.matches('(?P<x>a)b')
'ab'.matches('(?<x>a)b')
'ab'.matches('(?=a)')
'ab'.matches('a**')
'ab'.matches('*')
'ab'.matches('\\')
'ab'.matches('[z-a]')
'ab'.matches('[[:alpha:]]+')
'ab'.matches('\\pL+')
'ab'.matches('\\p{Greek}')
'ab'.matches('a)')
matches('ab', 'a)')
matches('ab', '[[:foo:]]')
matches('ab', 'a{2,1}')
matches('ab', '\\8')
""".strip("\n").split("\n")

CONVERSIONS = r"""
int('5')
int('-5')
int('+5')
int(' 5')
int('x')
int(5u)
int(18446744073709551615u)
int(1.9)
int(-1.9)
int(1e19)
int(duration('1s'))
int(timestamp('2020-01-01T00:00:00Z'))
int(true)
int(dyn('7'))
int(dyn(true))
int(self.s)
uint(5)
uint(-5)
uint('5')
uint('+5')
uint(1.9)
uint(-1.9)
uint(1e20)
double(5)
double('1.5')
double('1e400')
double('NaN')
double('-inf')
double('abc')
double('0x1p-2')
double(5u)
string(5)
string(5u)
string(1.5)
string(1e21)
string(1e-7)
string(100000000000000000000.0)
string(-0.0)
string(true)
string(b'abc')
string(b'\xff')
string(duration('1h1m1.5s'))
string(duration('1ms'))
string(timestamp('2020-01-01T00:00:00.5Z'))
string(timestamp('2020-01-01T00:00:00+02:00'))
string(null)
string([1])
string(dyn(null))
bytes('abc')
bytes('é')
bytes(1)
bool('true')
bool('T')
bool('1')
bool('yes')
bool(true)
bool(1)
dyn(1)
type(dyn(1))
duration('1h')
duration('1.5s')
duration('-1m')
duration('x')
duration('1')
duration('')
duration('100us') + duration('1ns')
duration('2562047h47m16.854775807s') + duration('1ns')
duration('1h') - duration('90m')
duration('1h') > duration('59m')
duration('1h').getHours()
duration('90m').getHours()
duration('90m').getMinutes()
duration('90.5s').getSeconds()
duration('1.234s').getMilliseconds()
duration(self.s)
timestamp('2020-01-01T00:00:00Z')
timestamp('2020-01-01T00:00:00.123456789Z')
timestamp('2020-01-01T00:00:00+01:00')
timestamp('2020-01-01')
timestamp('2020-13-01T00:00:00Z')
timestamp('10000-01-01T00:00:00Z')
timestamp('0000-01-01T00:00:00Z')
timestamp(0)
timestamp(1577836800)
timestamp(253402300800)
timestamp(-62135596801)
timestamp('2020-01-01T00:00:00Z') + duration('1h')
duration('1h') + timestamp('2020-01-01T00:00:00Z')
timestamp('2020-01-01T00:00:00Z') - duration('1h')
timestamp('2020-01-02T00:00:00Z') - timestamp('2020-01-01T00:00:00Z')
timestamp('9999-12-31T23:59:59Z') + duration('1s')
timestamp('0001-01-01T00:00:00Z') - duration('1ns')
timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')
timestamp('2020-01-01T00:00:00Z') == timestamp('2020-01-01T01:00:00+01:00')
timestamp('2020-01-01T00:00:00Z') < timestamp('2020-01-01T00:00:01Z')
timestamp('2020-02-29T12:34:56.789Z').getFullYear()
timestamp('2020-02-29T12:34:56.789Z').getMonth()
timestamp('2020-02-29T12:34:56.789Z').getDayOfYear()
timestamp('2020-02-29T12:34:56.789Z').getDayOfMonth()
timestamp('2020-02-29T12:34:56.789Z').getDate()
timestamp('2020-02-29T12:34:56.789Z').getDayOfWeek()
timestamp('2020-02-29T12:34:56.789Z').getHours()
timestamp('2020-02-29T12:34:56.789Z').getMinutes()
timestamp('2020-02-29T12:34:56.789Z').getSeconds()
timestamp('2020-02-29T12:34:56.789Z').getMilliseconds()
timestamp('2020-02-29T23:34:56Z').getDate('Europe/Berlin')
timestamp('2020-02-29T23:34:56Z').getHours('America/New_York')
timestamp('2020-07-01T00:00:00Z').getHours('America/New_York')
timestamp('2020-02-29T23:34:56Z').getHours('+05:30')
timestamp('2020-02-29T23:34:56Z').getHours('-05:30')
timestamp('2020-02-29T23:34:56Z').getHours('05:30')
timestamp('2020-02-29T23:34:56Z').getHours('')
timestamp('2020-02-29T23:34:56Z').getHours('UTC')
timestamp('2020-02-29T23:34:56Z').getHours('No/Where')
timestamp('2020-02-29T23:34:56Z').getHours('x:y')
timestamp('2020-02-29T23:34:56Z').getHours(1)
timestamp('2020-01-01T00:00:00+02:00').getHours()
dyn(duration('90m')).getHours()
dyn(timestamp('2020-01-01T05:00:00Z')).getHours()
dyn(1).getHours()
""".strip("\n").split("\n")

LISTS = r"""
[1, 2, 3].isSorted()
[1, 3, 2].isSorted()
['a', 'b'].isSorted()
[].isSorted()
[1.5, 2.5].isSorted()
[true, false].isSorted()
[[1], [2]].isSorted()
[1, 2, 3].sum()
[1u, 2u].sum()
[1.5, 2.5].sum()
[duration('1s'), duration('2m')].sum()
[9223372036854775807, 1].sum()
[].sum()
['a'].sum()
[1, 2, 3].min()
[1, 2, 3].max()
['b', 'a'].min()
[].min()
[].max()
self.e.min()
self.list.max()
self.list.sum()
self.strs.isSorted()
[1, 2, 1].indexOf(1)
[1, 2, 1].lastIndexOf(1)
[1, 2].indexOf(5)
['a', 'b'].indexOf('b')
self.list.indexOf(2)
self.list.indexOf(2.0)
dyn('abc').indexOf('c')
dyn([1, 2]).indexOf(2)
dyn(1).indexOf(2)
[1, 2, 3, 4].slice(1, 3)
[1, 2].slice(0, 5)
[1, 2].slice(-1, 1)
[1, 2].slice(2, 1)
[1, 2].slice(0, 0)
[[1, 2], [3]].flatten()
[[1, [2]], [3]].flatten()
[[[1]], [[2]]].flatten(2)
[dyn(1), [2, [3]]].flatten(5)
[[1]].flatten(-1)
[3, 1, 2].sort()
['b', 'a', 'c'].sort()
[2.5, 1.5].sort()
[].sort()
[[1], [0]].sort()
[dyn(1), dyn('a')].sort()
[timestamp('2021-01-01T00:00:00Z'), timestamp('2020-01-01T00:00:00Z')].sort()
lists.range(4)
lists.range(0)
lists.range(-1)
lists.range(1000001)
lists.range(self.a)
[1, 2, 1, 3].distinct()
['a', 'a'].distinct()
[[1], [1]].distinct()
[1, dyn(1.0)].distinct()
[].distinct()
sets.contains([1, 2, 3], [2])
sets.contains([1], [2])
sets.contains([], [])
sets.contains(self.list, [1, 2])
sets.equivalent([1, 2], [2, 1, 1])
sets.equivalent([1], [1.0])
sets.equivalent([1, 2], [1])
sets.intersects([1, 2], [2, 3])
sets.intersects([1], [2])
sets.intersects(['a'], [1])
sets.contains(1, 2)
""".strip("\n").split("\n")

LIBRARIES = r"""
url('https://user:pw@example.com:8080/a/b%20c?x=1&x=2&y=z#frag')
url('https://example.com:80/path').getScheme()
url('https://example.com:80/path').getHost()
url('https://example.com:80/path').getHostname()
url('https://example.com:80/path').getPort()
url('https://example.com/a b/%41').getEscapedPath()
url('https://example.com/?a=1&b=2&a=3').getQuery()
url('https://example.com/?a=%20x+y&;bad&c').getQuery()
url('https://[::1]:80/').getHostname()
url('https://[::1]:80/').getHost()
url('/path/only').getHost()
url('/path/only').getEscapedPath()
url('HTTP://X/').getScheme()
url('mailto:a@b').getScheme()
url('not a url')
url('../relative')
url(':x')
url('https://a:b/')
url('https://a b/')
url('https://x/%zz')
url('')
isURL('https://example.com')
isURL('/abs')
isURL('../rel')
isURL('https://a:99999/')
isURL('x')
isURL('http://[::1')
url('https://a/') == url('https://a/')
url('https://a/') == url('https://b/')
url(self.s)
isURL(self.s)
ip('1.2.3.4')
ip('::1')
ip('2001:DB8::1')
ip('1.2.3')
ip('1.2.3.256')
ip('01.2.3.4')
ip('1.2.3.4.5')
ip('')
ip('abc')
ip('fe80::1%eth0')
ip('::ffff:1.2.3.4')
isIP('1.2.3.4')
isIP('1.2.3.4/8')
isIP('::1')
isIP('::ffff:1.2.3.4')
isIP('x')
ip.isCanonical('1.2.3.4')
ip.isCanonical('2001:DB8::1')
ip.isCanonical('2001:db8::1')
ip.isCanonical('x')
ip('1.2.3.4').family()
ip('::1').family()
ip('0.0.0.0').isUnspecified()
ip('127.0.0.1').isLoopback()
ip('::1').isLoopback()
ip('224.0.0.1').isLinkLocalMulticast()
ip('ff02::1').isLinkLocalMulticast()
ip('169.254.1.1').isLinkLocalUnicast()
ip('fe80::1').isLinkLocalUnicast()
ip('8.8.8.8').isGlobalUnicast()
ip('255.255.255.255').isGlobalUnicast()
ip('224.0.0.1').isGlobalUnicast()
string(ip('1.2.3.4'))
ip('1.2.3.4') == ip('1.2.3.4')
ip('1.2.3.4') == ip('1.2.3.5')
ip('1.2.3.4') != ip('1.2.3.5')
type(ip('1.2.3.4'))
type(ip('1.2.3.4')) == net.IP
cidr('10.0.0.0/8')
cidr('10.1.2.3/8').masked()
cidr('10.1.2.3/8').ip()
cidr('10.1.2.3/8').prefixLength()
cidr('2001:db8::/32')
cidr('10.0.0.0')
cidr('10.0.0.0/33')
cidr('10.0.0.0/x')
cidr('x/8')
cidr('::ffff:1.2.3.4/100')
isCIDR('10.0.0.0/8')
isCIDR('10.0.0.0/33')
isCIDR('10.0.0.0/08')
isCIDR('10.0.0.0')
cidr('10.0.0.0/8').containsIP('10.1.1.1')
cidr('10.0.0.0/8').containsIP(ip('11.1.1.1'))
cidr('10.0.0.0/8').containsIP('x')
cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')
cidr('10.0.0.0/8').containsCIDR(cidr('10.0.0.0/7'))
cidr('10.0.0.0/8').containsCIDR('::/0')
cidr('10.0.0.0/8').containsCIDR('x')
cidr('10.0.0.0/8') == cidr('10.0.0.0/8')
string(cidr('10.0.0.0/8'))
quantity('1Gi')
quantity('100m')
quantity('1.5')
quantity('x')
quantity('')
quantity('1e3')
isQuantity('1Gi')
isQuantity('1GG')
quantity('1Gi').isGreaterThan(quantity('1G'))
quantity('1Gi').isLessThan(quantity('1G'))
quantity('1k').compareTo(quantity('1000'))
quantity('50k').isInteger()
quantity('50.5').isInteger()
quantity('1.0').isInteger()
quantity('1000m').isInteger()
quantity('50k').asInteger()
quantity('50.5').asInteger()
quantity('9999999999999999999999').asInteger()
quantity('50.7').asApproximateFloat()
quantity('100m').asApproximateFloat()
quantity('1Gi').asApproximateFloat()
sign(quantity('-5'))
sign(quantity('0'))
sign(quantity('5m'))
quantity('1').add(quantity('500m'))
quantity('1Gi').add(1)
quantity('1').sub(quantity('3'))
quantity('1k').sub(1)
quantity('0').add(quantity('1Ki'))
quantity('1').add(quantity('1')).asInteger()
quantity('1') == quantity('1000m')
quantity('2') == quantity('1').add(1)
quantity('1').add(1) == quantity('2')
quantity('1') < quantity('2')
semver('1.2.3')
semver('1.2.3-alpha.1+build.5')
semver('1.2')
semver('01.2.3')
semver('1.2.x')
semver('')
semver('v1.2', true)
semver('1', true)
semver('1.2-x', true)
isSemver('1.2.3')
isSemver('v1.2.3')
isSemver('v1.2.3', true)
semver('1.2.3').major()
semver('1.2.3').minor()
semver('1.2.3').patch()
semver('1.2.3').isLessThan(semver('1.2.4'))
semver('1.2.3-alpha').isLessThan(semver('1.2.3'))
semver('1.2.3').isGreaterThan(semver('1.2.3'))
semver('1.2.3-1').compareTo(semver('1.2.3-a'))
semver('1.2.3+a') == semver('1.2.3+b')
format.dns1123Label().validate('abc')
format.dns1123Label().validate('ABC')
format.dns1123Subdomain().validate('a.b')
format.dns1123Subdomain().validate('a..b')
format.dns1035Label().validate('1a')
format.qualifiedName().validate('a/b')
format.qualifiedName().validate('a/b/c')
format.dns1123LabelPrefix().validate('abc-')
format.dns1123SubdomainPrefix().validate('abc-')
format.dns1035LabelPrefix().validate('abc-')
format.labelValue().validate('a_b')
format.labelValue().validate('-')
format.uri().validate('http://x')
format.uri().validate('x')
format.uuid().validate('0f5aa5c4-3a4e-4d5e-8b0a-0123456789ab')
format.uuid().validate('x')
format.byte().validate('aGk=')
format.byte().validate('aGk')
format.date().validate('2020-01-01')
format.date().validate('2020-13-01')
format.datetime().validate('2020-01-01T00:00:00Z')
format.datetime().validate('2020-01-01 00:00:00')
format.named('dns1123Label')
format.named('nope')
format.named('dns1123Label').value().validate('A').hasValue()
format.dns1123Label() == format.dns1123Label()
format.dns1123Label() == format.uri()
format.nope()
authorizer
authorizer.path('/healthz').check('get').allowed()
authorizer.path('').check('get').allowed()
authorizer.path('/x').check('show').reason()
authorizer.group('').resource('pods').check('get').allowed()
authorizer.group('apps').resource('deployments').subresource('scale').namespace('ns').name('n').check('show').reason()
authorizer.group('').resource('').check('get').allowed()
authorizer.group('').resource('pods').check('delete').allowed()
authorizer.group('').resource('pods').check('delete').reason()
authorizer.group('').resource('pods').check('err').errored()
authorizer.group('').resource('pods').check('err').error()
authorizer.group('').resource('pods').check('get').error()
authorizer.serviceAccount('ns', 'sa').path('/x').check('get').reason()
authorizer.serviceAccount('NS', 'sa').path('/x').check('get').reason()
authorizer.serviceAccount('ns', 'SA').path('/x').check('get').reason()
authorizer.group('').resource('pods').fieldSelector('a=b').labelSelector('c=d').check('get').allowed()
authorizer.group('').resource('pods').check('get').allowed() && authorizer.path('/x').check('get').allowed() && authorizer.path('/y').check('get').allowed()
authorizer == authorizer
authorizer.nope
authorizer.nope()
jsonpatch.escapeKey('a/b~c')
type(authorizer)
type(url('https://x/'))
""".strip("\n").split("\n")

WRONG = r"""
1 + + 2
1 +

a b
1 1
1 1 1
(1
(1))
[1
[1, 2
[1, *]
{1: 2
{1}
{1: }
{: 1}
{'a' 1}
f(
f(1,
f(1 2)
a.
a.b.
a.1
a..b
a[
a[1
a[]
a ? b
a ? b :
a ? : b
? 1
* 1
1 *
1 == 
== 1
1 = 2
!
-
!-1
- *
1 && 
&& 1
1 & 2
1 | 2
1 || 
'abc
"abc
'a
b'abc
$
a $ b
a@b
1 + $
*@a | b
#
a.true
a.false()
true.x
in
1 in
in 1
x in
as
for
self.in
package.x
break(1)
a.b{
a.b{c: 1}
a.b{c}
Foo{}
int{}
self{}
[1 2]
[,]
[1,,2]
{,}
f(,)
f(1,)
1.e
0x
1u2
a.`b
a.`b`()
`a`.b
'a' 'b'
a?.b
a[?1]
a.?b()
[?a]
{?a: 1}
f(?a)
;
1;
1 // comment
// comment
1 /* x */
has()
has(a.b, c)
all(x, true)
x.all(y)
x.map(y)
"\q"
'\x4'
'\u12'
'\800'
r'\
""" .strip("\n").split("\n") + ["1 +\n  * 2", "a\n.b\n.\n", "'a\nb'", "\t1 + + \t 2", "é", "😀 + 1", "1 + 'é😀' + $", "", " ", "a &&\n(b ||\n c"]

COSTS = r"""
'a' == 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' == 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.contains('aaaaaaaaaaaaaaaaaaaaa')
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches('aaaaaaaaaaaaaaaaaaaaaaaa')
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.startsWith('aaaaaaaaaaaaaaaaaaaaaaaa')
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' + self.s
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.lowerAscii().upperAscii().trim()
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.split('').join(',').replace('a', 'b')
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.find('a+').findAll('a')
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.indexOf('b')
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' < 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'
'%s'.format(['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'])
strings.quote('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')
bytes('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')
string(bytes(self.s))
[[1, 2, 3], [4]].map(l, l.sum()).sum()
[1, 2, 3].map(x, [x]).map(y, y[0])
{'a': [1]}.map(k, {'a': [1]}[k][0])
['aaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbb'].map(s, s + 'x').exists(s, s.contains('b'))
['aaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbb'].isSorted()
['aaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbb'].max()
['aaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbb'].indexOf('b')
self.list.map(x, x > 1 ? self.a : self.b)
self.list.map(x, x > 1 ? self.nested.x.y.z : x)
self.list.filter(x, self.list[x - 1] == x)
self.list.map(x, self.list[?x].orValue(0) + x)
self.list.filter(x, self.list[?x].orValue(0) > x)
self.objs.map(o, o.?v.orValue(0) + o.?w.orValue(1))
self.objs.map(o, has(o.v) ? o.v : 0)
self.objs.map(o, o.name in ['a', 'b'])
self.objs.filter(o, (o.name in ['a', 'b']) == true)
self.list + self.list + self.list
(self.list + self.list).map(x, x * 2).sum()
self.map.map(k, self.map[k]).join('')
self.?nested.?x.?y.?z.orValue(1)
self.nested.?x.y.z
self.nested[self.t ? 'x' : 'y'].y.z
(self.t ? self.nested.x : self.em).y.z
dyn(self.list).map(x, x)
[self.a, self.b, self.a + self.b]
{'x': self.a, self.s: self.b}
[self.s, self.u].sort()
[3, 2, 1].sort().reverse().distinct().slice(0, 2)
[[1, 2], [3, 4]].flatten().sum()
sets.contains([1, 2, 3, 4], [1, 2]) && sets.intersects([1, 2], [2])
lists.range(50).reverse()
ip('1.2.3.4') == ip('1.2.3.5') || cidr('1.2.3.0/24').containsIP('1.2.3.4')
quantity('1').add(quantity('2')).compareTo(quantity('3')) == 0
optional.of('aaaaaaaaaaaaaaaaaaaaaaaaaa') == optional.of('aaaaaaaaaaaaaaaaaaaaaaaaaa')
optional.of(self.s).optMap(x, x + x + x)
[1, 2, 3].all(x, [1, 2, 3].all(y, x + y > 0))
[1, 2, 3].transformList(i, v, i + v).transformMap(i, v, v * 2)
self.a == 1 && self.b == 2 && self.s == 'x'
self.nope == 1 || self.s == 'hello'
1 / 0 == self.a || true
self.strs.all(s, s.matches('^[a-z]+$'))
timestamp('2020-01-01T00:00:00Z').getFullYear() + duration('1h').getHours()
[timestamp('2020-01-01T00:00:00Z')].max() == timestamp('2020-01-01T00:00:00Z')
""".strip("\n").split("\n")

TYPED_EXPRESSIONS = r"""
self.name == 'web'
self.name.size() < 10
self.nope
self.spec.nope
self.name.nope
self.replicas + 1
self.replicas + 'x'
self.replicas > 1.5
self.ratio == 2.0
self.ratio / 2.0
self.ratio == 2
self.on
self.port == 'http'
self.port == 80
type(self.port) == string
self.when > timestamp('2020-01-01T00:00:00Z')
self.when.getFullYear()
self.day
self.for > duration('1h')
self.for
self.data == b'hi'
self.data
self.phase == 'Running'
self.phase in ['Pending', 'Running']
self.namespace
self.__namespace__
self.a__dash__b__dot__c__slash__d
self.x__underscores__y
self.`a-b.c/d`
self.tags.all(t, t.size() > 0)
self.tags[0]
self.tags[9]
self.tags.exists(t, t == 'bb')
self.tags.map(t, t + '!')
self.tags.join(',')
self.tags.join(',').split(',')
self.tags.isSorted()
self.tags.max()
self.tags.indexOf('bb')
self.tags == ['a', 'bb', 'ccc']
self.tags + ['x']
'a' in self.tags
self.free.all(t, t.size() > 0)
self.free.all(t, self.free.all(u, t == u))
self.free.map(t, t.contains('x'))
self.free.exists(t, t.matches('^a+$'))
self.nums.sum() > 3
self.nums.sort()
self.nums.all(n, n > 0)
self.nums.filter(n, n > 1).map(n, n * 2)
self.labels.all(k, k.size() < 5)
self.labels.exists(k, self.labels[k] == 'web')
self.labels['app']
self.labels.app
self.labels['nope']
self.labels.all(k, v, v.startsWith('w') || k == 'tier')
'app' in self.labels
self.labels == {'app': 'web', 'tier': 'front'}
self.labels == {'app': 'web'}
self.open.map(k, self.open[k]).sum()
self.open.transformMap(k, v, v + 1)
self.set == ['b', 'a']
self.set == ['b', 'b']
self.set + ['c', 'a']
self.set + ['a', 'b'] == ['b', 'a']
self.ports == [{'port': 443, 'name': 'https'}, {'port': 80, 'name': 'http'}]
self.ports.exists(p, p.port == 80)
self.ports.all(p, p.name.startsWith('http'))
self.ports.filter(p, p.port > 100)[0].name
self.ports[0] == self.ports[1]
self.ports + self.ports
(self.ports + self.ports).size()
self.ports.map(p, p.port).sum()
self.ports.all(p, self.ports.exists_one(q, q.port == p.port))
self.spec
self.spec.min <= self.spec.max
self.spec.inner.v
self.spec.inner.v + self.name
has(self.spec.max) && self.spec.max > self.spec.min
!has(self.spec.inner) || self.spec.inner.v.size() > 0
has(self.opt)
self.opt == null
self.opt
self.?opt.orValue('x')
has(self.nope)
self.unknown
has(self.emb.kind)
self.emb.kind == 'Pod'
self.emb.metadata.name
self.emb.metadata.labels
self.emb
self.matrix.all(r, r.all(c, c > 0))
self.matrix[0][1]
self.matrix.map(r, r.sum()).sum()
self.matrix.flatten()
self.byName.all(k, self.byName[k].all(x, x.q == 'r'))
self.byName['x'][0].q
self.name.contains('e') && self.long.contains('long')
self.long.matches('a')
self.long + self.long
self.long.replace('a', 'bb')
self.long.split(' ')
self.long.lowerAscii() == 'x'
self.long.find('[a-z]+')
self.long.size() < 100 && self.long == self.name
self.name.replace('e', 'ee').size()
self.name.substring(1)
self.name.startsWith(self.namespace)
self.name + '-' + self.namespace == 'web-ns'
self.name in ['web', 'api']
[self.name, self.namespace].exists(x, x == 'ns')
{'a': self.name}.a == 'web'
self.on ? self.name : self.namespace
(self.on ? self.tags : self.free).size()
self.replicas in [1, 2, 3]
self.spec.min in self.nums
self.tags.sortBy(t, -t.size())
self.ports.sortBy(p, -p.port).map(p, p.name)
sets.contains(self.tags, ['a'])
self.tags.map(t, self.labels.exists(k, k == t)).filter(x, x).size()
self.nums.slice(0, 2)
self.nums.reverse()
self.nums.distinct()
[self.nums, [1]].flatten()
quantity('1').isLessThan(quantity(self.name))
isQuantity(self.name)
url(self.long).getHost() == ''
ip(self.name).family() == 4
format.dns1123Label().validate(self.name).hasValue()
'%s-%d'.format([self.name, self.replicas])
'%d'.format([self.name])
self.name == self.replicas
self == self
self.spec == self.spec
self.spec == {'min': 1}
type(self)
type(self.spec)
type(self.tags)
dyn(self.spec).min
dyn(self).name == 'web'
self.all(k, true)
self.spec.map(k, k)
self.tags.map(t, t.size()).map(n, n * 2).all(n, n < 100)
self.tags.all(a, self.tags.all(b, self.tags.all(c, a + b + c != '')))
self.free.all(a, self.free.all(b, self.free.all(c, a == b)))
self.tags.transformList(i, t, t + string(i))
self.labels.transformMapEntry(k, v, {v: k})
self.?spec.?inner.?v.orValue('none')
self.spec.?max.optMap(m, m - self.spec.min)
optional.ofNonZeroValue(self.tags).hasValue()
self.ports.map(p, has(p.name) ? p.name : 'none')
duration(self.name)
timestamp(self.name)
int(self.name)
bytes(self.name) == b'web'
string(self.data)
self.when - self.day > self.for
self.when.getHours('Europe/Berlin')
self.long.size() + self.name.size() > self.tags.size()
self.name.matches(self.long)
self.tags.exists(t, t in self.free)
""".strip("\n").split("\n")

BAD_DATA = [
    ("self.name", {"name": 5}), ("self.name", {"name": None}), ("self.replicas", {"replicas": "x"}), ("self.replicas", {"replicas": 1.5}),
    ("self.tags", {"tags": "x"}), ("self.tags[0]", {"tags": [1]}), ("self.tags.all(t, t == 'a')", {"tags": ["b", 1]}),
    ("self.tags.exists(t, t == 'a')", {"tags": [1, "a"]}), ("self.tags.map(t, t)", {"tags": [1, "a"]}), ("self.labels", {"labels": []}),
    ("self.port", {"port": True}), ("self.opt", {"opt": "x"}), ("self.spec.min", {"spec": {}}), ("has(self.spec.min)", {"spec": {}}),
    ("self.spec.min", {}), ("self.set == ['a']", {"set": ["a", "b"]}), ("self.on", {"on": 1}), ("self.ratio", {"ratio": "x"}),
    ("self.unknown == self.unknown", {"unknown": 1}), ("self.spec == self.spec", {"spec": {"min": 1, "junk": 2}}),
    ("size(self.labels)", {"labels": {}}), ("self.labels.x", {"labels": {"x": 3}}), ("self.nums.sum()", {"nums": [1, "x"]}),
    ("self.tags.join()", {"tags": []}), ("self.tags.min()", {"tags": []}), ("self.ports == []", {"ports": []}),
]

# What random expressions brought up.
FOUND = [
    "{[]: 1}.size()", "{null: true}.size()", "{timestamp('2020-01-01T00:00:00Z'): 1}.size()", "{'a': 1}.transformMap(k, v, 1 / 0)",
    "{'a': 1}.transformMapEntry(k, v, {'b': 1 / 0})", "{'a': 1}.transformMapEntry(k, v, dyn(1))", "'abc'.substring(0, 1 / 0)",
    "'abc'.substring(1 / 0, 0)", "'abc'.replace('a', dyn(1))", "'abc'.replace(string(1 / 0), 'b')", "[1, 2, 3].slice(0, 1 / 0)",
    "[1, 2, 3].slice(1 / 0, 1)", "timestamp(null)", "duration(null)", "dyn(1).flatten()", "dyn('a').flatten(1)", "dyn({}).flatten()",
    "dyn(1).sort()", "dyn('a').sort()", "dyn({1: 2}).sort()", "dyn(1).slice(1, 2)", "dyn(1).reverse()", "dyn([1])[self.map]",
    "dyn([1])[self.list]", "dyn({})[dyn(semver('1.2.3'))]", "dyn(optional.of(1)).all(x, true)", "dyn(quantity('1')).all(x, true)",
    "dyn(1).transformList(a, b, a)", "dyn(true) - dyn(1)", "dyn(timestamp(0)) * dyn(1)", "dyn(null) + dyn(1)", "-dyn(timestamp(0))",
    "'%.1f'.format([0.15])", "'%.2f'.format([-0.0])", "'%.20e'.format([1234.5])", "'%e'.format(['-Infinity'])", "string(1000000.0)",
    "'ab'.lastIndexOf('b', 2)", "'héé'.lastIndexOf('é')", "'héé'.lastIndexOf('é', 1)", "'héé'.indexOf('é', 2)", "''.lastIndexOf('a')",
    "'a'.indexOf('', 5)", "'a'.lastIndexOf('', 5)", "'aaa'.lastIndexOf('aa', 0)", "'a'.lastIndexOf('ab')", "self.", "self.?", "self.?1",
    "(1).?*", "self.a.?", "{self.?: 1}",
]


def emit(with_=None, **case):
    if with_:
        case["with"] = with_
    print(json.dumps(case, ensure_ascii=False))


def main():
    emit(name="untyped", self=SELF)
    emit(name="typed", self=TYPED, schema=SCHEMA)
    emit(name="schema", schema=SCHEMA)
    seen = set()
    for expr in LITERALS + OPERATORS + FIELDS + MACROS + STRINGS + CONVERSIONS + LISTS + LIBRARIES + WRONG + COSTS + FOUND:
        if expr not in seen:
            seen.add(expr)
            emit(expr=expr, with_="untyped")
    for expr in ["[1, 2].includes(1)", "[1, 2].includes(5)", "dyn('a').includes('a')", "self.list.includes(2)", "'a'.includes('b')", "[1, 2].indexOf(1)",
                 "'abc'.indexOf('b')", "dyn([1]).indexOf(1)", "[1, 2].includes('a')"]:
        emit(expr=expr, with_="untyped", env="stored")
    for expr in TYPED_EXPRESSIONS:
        emit(expr=expr, with_="typed")
    for expr, data in BAD_DATA:
        emit(expr=expr, self=data, with_="schema")
    for limit in (10, 50, 100, 500):
        for expr in ("self.list.map(x, self.list.map(y, x * y))", "lists.range(100).exists(x, x == 99) || true", "self.s + self.s == 'x' && self.t"):
            emit(expr=expr + " " * (limit // 10), self=SELF, limit=limit)
    deep = ["+".join(["1"] * n) for n in (251, 252)] + ["(" * n + "1" + ")" * n for n in (249, 250)] + ["[" * n + "1" + "]" * n for n in (249, 250)]
    deep += ["1 + (" * n + "1" + ")" * n for n in (124, 125)] + ["1 < (" * n + "1" + ")" * n for n in (124, 125)]
    deep += ["self" + ".a" * n for n in (250, 251)] + [" && ".join(["self.t"] * 300)] + ["self.t ? 1 : " * n + "2" for n in (249, 250)]
    deep += ["!" * n + "self.t" for n in (600, 601)] + ["f(" * n + ")" * n for n in (249, 250)]
    for expr in deep:
        emit(expr=expr, with_="untyped")
    emit(expr="self.tags.all(t, t == '" + "a" * 200 + "')", self=TYPED, schema=SCHEMA)


main()
