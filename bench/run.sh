#!/bin/bash
# Windlass and upstream Kubernetes side by side: the same client program, the same machine, one after the other.
#   run.sh [PHASES]      default cm,list,get,watch,custom,webhook,policy,sched,deploy,pod,crds; then the store alone beside etcd alone,
#                        both syncing each commit
# Builds what it needs (upstream from its Go modules: 25 minutes the first time) into $BENCH_OUT (default bench/out). Needs root, Go,
# and the packages that peer/peer.sh names. Prints a table with the budgets; the raw lines stay in $BENCH_OUT/*.jsonl.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${BENCH_OUT:-$here/out}")
phases=${1:-cm,list,get,watch,custom,webhook,policy,sched,deploy,pod,crds}
built=${CARGO_TARGET_DIR:-$here/../target}/release
program=${WINDLASS:-$built/windlass}
pause=${PAUSE_IMAGE:-$here/../conformance/out/images/pause_3.10.2.tar}
export PEER_DIR=${PEER_DIR:-$out/peer} PEER_NS=bench-peer
mkdir -p "$out"
"$here/peer/peer.sh" build
[ -x "$program" ] || (cd "$here/.." && cargo build --release --package windlass)

now() { date +%s.%N; }
cpu_of() { awk -v hz="$(getconf CLK_TCK)" '{print ($14+$15)/hz}' /proc/"$1"/stat; }
rss_of() { awk '/^VmRSS/{printf "%.1f", $2/1024}' /proc/"$1"/status; }
idle() { # label name=pid …: memory now, and CPU over 30 quiet seconds
  local label=$1 before=0 after=0 rss=0 pair; shift
  sleep 10
  for pair; do before=$(awk -v a="$before" -v b="$(cpu_of "${pair#*=}")" 'BEGIN{print a+b}'); done
  sleep 30
  for pair; do
    after=$(awk -v a="$after" -v b="$(cpu_of "${pair#*=}")" 'BEGIN{print a+b}')
    rss=$(awk -v a="$rss" -v b="$(rss_of "${pair#*=}")" 'BEGIN{print a+b}')
  done
  awk -v l="$label" -v r="$rss" -v c="$after" -v b="$before" \
    'BEGIN{printf "{\"label\":\"%s\",\"phase\":\"idle\",\"rss_total_mb\":%.1f,\"cpu_percent\":%.2f}\n", l, r, (c-b)/30*100}'
}

windlass() {
  local ns=bench-windlass data=$out/windlass pid enter
  ip netns add $ns
  enter="nsenter --net=/var/run/netns/$ns"
  export KUBECONFIG=$data/kubeconfig.yaml WINDLASS_DATA_DIR=$data
  rm -f "$out/start"
  $enter "$PEER_DIR/bin/bench" -kubeconfig "$KUBECONFIG" -label windlass -start "$out/start" &
  local measuring=$!
  sleep 1
  now >"$out/start"
  setsid $enter "$program" server --data-dir "$data" --log-level warn >"$out/windlass.log" 2>&1 </dev/null &
  wait $measuring
  pid=$($enter "$program" status | sed -n 's/.*process \([0-9]*\),.*/\1/p')
  idle windlass server="$pid" supervisor="$(pgrep -f "supervisor .*--root $data/runtime")"
  [ ! -f "$pause" ] || $enter "$program" image import "$pause" >/dev/null
  $enter "$PEER_DIR/bin/bench" -kubeconfig "$KUBECONFIG" -phases "$phases" -label windlass -pids "server=$pid"
  $enter "$program" down --wipe >/dev/null
  ip netns del $ns
}

upstream() {
  local enter="nsenter --net=/var/run/netns/$PEER_NS" kubeconfig=$PEER_DIR/pki/admin.kubeconfig pids='' name file
  ip netns add "$PEER_NS" 2>/dev/null || true
  rm -f "$out/start"
  $enter "$PEER_DIR/bin/bench" -kubeconfig "$kubeconfig" -label upstream -start "$out/start" -readyz https://10.89.0.2:6443/readyz &
  local measuring=$!
  KCM_EXTRA="--kube-api-qps=5000 --kube-api-burst=5000" SCHED_EXTRA="--kube-api-qps=5000 --kube-api-burst=5000" \
    START_FILE=$out/start "$here/peer/peer.sh" start node >"$out/upstream.log" 2>&1
  wait $measuring
  for file in "$PEER_DIR"/run/*.pid; do
    name=$(basename "$file" .pid)
    pids+=" $name=$(cat "$file")"
  done
  # shellcheck disable=SC2086
  idle upstream $pids
  [ ! -f "$pause" ] || "$PEER_DIR/bin/ctr" --address "/run/$PEER_NS-n1/containerd.sock" -n k8s.io images import "$pause" >/dev/null
  local servers; servers=$(tr ' ' '\n' <<<"$pids" | grep -E '^(etcd|kube-)' | paste -sd,)
  $enter "$PEER_DIR/bin/bench" -kubeconfig "$kubeconfig" -phases "$phases" -label upstream -pids "$servers"
  "$here/peer/peer.sh" stop wipe >/dev/null
}

store() {
  (cd "$here/.." && cargo build -q --release --package windlass-store --example load)
  rm -rf "$out/store" && "$built/examples/load" "$out/store" && rm -rf "$out/store"
}

etcd() {
  local ns=bench-etcd url=http://127.0.0.1:2379 pid
  ip netns add $ns && ip -n $ns link set lo up
  rm -rf "$out/etcd"
  nsenter --net=/var/run/netns/$ns "$PEER_DIR/bin/etcd" --data-dir "$out/etcd" --listen-client-urls $url --advertise-client-urls $url \
    --listen-peer-urls http://127.0.0.1:2380 --log-level error >"$out/etcd.log" 2>&1 </dev/null &
  pid=$!
  until nsenter --net=/var/run/netns/$ns curl -sf $url/readyz >/dev/null; do sleep 0.05; done
  nsenter --net=/var/run/netns/$ns "$PEER_DIR/bin/etcdload" -pid $pid
  kill $pid && wait $pid || true
  ip netns del $ns && rm -rf "$out/etcd"
}

{ windlass; store; } | tee "$out/windlass.jsonl"
{ upstream; etcd; } | tee "$out/upstream.jsonl"
python3 "$here/table.py" "$out/windlass.jsonl" "$out/upstream.jsonl"
