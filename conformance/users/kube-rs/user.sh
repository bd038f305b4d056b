#!/bin/bash
# A controller on kube-rs, whose definition its derive macros make.   user.sh build OUT | try OUT
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR=$2/target
case $1 in
  build) cargo build --locked;;
  try) exec "$2/target/debug/users-kube-rs";;
esac
