#!/bin/bash
# controller-runtime's own tests, as its module has them, against an external control plane (USE_EXISTING_CLUSTER). As in envtest nothing but the
# API server runs: what the tests write nobody else changes. Those of the cache come first, since they count what there is,
# those of webhooks last, since their configurations stay.
#   user.sh build OUT | try OUT; PACKAGES says which ones, FOCUS and SKIP are ginkgo's
set -euo pipefail
cd "$(dirname "$0")"
what=$1 out=$2; shift 2
module=sigs.k8s.io/controller-runtime
read -ra packages <<<"${PACKAGES:-}"; [ ${#packages[@]} -gt 0 ] || packages=(cache manager controller client webhook)
case $what in
  build)
    for package in "${packages[@]}"; do go test -c -vet=off -o "$out/${package//\//-}.test" $module/pkg/$package; done;;
  try)
    dir=$(go list -m -f '{{.Dir}}' $module) passed=0 failed=()
    export USE_EXISTING_CLUSTER=true
    skipped='find exactly one in namespace test-namespace-1' # it counts ServiceAccounts
    # envtest's API server does not ask for ServiceAccounts; here pods need the one that a controller would make.
    "$KUBECTL" get namespaces --watch -o name | while read -r namespace; do
      "$KUBECTL" create serviceaccount default -n "${namespace#namespace/}" >/dev/null 2>&1 || true
    done &
    for package in "${packages[@]}"; do
      name=${package//\//-}
      (cd "$dir/pkg/$package" && timeout 400 "$out/$name.test" -ginkgo.no-color -ginkgo.focus "${FOCUS:-}" -ginkgo.skip "${SKIP:-$skipped}") >"$out/$name.log" 2>&1 || failed+=("$package")
      grep -E '^\s*\[(FAIL|PANICKED|TIMEDOUT|INTERRUPTED)\]|^(Ran |FAIL!|SUCCESS!)' "$out/$name.log" | sort -u || tail -5 "$out/$name.log"
      passed=$((passed + $(grep -oE '[0-9]+ Passed' "$out/$name.log" | tail -1 | cut -d' ' -f1)))
    done
    echo "$passed tests of ${packages[*]} passed"
    kill %1 2>/dev/null || true
    [ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}"; exit 1; };;
esac
