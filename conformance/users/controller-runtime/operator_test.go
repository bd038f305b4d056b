package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

var (
	environment *envtest.Environment
	api         client.WithWatch
	scheme      = runtime.NewScheme()
	// hooksManager answers webhooks all the time; first reconciles, until another takes over.
	hooksManager, first *running
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(zap.New(zap.UseDevMode(true)))
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		panic(err)
	}
	addToScheme(scheme)
	environment = &envtest.Environment{
		Scheme:                scheme,
		CRDInstallOptions:     envtest.CRDInstallOptions{Paths: []string{"crd.yaml"}, ErrorIfPathMissing: true, CleanUpAfterUse: true},
		WebhookInstallOptions: envtest.WebhookInstallOptions{Paths: []string{"webhooks.yaml"}},
	}
	cfg, err := environment.Start()
	if err != nil {
		panic(err)
	}
	if api, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		panic(err)
	}
	hooksManager, first = start("hooks", false), start("first", true)
	<-first.Elected()
	started := func(context.Context) (bool, error) {
		return hooksManager.GetWebhookServer().StartedChecker()(nil) == nil, nil
	}
	if err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, 10*time.Second, true, started); err != nil {
		panic(err)
	}
	code := m.Run()
	// As long as there is who says farewell to them.
	gone := func(ctx context.Context) (bool, error) {
		left := &FleetList{}
		err := errors.Join(api.DeleteAllOf(ctx, &Fleet{}, client.InNamespace("default")), api.List(ctx, left))
		return err == nil && len(left.Items) == 0, err
	}
	if err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, 10*time.Second, true, gone); err != nil {
		panic(err)
	}
	first.end()
	hooksManager.end()
	if err := environment.Stop(); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// running is a manager, as a process of its own would have it.
type running struct {
	ctrl.Manager
	cancel  context.CancelFunc
	stopped chan struct{}
}

func (r *running) end() {
	r.cancel()
	<-r.stopped
}

// start runs a manager that serves webhooks, or one that reconciles while it is the leader.
func start(name string, leads bool) *running {
	options := ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, LeaderElection: leads, LeaderElectionID: "fleet",
		LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true, RetryPeriod: new(200 * time.Millisecond),
	}
	serving := environment.WebhookInstallOptions
	options.WebhookServer = webhook.NewServer(webhook.Options{Host: serving.LocalServingHost, Port: serving.LocalServingPort, CertDir: serving.LocalServingCertDir})
	manager, err := ctrl.NewManager(environment.Config, options)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if leads {
		err = reconcile(manager, name)
	} else {
		err = serve(ctx, manager)
	}
	if err != nil {
		panic(err)
	}
	made := &running{manager, cancel, make(chan struct{})}
	go func() {
		defer close(made.stopped)
		if err := manager.Start(ctx); err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
	}()
	return made
}

func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	var last error
	since := time.Now()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		var done bool
		done, last = condition(ctx)
		return done && last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v, %v", what, err, last)
	}
	t.Logf("%s after %v", what, time.Since(since).Round(time.Millisecond))
}

func create(t *testing.T, name string, size int32) *Fleet {
	t.Helper()
	fleet := &Fleet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: FleetSpec{Size: size}}
	if err := api.Create(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	return fleet
}

func built(t *testing.T, fleet *Fleet) *apps.Deployment {
	t.Helper()
	key, deployment := client.ObjectKeyFromObject(fleet), &apps.Deployment{}
	eventually(t, fleet.Name+" is built", func(ctx context.Context) (bool, error) {
		err := api.Get(ctx, key, fleet)
		ready := meta.FindStatusCondition(fleet.Status.Conditions, "Ready")
		return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == fleet.Generation, err
	})
	if err := api.Get(t.Context(), key, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment
}

func TestAFleetIsBuiltGrowsAndGoes(t *testing.T) {
	fleet := create(t, "armada", 2)
	deployment := built(t, fleet)
	if fleet.Spec.Image != "ship:armada" || *deployment.Spec.Replicas != 2 || !metav1.IsControlledBy(deployment, fleet) || fleet.Finalizers[0] != finalizer {
		t.Fatalf("%+v\n%+v", fleet, deployment)
	}
	// Somebody scales it by hand; the operator owns the field and takes it back.
	deployment.Spec.Replicas = new(int32(7))
	if err := api.Update(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is scaled back", func(ctx context.Context) (bool, error) {
		return *deployment.Spec.Replicas == 2, api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)
	})
	if err := api.Patch(t.Context(), fleet, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"size":3}}`))); err != nil {
		t.Fatal(err)
	}
	if again := built(t, fleet); *again.Spec.Replicas != 3 {
		t.Fatalf("it has not grown: %+v", again)
	}
	if err := api.Delete(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	eventually(t, "fleet and Deployment are gone", func(ctx context.Context) (bool, error) {
		one, two := api.Get(ctx, client.ObjectKeyFromObject(fleet), fleet), api.Get(ctx, client.ObjectKeyFromObject(fleet), deployment)
		return apierrors.IsNotFound(one) && apierrors.IsNotFound(two), nil
	})
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "farewell-armada"}, &core.ConfigMap{}); err != nil {
		t.Fatal(err)
	}
}

func TestWebhooksRefuse(t *testing.T) {
	fleet := create(t, "kept", 1)
	built(t, fleet)
	refused := func(err error, words string) {
		t.Helper()
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `admission webhook "validate.fleet.windlass.test" denied the request: `+words) {
			t.Fatalf("not refused with %q: %v", words, err)
		}
	}
	many := &Fleet{ObjectMeta: metav1.ObjectMeta{Name: "many", Namespace: "default"}, Spec: FleetSpec{Size: 11}}
	refused(api.Create(t.Context(), many), "too many ships")
	many.Spec = FleetSpec{Size: 1, Image: "ship:kept"}
	refused(api.Create(t.Context(), many), "ship:kept sails as kept")
	changed := fleet.DeepCopyObject().(*Fleet)
	changed.Spec.Image = "other"
	refused(api.Update(t.Context(), changed), "the image stays")
	// The same rule, for who asks in the other version: the webhook is of v1 alone.
	old := &OldFleet{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(fleet), old); err != nil {
		t.Fatal(err)
	}
	old.Spec.Image = "other"
	refused(api.Update(t.Context(), old), "the image stays")
	if err := api.Patch(t.Context(), fleet, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"windlass.test/keep":"1"}}}`))); err != nil {
		t.Fatal(err)
	}
	refused(api.Delete(t.Context(), fleet), "it is kept")
	refused(api.DeleteAllOf(t.Context(), &Fleet{}, client.InNamespace("default")), "it is kept")
	fleet.Annotations = nil
	if err := api.Update(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
}

func TestTheOtherVersion(t *testing.T) {
	watch, err := api.Watch(t.Context(), &OldFleetList{}, client.InNamespace("default"))
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	old := &OldFleet{ObjectMeta: metav1.ObjectMeta{Name: "old", Namespace: "default"}, Spec: OldFleetSpec{Ships: "4"}}
	if err := api.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	for event := range watch.ResultChan() {
		if seen, ok := event.Object.(*OldFleet); ok && seen.Name == "old" {
			if seen.Spec.Ships != "4" || seen.Spec.Image != "ship:old" {
				t.Fatalf("the watch has %+v", seen)
			}
			break
		}
	}
	fleet := &Fleet{ObjectMeta: old.ObjectMeta}
	built(t, fleet)
	if fleet.Spec.Size != 4 {
		t.Fatalf("converted to %+v", fleet)
	}
	list := &OldFleetList{}
	if err := api.List(t.Context(), list, client.InNamespace("default")); err != nil || len(list.Items) == 0 || list.Items[len(list.Items)-1].APIVersion != "windlass.test/v1alpha1" {
		t.Fatalf("%v %+v", err, list)
	}
	// The conversion's own words, where it fails.
	bad := &OldFleet{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: "default"}, Spec: OldFleetSpec{Ships: "some"}}
	if err := api.Create(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "ships are counted") {
		t.Fatalf("what cannot be converted: %v", err)
	}
}

func TestAnotherManagerTakesOver(t *testing.T) {
	lease := func() *coordination.LeaseSpec {
		t.Helper()
		found := &coordination.Lease{}
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "fleet"}, found); err != nil {
			t.Fatal(err)
		}
		return &found.Spec
	}
	before := lease()
	second := start("second", true)
	eventually(t, "the first renews its lease", func(context.Context) (bool, error) {
		return lease().RenewTime.After(before.RenewTime.Time), nil
	})
	select {
	case <-second.Elected():
		t.Fatal("two leaders")
	default:
	}
	first.end()
	first = second
	select {
	case <-second.Elected():
	case <-time.After(20 * time.Second):
		t.Fatal("nobody leads")
	}
	if after := lease(); *after.HolderIdentity == *before.HolderIdentity || *after.LeaseTransitions <= *before.LeaseTransitions {
		t.Fatalf("the lease is %+v, and was %+v", after, before)
	}
	built(t, create(t, "heir", 1))
}
