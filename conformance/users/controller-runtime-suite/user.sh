#!/bin/bash
# controller-runtime's own tests, as its module has them, against an external control plane (USE_EXISTING_CLUSTER). As in envtest nothing but the
# API server runs: what the tests write nobody else changes.   user.sh build OUT | try OUT PACKAGE, of those in `parts`; FOCUS is ginkgo's
set -euo pipefail
cd "$(dirname "$0")"
out=$2 module=sigs.k8s.io/controller-runtime
if [ "$1" = build ]; then
  while read -r package; do go test -c -vet=off -o "$out/${package//\//-}.test" $module/pkg/"$package"; done <parts
  exit
fi
dir=$(go list -m -f '{{.Dir}}' $module)/pkg/$3
# envtest's API server does not ask for ServiceAccounts; here pods need the one that a controller would make.
"$KUBECTL" get namespaces --watch -o name | while read -r namespace; do
  "$KUBECTL" create serviceaccount default -n "${namespace#namespace/}" >/dev/null 2>&1 || true
done &
# One test counts ServiceAccounts, and one needs a server that has no aggregated discovery.
cd "$dir"
USE_EXISTING_CLUSTER=true timeout 400 "$out/${3//\//-}.test" -test.skip TestLazyRestMapperProvider/aggregatedDiscovery=false -test.v -ginkgo.no-color -ginkgo.focus "${FOCUS:-}" \
  -ginkgo.skip 'find exactly one in namespace test-namespace-1' >"$out/${3//\//-}.log" 2>&1 && status=0 || status=$?
kill %1 2>/dev/null || true
grep -E '^\s*(\[(FAIL|PANICKED|TIMEDOUT|INTERRUPTED)\]|--- FAIL)|^Ran |Passed|^(PASS|FAIL)$' "$out/${3//\//-}.log" | sort -u || tail -5 "$out/${3//\//-}.log"
exit $status
