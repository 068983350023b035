# What the parts of the walk share: an instance of its own, two teams, and `promise NAME FUNCTION`.
passed=0 failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/sampan-walk.XXXXXX")
data=$work/data state=$work/state sock=$work/state/docker.sock
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
server=

say() { printf '%s\n' "$*"; }
# promise "what is promised" function: runs the function in a subshell with errexit; its output is shown when it fails.
promise() {
  [[ -n $pattern && ! $1 =~ $pattern ]] && return 0
  local begin=$SECONDS
  # Not in a condition: there bash ignores errexit, and only the last line would count.
  (set -euo pipefail; "$2") >"$work/output" 2>&1
  if [ $? = 0 ]; then
    passed=$((passed + 1)); say "PASS $1 ($((SECONDS - begin)) s)"
  else
    failed=$((failed + 1)); say "FAIL $1 ($((SECONDS - begin)) s)"; tail -n 25 "$work/output" | sed 's/^/     /'
  fi
}
# within SECONDS command: repeats the command until it succeeds.
within() {
  local end=$((SECONDS + $1 * slow)); shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { echo "not within the time: $*" >&2; return 1; }; sleep 0.2; done
}
is() { [ "$1" = "$2" ] || { echo "expected '$2', found '$1'" >&2; return 1; }; }
has() { case $1 in *"$2"*) ;; *) echo "'$2' is not in: $1" >&2; return 1 ;; esac; }
lacks() { case $1 in *"$2"*) echo "'$2' is in: $1" >&2; return 1 ;; esac; }
exits() { local want=$1 code=0; shift; "$@" >/dev/null 2>"$work/stderr" || code=$?; is "$code" "$want"; }
docker() { command docker -H "unix://$sock" "$@"; }
rest() { curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" "$url/api/v1$1" "${@:2}"; }
status() { curl -sS -o "$work/body" -w '%{http_code}' "$@"; }
admin() { "$sampan" admin "$@" --data-root "$data"; }
fetch() { curl -sS --max-time $((5 * slow)) "$@"; }

launch() {
  "$sampan" serve --data-root "$data" --state-root "$state" --http "127.0.0.1:$port" --docker-sock "$sock" >>"$work/serve.log" 2>&1 &
  server=$!; echo "$server" >"$work/server.pid"
  within 30 curl -sSf "$url/healthz" || { cat "$work/serve.log"; exit 1; }
}
relaunch() { server=$(cat "$work/server.pid"); kill -9 "$server" 2>/dev/null; launch; }
pid_of() { # the pid of one of the instance's helpers: keeper, spawner, net, monitor
  pgrep -f "(sampan-runtime|sampan) $1 .*--instance $(cat "$data/instance")" | head -n 1
}
snapshot() { # what a leak would add to
  { awk '{print "mount " $5}' /proc/self/mountinfo
    ip -o link | awk -F': ' '{print "link " $2}' | sed 's/@.*//'
    find /sys/fs/cgroup -maxdepth 3 -type d -name 'sampan-*' | sed 's/^/cgroup /'
    sed -n 's/^\(sampan-[^:]*\):.*/ids \1/p' /etc/subuid
    nft list tables 2>/dev/null | sed 's/^/nft /'
    find /proc/[0-9]*/ns/net -maxdepth 0 -printf '%l\n' 2>/dev/null | sed 's/^/netns /'; } | sort -u
}
start_instance() {
  export DOCKER_CONFIG=${DOCKER_CONFIG:-$HOME/.cache/sampan-clients/docker}
  PATH=$HOME/.cache/sampan-clients/bin:$PATH
  snapshot >"$work/before"
  say "walk: $sampan, kernel $(uname -r), $(stat -f -c %T /sys/fs/cgroup | sed 's/cgroup2fs/cgroup v2/; s/tmpfs/cgroup v1/')"
  trap 'stop_instance' EXIT
  launch
  printf 'correct horse 1' | admin create-user amber --password-stdin >/dev/null
  printf 'correct horse 2' | admin create-user cobalt --password-stdin >/dev/null
  printf 'correct horse 3' | admin create-user ada --admin --password-stdin >/dev/null
  admin create-team blue >/dev/null; admin create-team red >/dev/null
  admin add-member blue amber developer >/dev/null; admin add-member red cobalt developer >/dev/null
  admin add-member default amber developer >/dev/null
  TOKEN=$(admin create-token amber --team default | tail -n 1)
  BLUE=$(admin create-token amber --team blue | tail -n 1)
  RED=$(admin create-token cobalt --team red | tail -n 1)
  for image in busybox debian nginx redis postgres; do docker load -q -i "$images/$image.tar" >/dev/null || say "cannot load $image"; done
}
stop_instance() {
  [ -n "${SAMPAN_WALK_PICTURES:-}" ] && cp "$work"/*.png "$SAMPAN_WALK_PICTURES" 2>/dev/null
  declare -F machines_down >/dev/null && machines_down
  [ -n "$keep" ] && { say "kept: $work, $url, unix://$sock"; return; }
  [ -e "$work/server.pid" ] && kill "$(cat "$work/server.pid")" 2>/dev/null
  "$sampan" down --purge --data-root "$data" --state-root "$state" >/dev/null 2>&1
  rm -rf "$work"
}
finish() {
  say "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
