#!/bin/bash
# Real users of the API, built from package registries, each against a fresh API-only Windlass in a network namespace without a way out.
#   run.sh [NAME …]     the users that are named; all when none is. Which failed is said at the end, and is the exit status.
# WINDLASS names the program (default ../../target/debug/windlass), USERS_OUT where programs, data and logs go (default out).
# A user is a folder with user.sh: `user.sh build OUT` fetches and builds (registries are reachable), `user.sh try OUT` runs in the server's
# namespace with KUBECONFIG. A file named `disable` lists what of Windlass does not run, instead of node,service-proxy,dns; one named `parts`
# has a line for each server that it needs, and `user.sh try OUT PART` is told which. NAME/PART tries that alone.
# Needs root, Go, Python, and kubectl in $KUBECTL or, built by ../build.sh, in ../out/bin.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${USERS_OUT:-$here/out}")
program=$(realpath -m "${WINDLASS:-$here/../../target/debug/windlass}")
export GOFLAGS=-buildvcs=false KUBECTL=${KUBECTL:-$here/../out/bin/kubectl} SERVER_IP=10.88.0.2
ns=windlass-users-$$ seconds_max=900 server=
[ -x "$program" ] || { echo "run.sh: there is no $program" >&2; exit 2; }
[ -x "$KUBECTL" ] || nice -n 8 "$here/../build.sh" "$here/../out" kubectl || exit 2

begin() { # the user's name, its folder
  rm -rf "$2/data" && ip netns add $ns && ip -n $ns link set lo up && ip -n $ns addr add $SERVER_IP/32 dev lo || return
  nsenter --net=/var/run/netns/$ns "$program" server --data-dir "$2/data" --node-ip $SERVER_IP --log-level warn \
    --disable "$(cat "$here/$1/disable" 2>/dev/null || echo node,service-proxy,dns)" >"$2/windlass.log" 2>&1 </dev/null &
  server=$!
  until [ -s "$2/data/kubeconfig.yaml" ]; do kill -0 $server 2>/dev/null || return; sleep 0.1; done
}
end() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null
  server=
  for pid in $(ip netns pids $ns 2>/dev/null); do kill -9 "$pid"; done
  ip netns del $ns 2>/dev/null
  return 0
}
build() { # the user's name, its folder
  nice -n 8 "$here/$1/user.sh" build "$2" >"$2/build.log" 2>&1 || { tail -20 "$2/build.log"; echo "$1: cannot be built ($2/build.log)"; return 1; }
}
try() { # the user's name, its folder, the part
  local status=0 since=$SECONDS log=$2/try${3:+-${3//\//-}}.log title=$1${3:+/$3}
  begin "$1" "$2" || { tail -5 "$2/windlass.log"; echo "$title: the server does not start ($2/windlass.log)"; end; return 1; }
  KUBECONFIG=$2/data/kubeconfig.yaml timeout -k 10 $seconds_max nsenter --net=/var/run/netns/$ns "$here/$1/user.sh" try "$2" ${3:+"$3"} >"$log" 2>&1 </dev/null || status=$?
  kill -0 $server 2>/dev/null || { echo "$title: the server has ended"; status=1; }
  end
  if [ $status = 0 ]; then grep -v '^$' "$log" | tail -2 | sed "s#^#$title: #"; rm -rf "$2/data"; else tail -60 "$log"; fi
  echo "$title: $([ $status = 0 ] && echo passed || echo "FAILED with $status, see $log") after $((SECONDS - since)) s"
  return $status
}
one() { # a name, or NAME/PART
  local name=${1%%/*} failed=0 parts=('') part
  local dir=$out/$name
  mkdir -p "$dir" && build "$name" "$dir" || return
  [ ! -f "$here/$name/parts" ] || mapfile -t parts <"$here/$name/parts"
  [ "$1" = "$name" ] || parts=("${1#*/}")
  for part in "${parts[@]}"; do try "$name" "$dir" "$part" || failed=1; done
  return $failed
}
trap end EXIT
trap 'exit 130' INT TERM
failed=() names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(cd "$here" && for user in */user.sh; do echo "${user%/user.sh}"; done)
for name in "${names[@]}"; do
  [ -x "$here/${name%%/*}/user.sh" ] || { echo "run.sh: there is no user $name" >&2; exit 2; }
  one "$name" || failed+=("$name")
done
echo "$((${#names[@]} - ${#failed[@]})) passed, ${#failed[@]} failed"
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
