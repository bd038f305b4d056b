// Says what upstream's strategy makes of definitions of custom resources: reads cases, one JSON object on each line
// ({"verb": "create" | "update" | "status", "new": definition, "old": definition}), and writes the causes, the warnings and the
// definition as it would be stored.
//
//	go run ./facts/definitions <cases.jsonl
//
// The answers in crates/control-plane/resources/src/apiextensions/recorded.jsonl are from it; a case there is edits of a base.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	crd "k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type Case struct {
	Verb string          `json:"verb"`
	New  json.RawMessage `json:"new"`
	Old  json.RawMessage `json:"old"`
}
type Cause [3]string
type Out struct {
	Causes   []Cause         `json:"causes"`
	Warnings []string        `json:"warnings,omitempty"`
	Object   json.RawMessage `json:"object,omitempty"`
	Failed   string          `json:"failed,omitempty"`
}

var scheme = runtime.NewScheme()

func read(raw []byte) (*apiextensions.CustomResourceDefinition, error) {
	in := &v1.CustomResourceDefinition{}
	if err := json.Unmarshal(raw, in); err != nil {
		return nil, err
	}
	scheme.Default(in)
	out := &apiextensions.CustomResourceDefinition{}
	return out, scheme.Convert(in, out, nil)
}

func run(c Case) (out Out) {
	defer func() {
		if r := recover(); r != nil {
			out.Failed = fmt.Sprint("panic: ", r)
		}
	}()
	ctx := context.Background()
	obj, err := read(c.New)
	if err != nil {
		return Out{Failed: err.Error()}
	}
	var errs field.ErrorList
	switch c.Verb {
	case "create":
		s := crd.NewStrategy(scheme)
		s.PrepareForCreate(ctx, obj)
		errs = s.Validate(ctx, obj)
		out.Warnings = s.WarningsOnCreate(ctx, obj)
	case "update", "status":
		old, err := read(c.Old)
		if err != nil {
			return Out{Failed: err.Error()}
		}
		if c.Verb == "update" {
			s := crd.NewStrategy(scheme)
			s.PrepareForUpdate(ctx, obj, old)
			errs = s.ValidateUpdate(ctx, obj, old)
			out.Warnings = s.WarningsOnUpdate(ctx, obj, old)
		} else {
			s := crd.NewStatusStrategy(scheme)
			s.PrepareForUpdate(ctx, obj, old)
			errs = s.ValidateUpdate(ctx, obj, old)
		}
	}
	out.Causes = []Cause{}
	for _, e := range errs {
		out.Causes = append(out.Causes, Cause{string(e.Type), e.Field, e.ErrorBody()})
	}
	back := &v1.CustomResourceDefinition{}
	if err := scheme.Convert(obj, back, nil); err == nil {
		out.Object, _ = json.Marshal(back)
	}
	return out
}

func main() {
	install.Install(scheme)
	sc := bufio.NewScanner(os.Stdin)
	sc.Buffer(make([]byte, 1<<20), 64<<20)
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	for sc.Scan() {
		var c Case
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			panic(err)
		}
		enc.Encode(run(c))
	}
}
