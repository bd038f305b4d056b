#!/bin/bash
# The Python client's dynamic client with custom objects.   user.sh build OUT | try OUT
set -euo pipefail
cd "$(dirname "$0")"
case $1 in
  build) [ -x "$2/venv/bin/python" ] || python3 -m venv "$2/venv"; "$2/venv/bin/pip" install -q -r requirements.txt;;
  try) exec "$2/venv/bin/python" -m unittest -v dynamic;;
esac
