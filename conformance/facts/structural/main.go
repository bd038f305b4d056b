// Records what upstream says of values of custom resources: reads cases, one JSON object on each line, and writes them with
// the answers. The recorded cases are crates/base/machinery/src/structural/tests/cases.jsonl; to add one, add its line and run
//
//	go run ./facts/structural <cases.jsonl >cases.jsonl.new
//
// A case is a schema with an object to validate (with "old" also an update; with "status" only one of the status), or with an
// object to default; or a JSONPath and the tree that it looks into.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/client-go/util/jsonpath"
)

type testCase struct {
	Name   string          `json:"name,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"`
	Object json.RawMessage `json:"object,omitempty"`
	Old    json.RawMessage `json:"old,omitempty"`
	Status bool            `json:"status,omitempty"`
	// The object is to be defaulted.
	Default json.RawMessage `json:"default,omitempty"`
	Path    string          `json:"path,omitempty"`
	In      json.RawMessage `json:"in,omitempty"`

	// "Reason field: message" of each error.
	Errors []string `json:"errors,omitempty"`
	// What the object has become.
	Result json.RawMessage `json:"result,omitempty"`
	// What the path has found: the JSON of each value.
	Found []string `json:"found,omitempty"`
	// Where upstream walks a map, the order of errors and of what is found is any.
	AnyOrder bool `json:"any_order,omitempty"`
	// What is wrong with the path.
	Problem string `json:"problem,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c testCase
		try(json.Unmarshal(lines.Bytes(), &c))
		c.Errors, c.Found, c.AnyOrder, c.Result, c.Problem = nil, nil, false, nil, ""
		switch {
		case c.Path != "":
			c.Found = c.inOrder(c.find)
		case c.Default != nil:
			_, structural := c.read()
			object := decode(c.Default)
			defaulting.PruneNonNullableNullsWithoutDefaults(object, structural)
			defaulting.Default(object, structural)
			c.Result = encode(object)
		default:
			c.Errors = c.inOrder(c.validate)
		}
		os.Stdout.Write(append(encode(c), '\n'))
	}
}

// Upstream's answer, asked for often enough to see whether its order is always the same.
func (c *testCase) inOrder(ask func() []string) []string {
	answer := ask()
	for range 40 {
		if again := ask(); !reflect.DeepEqual(again, answer) {
			c.AnyOrder = true
			sort.Strings(again)
			return again
		}
	}
	return answer
}

func (c *testCase) validate() []string {
	props, structural := c.read()
	var errs field.ErrorList
	object := decode(c.Object).(map[string]any)
	if c.Old == nil {
		validator := validatorOf(props)
		errs = validation.ValidateCustomResource(nil, object, validator)
	} else {
		old := decode(c.Old).(map[string]any)
		correlated := common.NewCorrelatedObject(object, old, &model.Structural{Structural: structural})
		if c.Status {
			schema := props.Properties["status"]
			options := validation.WithRatcheting(correlated.Key("status"))
			if status, found := object["status"]; found {
				errs = validation.ValidateCustomResourceUpdate(field.NewPath("status"), status, old["status"], validatorOf(&schema), options)
			}
		} else {
			errs = validation.ValidateCustomResourceUpdate(nil, object, old, validatorOf(props), validation.WithRatcheting(correlated))
		}
	}
	if !c.Status {
		errs = append(errs, objectmeta.Validate(context.Background(), nil, object, structural, false)...)
	}
	if c.Old == nil || len(listtype.ValidateListSetsAndMaps(nil, structural, decode(c.Old).(map[string]any))) == 0 {
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, structural, object)...)
	}
	said := []string{}
	for _, err := range errs {
		said = append(said, fmt.Sprintf("%s %s: %s", string(err.Type), err.Field, err.ErrorBody()))
	}
	return said
}

func validatorOf(props *apiextensions.JSONSchemaProps) validation.SchemaValidator {
	validator, _, err := validation.NewSchemaValidator(props)
	try(err)
	return validator
}

func (c *testCase) read() (*apiextensions.JSONSchemaProps, *schema.Structural) {
	var written v1.JSONSchemaProps
	try(json.Unmarshal(c.Schema, &written))
	props := &apiextensions.JSONSchemaProps{}
	try(v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&written, props, nil))
	structural, err := schema.NewStructural(props)
	try(err)
	return props, structural
}

func (c *testCase) find() []string {
	path := jsonpath.New("path").AllowMissingKeys(true)
	if err := path.Parse("{" + c.Path + "}"); err != nil {
		c.Problem = err.Error()
		return nil
	}
	found := []string{}
	if results, err := path.FindResults(decode(c.In)); err == nil && len(results) > 0 {
		for _, value := range results[0] {
			found = append(found, string(encode(value.Interface())))
		}
	}
	return found
}

func decode(text json.RawMessage) any {
	var value any
	try(utiljson.Unmarshal(text, &value))
	return value
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	try(err)
	return text
}

func try(err error) {
	if err != nil {
		panic(err)
	}
}
