// roles prints upstream's default roles and bindings, one JSON object a line. `cargo xtask facts` writes the output to
// crates/control-plane/auth/src/rbac/bootstrap.jsonl.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

func print(o any) {
	b, err := json.Marshal(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "roles:", err)
		os.Exit(1)
	}
	fmt.Println(string(b))
}

func role(r rbacv1.ClusterRole) {
	r.Kind, r.APIVersion = "ClusterRole", "rbac.authorization.k8s.io/v1"
	print(r)
}

func binding(b rbacv1.ClusterRoleBinding) {
	b.Kind, b.APIVersion = "ClusterRoleBinding", "rbac.authorization.k8s.io/v1"
	print(b)
}

func main() {
	for _, r := range append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...) {
		role(r)
	}
	for _, b := range append(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()...) {
		binding(b)
	}
	for _, ns := range sorted(bootstrappolicy.NamespaceRoles()) {
		for _, r := range bootstrappolicy.NamespaceRoles()[ns] {
			r.Kind, r.APIVersion, r.Namespace = "Role", "rbac.authorization.k8s.io/v1", ns
			print(r)
		}
	}
	for _, ns := range sorted(bootstrappolicy.NamespaceRoleBindings()) {
		for _, b := range bootstrappolicy.NamespaceRoleBindings()[ns] {
			b.Kind, b.APIVersion, b.Namespace = "RoleBinding", "rbac.authorization.k8s.io/v1", ns
			print(b)
		}
	}
}

func sorted[T any](m map[string]T) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return
}
