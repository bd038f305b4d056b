#!/bin/bash
# prometheus-operator's definitions, the largest that are in wide use (10, together 5 MB with their descriptions), and objects of them.
#   user.sh build OUT | try OUT
set -euo pipefail
cd "$(dirname "$0")"
module=github.com/prometheus-operator/prometheus-operator
[ "$1" = try ] || exec go mod download $module
dir=$(go list -m -f '{{.Dir}}' $module) k=$KUBECTL
fail() { echo "FAIL: $*"; exit 1; }
refused() { # words, then the object on standard input
  local answer
  answer=$($k apply --server-side -f - 2>&1) && fail "accepted what is to be refused: $1"
  grep -qF "$1" <<<"$answer" || fail "refused, but not for '$1': $answer"
}
since=$(date +%s%N)
$k apply --server-side -f "$dir/example/prometheus-operator-crd-full"
$k wait --for=condition=Established crd --all --timeout=30s
echo "10 definitions after $((($(date +%s%N) - since) / 1000000)) ms"
# Applied again nothing changes, by another manager neither; an older client's apply cannot hold them in its annotation.
version() { $k get crd prometheuses.monitoring.coreos.com -o 'jsonpath={.metadata.generation} {.status.storedVersions}'; }
before=$(version)
$k apply --server-side -f "$dir/example/prometheus-operator-crd-full" >/dev/null
$k apply --server-side --field-manager other -f "$dir/example/prometheus-operator-crd-full/monitoring.coreos.com_prometheuses.yaml" >/dev/null
[ "$before" = "$(version)" ] || fail "applied again: $before became $(version)"
answer=$($k apply -f "$dir/example/prometheus-operator-crd-full/monitoring.coreos.com_prometheuses.yaml" 2>&1) && fail "client-side apply of a large definition"
grep -qF 'metadata.annotations: Too long: may not be more than 262144 bytes' <<<"$answer" || fail "client-side apply is refused otherwise: ${answer: -300}"
# The module's own examples are valid.
for file in $(grep -l '^kind:' "$dir"/example/user-guides/{alerting,getting-started}/*.yaml); do
  $k apply --server-side --validate=strict -f "$file"
done
[ "$($k get prometheus,alertmanager,servicemonitor,podmonitor,prometheusrule -o name | wc -l)" -eq 6 ] || fail "objects of the examples are missing"
$k get prometheus,alertmanager -o wide
grep -q 'FIELD: writeRelabelConfigs' <<<"$($k explain prometheus.spec.remoteWrite.writeRelabelConfigs)" || fail "kubectl explain"
[ "$($k create --dry-run=server -o 'jsonpath={.spec.evaluationInterval} {.spec.scrapeInterval} {.spec.portName}' -f - <<<'{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: defaulted}, spec: {}}')" = "30s 30s web" ] || fail "defaults"
refused 'spec.scrapeInterval in body should match' <<<'{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: bad}, spec: {scrapeInterval: often}}'
refused 'Unsupported value: "loud"' <<<'{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: bad}, spec: {logLevel: loud}}'
refused 'spec.remoteWrite[0].url: Required value' <<<'{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: bad}, spec: {remoteWrite: [{name: x}]}}'
refused '.spec.replica: field not declared in schema' <<<'{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: bad}, spec: {replica: 2}}'
refused 'no matches for kind "Prometheus" in version "monitoring.coreos.com/v2"' <<<'{apiVersion: monitoring.coreos.com/v2, kind: Prometheus, metadata: {name: bad}, spec: {}}'
# Two managers and the list that is a map.
$k apply --server-side --field-manager one -f - <<<'{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: shared}, spec: {groups: [{name: a, rules: [{alert: A, expr: vector(1)}]}]}}'
$k apply --server-side --field-manager two -f - <<<'{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: shared}, spec: {groups: [{name: b, rules: [{record: "b:c", expr: 1}]}]}}'
[ "$($k get prometheusrule shared -o 'jsonpath={.spec.groups[*].name}')" = "a b" ] || fail "groups are a map by name"
$k delete crd --all --timeout=60s
[ -z "$($k api-resources --api-group monitoring.coreos.com -o name)" ] || fail "kinds are still served"
echo "all definitions, examples and refusals as they should be"
