#!/usr/bin/env python3
"""Asks an upstream API server what it makes of a corpus of manifests, and writes the answers down.

    nsenter --net=/var/run/netns/peer python3 record.py --pki DIR [--server https://10.89.0.2:6443] [KIND ...]

The corpus stands in corpus.py. Each kind has base manifests; every base is sent as it is, then changed in one place at a time:
each field left out, emptied, filled with what is too long, too small, misspelt, each item of a list doubled, and the cases that the
corpus lists by hand. Creates and updates are dry runs. The answers (code, causes, or how the object differs from the base's) go
to crates/control-plane/resources/tests/golden/KIND.jsonl, one line a case; the crate's test replays them against our code.

The server runs without the admission plugins that change objects:
  --disable-admission-plugins=ServiceAccount,DefaultTolerationSeconds,Priority,LimitRanger,PodSecurity,TaintNodesByCondition,
  StorageObjectInUseProtection,DefaultStorageClass,DefaultIngressClass,CertificateApproval,CertificateSigning,
  CertificateSubjectRestriction,RuntimeClass,PersistentVolumeClaimResize,PodTopologyLabels,ResourceQuota,ClusterTrustBundleAttest
"""
import argparse, copy, datetime, http.client, json, pathlib, re, ssl, sys

import corpus

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parents[2] / "crates/control-plane/resources/tests/golden"
TIME = re.compile(r'"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"')


class Server:
    def __init__(self, url, pki):
        self.host = url.removeprefix("https://")
        self.context = ssl._create_unverified_context()
        self.context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self.connection = http.client.HTTPSConnection(self.host, context=self.context)

    def ask(self, verb, path, body=None, accept="application/json"):
        text = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "Accept": accept}
        try:
            self.connection.request(verb, path, text, headers)
            response = self.connection.getresponse()
            answer = response.read()
        except (http.client.HTTPException, OSError) as error:
            # Upstream's validation panics on some of it, and the connection with it.
            self.connection = http.client.HTTPSConnection(self.host, context=self.context)
            return 400, {"message": repr(error)}, []
        warnings = [w.split(" ", 2)[2][1:-1].replace('\\"', '"') for w in response.headers.get_all("Warning") or []]
        try:
            return response.status, json.loads(answer), warnings
        except ValueError:
            return response.status, {"message": answer.decode()}, warnings


def pointer(path):
    return [int(p) if p.isdigit() else p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]]


def edit(body, edits):
    body = copy.deepcopy(body)
    for change in edits:
        steps = pointer(change[0])
        at = body
        for step, following in zip(steps, steps[1:]):
            if isinstance(at, dict) and step not in at:
                at[step] = [] if isinstance(following, int) else {}
            at = at[step]
        last = steps[-1]
        if len(change) == 1:
            at.pop(last, None) if isinstance(at, dict) else at.pop(last)
        elif isinstance(at, list) and last == len(at):
            at.append(change[1])
        else:
            at[last] = change[1]
    return body


def escape(key):
    return str(key).replace("~", "~0").replace("/", "~1")


def systematic(value, path=""):
    """Each place of a manifest, changed in every way that its type suggests."""
    if path in ("/kind", "/apiVersion", "/metadata/name", "/metadata/namespace"):
        return
    if path == "/metadata":
        for key, inner in value.items():
            yield from systematic(inner, f"{path}/{escape(key)}")
        return
    if path:
        yield [[path]]
    if isinstance(value, dict):
        if path and value:
            yield [[path, {}]]
        for key, inner in value.items():
            yield from systematic(inner, f"{path}/{escape(key)}")
    elif isinstance(value, list):
        if value:
            yield [[path, []]]
            yield [[path, value + [value[0]]]]
        for index, inner in enumerate(value):
            yield from systematic(inner, f"{path}/{index}")
    elif isinstance(value, bool):
        yield [[path, not value]]
    elif isinstance(value, int):
        for other in (-1, 0, 70000):
            yield [[path, other]]
    elif isinstance(value, str):
        if re.fullmatch(r"[0-9.]+([mkMGT]|[KMG]i)?", value):
            yield [[path, "-1"]]
            yield [[path, "0.5"]]
        for other in ("", "Bad_Value!", "x" * 254):
            yield [[path, other]]


def normal(answer, now):
    """Takes out of an object what differs from run to run."""
    metadata = answer.get("metadata", {})
    uid = metadata.get("uid")
    for field in ("uid", "creationTimestamp", "resourceVersion", "managedFields"):
        metadata.pop(field, None)
    answer.pop("kind", None)
    answer.pop("apiVersion", None)
    text = json.dumps(answer)
    if uid:
        text = text.replace(uid, "UID")

    def recent(match):
        at = datetime.datetime.fromisoformat(match[1].replace("Z", "+00:00"))
        return '"NOW"' if abs((at - now).total_seconds()) < 3600 else match[0]

    answer = json.loads(TIME.sub(recent, text))
    if "clusterIPs" in answer.get("spec", {}) or "internalTrafficPolicy" in answer.get("spec", {}):
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"):
            answer["spec"].pop(field, None)
        for port in answer["spec"].get("ports", []):
            port.pop("nodePort", None)
    return answer


def difference(base, other, path=""):
    if base == other:
        return
    if isinstance(base, dict) and isinstance(other, dict) and path.count("/") < 12:
        for key in sorted(base.keys() | other.keys()):
            inner = f"{path}/{escape(key)}"
            if key not in other:
                yield [inner]
            elif key not in base:
                yield [inner, other[key]]
            else:
                yield from difference(base[key], other[key], inner)
    elif isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        for index, (one, two) in enumerate(zip(base, other)):
            yield from difference(one, two, f"{path}/{index}")
    else:
        yield [path, other]


class Recorder:
    def __init__(self, server, out):
        self.server, self.out = server, out
        self.now = datetime.datetime.now(datetime.timezone.utc)

    def path(self, kind):
        group, version, plural, namespaced = kind["resource"]
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        return f"{root}/namespaces/default/{plural}" if namespaced else f"{root}/{plural}"

    def outcome(self, code, answer, warnings, base):
        case = {"code": code}
        if code >= 400:
            case["message"] = answer.get("message", "")
            causes = answer.get("details", {}).get("causes", [])
            if causes:
                case["causes"] = [[c.get("reason", ""), c.get("field", ""), c.get("message", "")] for c in causes]
                del case["message"]
        else:
            object_ = normal(answer, self.now)
            if base is None:
                case["object"] = object_
            else:
                case["diff"] = list(difference(base, object_))
        if warnings:
            case["warnings"] = warnings
        return case

    def record(self, name, kind):
        lines = []
        group, version, plural, namespaced = kind["resource"]
        for base_name, body in kind["bases"].items():
            body = self.body(kind, body)
            path = self.path(kind)
            self.delete(path, body["metadata"]["name"])
            code, answer, warnings = self.server.ask("POST", path + "?dryRun=All&fieldValidation=Ignore", body)
            head = self.outcome(code, answer, warnings, None)
            if code >= 400:
                print(f"{name}/{base_name}: the base itself is refused: {answer.get('message')}", file=sys.stderr)
                continue
            lines.append({"base": base_name, "resource": [group, version, plural], "body": body, **head})
            edits = list(systematic(body)) if kind.get("systematic", True) else []
            edits += [[[e] if isinstance(e, str) else list(e) for e in case] for case in kind.get("cases", {}).get(base_name, [])]
            seen = set()
            for change in edits:
                try:
                    changed = edit(body, change)
                except (KeyError, IndexError, TypeError, AttributeError) as error:
                    print(f"{name}/{base_name}: {change}: {error!r}", file=sys.stderr)
                    continue
                text = json.dumps(changed, sort_keys=True)
                if text in seen:
                    continue
                seen.add(text)
                code, answer, warnings = self.server.ask("POST", path + "?dryRun=All&fieldValidation=Ignore", changed)
                if code == 400 or code == 409:
                    continue  # of another type, or in need of admission: not this crate's matter
                lines.append({"edit": change, **self.outcome(code, answer, warnings, head["object"])})
            lines += self.updates(kind, base_name, body)
        text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
        (self.out / f"{name}.jsonl").write_text(text)
        refused = sum(1 for line in lines if line["code"] >= 400)
        print(f"{name}: {len(lines)} cases, {refused} refused, {len(text) // 1024} KB")

    def body(self, kind, body):
        group, version, plural, namespaced = kind["resource"]
        api_version = f"{group}/{version}" if group else version
        body = {"apiVersion": api_version, "kind": kind["kind"], **copy.deepcopy(body)}
        body.setdefault("metadata", {}).setdefault("name", "golden")
        return body

    def delete(self, path, name):
        self.server.ask("DELETE", f"{path}/{name}", {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})

    def updates(self, kind, base_name, body):
        """What becomes of changes of an object that is there."""
        lines = []
        path = self.path(kind)
        for subresource, key in (("", "updates"), ("/status", "statuses")):
            cases = kind.get(key, {}).get(base_name)
            if cases is None:
                continue
            name = body["metadata"]["name"]
            self.delete(path, name)
            code, stored, _ = self.server.ask("POST", path + "?fieldValidation=Ignore", body)
            if code >= 400:
                print(f"{base_name}: cannot be stored: {stored.get('message')}", file=sys.stderr)
                continue
            prelude = kind.get("prelude", {}).get(base_name)
            if prelude:
                code, stored, _ = self.server.ask("PUT", f"{path}/{name}/status", edit(stored, prelude))
                if code >= 400:
                    print(f"{base_name}: prelude: {stored.get('message')}", file=sys.stderr)
                    continue
            old = normal(copy.deepcopy(stored), self.now)
            lines.append({"old": old, "code": 200})
            edits = [[[e] if isinstance(e, str) else list(e) for e in case] for case in cases]
            if kind.get("systematic_updates", True) and not subresource:
                edits += [change for change in systematic(body)]
            for change in edits:
                try:
                    changed = edit(stored, change)
                except (KeyError, IndexError, TypeError, AttributeError):
                    continue
                for field in ("managedFields", "resourceVersion"):
                    changed["metadata"].pop(field, None)
                if kind.get("needs_version"):
                    changed["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
                code, answer, warnings = self.server.ask(
                    "PUT", f"{path}/{name}{subresource}?dryRun=All&fieldValidation=Ignore", changed)
                if code in (400, 404, 409):
                    continue
                verb = "status" if subresource else "update"
                lines.append({"verb": verb, "edit": change, **self.outcome(code, answer, warnings, old)})
            self.delete(path, name)
        return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="https://10.89.0.2:6443")
    parser.add_argument("--pki", required=True)
    parser.add_argument("--out", default=str(OUT))
    parser.add_argument("kinds", nargs="*")
    options = parser.parse_args()
    recorder = Recorder(Server(options.server, options.pki), pathlib.Path(options.out))
    for name, kind in corpus.KINDS.items():
        if not options.kinds or name in options.kinds:
            recorder.record(name, kind)


if __name__ == "__main__":
    main()
