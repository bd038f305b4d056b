#!/bin/bash
# An operator on controller-runtime with its tests in envtest's manner, against an external control plane.   user.sh build OUT | try OUT
set -euo pipefail
cd "$(dirname "$0")"
case $1 in
  build) go test -c -o "$2/operator.test" .;;
  try) USE_EXISTING_CLUSTER=true exec "$2/operator.test" -test.v -test.timeout 3m;;
esac
