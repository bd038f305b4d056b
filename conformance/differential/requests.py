"""The requests of the differential run: the life of an object of each kind, with every verb, patch and content type, and the mistakes that
clients make on the way. What is asked is decided by the kind alone, so both servers are asked the same."""
import copy, json, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "facts/golden"))
import corpus

NAMESPACE = "diff"
JSON, MERGE = "application/json", "application/merge-patch+json"
JSON_PATCH, STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
APPLY, YAML = "application/apply-patch+yaml", "application/yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"

# Kinds whose base cannot live in a fresh cluster without their controllers, or that are the cluster's own business.
LEFT_OUT = {"certificatesigningrequests"}

SCHEMA = {"type": "object", "properties": {
    "spec": {"type": "object", "required": ["size"], "x-kubernetes-validations": [{"rule": "self.size <= 10", "message": "too large"}],
             "properties": {"size": {"type": "integer", "minimum": 0}, "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                            "replicas": {"type": "integer"},
                            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                                     "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}}}},
    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}}}}


# Upstream takes versions of one schema for one, whose selectable fields must then be the same.
SCHEMA_2 = copy.deepcopy(SCHEMA)
SCHEMA_2["properties"]["spec"]["properties"]["more"] = {"type": "string"}


def definition(plural, kind, scope):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.example.com"},
            "spec": {"group": "example.com", "scope": scope, "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": kind + "List", "shortNames": [kind.lower()[:2]]},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA},
                                   "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                                   "selectableFields": [{"jsonPath": ".spec.color"}],
                                   "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]},
                                  {"name": "v2", "served": True, "storage": False, "schema": {"openAPIV3Schema": SCHEMA_2}}]}}


DEFINITIONS = [definition("cats", "Cat", "Namespaced"), definition("dogs", "Dog", "Cluster")]
CUSTOM = {f"{plural}-{version}": {"resource": ("example.com", version, plural, namespaced), "kind": kind,
          "bases": {"full": {"spec": {"size": 3, "list": [{"name": "a", "v": 1}]}}}, "custom": True}
          for plural, kind, namespaced in (("cats", "Cat", True), ("dogs", "Dog", False)) for version in ("v1", "v2")}

SCALED = {"deployments", "replicasets", "statefulsets", "replicationcontrollers", "cats-v1", "dogs-v1"}
# Each watch takes its second.
WATCHED_AS_TABLE = {"configmaps", "pods", "cats-v1"}
WITH_STATUS = {"pods", "deployments", "replicasets", "statefulsets", "daemonsets", "replicationcontrollers", "jobs", "cronjobs", "services", "nodes", "namespaces",
               "persistentvolumes", "persistentvolumeclaims", "ingresses", "poddisruptionbudgets", "resourcequotas", "horizontalpodautoscalers",
               "flowschemas", "prioritylevelconfigurations", "customresourcedefinitions", "apiservices", "cats-v1", "dogs-v1"}


def prepare():
    """What both clusters need before anything is compared."""
    yield "POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}
    yield "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}}
    yield "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "sa"}}
    for one in DEFINITIONS:
        yield "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one


def everything():
    """(name, verb, path, headers, body) of each request, in order. A body is a tree, or a text as it is."""
    yield from documents()
    for name, kind in {**corpus.KINDS, **CUSTOM}.items():
        if name not in LEFT_OUT:
            yield from life(name, kind)


def documents():
    accept = {"Accept": "application/json"}
    aggregated = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    for path in ("/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/batch/v1", "/apis/example.com", "/apis/example.com/v1", "/apis/example.com/v9",
                 "/apis/nope", "/apis/nope/v1", "/api/v2", "/nope", "/healthz/ping", "/livez/ping", "/readyz/ping", "/livez/nope"):
        yield f"document {path}", "GET", path, accept, None
        yield f"document {path} post", "POST", path, accept, {}
    yield "document aggregated /api", "GET", "/api", aggregated, None
    for path in ("/", "/version", "/configz", "/livez", "/livez?verbose", "/readyz?verbose", "/healthz?verbose", "/livez?exclude=etcd", "/readyz?verbose&exclude=etcd",
                 "/healthz?verbose&exclude=nope&exclude=other", "/livez?exclude=nope", "/livez/etcd", "/readyz/etcd", "/healthz/etcd", "/healthz/log", "/livez/log", "/readyz/informer-sync",
                 "/readyz/shutdown", "/readyz/etcd-readiness", "/livez/poststarthook/rbac/bootstrap-roles", "/livez/", "/logs", "/logs/", "/debug", "/debug/pprof/nope", "/metrics/nope",
                 "/openid/v1", "/.well-known/nope", "/openapi", "/openapi/v3/nope"):
        yield f"page {path}", "GET", path, {}, None
    for page, kind in (("/statusz", "Statusz"), ("/flagz", "Flagz")):
        yield f"page {page}", "GET", page, {}, None
        yield f"page {page} below", "GET", f"{page}/x", {}, None
        yield f"page {page} posted", "POST", page, {"Accept": f"application/json;as={kind};g=config.k8s.io;v=v1beta1"}, {}
        for accept in ("text/plain", "*/*", "text/*", "application/json", "text/html", "application/yaml", PROTOBUF, f"application/json;as={kind};g=config.k8s.io;v=v1beta1",
                       f"application/json;as={kind};g=config.k8s.io;v=v1alpha1", f"application/json;as={kind};g=config.k8s.io;v=v1", f"application/json;as={kind};g=apps;v=v1beta1",
                       f"{PROTOBUF};as={kind};g=config.k8s.io;v=v1beta1", f"application/json;as={kind};g=config.k8s.io;v=v1beta1;pretty=1", f"text/plain;as={kind};g=config.k8s.io;v=v1beta1",
                       f"application/json;as=Nope;g=config.k8s.io;v=v1beta1,text/plain;q=0.5"):
            yield f"page {page} accept {accept}", "GET", page, {"Accept": accept}, None
    statuses = "/api/v1/componentstatuses"
    for verb, path, accept in (("GET", "", JSON), ("GET", "", TABLE), ("GET", "", PARTIAL_LIST), ("GET", "?labelSelector=a=b", JSON), ("GET", "/nope", JSON), ("GET", "?watch=1", JSON),
                               ("GET", "/etcd-0", JSON), ("GET", "/etcd-0", TABLE), ("DELETE", "/etcd-0", JSON), ("POST", "", JSON), ("DELETE", "", JSON), ("PATCH", "/etcd-0", JSON)):
        yield f"componentstatuses {verb} {path} {accept[17:21]}", verb, statuses + path, {"Accept": accept, "Content-Type": MERGE if verb == "PATCH" else JSON}, None if verb == "GET" else {}
    for group, version, plural in (("authorization.k8s.io", "v1", "selfsubjectaccessreviews"), ("authorization.k8s.io", "v1", "subjectaccessreviews"),
                                   ("authorization.k8s.io", "v1", "selfsubjectrulesreviews"), ("authentication.k8s.io", "v1", "selfsubjectreviews"),
                                   ("authentication.k8s.io", "v1", "tokenreviews")):
        path = f"/apis/{group}/{version}/{plural}"
        for index, spec in enumerate(({}, {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "diff"}, "user": "jane"},
                                      {"nonResourceAttributes": {"verb": "get", "path": "/x"}, "user": "jane", "groups": ["g"]},
                                      {"namespace": "diff"}, {"token": "nonsense"}, {"resourceAttributes": {}, "nonResourceAttributes": {}})):
            if plural != "selfsubjectrulesreviews" or index in (0, 3):
                yield f"review {plural} {index}", "POST", path, {"Content-Type": JSON}, {"spec": spec}
        yield f"review {plural} get", "GET", path, {}, None


def life(name, kind):
    group, version, plural, namespaced = kind["resource"]
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    many = f"{root}/namespaces/{NAMESPACE}/{plural}" if namespaced else f"{root}/{plural}"
    body = copy.deepcopy(next(iter(kind["bases"].values())))
    body["apiVersion"], body["kind"] = (f"{group}/{version}" if group else version), kind["kind"]
    metadata = body.setdefault("metadata", {})
    if metadata.get("name", "golden") == "golden":
        metadata["name"] = "golden"
    metadata.pop("namespace", None)
    one = f"{many}/{metadata['name']}"

    def ask(what, verb, path, body=None, content=JSON, accept=JSON, **headers):
        all_headers = {"Accept": accept, **headers}
        if body is not None:
            all_headers["Content-Type"] = content
        return f"{name} {what}", verb, path, all_headers, body

    def changed(**fields):
        other = copy.deepcopy(body)
        other["metadata"].update(fields)
        return other

    # Before it is there.
    yield ask("get absent", "GET", one)
    yield ask("update absent", "PUT", one, body)
    yield ask("patch absent", "PATCH", one, {"metadata": {"labels": {"a": "b"}}}, MERGE)
    yield ask("delete absent", "DELETE", one)
    yield ask("list empty", "GET", many + f"?fieldSelector=metadata.name={metadata['name']}")
    yield ask("table empty", "GET", many + f"?fieldSelector=metadata.name={metadata['name']}", accept=TABLE)
    # What cannot be created.
    for what, wrong in {"no object": [], "a text": "x", "null": None, "another kind": {**body, "kind": "Nope"}, "another version": {**body, "apiVersion": "nope/v9"},
                        "nothing": {}}.items():
        yield ask(f"create {what}", "POST", many, json.dumps(wrong))
    yield ask("create broken", "POST", many, '{"metadata": ')
    yield ask("create broken yaml", "POST", many, "a: [b", YAML)
    yield ask("create unknown type", "POST", many, body, "text/plain")
    yield ask("create unnamed", "POST", many, changed(name=""))
    yield ask("create badly named", "POST", many, changed(name="Bad_Name!"))
    yield ask("create in another namespace", "POST", many, changed(namespace="other"))
    yield ask("create with version", "POST", many, changed(resourceVersion="5"))
    yield ask("create with bad labels", "POST", many + "?dryRun=All", changed(labels={"-": "!"}))
    yield ask("create with bad annotations", "POST", many + "?dryRun=All", changed(annotations={"a b": "c"}))
    yield ask("create with bad finalizers", "POST", many + "?dryRun=All", changed(finalizers=["x y"]))
    yield ask("create with bad owners", "POST", many + "?dryRun=All", changed(ownerReferences=[{"kind": "K", "name": "n"}]))
    for strictness in ("Strict", "Warn", "Ignore", "Nope"):
        yield ask(f"create unknown field {strictness}", "POST", many + f"?dryRun=All&fieldValidation={strictness}", {**body, "nope": {"a": 1}, "metadata": {**metadata, "nope": 1}})
    yield ask("create bad dry run", "POST", many + "?dryRun=Some", body)
    yield ask("create bad manager", "POST", many + "?dryRun=All&fieldManager=" + "x" * 129, body)
    # It comes.
    yield ask("create dry", "POST", many + "?dryRun=All&fieldManager=m", body)
    yield ask("create", "POST", many + "?fieldManager=m", body)
    yield ask("create again", "POST", many, body)
    # It is read.
    for what, accept in {"": JSON, "yaml": YAML, "table": TABLE, "partial": PARTIAL, "unknown": "text/html", "anything": "*/*", "protobuf": PROTOBUF if kind.get("custom") else JSON}.items():
        yield ask(f"get {what}", "GET", one, accept=accept)
    yield ask("get at version", "GET", one + "?resourceVersion=nope")
    yield ask("head", "HEAD", one)
    yield ask("options", "OPTIONS", one)
    yield ask("post to it", "POST", one, body)
    for what, query, accept in (("", "", JSON), ("table", "", TABLE), ("partial", "", PARTIAL_LIST), ("by label", "&labelSelector=a=b", JSON), ("by no label", "&labelSelector=!nope,x notin (y)", JSON),
                                ("by bad label", "&labelSelector=a==b==c", JSON), ("by bad field", "&fieldSelector=nope.nope=x", JSON), ("by broken field", "&fieldSelector=a", JSON),
                                ("bad limit", "&limit=x", JSON), ("limit", "&limit=1", JSON), ("bad continue", "&continue=nope", JSON), ("bad match", "&resourceVersionMatch=Nope", JSON),
                                ("exact without version", "&resourceVersionMatch=Exact", JSON), ("from the future", "&resourceVersion=99999999999999&resourceVersionMatch=Exact", JSON),
                                ("initial events without watch", "&sendInitialEvents=true", JSON)):
        selector = "?fieldSelector=metadata.name=" + metadata["name"] if "field" not in what else "?x=y"
        yield ask(f"list {what}", "GET", many + selector + query.replace(" ", "%20"), accept=accept)
    for include in ("None", "Object", "Nope"):
        yield ask(f"list table with {include}", "GET", many + f"?fieldSelector=metadata.name={metadata['name']}&includeObject={include}", accept=TABLE)
    yield ask("update dry table", "PUT", one + "?dryRun=All", body, accept=TABLE)
    yield ask("merge dry partial", "PATCH", one + "?dryRun=All", {}, MERGE, accept=PARTIAL)
    yield ask("delete dry table", "DELETE", one + "?dryRun=All", accept=TABLE)
    if name in WATCHED_AS_TABLE:
        yield ask("watch table", "GET", many + f"?watch=1&fieldSelector=metadata.name={metadata['name']}&timeoutSeconds=1", accept=TABLE)
    for what, query in (("", "&timeoutSeconds=1"), ("bookmarks", "&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"),
                        ("bad version", "&resourceVersion=nope"), ("bad bookmarks", "&sendInitialEvents=true")):
        yield ask(f"watch {what}", "GET", many + f"?watch=1&fieldSelector=metadata.name={metadata['name']}{query}")
    # It is changed.
    yield ask("update as it is", "PUT", one + "?fieldManager=m", body)
    yield ask("update stale", "PUT", one, changed(resourceVersion="1"))
    yield ask("update bad version", "PUT", one, changed(resourceVersion="x"))
    yield ask("update other uid", "PUT", one, changed(uid="nope"))
    yield ask("update other name", "PUT", one, changed(name="other"))
    yield ask("update unnamed", "PUT", one, changed(name=""))
    yield ask("update yaml", "PUT", one + "?dryRun=All", json.dumps(changed(labels={"y": "z"})), YAML)
    yield ask("merge", "PATCH", one + "?fieldManager=m", {"metadata": {"labels": {"merged": "1"}}}, MERGE)
    yield ask("merge null", "PATCH", one, {"metadata": {"labels": {"merged": None}}}, MERGE)
    yield ask("merge no object", "PATCH", one, "[]", MERGE)
    yield ask("merge broken", "PATCH", one, "{", MERGE)
    yield ask("merge unknown strict", "PATCH", one + "?dryRun=All&fieldValidation=Strict", {"nope": 1}, MERGE)
    yield ask("merge other name", "PATCH", one, {"metadata": {"name": "other"}}, MERGE)
    yield ask("merge uid", "PATCH", one, {"metadata": {"uid": "nope"}}, MERGE)
    yield ask("json patch", "PATCH", one + "?fieldManager=m", [{"op": "add", "path": "/metadata/labels", "value": {"json": "1"}}], JSON_PATCH)
    yield ask("json patch test", "PATCH", one, [{"op": "test", "path": "/metadata/name", "value": "x"}], JSON_PATCH)
    yield ask("json patch nowhere", "PATCH", one, [{"op": "remove", "path": "/metadata/nope"}], JSON_PATCH)
    yield ask("json patch bad op", "PATCH", one, [{"op": "nope", "path": "/a"}], JSON_PATCH)
    yield ask("json patch no list", "PATCH", one, {}, JSON_PATCH)
    yield ask("strategic", "PATCH", one + "?fieldManager=m", {"metadata": {"annotations": {"strategic": "1"}}}, STRATEGIC)
    yield ask("strategic bad directive", "PATCH", one, {"metadata": {"$patch": "nope"}}, STRATEGIC)
    yield ask("patch of unknown type", "PATCH", one, {}, "application/nope")
    configuration = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {"name": metadata["name"], "labels": {"applied": "1"}}}
    yield ask("apply without manager", "PATCH", one, configuration, APPLY)
    yield ask("apply", "PATCH", one + "?fieldManager=applier", configuration, APPLY)
    yield ask("apply conflict", "PATCH", one + "?fieldManager=other", {**configuration, "metadata": {**configuration["metadata"], "labels": {"applied": "2"}}}, APPLY)
    yield ask("apply forced", "PATCH", one + "?fieldManager=other&force=true", {**configuration, "metadata": {**configuration["metadata"], "labels": {"applied": "2"}}}, APPLY)
    yield ask("apply other kind", "PATCH", one + "?fieldManager=applier", {**configuration, "kind": "Nope"}, APPLY)
    yield ask("apply unknown", "PATCH", one + "?fieldManager=applier&dryRun=All", {**configuration, "nope": 1}, APPLY)
    yield ask("apply broken", "PATCH", one + "?fieldManager=applier", "a: [b", APPLY)
    yield ask("force merge", "PATCH", one + "?force=true", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    # Its parts.
    yield ask("get nope", "GET", one + "/nope")
    yield ask("get status", "GET", one + "/status")
    if name in WITH_STATUS:
        yield ask("merge status", "PATCH", one + "/status", {"metadata": {"labels": {"of": "status"}}}, MERGE)
        yield ask("merge status wrong", "PATCH", one + "/status", {"status": []}, MERGE)
        yield ask("update status stale", "PUT", one + "/status", changed(resourceVersion="1"))
    if name in SCALED:
        yield ask("get scale", "GET", one + "/scale")
        yield ask("table scale", "GET", one + "/scale", accept=TABLE)
        yield ask("merge scale", "PATCH", one + "/scale", {"spec": {"replicas": 4}}, MERGE)
        yield ask("merge scale wrong", "PATCH", one + "/scale", {"spec": {"replicas": -1}}, MERGE)
    # It goes.
    yield ask("delete wrong uid", "DELETE", one, {"preconditions": {"uid": "nope"}})
    yield ask("delete wrong version", "DELETE", one, {"preconditions": {"resourceVersion": "1"}})
    yield ask("delete wrong policy", "DELETE", one, {"propagationPolicy": "Nope"})
    yield ask("delete both policies", "DELETE", one, {"propagationPolicy": "Orphan", "orphanDependents": True})
    yield ask("delete other options", "DELETE", one, {"kind": "Nope", "apiVersion": "v1"})
    yield ask("delete dry", "DELETE", one + "?dryRun=All")
    yield ask("merge finalizer", "PATCH", one, {"metadata": {"finalizers": ["example.com/hold"]}}, MERGE)
    yield ask("delete held", "DELETE", one + "?gracePeriodSeconds=0")
    yield ask("get held", "GET", one)
    yield ask("create while it goes", "POST", many, body)
    yield ask("add finalizer while it goes", "PATCH", one, {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}, MERGE)
    yield ask("let go", "PATCH", one, {"metadata": {"finalizers": None}}, MERGE)
    yield ask("get gone", "GET", one)
    yield ask("delete collection", "DELETE", many + "?labelSelector=none=there")
    yield ask("patch collection", "PATCH", many, {}, MERGE)
