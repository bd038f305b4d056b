// Says what upstream's aggregator makes of cases, one JSON object on each line: the order of group versions in discovery, the headers
// that say who asks, OpenAPI documents that become one, and one that is converted. Writes each case again, with the answer in "is".
//
//	go run ./facts/aggregation <facts/aggregation/cases.jsonl >../crates/control-plane/apiserver/src/aggregation/recorded.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"
	v1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/openapiconv"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

type User struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

type Case struct {
	What     string              `json:"what"`
	Services [][4]any            `json:"services"`
	User     User                `json:"user"`
	Headers  map[string][]string `json:"headers"`
	Group    string              `json:"group"`
	Version  string              `json:"version"`
	All      *spec.Swagger       `json:"all"`
	More     *spec.Swagger       `json:"more"`
	Document *spec.Swagger       `json:"document"`
}

func order(c Case) any {
	var services []*v1.APIService
	for _, row := range c.Services {
		group, version := row[0].(string), row[1].(string)
		services = append(services, &v1.APIService{
			ObjectMeta: metav1.ObjectMeta{Name: version + "." + group},
			Spec: v1.APIServiceSpec{Group: group, Version: version,
				GroupPriorityMinimum: int32(row[2].(float64)), VersionPriority: int32(row[3].(float64))},
		})
	}
	var names [][]string
	for _, group := range helper.SortedByGroupAndVersion(services) {
		var of []string
		for _, service := range group {
			of = append(of, service.Name)
		}
		names = append(names, of)
	}
	return names
}

func headers(c Case) any {
	request := &http.Request{Header: http.Header{}}
	for name, values := range c.Headers {
		for _, value := range values {
			request.Header.Add(name, value)
		}
	}
	transport.SetAuthProxyHeaders(request, c.User.Username, c.User.UID, c.User.Groups, c.User.Extra)
	return request.Header
}

func merge(c Case) any {
	more := aggregator.FilterSpecByPathsWithoutSideEffects(c.More, []string{"/apis/" + c.Group + "/" + c.Version + "/"})
	if err := aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(c.All, more); err != nil {
		panic(err)
	}
	return c.All
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		var is any
		switch c.What {
		case "order":
			is = order(c)
		case "headers":
			is = headers(c)
		case "merge":
			is = merge(c)
		case "convert":
			is = openapiconv.ConvertV2ToV3(c.Document)
		}
		var out map[string]any
		if err := json.Unmarshal(lines.Bytes(), &out); err != nil {
			panic(err)
		}
		out["is"] = is
		text, err := json.Marshal(out)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}
