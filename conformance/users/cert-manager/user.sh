#!/bin/bash
# cert-manager's controllers, CA injector and webhook, built from its module.   user.sh build OUT | try OUT
set -euo pipefail
cd "$(dirname "$0")"
case $1 in
  build) go test -c -o "$2/cert-manager.test" .;;
  try) CERT_MANAGER=$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager) exec "$2/cert-manager.test" -test.v;;
esac
