// Package operator is an operator as people write them with controller-runtime: a kind in two versions, webhooks, a reconciler.
package operator

import (
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
)

var (
	v1       = schema.GroupVersion{Group: "windlass.test", Version: "v1"}
	v1alpha1 = schema.GroupVersion{Group: "windlass.test", Version: "v1alpha1"}
)

// Fleet is some ships of an image.
type Fleet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              FleetSpec   `json:"spec"`
	Status            FleetStatus `json:"status,omitempty"`
}

type FleetSpec struct {
	Size  int32  `json:"size"`
	Image string `json:"image,omitempty"`
}

type FleetStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

type FleetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Fleet `json:"items"`
}

// OldFleet is a Fleet as v1alpha1 has it, with the number as a text.
type OldFleet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              OldFleetSpec `json:"spec"`
	Status            FleetStatus  `json:"status,omitempty"`
}

type OldFleetSpec struct {
	Ships string `json:"ships"`
	Image string `json:"image,omitempty"`
}

type OldFleetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OldFleet `json:"items"`
}

func (s FleetStatus) copied() FleetStatus {
	s.Conditions = append([]metav1.Condition(nil), s.Conditions...)
	return s
}

func (f *Fleet) DeepCopyObject() runtime.Object {
	made := *f
	f.ObjectMeta.DeepCopyInto(&made.ObjectMeta)
	made.Status = f.Status.copied()
	return &made
}

func (f *OldFleet) DeepCopyObject() runtime.Object {
	made := *f
	f.ObjectMeta.DeepCopyInto(&made.ObjectMeta)
	made.Status = f.Status.copied()
	return &made
}

func (l *FleetList) DeepCopyObject() runtime.Object {
	made := &FleetList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		made.Items = append(made.Items, *l.Items[i].DeepCopyObject().(*Fleet))
	}
	return made
}

func (l *OldFleetList) DeepCopyObject() runtime.Object {
	made := &OldFleetList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		made.Items = append(made.Items, *l.Items[i].DeepCopyObject().(*OldFleet))
	}
	return made
}

// Hub says that other versions are converted to and from this one.
func (*Fleet) Hub() {}

func (f *OldFleet) ConvertTo(hub conversion.Hub) error {
	made := hub.(*Fleet)
	size, err := strconv.Atoi(f.Spec.Ships)
	if err != nil {
		return fmt.Errorf("ships are counted: %w", err)
	}
	made.ObjectMeta, made.Spec, made.Status = f.ObjectMeta, FleetSpec{Size: int32(size), Image: f.Spec.Image}, f.Status
	return nil
}

func (f *OldFleet) ConvertFrom(hub conversion.Hub) error {
	from := hub.(*Fleet)
	f.ObjectMeta, f.Spec, f.Status = from.ObjectMeta, OldFleetSpec{Ships: strconv.Itoa(int(from.Spec.Size)), Image: from.Spec.Image}, from.Status
	return nil
}

func addToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(v1, &Fleet{}, &FleetList{})
	scheme.AddKnownTypeWithName(v1alpha1.WithKind("Fleet"), &OldFleet{})
	scheme.AddKnownTypeWithName(v1alpha1.WithKind("FleetList"), &OldFleetList{})
	metav1.AddToGroupVersion(scheme, v1)
	metav1.AddToGroupVersion(scheme, v1alpha1)
}
