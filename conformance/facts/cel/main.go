// Asks cel-go, as the API server sets it up, what it makes of expressions, and writes the answers down.
//
//	python3 facts/cel/cases.py | go run ./facts/cel >../crates/base/cel/tests/it/answers.jsonl
//
// A case is {"expr", "schema", "self", "env", "limit"}: `self` is declared by an OpenAPI schema, or is dyn without one; `env` is "new"
// or "stored"; "with" names a line {"name", "schema", "self"} before, of which it has what it lacks; `authorizer` allows "get", errs
// for "err" and denies the rest. An answer is the case with what came of it: "compile" or "plan" (an error's text), or else "type",
// "value" or "error", "cost", and "min" and "max" of the estimated cost.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

type testCase struct {
	Name    string          `json:"name,omitempty"`
	Expr    string          `json:"expr,omitempty"`
	With    string          `json:"with,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"`
	Self    json.RawMessage `json:"self,omitempty"`
	Env     string          `json:"env,omitempty"`
	Limit   uint64          `json:"limit,omitempty"`
	Compile string          `json:"compile,omitempty"`
	Plan    string          `json:"plan,omitempty"`
	Type    string          `json:"type,omitempty"`
	Value   string          `json:"value,omitempty"`
	Error   string          `json:"error,omitempty"`
	Cost    *uint64         `json:"cost,omitempty"`
	Min     *string         `json:"min,omitempty"`
	Max     *string         `json:"max,omitempty"`
}

type verbs struct{}

func (verbs) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	switch a.GetVerb() {
	case "get":
		return authorizer.DecisionAllow, "for " + a.GetUser().GetName(), nil
	case "err":
		return authorizer.DecisionNoOpinion, "", errors.New("cannot say")
	case "show":
		return authorizer.DecisionDeny, fmt.Sprintf("%v %q %q %q %q %q %q %q", a.IsResourceRequest(), a.GetAPIGroup(), a.GetResource(),
			a.GetSubresource(), a.GetNamespace(), a.GetName(), a.GetPath(), a.GetUser().GetName()), nil
	}
	return authorizer.DecisionDeny, "no", nil
}

func number(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k := range v {
			v[k] = number(v[k])
		}
	case []any:
		for i := range v {
			v[i] = number(v[i])
		}
	}
	return v
}

func render(v ref.Val) string {
	switch v := v.(type) {
	case types.Null:
		return "null"
	case types.Bool:
		return strconv.FormatBool(bool(v))
	case types.Int:
		return strconv.FormatInt(int64(v), 10)
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10) + "u"
	case types.Double:
		if math.IsNaN(float64(v)) {
			return "double NaN"
		}
		return "double " + strconv.FormatUint(math.Float64bits(float64(v)), 16)
	case types.String:
		s, _ := json.Marshal(string(v))
		var back string
		json.Unmarshal(s, &back)
		return strconv.QuoteToASCII(back)
	case types.Bytes:
		return "bytes " + base64.StdEncoding.EncodeToString(v)
	case types.Duration:
		return "duration " + strconv.FormatInt(int64(v.Duration), 10)
	case types.Timestamp:
		return "timestamp " + string(v.ConvertToType(types.StringType).(types.String))
	case *types.Type:
		return "type " + v.TypeName()
	case *types.Optional:
		if v.HasValue() {
			return "optional(" + render(v.GetValue()) + ")"
		}
		return "optional.none"
	case apiservercel.URL:
		return "url " + v.URL.String()
	case apiservercel.IP:
		return "ip " + v.Addr.String()
	case apiservercel.CIDR:
		return "cidr " + v.Prefix.String()
	case apiservercel.Semver:
		return "semver " + v.Version.String()
	case apiservercel.Quantity:
		return "quantity " + v.Quantity.String()
	case *apiservercel.Quantity:
		return "quantity " + v.Quantity.String()
	case apiservercel.Format:
		return "format " + v.Name
	case traits.Lister:
		parts := []string{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			parts = append(parts, render(it.Next()))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case traits.Mapper:
		parts := []string{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			if k == nil {
				continue
			}
			val, _ := v.Find(k)
			if val == nil {
				parts = append(parts, render(k)+": hidden")
				continue
			}
			parts = append(parts, render(k)+": "+render(val))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case *types.Err:
		return "error " + v.Error()
	}
	return v.Type().TypeName()
}

// sizes is how CustomResourceDefinitions estimate sizes: by the declared type that a path leads to.
type sizes struct{ root *apiservercel.DeclType }

func (s *sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	if len(element.Path()) == 0 || element.Path()[0] != "self" {
		return nil
	}
	at := s.root
	for _, name := range element.Path()[1:] {
		switch name {
		case "@items", "@values":
			at = at.ElemType
		case "@keys":
			at = at.KeyType
		default:
			field, ok := at.Fields[name]
			if !ok {
				return nil
			}
			at = field.Type
		}
		if at == nil {
			return nil
		}
	}
	return &checker.SizeEstimate{Min: 0, Max: uint64(at.MaxElements)}
}

func (s *sizes) EstimateCallCost(function, overload string, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	return nil
}

func bound(v uint64) *string { s := strconv.FormatUint(v, 10); return &s }

func answer(c *testCase, base *environment.EnvSet) {
	defer func() {
		if r := recover(); r != nil {
			c.Error = fmt.Sprintf("panic: %v", r)
		}
	}()
	var schema *spec.Schema
	var decl *apiservercel.DeclType
	options := environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: []cel.EnvOption{
		cel.Variable("authorizer", library.AuthorizerType), library.JSONPatch()}}
	if c.Schema != nil {
		schema = &spec.Schema{}
		if err := json.Unmarshal(c.Schema, schema); err != nil {
			panic(err)
		}
		decl = openapi.SchemaDeclType(schema, false).MaybeAssignTypeName("selfType")
		options.EnvOptions = append(options.EnvOptions, cel.Variable("self", decl.CelType()))
		options.DeclTypes = []*apiservercel.DeclType{decl}
	} else {
		options.EnvOptions = append(options.EnvOptions, cel.Variable("self", cel.DynType))
	}
	set, err := base.Extend(options)
	if err != nil {
		panic(err)
	}
	env := set.NewExpressionsEnv()
	if c.Env == "stored" {
		env = set.StoredExpressionsEnv()
	}
	ast, issues := env.Compile(c.Expr)
	if issues.Err() != nil {
		c.Compile = issues.String()
		return
	}
	c.Type = ast.OutputType().String()
	estimator := &library.CostEstimator{}
	if decl != nil {
		estimator.SizeEstimator = &sizes{root: decl}
	}
	limit := c.Limit
	if limit == 0 {
		limit = 1000000
	}
	program, err := env.Program(ast, cel.CostLimit(limit), cel.CostTracking(estimator))
	if err != nil {
		c.Plan = err.Error()
		return
	}
	estimate, err := env.EstimateCost(ast, estimator)
	if err != nil {
		panic(err)
	}
	c.Min, c.Max = bound(estimate.Min), bound(estimate.Max)
	vars := map[string]any{"authorizer": library.NewAuthorizerVal(&user.DefaultInfo{Name: "alice"}, verbs{})}
	if c.Self != nil {
		decoder := json.NewDecoder(strings.NewReader(string(c.Self)))
		decoder.UseNumber()
		var self any
		if err := decoder.Decode(&self); err != nil {
			panic(err)
		}
		self = number(self)
		if schema != nil {
			vars["self"] = openapi.UnstructuredToVal(self, schema)
		} else {
			vars["self"] = self
		}
	}
	value, details, err := program.Eval(vars)
	if details != nil {
		c.Cost = details.ActualCost()
	}
	if err != nil {
		c.Error = err.Error()
		return
	}
	c.Value = render(value)
}

func main() {
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	named := map[string]testCase{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var c testCase
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err, in.Text())
			os.Exit(1)
		}
		if c.Name != "" {
			named[c.Name] = c
		} else {
			whole := c
			if whole.Schema == nil {
				whole.Schema = named[c.With].Schema
			}
			if whole.Self == nil {
				whole.Self = named[c.With].Self
			}
			answer(&whole, base)
			whole.Schema, whole.Self = c.Schema, c.Self
			c = whole
		}
		if err := out.Encode(&c); err != nil {
			panic(err)
		}
	}
}
