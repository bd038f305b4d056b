"""The dynamic client of the PyPI package kubernetes: it finds kinds by discovery, also those that come and go while it runs."""
import json, os, pathlib, tempfile, threading, unittest

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.resource import ResourceList
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

GROUP = "fleet.example.com"


def definition(plural, kind, versions=("v1", "v1beta1")):
    schema = {"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9}, "color": {"type": "string", "default": "blue"},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                      "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}}},
            "x-kubernetes-validations": [{"rule": "self.size != 7", "message": "seven is taken"}, {"rule": "self.size >= oldSelf.size", "message": "never smaller"}]},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}, "replicas": {"type": "integer"}}}}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [plural[:3]], "categories": ["all"]},
                     "versions": [{"name": name, "served": True, "storage": name == versions[0], "schema": {"openAPIV3Schema": schema},
                                   "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"}}, "selectableFields": [{"jsonPath": ".spec.color"}]}
                                  for name in versions]}}


class Dynamic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cache = os.path.join(tempfile.mkdtemp(), "discovery.json")
        cls.api = config.new_client_from_config(os.environ["KUBECONFIG"])
        cls.dynamic = DynamicClient(cls.api, cache_file=cls.cache)
        cls.definitions = cls.dynamic.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
        cls.namespaces = cls.dynamic.resources.get(api_version="v1", kind="Namespace")
        cls.namespaces.create(body={"metadata": {"name": "python"}})
        cls.define(definition("boats", "Boat"))
        cls.boats = cls.dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Boat")

    @classmethod
    def define(cls, body):
        """Creates a definition and waits, by a watch, until it is established."""
        made = cls.definitions.create(body=body)
        for event in cls.definitions.watch(name=made.metadata.name, timeout=30):
            if any(c.type == "Established" and c.status == "True" for c in event["object"].status.conditions or []):
                return
        raise AssertionError(f"{made.metadata.name} is not established")

    def boat(self, name, **spec):
        return {"apiVersion": f"{GROUP}/v1", "kind": "Boat", "metadata": {"name": name, "labels": {"test": self.id().split(".")[-1]}}, "spec": {"size": 3, **spec}}

    def test_create_get_replace_delete(self):
        made = self.boats.create(body=self.boat("one"), namespace="python")
        self.assertEqual((made.spec.color, made.metadata.generation), ("blue", 1))
        with self.assertRaises(ConflictError):
            self.boats.create(body=self.boat("one"), namespace="python")
        got = self.boats.get(name="one", namespace="python").to_dict()
        got["spec"]["size"] = 4
        replaced = self.boats.replace(body=got, namespace="python")
        self.assertEqual((replaced.spec.size, replaced.metadata.generation), (4, 2))
        with self.assertRaises(ConflictError) as stale:
            got["metadata"]["resourceVersion"] = made.metadata.resourceVersion
            self.boats.replace(body=got, namespace="python")
        self.assertIn("the object has been modified", stale.exception.summary())
        self.boats.delete(name="one", namespace="python")
        with self.assertRaises(NotFoundError):
            self.boats.get(name="one", namespace="python")

    def test_what_the_schema_and_rules_refuse(self):
        for spec, words in [({"size": 0}, "should be greater than or equal to 1"), ({"size": 7}, "seven is taken"), ({"size": "x"}, "must be of type integer"), ({"ports": [{"name": "a"}, {"name": "a"}]}, "Duplicate value")]:
            with self.assertRaises(UnprocessibleEntityError) as refused:
                self.boats.create(body=self.boat("bad", **spec), namespace="python")
            self.assertIn(words, refused.exception.summary())
            self.assertEqual(json.loads(refused.exception.body)["reason"], "Invalid")

    def test_patches(self):
        self.boats.create(body=self.boat("patched", ports=[{"name": "a", "port": 1}]), namespace="python")
        merged = self.boats.patch(name="patched", namespace="python", body={"spec": {"size": 5, "color": None}}, content_type="application/merge-patch+json")
        self.assertEqual((merged.spec.size, merged.spec.color), (5, "blue"))
        with self.assertRaises(UnprocessibleEntityError):
            self.boats.patch(name="patched", namespace="python", body={"spec": {"size": 4}}, content_type="application/merge-patch+json")
        json_patched = self.boats.patch(name="patched", namespace="python", body=[{"op": "replace", "path": "/spec/size", "value": 6}], content_type="application/json-patch+json")
        self.assertEqual(json_patched.spec.size, 6)
        with self.assertRaises(ApiException) as refused:
            self.boats.patch(name="patched", namespace="python", body={"spec": {"size": 8}}, content_type="application/strategic-merge-patch+json")
        self.assertEqual(refused.exception.status, 415)

    def test_server_side_apply(self):
        body = self.boat("applied", ports=[{"name": "a", "port": 1}])
        self.dynamic.server_side_apply(self.boats, body=body, name="applied", namespace="python", field_manager="first")
        other = {**self.boat("applied"), "spec": {"size": 3, "ports": [{"name": "b", "port": 2}]}}
        both = self.dynamic.server_side_apply(self.boats, body=other, name="applied", namespace="python", field_manager="second")
        self.assertEqual([port.name for port in both.spec.ports], ["a", "b"])
        self.assertEqual({entry.manager for entry in both.metadata.managedFields}, {"first", "second"})
        other["spec"]["size"] = 4
        with self.assertRaises(ConflictError) as conflict:
            self.dynamic.server_side_apply(self.boats, body=other, name="applied", namespace="python", field_manager="second")
        self.assertIn('conflict with "first": .spec.size', conflict.exception.summary())
        forced = self.dynamic.server_side_apply(self.boats, body=other, name="applied", namespace="python", field_manager="second", force_conflicts=True)
        self.assertEqual(forced.spec.size, 4)
        body["spec"] = {"size": 4}
        left = self.dynamic.server_side_apply(self.boats, body=body, name="applied", namespace="python", field_manager="first")
        self.assertEqual([port.name for port in left.spec.ports], ["b"])

    def test_list_by_labels_fields_and_pages(self):
        for number in range(5):
            self.boats.create(body=self.boat(f"listed-{number}", color="red" if number % 2 else "green"), namespace="python")
        chosen = {"namespace": "python", "label_selector": "test=test_list_by_labels_fields_and_pages"}
        self.assertEqual(len(self.boats.get(**chosen).items), 5)
        self.assertEqual([item.metadata.name for item in self.boats.get(field_selector="spec.color=red", **chosen).items], ["listed-1", "listed-3"])
        page = self.boats.get(limit=2, **chosen)
        names = [item.metadata.name for item in page.items]
        while page.metadata["continue"]:
            page = self.boats.get(limit=2, _continue=page.metadata["continue"], **chosen)
            names += [item.metadata.name for item in page.items]
        self.assertEqual(names, [f"listed-{number}" for number in range(5)])

    def test_watch_also_in_another_version(self):
        older = self.dynamic.resources.get(api_version=f"{GROUP}/v1beta1", kind="Boat")
        since = self.boats.get(namespace="python").metadata.resourceVersion

        def change():
            self.boats.create(body=self.boat("watched"), namespace="python")
            self.boats.patch(name="watched", namespace="python", body={"spec": {"size": 5}}, content_type="application/merge-patch+json")
            self.boats.delete(name="watched", namespace="python")
        thread = threading.Thread(target=change)
        thread.start()
        seen, watcher = [], watch.Watch()
        for event in older.watch(namespace="python", name="watched", resource_version=since, timeout=30, watcher=watcher):
            seen.append((event["type"], event["object"].apiVersion, event["object"].spec.size))
            if event["type"] == "DELETED":
                watcher.stop()
        thread.join()
        self.assertEqual(seen, [("ADDED", f"{GROUP}/v1beta1", 3), ("MODIFIED", f"{GROUP}/v1beta1", 5), ("DELETED", f"{GROUP}/v1beta1", 5)])

    def test_subresources(self):
        made = self.boats.create(body={**self.boat("sub"), "status": {"phase": "ignored"}}, namespace="python").to_dict()
        self.assertNotIn("status", made)
        made["status"] = {"phase": "Afloat", "replicas": 2}
        made["spec"]["size"] = 9
        written = self.boats.status.replace(body=made, name="sub", namespace="python")
        self.assertEqual((written.status.phase, written.spec.size, written.metadata.generation), ("Afloat", 3, 1))
        scale = self.boats.scale.get(name="sub", namespace="python")
        self.assertEqual((scale.kind, scale.spec.replicas, scale.status.replicas), ("Scale", 3, 2))
        scaled = self.boats.scale.patch(name="sub", namespace="python", body={"spec": {"replicas": 8}}, content_type="application/merge-patch+json")
        self.assertEqual((scaled.spec.replicas, self.boats.get(name="sub", namespace="python").spec.size), (8, 8))

    def test_unknown_fields(self):
        body = self.boat("pruned", mast="tall")
        self.assertIsNone(self.boats.create(body=body, namespace="python").spec.mast)
        body["metadata"]["name"] = "strict"
        with self.assertRaises(ApiException) as refused:
            self.boats.create(body=body, namespace="python", query_params=[("fieldValidation", "Strict")])
        self.assertIn('unknown field "spec.mast"', json.loads(refused.exception.body)["message"])

    def test_kinds_come_and_go_and_the_cache_notices(self):
        with self.assertRaises(ResourceNotFoundError):
            self.dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Raft")
        self.define(definition("rafts", "Raft", ("v1",)))
        rafts = self.dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Raft")
        self.assertEqual((rafts.name, rafts.namespaced, rafts.short_names), ("rafts", True, ["raf"]))
        self.assertIn("scale", rafts.subresources)
        rafts.create(body={"apiVersion": f"{GROUP}/v1", "kind": "Raft", "metadata": {"name": "r"}, "spec": {"size": 1}}, namespace="python")
        self.assertTrue(pathlib.Path(self.cache).stat().st_size)
        self.assertEqual(DynamicClient(self.api, cache_file=self.cache).resources.get(short_names=["raf"]).kind, "Raft")
        before = self.definitions.get(name=f"rafts.{GROUP}").metadata.resourceVersion
        self.definitions.delete(name=f"rafts.{GROUP}")
        for event in self.definitions.watch(name=f"rafts.{GROUP}", resource_version=before, timeout=30):
            if event["type"] == "DELETED":
                break
        else:
            self.fail("the definition stays")
        self.dynamic.resources.invalidate_cache()
        with self.assertRaises(ResourceNotFoundError):
            self.dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Raft")

    def test_every_discovered_kind_can_be_listed(self):
        """What discovery names answers a list: the client trusts it for all kinds alike."""
        listed = 0
        for resources in self.dynamic.resources:
            for resource in resources:
                if not isinstance(resource, ResourceList) and "list" in (resource.verbs or []):
                    self.assertTrue(resource.get(limit=1).kind.endswith("List"), resource.kind)
                    listed += 1
        self.assertGreater(listed, 50)

    def test_custom_objects_api_too(self):
        api = client.CustomObjectsApi(self.api)
        made = api.create_namespaced_custom_object(GROUP, "v1", "python", "boats", self.boat("typed"))
        self.assertEqual(made["spec"]["color"], "blue")
        patched = api.patch_namespaced_custom_object(GROUP, "v1", "python", "boats", "typed", {"spec": {"size": 5}})
        self.assertEqual(patched["spec"]["size"], 5)
        self.assertEqual(api.delete_namespaced_custom_object(GROUP, "v1", "python", "boats", "typed")["status"], "Success")


if __name__ == "__main__":
    unittest.main()
