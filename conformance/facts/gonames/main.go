// gonames prints the names of fields in Go where they are not the JSON name with a capital letter, for messages in which
// upstream shows its own structures. `cargo xtask facts` writes the output to crates/control-plane/resources/src/go_names.txt.
//
// A line is `json Go` where a name is the same in all types that have the field, else `type json Go`. Structures of
// apimachinery are left out: their JSON has the names of JSON there too.
package main

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"k8s.io/client-go/kubernetes/scheme"
)

// A field of a type: the type's name, and the field's in JSON.
type field struct{ owner, json string }

var (
	names = map[field]string{}
	seen  = map[reflect.Type]bool{}
)

func visit(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		visit(t.Elem())
		return
	case reflect.Struct:
	default:
		return
	}
	if seen[t] || !strings.HasPrefix(t.PkgPath(), "k8s.io/api/") {
		return
	}
	seen[t] = true
	collect(t, t)
}

// collect notes the fields of t, and of what is inlined in it, as the owner's.
func collect(owner, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" && strings.Contains(rest, "inline") {
			if strings.HasPrefix(f.Type.PkgPath(), "k8s.io/api/") {
				collect(owner, f.Type)
			}
			continue
		}
		// Metadata is shown as in JSON, spread out.
		if tag == "" || tag == "-" || tag == "metadata" {
			continue
		}
		names[field{strings.ReplaceAll("io.k8s."+strings.TrimPrefix(owner.PkgPath(), "k8s.io/"), "/", ".") + "." + owner.Name(), tag}] = f.Name
		visit(f.Type)
	}
}

func main() {
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version == "v1" || gvk.Version == "v2" {
			visit(t)
		}
	}
	all := map[string]map[string]bool{}
	for f, name := range names {
		if all[f.json] == nil {
			all[f.json] = map[string]bool{}
		}
		all[f.json][name] = true
	}
	lines := map[string]bool{}
	for f, name := range names {
		switch {
		case name == strings.ToUpper(f.json[:1])+f.json[1:]:
		case len(all[f.json]) == 1:
			lines[f.json+" "+name] = true
		default:
			lines[f.owner+" "+f.json+" "+name] = true
		}
	}
	sorted := make([]string, 0, len(lines))
	for line := range lines {
		sorted = append(sorted, line)
	}
	sort.Strings(sorted)
	for _, line := range sorted {
		fmt.Println(line)
	}
}
