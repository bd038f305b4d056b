package operator

import (
	"context"
	"errors"
	"fmt"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	finalizer = "windlass.test/harbour"
	byImage   = "spec.image"
)

// hooks default and validate fleets.
type hooks struct{ cache client.Reader }

func (hooks) Default(_ context.Context, fleet *Fleet) error {
	if fleet.Spec.Image == "" {
		fleet.Spec.Image = "ship:" + fleet.Name
	}
	return nil
}

// ValidateCreate looks up in the manager's cache, by its index, that nobody else has the image.
func (h hooks) ValidateCreate(ctx context.Context, fleet *Fleet) (admission.Warnings, error) {
	if fleet.Spec.Size > 10 {
		return nil, errors.New("too many ships")
	}
	same := &FleetList{}
	if err := h.cache.List(ctx, same, client.InNamespace(fleet.Namespace), client.MatchingFields{byImage: fleet.Spec.Image}); err != nil {
		return nil, err
	}
	if len(same.Items) > 0 {
		return nil, fmt.Errorf("%s sails as %s", fleet.Spec.Image, same.Items[0].Name)
	}
	if fleet.Spec.Size == 0 {
		return admission.Warnings{"a fleet without ships"}, nil
	}
	return nil, nil
}

func (hooks) ValidateUpdate(_ context.Context, old, fleet *Fleet) (admission.Warnings, error) {
	if old.Spec.Image != fleet.Spec.Image {
		return nil, errors.New("the image stays")
	}
	return nil, nil
}

func (hooks) ValidateDelete(_ context.Context, fleet *Fleet) (admission.Warnings, error) {
	if fleet.Annotations["windlass.test/keep"] != "" {
		return nil, errors.New("it is kept")
	}
	return nil, nil
}

// reconciler has a Deployment for each fleet, and a farewell for each that goes.
type reconciler struct{ client.Client }

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	fleet := &Fleet{}
	if err := r.Get(ctx, request.NamespacedName, fleet); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !fleet.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.farewell(ctx, fleet)
	}
	if controllerutil.AddFinalizer(fleet, finalizer) {
		return ctrl.Result{}, r.Update(ctx, fleet)
	}
	labels := map[string]string{"fleet": fleet.Name}
	deployment := appsac.Deployment(fleet.Name, fleet.Namespace).
		WithOwnerReferences(metaac.OwnerReference().WithAPIVersion(v1.String()).WithKind("Fleet").WithName(fleet.Name).WithUID(fleet.UID).WithController(true).WithBlockOwnerDeletion(true)).
		WithSpec(appsac.DeploymentSpec().WithReplicas(fleet.Spec.Size).WithSelector(metaac.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(coreac.PodTemplateSpec().WithLabels(labels).WithSpec(coreac.PodSpec().WithContainers(coreac.Container().WithName("ship").WithImage(fleet.Spec.Image)))))
	if err := r.Apply(ctx, deployment, client.FieldOwner("fleet-operator"), client.ForceOwnership); err != nil {
		return ctrl.Result{}, err
	}
	built := &apps.Deployment{}
	if err := r.Get(ctx, request.NamespacedName, built); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := fleet.DeepCopyObject().(*Fleet)
	fleet.Status.ObservedGeneration = fleet.Generation
	condition := metav1.Condition{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Building", ObservedGeneration: fleet.Generation, Message: fmt.Sprintf("%d of %d built", built.Status.Replicas, fleet.Spec.Size)}
	if built.Status.Replicas == fleet.Spec.Size && built.Status.ObservedGeneration == built.Generation {
		condition.Status, condition.Reason = metav1.ConditionTrue, "Built"
	}
	if !meta.SetStatusCondition(&fleet.Status.Conditions, condition) && before.Status.ObservedGeneration == fleet.Generation {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.Status().Patch(ctx, fleet, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

func (r *reconciler) farewell(ctx context.Context, fleet *Fleet) error {
	if !controllerutil.ContainsFinalizer(fleet, finalizer) {
		return nil
	}
	note := &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "farewell-" + fleet.Name, Namespace: fleet.Namespace}}
	if err := client.IgnoreAlreadyExists(r.Create(ctx, note)); err != nil {
		return err
	}
	controllerutil.RemoveFinalizer(fleet, finalizer)
	return r.Update(ctx, fleet)
}

// serve makes the manager answer webhooks.
func serve(ctx context.Context, manager ctrl.Manager) error {
	index := func(object client.Object) []string { return []string{object.(*Fleet).Spec.Image} }
	if err := manager.GetFieldIndexer().IndexField(ctx, &Fleet{}, byImage, index); err != nil {
		return err
	}
	all := hooks{manager.GetClient()}
	return ctrl.NewWebhookManagedBy(manager, &Fleet{}).WithDefaulter(all).WithValidator(all).Complete()
}

// reconcile makes the manager build fleets.
func reconcile(manager ctrl.Manager, name string) error {
	return ctrl.NewControllerManagedBy(manager).Named(name).For(&Fleet{}).Owns(&apps.Deployment{}).Complete(&reconciler{manager.GetClient()})
}
