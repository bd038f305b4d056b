#!/bin/bash
# Derives the tables of facts about upstream anew, from the Go modules that conformance/go.mod names.
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./facts/types >../crates/base/machinery/src/schema/types.txt.new
mv ../crates/base/machinery/src/schema/types.txt.new ../crates/base/machinery/src/schema/types.txt
go run ./facts/roles >../crates/control-plane/auth/src/rbac/bootstrap.jsonl.new
mv ../crates/control-plane/auth/src/rbac/bootstrap.jsonl.new ../crates/control-plane/auth/src/rbac/bootstrap.jsonl
go run ./facts/gonames >../crates/control-plane/resources/src/go_names.txt.new
mv ../crates/control-plane/resources/src/go_names.txt.new ../crates/control-plane/resources/src/go_names.txt
go run ./facts/flows >../crates/control-plane/resources/src/flowcontrol/defaults.jsonl.new
mv ../crates/control-plane/resources/src/flowcontrol/defaults.jsonl.new ../crates/control-plane/resources/src/flowcontrol/defaults.jsonl
git -C .. diff --stat -- crates/base/machinery/src/schema/types.txt crates/control-plane/auth/src/rbac/bootstrap.jsonl \
    crates/control-plane/resources/src/go_names.txt crates/control-plane/resources/src/flowcontrol/defaults.jsonl
