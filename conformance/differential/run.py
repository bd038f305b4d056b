#!/usr/bin/env python3
"""Asks upstream's kube-apiserver and Windlass the same requests (requests.py), and says where the answers differ.

    run.py --upstream NETNS URL PKI --windlass NETNS URL PKI [--report FILE] [KIND …]

Code, content type, warnings and body are compared, after everything in them that is another with each run (UIDs, versions, times,
generated names, addresses) has been replaced. accepted.txt holds the differences that are meant, a regular expression for the request's name and the
place in the answer, and the reason; what it does not name makes the run fail."""
import argparse, concurrent.futures, ctypes, http.client, json, os, pathlib, re, ssl, sys

import requests

HERE = pathlib.Path(__file__).resolve().parent
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# What is another with each run wherever it stands.
NUMBERED = {"resourceVersion", "clusterIP", "nodePort", "healthCheckNodePort", "uid"}
IN_TEXT = [
    (UID, "UID"), (TIME, "TIME"), (re.compile(r"kube-api-access-[a-z0-9]{5}"), "kube-api-access-X"),
    (re.compile(r"\b10\.96\.\d+\.\d+\b"), "CLUSTER-IP"), (re.compile(r"10\.8[89]\.0\.2:6443|127\.0\.0\.1:\d+"), "SERVER"),
    (re.compile(r"\b3[0-2]\d{3}/(TCP|UDP)"), r"NODE-PORT/\1"),
    (re.compile(r'\b((?:resourceVersion|nodePort|healthCheckNodePort): "?)\d+'), r"\1N"), (re.compile(r"current: \d+"), "current: N"), (re.compile(r"in record \(\d+\)"), "in record (N)"),
    (re.compile(r"in object meta: \d+\b"), "in object meta: N"),
    (re.compile(r'(resourceVersion\\*":? ?\\*"?)\d+'), r"\1N"), (re.compile(r"\b\d+(\.\d+)?(ms|µs|s)\b"), "DURATION"),
]


def enter(namespace):
    """This process goes on in another network namespace."""
    with open(f"/var/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
            sys.exit(f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}")


class Server:
    def __init__(self, namespace, url, pki):
        enter(namespace)
        self.namespace, self.host = namespace, url.removeprefix("https://")
        self.context = ssl._create_unverified_context()
        self.context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self.connect()

    def connect(self):
        enter(self.namespace)
        self.connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=30)
        self.connection.connect()

    def ask(self, verb, path, headers, body):
        # Without spaces, as Go's clients write it: upstream takes what it only stores as text for another with each space.
        text = body if body is None or isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        try:
            self.connection.request(verb, path, text, {"User-Agent": "differential", **headers})
            response = self.connection.getresponse()
            answer = response.read().decode("utf-8", "replace")
        except (http.client.HTTPException, OSError) as error:
            self.connect()
            return {"code": 0, "body": type(error).__name__}
        return {"code": response.status, "type": response.headers.get("Content-Type", ""), "warnings": sorted(response.headers.get_all("Warning") or []),
                "allow": response.headers.get("Allow"), "retry": response.headers.get("Retry-After"), "body": parsed(answer)}


def parsed(text):
    try:
        whole = json.loads(text)
        # A watch with a single event is a list as any other.
        return [whole] if isinstance(whole, dict) and whole.keys() == {"type", "object"} else whole
    except ValueError:
        pass
    lines = text.splitlines()
    try:
        return [event for event in map(json.loads, lines) if not is_passing_bookmark(event)]
    except ValueError:
        return lines


def is_passing_bookmark(event):
    """Whether it only says how far the watch is: when it does, and whether, is nobody's promise."""
    return isinstance(event, dict) and event.get("type") == "BOOKMARK" and "annotations" not in (event["object"].get("metadata") or {})


def normal(value, key=""):
    if isinstance(value, dict):
        return {k: normal(v, k) for k, v in value.items()}
    if isinstance(value, list):
        value = [normal(v, key) for v in value]
        # Who has written in the same second stands by the alphabet, and which second that is differs.
        return sorted(value, key=lambda e: [e.get(field, "") for field in ("operation", "manager", "subresource", "apiVersion")]) if key == "managedFields" else value
    if key in NUMBERED and value not in ("", "None", None):
        return key.upper()
    if isinstance(value, str):
        for pattern, word in IN_TEXT:
            value = pattern.sub(word, value)
    return value


def differences(one, two, path=""):
    if one == two:
        return
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            if key not in two:
                yield f"{path}/{key}", one[key], "<absent>"
            elif key not in one:
                yield f"{path}/{key}", "<absent>", two[key]
            else:
                yield from differences(one[key], two[key], f"{path}/{key}")
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, (a, b) in enumerate(zip(one, two)):
            yield from differences(a, b, f"{path}/{index}")
    else:
        yield path, one, two


def accepted():
    rules = []
    for line in (HERE / "accepted.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            request, place, reason = line.split("\t")
            rules.append((re.compile(request), re.compile(place), reason))
    return rules


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", nargs=3, required=True, metavar=("NETNS", "URL", "PKI"))
    parser.add_argument("--windlass", nargs=3, required=True, metavar=("NETNS", "URL", "PKI"))
    parser.add_argument("--report", default="/dev/stdout")
    parser.add_argument("kinds", nargs="*")
    options = parser.parse_args()
    servers = [Server(*options.upstream), Server(*options.windlass)]
    for verb, path, body in requests.prepare():
        for server in servers:
            answer = server.ask(verb, path, {"Content-Type": requests.JSON}, body)
            if answer["code"] not in (201, 409):
                sys.exit(f"{verb} {path}: {answer}")
    for server in servers:
        for _ in range(200):
            if all(server.ask("GET", path, {}, None)["code"] == 200 for path in ("/apis/example.com/v1/cats", "/apis/example.com/v2/dogs")):
                break
    # A thread for each, so that both answer at once.
    threads = [concurrent.futures.ThreadPoolExecutor(max_workers=1) for _ in servers]
    rules, asked, differing, meant, unmeant = accepted(), 0, 0, 0, 0
    with open(options.report, "w") as report:
        for name, verb, path, headers, body in requests.everything():
            if options.kinds and name.split()[0] not in options.kinds:
                continue
            both = [thread.submit(server.ask, verb, path, headers, body) for thread, server in zip(threads, servers)]
            one, two = (normal(answer.result()) for answer in both)
            asked += 1
            found = list(differences(one, two))
            left = [d for d in found if not any(r.search(name) and p.search(d[0]) for r, p, _ in rules)]
            differing += bool(found)
            meant += bool(found) and not left
            unmeant += bool(left)
            for place, a, b in left:
                report.write(f"{name}\t{place}\t{json.dumps(a)[:400]}\t{json.dumps(b)[:400]}\n")
    print(f"{asked} requests, {differing} answers differ: {meant} as accepted.txt says, {unmeant} otherwise")
    sys.exit(unmeant > 0)


main()
