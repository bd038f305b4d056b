// Package users runs cert-manager's controllers, CA injector and webhook against a server, and has certificates issued.
package users

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/cert-manager/cert-manager/internal/apis/config/shared"
	webhookconfig "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
	apiutil "github.com/cert-manager/cert-manager/pkg/api/util"
	cm "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
)

const namespace = "cert-manager"

func scheme(t *testing.T) *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme, cm.AddToScheme} {
		must(t, add(scheme))
	}
	return scheme
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually asks until the condition holds, for half a minute.
func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	since := time.Now()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		done, err := condition(ctx)
		last = err
		return done && err == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v, %v", what, err, last)
	}
	t.Logf("%s after %v", what, time.Since(since).Round(time.Millisecond))
}

// apply applies every object of a file, server-side.
func apply(t *testing.T, api client.Client, text []byte) {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			must(t, api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("install")))
		}
	}
}

// install applies the definitions and the webhook's configuration.
func install(t *testing.T, api client.Client) {
	files, err := filepath.Glob(filepath.Join(os.Getenv("CERT_MANAGER"), "deploy/crds/*.yaml"))
	if err != nil || len(files) != 6 {
		t.Fatalf("CERT_MANAGER has no definitions: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		apply(t, api, text)
	}
	eventually(t, "all definitions are established", func(ctx context.Context) (bool, error) {
		list, established := &apiextensions.CustomResourceDefinitionList{}, 0
		err := api.List(ctx, list)
		for _, definition := range list.Items {
			for _, condition := range definition.Status.Conditions {
				if condition.Type == apiextensions.Established && condition.Status == apiextensions.ConditionTrue {
					established++
				}
			}
		}
		return established == len(files), err
	})
	must(t, api.Create(t.Context(), &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	text, err := os.ReadFile("webhook.yaml")
	must(t, err)
	apply(t, api, []byte(strings.ReplaceAll(string(text), "SERVER_IP", os.Getenv("SERVER_IP"))))
}

// components runs cert-manager's three programs until the test ends.
func components(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	run := func(name string, body func() error) {
		running.Go(func() {
			if err := body(); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	kubeconfig := os.Getenv("KUBECONFIG")
	ctrl.SetLogger(logs.Log)

	hook, err := webhook.NewCertManagerWebhookServer(ctrl.Log, webhookconfig.WebhookConfiguration{
		SecurePort: 10250, HealthzPort: 6080, KubeConfig: kubeconfig, MetricsListenAddress: "0",
		TLSConfig: shared.TLSConfig{Dynamic: shared.DynamicServingConfig{
			SecretNamespace: namespace, SecretName: "cert-manager-webhook-ca", LeafDuration: time.Hour,
			DNSNames: []string{"cert-manager-webhook.cert-manager.svc"},
		}},
	})
	must(t, err)
	run("webhook", func() error { return hook.Run(ctx) })

	manager, err := ctrl.NewManager(util.RestConfigWithUserAgent(ctrl.GetConfigOrDie(), "cainjector"), ctrl.Options{
		Scheme: scheme(t), Metrics: server.Options{BindAddress: "0"}, LeaderElection: true, LeaderElectionID: "cainjector", LeaderElectionNamespace: namespace,
	})
	must(t, err)
	must(t, cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{EnableCertificatesDataSource: true, EnabledReconcilersFor: map[string]bool{
		cainjector.MutatingWebhookConfigurationName: true, cainjector.ValidatingWebhookConfigurationName: true,
		cainjector.APIServiceName: true, cainjector.CustomResourceDefinitionName: true,
	}}))
	run("cainjector", func() error { return manager.Start(ctx) })

	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig: kubeconfig, IssuerOptions: controller.IssuerOptions{ClusterResourceNamespace: namespace},
		CertificateOptions: controller.CertificateOptions{CertificateRequestMinimumBackoffDuration: time.Hour, CertificateRequestMaximumBackoffDuration: time.Hour},
	})
	must(t, err)
	for name, create := range controller.Known() {
		loop, err := create(factory)
		must(t, err)
		run(name, func() error { return loop.Run(2, ctx) })
	}
	shared, err := factory.Build()
	must(t, err)
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
}

func certificate(name string, change func(*cm.CertificateSpec)) *cm.Certificate {
	made := &cm.Certificate{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: cm.CertificateSpec{
		SecretName: name + "-tls", IssuerRef: cmmeta.IssuerReference{Name: "self", Kind: "Issuer"}, DNSNames: []string{name + ".example.com"},
	}}
	change(&made.Spec)
	return made
}

// issued creates the certificate and returns what the Secret has once it is ready.
func issued(t *testing.T, api client.Client, wanted *cm.Certificate) *x509.Certificate {
	t.Helper()
	must(t, api.Create(t.Context(), wanted))
	return ready(t, api, wanted)
}

func ready(t *testing.T, api client.Client, wanted *cm.Certificate) *x509.Certificate {
	t.Helper()
	key, secret := client.ObjectKeyFromObject(wanted), &core.Secret{}
	eventually(t, "certificate "+wanted.Name+" is ready", func(ctx context.Context) (bool, error) {
		if err := api.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: wanted.Spec.SecretName}, secret); err != nil {
			return false, err
		}
		err := api.Get(ctx, key, wanted)
		return apiutil.CertificateHasCondition(wanted, cm.CertificateCondition{Type: cm.CertificateConditionReady, Status: cmmeta.ConditionTrue}), err
	})
	block, _ := pem.Decode(secret.Data[core.TLSCertKey])
	if secret.Type != core.SecretTypeTLS || block == nil {
		t.Fatalf("the Secret has no certificate: %v", secret)
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return parsed
}

func TestCertificatesAreIssued(t *testing.T) {
	api, err := client.New(ctrl.GetConfigOrDie(), client.Options{Scheme: scheme(t)})
	must(t, err)
	install(t, api)
	// Nobody answers yet, and the configuration says that this is a refusal.
	err = api.Create(t.Context(), certificate("early", func(*cm.CertificateSpec) {}))
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed calling webhook \"webhook.cert-manager.io\"") {
		t.Fatalf("a webhook that cannot be called: %v", err)
	}
	components(t)
	eventually(t, "the CA is injected into both configurations", func(ctx context.Context) (bool, error) {
		mutating, validating := &admissionregistration.MutatingWebhookConfiguration{}, &admissionregistration.ValidatingWebhookConfiguration{}
		key := client.ObjectKey{Name: "cert-manager-webhook"}
		err := errors.Join(api.Get(ctx, key, mutating), api.Get(ctx, key, validating))
		return err == nil && len(mutating.Webhooks[0].ClientConfig.CABundle) > 0 && len(validating.Webhooks[0].ClientConfig.CABundle) > 0, err
	})
	eventually(t, "the webhook answers", func(ctx context.Context) (bool, error) {
		return true, api.Create(ctx, certificate("probe", func(*cm.CertificateSpec) {}), client.DryRunAll)
	})
	err = api.Create(t.Context(), certificate("bad", func(spec *cm.CertificateSpec) { spec.DNSNames = nil }))
	if err == nil || !strings.Contains(err.Error(), `admission webhook "webhook.cert-manager.io" denied the request: spec: Invalid value`) {
		t.Fatalf("a certificate for nothing: %v", err)
	}

	self := cm.IssuerSpec{IssuerConfig: cm.IssuerConfig{SelfSigned: &cm.SelfSignedIssuer{}}}
	must(t, api.Create(t.Context(), &cm.Issuer{ObjectMeta: metav1.ObjectMeta{Name: "self", Namespace: "default"}, Spec: self}))
	root := certificate("root", func(spec *cm.CertificateSpec) { spec.IsCA, spec.CommonName = true, "root" })
	authority := issued(t, api, root)
	must(t, authority.CheckSignatureFrom(authority))

	must(t, api.Create(t.Context(), &cm.Issuer{ObjectMeta: metav1.ObjectMeta{Name: "root", Namespace: "default"}, Spec: cm.IssuerSpec{IssuerConfig: cm.IssuerConfig{CA: &cm.CAIssuer{SecretName: "root-tls"}}}}))
	leaf := certificate("leaf", func(spec *cm.CertificateSpec) {
		spec.IssuerRef.Name = "root"
		spec.PrivateKey = &cm.CertificatePrivateKey{Algorithm: cm.ECDSAKeyAlgorithm, RotationPolicy: cm.RotationPolicyAlways}
	})
	first := issued(t, api, leaf)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err = first.Verify(x509.VerifyOptions{DNSName: "leaf.example.com", Roots: roots})
	must(t, err)

	// The mutating webhook has written who asked; nobody may change it.
	requests := &cm.CertificateRequestList{}
	must(t, api.List(t.Context(), requests, client.InNamespace("default")))
	if len(requests.Items) != 2 || requests.Items[0].Spec.Username == "" {
		t.Fatalf("requests: %+v", requests.Items)
	}
	changed := requests.Items[0].DeepCopy()
	changed.Spec.Username = "mallory"
	if err := api.Update(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "spec.username: Forbidden") {
		t.Fatalf("another name: %v", err)
	}

	// What is deleted is issued again, as the next revision, with another key.
	must(t, api.Delete(t.Context(), &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: "leaf-tls", Namespace: "default"}}))
	eventually(t, "it is issued again", func(ctx context.Context) (bool, error) {
		err := api.Get(ctx, client.ObjectKeyFromObject(leaf), leaf)
		return leaf.Status.Revision != nil && *leaf.Status.Revision == 2, err
	})
	if again := ready(t, api, leaf); again.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Fatal("the same certificate")
	}
}
