// facts prints what the API's Go types know and no specification says in one place: for each field of each type its JSON
// name, its protobuf number and type, whether it is a pointer, whether its zero value is written, how lists and maps
// merge. `cargo xtask facts` writes the output to crates/base/machinery/src/schema/types.txt.
//
// A line without indentation names a type, by its OpenAPI name; the indented lines below are its fields in their
// declared order:
//
//	name number type [flags]
//
// type is string, int32, int64, bool, double, bytes, a type's name, or one of the scalars below, after any number of
// `[]` (list) and `{}` (map from string). Flags: `*` pointer; `!` the zero value is written too; `0` an empty struct is
// left out; `inline` (number and fields are those of another type); `list=set|map:k,…|atomic`; `map=atomic`;
// `patch=merge:key` and `patch=…retainKeys`; `required`; `default=JSON`.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/generated/openapi"

	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// schemas are the generated OpenAPI definitions, by the type's OpenAPI name.
var schemas = map[string]spec.Schema{}

func loadSchemas() {
	for path, def := range openapi.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.Ref{} }) {
		schemas[friendly(path)] = def.Schema
	}
}

// friendly turns a Go path (k8s.io/api/core/v1.Pod) into the name that OpenAPI shows (io.k8s.api.core.v1.Pod).
func friendly(path string) string {
	parts := strings.Split(strings.Replace(path, "k8s.io/kubernetes/vendor/", "", 1), "/")
	if len(parts) == 1 {
		return path
	}
	host := strings.Split(parts[0], ".")
	slices.Reverse(host)
	return strings.Join(append(host, parts[1:]...), ".")
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "facts:", err)
		os.Exit(1)
	}
}

func name(t reflect.Type) string { return friendly(t.PkgPath() + "." + t.Name()) }

// Types whose JSON form is not that of their fields.
var scalars = map[string]string{
	"io.k8s.apimachinery.pkg.apis.meta.v1.Time":                                             "time",
	"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":                                        "microtime",
	"io.k8s.apimachinery.pkg.apis.meta.v1.Duration":                                         "duration",
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":                                         "fields",
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                                         "quantity",
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                                       "intorstring",
	"io.k8s.apimachinery.pkg.runtime.RawExtension":                                          "raw",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":                         "json",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":        "schemaorbool",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":       "schemaorarray",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}

var queue []reflect.Type
var seen = map[reflect.Type]bool{}

func want(t reflect.Type) {
	if !seen[t] {
		seen[t] = true
		queue = append(queue, t)
	}
}

// wire gives the type's spelling; a named slice type is a protobuf message of its own with the one field items.
func wire(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wire(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Uint32, reflect.Int, reflect.Int16, reflect.Uint16:
		return "int32"
	case reflect.Uint8:
		return "int32"
	case reflect.Int64, reflect.Uint64:
		return "int64"
	case reflect.Float64, reflect.Float32:
		return "double"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		if _, ok := reflect.New(t).Interface().(interface{ Marshal() ([]byte, error) }); ok {
			return "items[]" + wire(t.Elem())
		}
		return "[]" + wire(t.Elem())
	case reflect.Map:
		return "{}" + wire(t.Elem())
	case reflect.Interface:
		return "any"
	case reflect.Struct:
		n := name(t)
		if s, ok := scalars[n]; ok {
			return s
		}
		want(t)
		return n
	}
	panic("facts: no spelling for " + t.String())
}

func fields(w *bufio.Writer, t reflect.Type, s spec.Schema) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		parts := strings.Split(tag, ",")
		if tag == "-" || !f.IsExported() {
			continue
		}
		opt := map[string]bool{}
		for _, o := range parts[1:] {
			opt[o] = true
		}
		number := "0"
		if pb := strings.Split(f.Tag.Get("protobuf"), ","); len(pb) > 1 {
			number = pb[1]
		}
		if parts[0] == "" && (f.Anonymous || opt["inline"]) {
			if name(f.Type) == "io.k8s.apimachinery.pkg.apis.meta.v1.TypeMeta" {
				fmt.Fprintf(w, " kind 0 string\n apiVersion 0 string\n")
				continue
			}
			if number == "0" { // inlined on the wire as well
				fields(w, f.Type, s)
				continue
			}
			fmt.Fprintf(w, " . %s %s inline\n", number, wire(f.Type))
			continue
		}
		line := fmt.Sprintf(" %s %s %s", parts[0], number, wire(f.Type))
		if f.Type.Kind() == reflect.Pointer {
			line += " *"
		}
		if opt["omitzero"] {
			line += " 0"
		} else if !opt["omitempty"] {
			line += " !"
		}
		p := s.Properties[parts[0]]
		if v, ok := p.Extensions["x-kubernetes-list-type"].(string); ok {
			line += " list=" + v
			if keys, ok := p.Extensions["x-kubernetes-list-map-keys"].([]any); ok {
				for i, k := range keys {
					line += map[bool]string{true: ":", false: ","}[i == 0] + k.(string)
				}
			}
		}
		if v, ok := p.Extensions["x-kubernetes-map-type"].(string); ok {
			line += " map=" + v
		}
		if v := f.Tag.Get("patchStrategy"); v != "" {
			line += " patch=" + v
			if k := f.Tag.Get("patchMergeKey"); k != "" {
				line += ":" + k
			}
		}
		if slices.Contains(s.Required, parts[0]) {
			line += " required"
		}
		if d, _ := json.Marshal(p.Default); p.Default != nil && !slices.Contains([]string{`{}`, `""`, `0`, `false`}, string(d)) {
			line += " default=" + string(d)
		}
		enum := p.Enum
		if p.Items != nil && p.Items.Schema != nil {
			enum = append(enum, p.Items.Schema.Enum...)
		}
		for i, v := range enum {
			line += map[bool]string{true: " enum=", false: ","}[i == 0] + fmt.Sprint(v)
		}
		fmt.Fprintln(w, line)
	}
}

func main() {
	loadSchemas()
	must(apiextensions.AddToScheme(scheme.Scheme))
	must(apiregistration.AddToScheme(scheme.Scheme))
	ga := regexp.MustCompile(`^v[0-9]+$`)
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		if _, ok := schemas[name(t)]; ok && ga.MatchString(gvk.Version) {
			want(t)
		}
	}
	for _, o := range []any{metav1.Table{}, metav1.PartialObjectMetadata{}, metav1.PartialObjectMetadataList{}, metav1.Status{}, metav1.APIGroup{},
		metav1.APIGroupList{}, metav1.APIResourceList{}, metav1.APIVersions{}, metav1.WatchEvent{}} {
		want(reflect.TypeOf(o))
	}
	out := map[string]string{}
	for len(queue) > 0 {
		t := queue[0]
		queue = queue[1:]
		var b strings.Builder
		w := bufio.NewWriter(&b)
		n := name(t)
		fmt.Fprint(w, n)
		if v, ok := schemas[n].Extensions["x-kubernetes-map-type"].(string); ok {
			fmt.Fprint(w, " map="+v)
		}
		fmt.Fprintln(w)
		fields(w, t, schemas[n])
		w.Flush()
		out[n] = b.String()
	}
	names := []string{}
	for n := range out {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Print(out[n])
	}
}
