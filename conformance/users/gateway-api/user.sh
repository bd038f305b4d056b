#!/bin/bash
# Gateway API's definitions of both channels with their CEL rules and admission policy; the module's own examples, valid and invalid.
#   user.sh build OUT | try OUT
set -uo pipefail
cd "$(dirname "$0")"
module=sigs.k8s.io/gateway-api
[ "$1" = try ] || exec go mod download $module
dir=$(go list -m -f '{{.Dir}}' $module) k=$KUBECTL out=$2 failed=0 valid=0 invalid=0 rules=0
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
apply() { $k apply --server-side --validate=strict -f "$1" 2>&1; }
refused() { # words, the object
  local answer
  answer=$($k apply --server-side -f - <<<"$2" 2>&1) && { fail "accepted what is to be refused: $1"; return; }
  grep -qF "$1" <<<"$answer" && rules=$((rules + 1)) || fail "refused, but not for '$1': $answer"
}
accepted() { $k apply --server-side -f - <<<"$1" >/dev/null && rules=$((rules + 1)) || fail "refused: $1"; }

# The standard channel, and the policy that guards it: no error of types, no experimental one above it, no older one.
$k apply --server-side -k "$dir/config/crd/standard" 2>/dev/null || for file in "$dir"/config/crd/standard/gateway*.yaml; do apply "$file" || fail "$file"; done
$k wait --for=condition=Established crd --all --timeout=30s || fail "definitions are not established"
policy=validatingadmissionpolicy/safe-upgrades.gateway.networking.k8s.io
$k wait $policy --for=jsonpath='{.status.observedGeneration}'=1 --timeout=30s || fail "the policy's types are not checked"
[ -z "$($k get $policy -o 'jsonpath={.status.typeChecking.expressionWarnings}')" ] || fail "the policy has warnings: $($k get $policy -o yaml)"
guarded() { # a file, words: the policy works once its binding has been seen
  local answer='' try
  for try in $(seq 40); do
    answer=$($k apply --server-side --force-conflicts --dry-run=server -f "$1" 2>&1) || break
    sleep 0.1
  done
  grep -qF "$2" <<<"$answer" && rules=$((rules + 1)) || fail "$1 is not refused with '$2': $answer"
}
guarded "$dir/config/crd/experimental/gateway.networking.k8s.io_gateways.yaml" 'Installing experimental CRDs on top of standard channel CRDs is prohibited by default.'
sed 's/bundle-version: v1.6.3/bundle-version: v1.2.0/' "$dir/config/crd/standard/gateway.networking.k8s.io_gateways.yaml" >"$out/older.yaml"
guarded "$out/older.yaml" 'Installing CRDs with version before v1.5.0 is prohibited by default.'

# The module's examples, in the order of their folders, for each channel.
examples() { # channel
  local file
  while read -r file; do
    answer=$(apply "$file") && valid=$((valid + 1)) || fail "$file: $answer"
  done < <(find "$dir/examples/$1" -name '*.yaml' | sort)
  while read -r file; do
    answer=$(apply "$file") && fail "$file is accepted: $answer" || {
      invalid=$((invalid + 1)); echo "$(basename "$file"): $(head -c 300 <<<"${answer//$'\n'/ }")"; }
  done < <(find "$dir/hack/invalid-examples/$1" -name '*.yaml' | sort)
}
examples standard

# Rules beyond the examples: one that is on a list, one that is on a map of lists, and defaults that rules see.
gateway() { echo "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: $1}, spec: {gatewayClassName: c, listeners: [$2]}}"; }
route() { echo "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: $1}, spec: {rules: [$2]}}"; }
accepted "$(gateway one '{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: b.example.com}')"
refused 'Combination of port, protocol and hostname must be unique for each listener' "$(gateway two '{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}')"
refused '.spec.listeners: duplicate entries for key [name="a"]' "$(gateway two '{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}')"
refused 'tls must not be specified for protocols' "$(gateway two '{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: x}]}}')"
refused 'tls mode must be Terminate for protocol HTTPS' "$(gateway two '{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}')"
refused "certificateRefs or options must be specified when mode is Terminate" "$(gateway two '{name: a, port: 443, protocol: HTTPS, tls: {mode: Terminate}}')"
accepted "$(route one '{matches: [{path: {type: PathPrefix, value: /a}}], backendRefs: [{name: s, port: 80}]}')"
[ "$($k get httproute one -o 'jsonpath={.spec.rules[0].backendRefs[0].weight} {.spec.rules[0].backendRefs[0].kind}')" = "1 Service" ] || fail "defaults within lists"
refused 'Must have port for Service reference' "$(route two '{backendRefs: [{name: s}]}')"
refused 'RequestRedirect filter must not be used together with backendRefs' "$(route two '{backendRefs: [{name: s, port: 1}], filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301}}]}')"
refused "must not contain '/../'" "$(route two '{matches: [{path: {type: PathPrefix, value: /a/../b}}]}')"
refused 'backendRequest timeout cannot be longer than request timeout' "$(route two '{timeouts: {request: 1s, backendRequest: 2s}}')"
accepted "$(route timed '{timeouts: {request: 2s, backendRequest: 1500ms}}')"
refused 'spec.controllerName: Invalid value' '{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: bad}, spec: {controllerName: nothing}}'
accepted '{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: fixed}, spec: {controllerName: example.com/a}}'
refused 'Value is immutable' '{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: fixed}, spec: {controllerName: example.com/b}}'
[ "$($k get gatewayclass.v1beta1.gateway.networking.k8s.io fixed -o 'jsonpath={.apiVersion} {.status.conditions[0].reason}')" = "gateway.networking.k8s.io/v1beta1 Pending" ] || fail "the older version, or the default status"

# The experimental channel, as its guard says: after the policy has gone.
$k delete $policy ${policy/policy/policybinding} || fail "the policy stays"
$k delete gatewayclass,gateway,httproute --all -A >/dev/null || fail "objects stay"
for file in "$dir"/config/crd/experimental/gateway*.yaml; do
  case $file in *vap*) continue;; esac
  answer=$($k apply --server-side --force-conflicts -f "$file" 2>&1) || fail "$file: $answer"
done
$k wait --for=condition=Established crd --all --timeout=30s >/dev/null || fail "experimental definitions are not established"
examples experimental
echo "$valid examples accepted, $invalid refused, $rules rules as they should be, $failed failed"
[ $failed = 0 ]
