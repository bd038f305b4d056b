// Records what upstream says of rules in CustomResourceDefinitions (x-kubernetes-validations) and of objects that they are held
// against: reads cases, one JSON object on each line, and writes them with the answers. See cases.py.
//
//	python3 facts/rules/cases.py | go run ./facts/rules >../crates/control-plane/resources/src/custom/rules/answers.jsonl
//
// A case is a schema to define (with "was" as an update of another schema), or a schema with an object that is created (with "old"
// updated; with "status" by its status).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	definitions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gvk "k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"
)

type testCase struct {
	Name   string          `json:"name,omitempty"`
	Define json.RawMessage `json:"define,omitempty"`
	Was    json.RawMessage `json:"was,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"`
	Object json.RawMessage `json:"object,omitempty"`
	Old    json.RawMessage `json:"old,omitempty"`
	Status bool            `json:"status,omitempty"`

	// "Reason field: message" of each error.
	Errors   []string `json:"errors,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Where upstream walks a map, the order is any.
	AnyOrder bool `json:"any_order,omitempty"`
}

type answer struct{ errors, warnings []string }

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c testCase
		try(json.Unmarshal(lines.Bytes(), &c))
		ask := c.object
		if c.Define != nil {
			ask = c.definition
		}
		said := ask()
		for range 12 {
			if again := ask(); !reflect.DeepEqual(again, said) {
				c.AnyOrder = true
			}
		}
		if c.AnyOrder {
			sort.Strings(said.errors)
			sort.Strings(said.warnings)
		}
		c.Errors, c.Warnings = said.errors, said.warnings
		text, err := json.Marshal(c)
		try(err)
		os.Stdout.Write(append(text, '\n'))
	}
}

// The type of self has a number in its name that is another each time.
var selfType = regexp.MustCompile(`selfType\d+`)

func texts(errs field.ErrorList) []string {
	said := []string{}
	for _, err := range errs {
		said = append(said, selfType.ReplaceAllString(fmt.Sprintf("%s %s: %s", string(err.Type), err.Field, err.ErrorBody()), "selfType"))
	}
	return said
}

func (c *testCase) definition() answer {
	made := crd(c.Define)
	if c.Was == nil {
		return answer{errors: texts(definitions.ValidateCustomResourceDefinition(context.Background(), made))}
	}
	was := crd(c.Was)
	made.ResourceVersion, was.ResourceVersion = "1", "1"
	return answer{errors: texts(definitions.ValidateCustomResourceDefinitionUpdate(context.Background(), made, was))}
}

func crd(written json.RawMessage) *apiextensions.CustomResourceDefinition {
	external := &v1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "cats.example.com"},
		Spec: v1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: v1.ClusterScoped,
			Names: v1.CustomResourceDefinitionNames{Plural: "cats", Singular: "cat", Kind: "Cat", ListKind: "CatList"},
			Versions: []v1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
				Schema: &v1.CustomResourceValidation{OpenAPIV3Schema: &v1.JSONSchemaProps{}}}},
			Conversion: &v1.CustomResourceConversion{Strategy: v1.NoneConverter},
		},
		Status: v1.CustomResourceDefinitionStatus{StoredVersions: []string{"v1"}},
	}
	try(json.Unmarshal(written, external.Spec.Versions[0].Schema.OpenAPIV3Schema))
	internal := &apiextensions.CustomResourceDefinition{}
	try(v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(external, internal, nil))
	return internal
}

type recorder struct{ warnings []string }

func (r *recorder) AddWarning(_, text string) { r.warnings = append(r.warnings, text) }

func (c *testCase) object() answer {
	var written v1.JSONSchemaProps
	try(json.Unmarshal(c.Schema, &written))
	props := &apiextensions.JSONSchemaProps{}
	try(v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&written, props, nil))
	structural, err := schema.NewStructural(props)
	try(err)
	whole, _, err := validation.NewSchemaValidator(props)
	try(err)
	var ofStatus validation.SchemaValidator
	status := &apiextensions.CustomResourceSubresourceStatus{}
	if found, ok := props.Properties["status"]; ok {
		ofStatus, _, err = validation.NewSchemaValidator(&found)
		try(err)
	}
	strategy := customresource.NewStrategy(nil, false, gvk.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Cat"}, whole, ofStatus, structural, status, nil, nil)
	said := &recorder{}
	ctx := warning.WithWarningRecorder(context.Background(), said)
	object := decode(c.Object)
	var errs field.ErrorList
	switch {
	case c.Old == nil:
		errs = strategy.Validate(ctx, object)
	case c.Status:
		errs = customresource.NewStatusStrategy(strategy).ValidateUpdate(ctx, object, decode(c.Old))
	default:
		errs = strategy.ValidateUpdate(ctx, object, decode(c.Old))
	}
	return answer{texts(errs), said.warnings}
}

func decode(text json.RawMessage) runtime.Object {
	var object map[string]any
	try(utiljson.Unmarshal(text, &object))
	object["apiVersion"], object["kind"] = "example.com/v1", "Cat"
	if object["metadata"] == nil {
		object["metadata"] = map[string]any{"name": "tom", "resourceVersion": "1", "uid": "u"}
	}
	return &unstructured.Unstructured{Object: object}
}

func try(err error) {
	if err != nil {
		panic(err)
	}
}
