// flows prints upstream's default FlowSchemas and PriorityLevelConfigurations, one JSON object a line, those that every cluster must have
// first. `cargo xtask facts` writes the output to crates/control-plane/resources/src/flowcontrol/defaults.jsonl.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
)

func print(kind string, o any) {
	b, err := json.Marshal(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "flows:", err)
		os.Exit(1)
	}
	var tree map[string]any
	if err := json.Unmarshal(b, &tree); err != nil {
		fmt.Fprintln(os.Stderr, "flows:", err)
		os.Exit(1)
	}
	tree["kind"], tree["apiVersion"] = kind, "flowcontrol.apiserver.k8s.io/v1"
	delete(tree, "status")
	b, _ = json.Marshal(tree)
	fmt.Println(string(b))
}

func main() {
	for _, o := range append(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations...) {
		print("PriorityLevelConfiguration", o)
	}
	for _, o := range append(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas...) {
		print("FlowSchema", o)
	}
}
