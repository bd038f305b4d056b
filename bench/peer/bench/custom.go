package main

// What extends the API: custom resources, admission webhooks, admission policies, CEL rules, and a thousand definitions.

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	bigint "math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

type object = map[string]any

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	widgets     = schema.GroupVersionResource{Group: "bench.example.com", Version: "v1", Resource: "widgets"}
)

func dynamicClient() *dynamic.DynamicClient {
	c := config()
	c.ContentType = "application/json"
	d, err := dynamic.NewForConfig(c)
	must(err)
	return d
}

// specOfWidgets has what operators' definitions have: types, bounds, defaults, a list by key, and rules.
func specOfWidgets() object {
	return object{"type": "object", "required": []any{"size"},
		"x-kubernetes-validations": []any{
			object{"rule": "self.size <= 1000000"},
			object{"rule": "self.parts.all(p, p.weight <= self.size)", "message": "a part is heavier than the whole"},
		},
		"properties": object{
			"size":    object{"type": "integer", "minimum": int64(0)},
			"enabled": object{"type": "boolean", "default": true},
			"data":    object{"type": "string", "maxLength": int64(4096)},
			"parts": object{"type": "array", "maxItems": int64(128), "default": []any{},
				"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"name"},
				"items": object{"type": "object", "required": []any{"name", "weight"},
					"x-kubernetes-validations": []any{object{"rule": "self.weight >= 0"}, object{"rule": "self.name != 'none'"}, object{"rule": "size(self.name) <= 32"}},
					"properties": object{
						"name":   object{"type": "string", "maxLength": int64(64)},
						"weight": object{"type": "integer"},
					}}},
		}}
}

func definition(plural, kind string, spec object) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": object{"name": plural + ".bench.example.com"},
		"spec": object{"group": "bench.example.com", "scope": "Namespaced",
			"names": object{"plural": plural, "kind": kind},
			"versions": []any{object{"name": "v1", "served": true, "storage": true,
				"subresources":             object{"status": object{}},
				"additionalPrinterColumns": []any{object{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}},
				"schema": object{"openAPIV3Schema": object{"type": "object", "properties": object{
					"spec": spec, "status": object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}},
		}}}
}

func widget(i, parts int) *unstructured.Unstructured {
	spec := object{"size": int64(i), "data": configMap(i).Data["data"]}
	if parts > 0 {
		list := make([]any, parts)
		for k := range list {
			list[k] = object{"name": fmt.Sprintf("part-%d", k), "weight": int64(0)}
		}
		spec["parts"] = list
	}
	return &unstructured.Unstructured{Object: object{"apiVersion": "bench.example.com/v1", "kind": "Widget",
		"metadata": object{"name": fmt.Sprintf("w-%06d", i)}, "spec": spec}}
}

func established(o *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(object); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}
	return false
}

// until asks again every few milliseconds, for ten minutes at most.
func until(what string, pause time.Duration, done func() bool) {
	for limit := time.Now().Add(10 * time.Minute); time.Now().Before(limit); time.Sleep(pause) {
		if done() {
			return
		}
	}
	fmt.Fprintln(os.Stderr, "bench: gave up waiting for", what)
}

func customResources(p []*kubernetes.Clientset) {
	c, ns := p[0], namespace(p[0], "bench-custom")
	d := make([]*dynamic.DynamicClient, len(p))
	for i := range d {
		d[i] = dynamicClient()
	}
	of := make(map[*kubernetes.Clientset]dynamic.ResourceInterface, len(p))
	for i := range p {
		of[p[i]] = d[i].Resource(widgets).Namespace(ns)
	}
	api := of[c]
	phase("custom-served", func(r result) {
		t0 := time.Now()
		_, err := d[0].Resource(definitions).Create(ctx, definition("widgets", "Widget", specOfWidgets()), metav1.CreateOptions{})
		must(err)
		until("widgets", time.Millisecond, func() bool { _, err := api.List(ctx, metav1.ListOptions{}); return err == nil })
		r["served_ms"] = ms(time.Since(t0))
	})
	// Upstream serves reads before it serves writes.
	until("writes of widgets", 10*time.Millisecond, func() bool {
		_, err := api.Create(ctx, widget(999999, 0), metav1.CreateOptions{DryRun: []string{"All"}})
		return err == nil
	})
	create := func(r result, from, to int) {
		lat, wall := each(p, to-from, func(c *kubernetes.Clientset, i int) error {
			_, err := of[c].Create(ctx, widget(from+i, 0), metav1.CreateOptions{})
			return err
		})
		r["n"], r["per_s"], r["p50_ms"], r["p99_ms"] = to-from, round(float64(to-from)/wall.Seconds()), pct(lat, .5), pct(lat, .99)
	}
	phase("custom-create", func(r result) { create(r, 0, *n) })
	phase("custom-get", func(r result) {
		lat, wall := each(p, 10000, func(c *kubernetes.Clientset, i int) error {
			_, err := of[c].Get(ctx, fmt.Sprintf("w-%06d", i%*n), metav1.GetOptions{})
			return err
		})
		r["per_s"], r["p50_ms"], r["p99_ms"] = round(10000/wall.Seconds()), pct(lat, .5), pct(lat, .99)
	})
	phase("custom-create-more", func(r result) { create(r, *n, *big) })
	phase("custom-list", func(r result) {
		for key, options := range map[string]metav1.ListOptions{"list": {}, "list_rv0": {ResourceVersion: "0"}, "page500": {Limit: 500}} {
			var lat []time.Duration
			for range 7 {
				s := time.Now()
				_, err := api.List(ctx, options)
				must(err)
				lat = append(lat, time.Since(s))
			}
			r[key+"_p50_ms"] = pct(lat, .5)
		}
	})
	phase("custom-watchlist", func(r result) {
		yes := true
		lat, _ := each(p[:16], 16, func(c *kubernetes.Clientset, i int) error {
			w, err := of[c].Watch(ctx, metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true,
				ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
			if err != nil {
				return err
			}
			defer w.Stop()
			for e := range w.ResultChan() {
				if o, ok := e.Object.(*unstructured.Unstructured); ok && o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
					return nil
				}
			}
			return fmt.Errorf("a watch ended before its initial events")
		})
		r["informers"], r["objects"], r["p50_ms"], r["max_ms"] = 16, *big, pct(lat, .5), pct(lat, 1)
	})
	phase("custom-watch-fanout", func(r result) { customFanOut(r, p, of) })
	phase("custom-rules", func(r result) {
		const objects, parts, rules = 300, 100, 3
		lat, wall := each(p, objects, func(c *kubernetes.Clientset, i int) error {
			_, err := of[c].Create(ctx, widget(1000000+i-objects, parts), metav1.CreateOptions{DryRun: []string{"All"}})
			return err
		})
		r["rules"], r["per_s"], r["p50_ms"] = objects*parts*rules, round(objects*parts*rules/wall.Seconds()), pct(lat, .5)
	})
	phase("custom-delete", func(r result) {
		must(d[0].Resource(definitions).Delete(ctx, "widgets.bench.example.com", metav1.DeleteOptions{}))
		until("the definition to go", 20*time.Millisecond, func() bool {
			_, err := d[0].Resource(definitions).Get(ctx, "widgets.bench.example.com", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	})
	clean(c, ns)
}

func customFanOut(r result, p []*kubernetes.Clientset, of map[*kubernetes.Clientset]dynamic.ResourceInterface) {
	hot, err := of[p[0]].Get(ctx, "w-000000", metav1.GetOptions{})
	must(err)
	hot.SetAnnotations(map[string]string{"seq": "-"}) // its last version may be too old to be watched from
	hot, err = of[p[0]].Update(ctx, hot, metav1.UpdateOptions{})
	must(err)
	var wg sync.WaitGroup
	for i := range *watchers {
		w, err := of[p[i%len(p)]].Watch(ctx, metav1.ListOptions{ResourceVersion: hot.GetResourceVersion(), FieldSelector: "metadata.name=w-000000"})
		must(err)
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer w.Stop()
			for e := range w.ResultChan() {
				if o, ok := e.Object.(*unstructured.Unstructured); ok && o.GetAnnotations()["seq"] == strconv.Itoa(*updates-1) {
					return
				}
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	for k := range *updates {
		hot.SetAnnotations(map[string]string{"seq": strconv.Itoa(k)})
		hot, err = of[p[0]].Update(ctx, hot, metav1.UpdateOptions{})
		must(err)
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	r["watchers"], r["updates"] = *watchers, *updates
}

// manyDefinitions applies as many definitions as users of large operators have.
func manyDefinitions(p []*kubernetes.Clientset) {
	d := dynamicClient()
	api := d.Resource(definitions)
	name := func(i int) string { return fmt.Sprintf("things%04d", i) }
	phase("definitions", func(r result) {
		before := rssNow()
		t0 := time.Now()
		var next sync.Mutex
		clients := map[*kubernetes.Clientset]dynamic.NamespaceableResourceInterface{}
		for _, c := range p {
			clients[c] = dynamicClient().Resource(definitions)
		}
		each(p, *crds, func(c *kubernetes.Clientset, i int) error {
			next.Lock()
			own := clients[c]
			next.Unlock()
			_, err := own.Create(ctx, definition(name(i), fmt.Sprintf("Thing%04d", i), specOfWidgets()), metav1.CreateOptions{})
			return err
		})
		r["created_s"] = round(time.Since(t0).Seconds())
		until("definitions to be established", 100*time.Millisecond, func() bool {
			l, err := api.List(ctx, metav1.ListOptions{})
			if err != nil {
				return false
			}
			k := 0
			for i := range l.Items {
				if established(&l.Items[i]) {
					k++
				}
			}
			return k >= *crds
		})
		until("the last of them in discovery", 20*time.Millisecond, func() bool {
			l, err := p[0].Discovery().ServerResourcesForGroupVersion("bench.example.com/v1")
			return err == nil && len(l.APIResources) >= 2**crds // each with its status
		})
		r["n"], r["served_s"], r["rss_grown_mb"] = *crds, round(time.Since(t0).Seconds()), round(rssNow()-before)
	})
	phase("definitions-discovery", func(r result) {
		var lat []time.Duration
		for range 7 {
			s := time.Now()
			_, err := p[0].Discovery().RESTClient().Get().AbsPath("/apis").SetHeader("Accept",
				"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").DoRaw(ctx)
			must(err)
			lat = append(lat, time.Since(s))
		}
		r["p50_ms"], r["max_ms"] = pct(lat, .5), pct(lat, 1)
	})
	phase("definitions-delete", func(r result) {
		must(api.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
		until("definitions to go", 200*time.Millisecond, func() bool {
			l, err := api.List(ctx, metav1.ListOptions{Limit: 1})
			return err == nil && len(l.Items) == 0
		})
	})
}

func rssNow() float64 {
	total := 0.0
	for _, u := range usages() {
		total += u.rss
	}
	return round(total)
}

// createsUnder counts what creates of ConfigMaps cost while something judges each of them.
func createsUnder(r result, p []*kubernetes.Clientset, ns string) {
	lat, wall := each(p, *n, func(c *kubernetes.Clientset, i int) error {
		_, err := c.CoreV1().ConfigMaps(ns).Create(ctx, configMap(i), metav1.CreateOptions{})
		return err
	})
	r["n"], r["per_s"], r["p50_ms"], r["p99_ms"] = *n, round(float64(*n)/wall.Seconds()), pct(lat, .5), pct(lat, .99)
	serial, _ := each(p[:1], 300, func(c *kubernetes.Clientset, i int) error {
		_, err := c.CoreV1().ConfigMaps(ns).Create(ctx, configMap(*n+i), metav1.CreateOptions{})
		return err
	})
	r["serial_p50_ms"] = pct(serial, .5)
}

var onConfigMaps = []registrationv1.OperationType{registrationv1.Create}

func within(ns string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns}}
}

// refuses says whether a ConfigMap that is judged bad is refused by now.
func refuses(c *kubernetes.Clientset, ns string) bool {
	bad := configMap(0)
	bad.Name, bad.Data = "bad", map[string]string{"bad": "yes"}
	_, err := c.CoreV1().ConfigMaps(ns).Create(ctx, bad, metav1.CreateOptions{DryRun: []string{"All"}})
	return err != nil
}

func webhook(p []*kubernetes.Clientset) {
	c, ns := p[0], namespace(p[0], "bench-webhook")
	url, ca, stop := admissionServer()
	defer stop()
	fail, none, all := registrationv1.Fail, registrationv1.SideEffectClassNone, registrationv1.AllScopes
	hooks := c.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := hooks.Create(ctx, &registrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		Webhooks: []registrationv1.ValidatingWebhook{{Name: "bench.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
			ClientConfig: registrationv1.WebhookClientConfig{URL: &url, CABundle: ca}, NamespaceSelector: within(ns),
			Rules: []registrationv1.RuleWithOperations{{Operations: onConfigMaps, Rule: registrationv1.Rule{
				APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}, Scope: &all}}}}}}, metav1.CreateOptions{})
	must(err)
	until("the webhook", 20*time.Millisecond, func() bool { return refuses(c, ns) })
	phase("webhook-create", func(r result) { createsUnder(r, p, ns) })
	_ = hooks.Delete(ctx, "bench", metav1.DeleteOptions{})
	clean(c, ns)
}

// admissionServer allows what has no key `bad`.
func admissionServer() (url string, ca []byte, stop func()) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: bigint.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var review admissionv1.AdmissionReview
			if json.NewDecoder(r.Body).Decode(&review) != nil || review.Request == nil {
				http.Error(w, "not a review", http.StatusBadRequest)
				return
			}
			var asked v1.ConfigMap
			_ = json.Unmarshal(review.Request.Object.Raw, &asked)
			review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: asked.Data["bad"] == ""}
			review.Request = nil
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(review)
		})}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	url = fmt.Sprintf("https://%s/", listener.Addr())
	return url, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), func() { _ = server.Shutdown(context.Background()) }
}

func policies(p []*kubernetes.Clientset) {
	c, ns := p[0], namespace(p[0], "bench-policies")
	fail, all := registrationv1.Fail, registrationv1.AllScopes
	api := c.AdmissionregistrationV1()
	name := func(i int) string { return fmt.Sprintf("bench-%03d", i) }
	each(p[:4], *policyCount, func(c *kubernetes.Clientset, i int) error {
		expression := fmt.Sprintf("!has(object.data) || !('bad' in object.data) || size(object.metadata.name) > %d", 100+i)
		_, err := api.ValidatingAdmissionPolicies().Create(ctx, &registrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name(i)},
			Spec: registrationv1.ValidatingAdmissionPolicySpec{FailurePolicy: &fail, Validations: []registrationv1.Validation{{Expression: expression}},
				MatchConstraints: &registrationv1.MatchResources{ResourceRules: []registrationv1.NamedRuleWithOperations{{RuleWithOperations: registrationv1.RuleWithOperations{
					Operations: onConfigMaps, Rule: registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}, Scope: &all}}}}}}},
			metav1.CreateOptions{})
		if err != nil {
			return err
		}
		_, err = api.ValidatingAdmissionPolicyBindings().Create(ctx, &registrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name(i)},
			Spec: registrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name(i), ValidationActions: []registrationv1.ValidationAction{registrationv1.Deny},
				MatchResources: &registrationv1.MatchResources{NamespaceSelector: within(ns)}}}, metav1.CreateOptions{})
		return err
	})
	until("the policies", 20*time.Millisecond, func() bool { return refuses(c, ns) })
	time.Sleep(3 * time.Second) // the last policy is seen a while after the first
	phase("policy-create", func(r result) { r["policies"] = *policyCount; createsUnder(r, p, ns) })
	_ = api.ValidatingAdmissionPolicyBindings().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	_ = api.ValidatingAdmissionPolicies().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	clean(c, ns)
}
