#!/bin/bash
# Upstream's kube-apiserver and Windlass are asked the same thousands of requests; what they answer differently is told (run.py).
#   run.sh [KIND …]     WINDLASS names the program (default ../../target/debug/windlass), PEER_DIR upstream's (built by bench/peer/peer.sh),
#                       DIFFERENTIAL_OUT where data and the report go (default out). Needs root, and what bench/peer/peer.sh needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${DIFFERENTIAL_OUT:-$here/out}")
program=$(realpath "${WINDLASS:-$here/../../target/debug/windlass}")
export PEER_DIR=${PEER_DIR:-$out/peer} PEER_NS=differential-peer
peer=$here/../../bench/peer/peer.sh ns=differential-windlass
rm -rf "$out/windlass" && mkdir -p "$out/pki"
"$peer" build
end() {
  [ -z "${server:-}" ] || { kill "$server" && wait "$server" || true; }
  "$peer" stop wipe >/dev/null 2>&1 || true
  ip netns del $ns 2>/dev/null || true
}
trap end EXIT
"$peer" start >"$out/upstream.log"
# What is compared is the API: nobody else writes.
for one in kube-controller-manager kube-scheduler; do kill "$(cat "$PEER_DIR/run/$one.pid")"; done
ip netns add $ns && ip -n $ns link set lo up && ip -n $ns addr add 10.88.0.2/32 dev lo
nsenter --net=/var/run/netns/$ns "$program" server --data-dir "$out/windlass" --node-ip 10.88.0.2 --log-level warn \
  --disable controllers,scheduler,node,service-proxy,dns --allow-service-external-ips >"$out/windlass.log" 2>&1 </dev/null &
server=$!
until [ -s "$out/windlass/kubeconfig.yaml" ]; do kill -0 "$server"; sleep 0.1; done
for pair in client-certificate-data:admin.crt client-key-data:admin.key; do
  sed -n "s/^ *${pair%:*}: *//p" "$out/windlass/kubeconfig.yaml" | base64 -d >"$out/pki/${pair#*:}"
done
python3 "$here/run.py" --upstream $PEER_NS https://10.89.0.2:6443 "$PEER_DIR/pki" --windlass $ns https://127.0.0.1:6443 "$out/pki" --report "$out/report.tsv" "$@"
