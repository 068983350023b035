# Between machines: three hosts, each a network namespace with an address of its own on a switch in a fourth. On each an
# instance with its own roots; B's registry speaks TLS with B's own authority.
machines=$work/machines
# on HOST COMMAND…: nsenter, since `ip netns exec` would put a bare /sys, without cgroups, over the host's.
on() { nsenter --net="$(net_of "$1")" "${@:2}"; }
net_of() { echo "/proc/$(cat "$machines/$1/pid")/ns/net"; }
at() { DOCKER_CONFIG=$machines/$1/docker command docker -H "unix://$machines/$1/state/docker.sock" "${@:2}"; }
# ask HOST PATH…: its REST, as an administrator.
ask() { on "$1" curl -sS --fail-with-body -H "Authorization: Bearer $(cat "$machines/$1/token")" "http://127.0.0.1:7070/api/v1$2" "${@:3}"; }
json() { python3 -c "import json, sys; it = json.load(sys.stdin); print($1)"; }

machine() { # a network namespace, held by a process
  mkdir -p "$machines/$1/docker"
  unshare --net sleep infinity & echo $! >"$machines/$1/pid"
  within 5 sh -c "[ \$(readlink /proc/$!/ns/net) != \$(readlink /proc/self/ns/net) ]"
  on "$1" ip link set lo up
}
machines_up() {
  [ -d "$machines" ] && return
  machine switch; on switch ip link add name lan type bridge; on switch ip link set lan up
  local host number=1
  for host in a b c; do
    machine "$host"
    on switch ip link add "port-$host" type veth peer name eth0 netns "$(cat "$machines/$host/pid")"
    on switch ip link set "port-$host" master lan up
    on "$host" ip addr add "172.31.77.$number/24" dev eth0; on "$host" ip link set eth0 up
    # Not by a function: the pid must be the server's own.
    nsenter --net="$(net_of "$host")" "$sampan" serve --data-root "$machines/$host/data" --state-root "$machines/$host/state" --http 127.0.0.1:7070 \
      --https "172.31.77.$number:7443" --docker-sock "$machines/$host/state/docker.sock" >"$machines/$host/log" 2>&1 &
    echo $! >"$machines/$host/serve"; number=$((number + 1))
  done
  for host in a b c; do
    within 30 on "$host" curl -sSf http://127.0.0.1:7070/healthz || { cat "$machines/$host/log"; return 1; }
    printf 'correct horse 4' | "$sampan" admin create-user root2 --admin --password-stdin --data-root "$machines/$host/data" >/dev/null
    "$sampan" admin create-token root2 --team default --data-root "$machines/$host/data" | tail -n 1 >"$machines/$host/token"
  done
  # What other hosts must trust, as docs/registry.md has it.
  "$sampan" admin ca --data-root "$machines/b/data" >"$machines/ca.crt"
}
ended() { [ ! -e "/proc/$1/exe" ]; } # one that nobody waited for yet has none
machines_down() {
  [ -d "$machines" ] || return 0
  local host pid
  for host in a b c; do
    [ -e "$machines/$host/serve" ] || continue
    pid=$(cat "$machines/$host/serve"); kill "$pid" 2>/dev/null || true; within 20 ended "$pid"
    on "$host" "$sampan" down --purge --data-root "$machines/$host/data" --state-root "$machines/$host/state" >/dev/null
  done
  for pid in "$machines"/*/pid "$machines"/*.pid; do [ ! -e "$pid" ] || kill "$(cat "$pid")" || true; done
  rm -rf "$machines"
}
# trust HOST REGISTRY CERTIFICATE: a registry and its authority, as an administrator says it.
trust() {
  python3 -c 'import json, sys; print(json.dumps({"teams_may": True, "ca_pem": open(sys.argv[1]).read()}))' "$3" \
    | ask "$1" "/registries/$2" -X PUT -H 'Content-Type: application/json' -d @-
}
a=172.31.77.1 b=172.31.77.2:7443

pushed_over() {
  machines_up
  at a load -q -i "$images/busybox.tar"; at a tag busybox "$b/default/box:1"
  # An address of the inner network, and an authority that nobody knows: each is told.
  exits 1 at a push "$b/default/box:1"; has "$(cat "$work/stderr")" "an administrator may allow that registry"
  ask a "/registries/$b" -X PUT -H 'Content-Type: application/json' -d '{"teams_may":true}'
  exits 1 at a push "$b/default/box:1"; has "$(cat "$work/stderr")" certificate
  trust a "$b" "$machines/ca.crt"
  exits 1 at a push "$b/default/box:1"
  at a login -u root2 --password-stdin "$b" <"$machines/b/token"
  at a push "$b/default/box:1" | tee "$machines/pushed"; has "$(cat "$machines/pushed")" "1: digest: sha256:"
  has "$(at a push "$b/default/box:1")" "Layer already exists"
}
promise "between machines: A pushes to B's registry over TLS, by nothing but B's authority and a name there" pushed_over

# Connections that were made, and bytes that came and went, in a host's network namespace.
connections() { on "$1" awk '/^Tcp:/ && $6 ~ /[0-9]/ {print $6, $7}' /proc/net/snmp; }
traffic() { on "$1" awk '/eth0:|lo:/ {sub(/.*:/, ""); sum += $1 + $9} END {print sum}' /proc/net/dev; }
ran_there() {
  local before bytes; before=$(connections b) bytes=$(traffic b)
  is "$(at b images -q)" ""
  is "$(at b run --rm --network none "$b/default/box:1" echo here)" here
  is "$(connections b)" "$before"
  # An idle connection of the push may end meanwhile, and neighbours ask for addresses.
  [ $(($(traffic b) - bytes)) -lt 20000 ]
  is "$(ask b /fetches | json 'it["items"]')" "[]"
  at b run -d --name web -p 8080:80 "$b/default/box:1" sh -c 'mkdir /w; echo from B >/w/index.html; exec httpd -f -p 80 -h /w' >/dev/null
  within 20 on a curl -sSf "http://${b%:*}:8080/"; is "$(on a curl -sS "http://${b%:*}:8080/")" "from B"; at b rm -f web
}
promise "between machines: B runs it without a pull: no connection, no byte; and A sees its page" ran_there

# A mirror that gives B's own answers, but for one byte of each layer.
liar() {
  cat >"$machines/liar.py" <<'LIAR'
import http.server, ssl, sys, urllib.request
upstream, authority, name, secret, port = sys.argv[1:]
trust = ssl.create_default_context(cafile=authority)
passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
passwords.add_password(None, upstream, name, secret, is_authenticated=True)
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), urllib.request.HTTPBasicAuthHandler(passwords))
class Liar(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ask = urllib.request.Request(upstream + self.path, method=self.command)
        ask.add_header("Accept", self.headers.get("Accept", "*/*"))
        try:
            answer = opener.open(ask)
        except urllib.error.HTTPError as error:
            answer = error
        body = bytearray(answer.read())
        if "/blobs/" in self.path and len(body) > 65536:
            body[-1] ^= 1
        self.send_response(answer.status)
        for header in "Content-Type", "Docker-Content-Digest":
            if answer.headers.get(header):
                self.send_header(header, answer.headers[header])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(("172.31.77.1", int(port)), Liar).serve_forever()
LIAR
  nsenter --net="$(net_of a)" python3 "$machines/liar.py" "https://$b" "$machines/ca.crt" root2 "$(cat "$machines/b/token")" 5001 >"$machines/liar.log" 2>&1 &
  echo $! >"$machines/liar.pid"
  within 10 on c sh -c "curl -s http://$a:5001/v2/ -o /dev/null"
}
mirrored() {
  liar; trust c "$b" "$machines/ca.crt"
  local served
  for place in "5002 1" "5001 2"; do
    ask c /mirrors -X POST -H 'Content-Type: application/json' \
      -d '{"registry":"'"$b"'","url":"http://'"$a:${place% *}"'","position":'"${place#* }"'}' >/dev/null
  done
  at c login -u root2 --password-stdin "$b" <"$machines/b/token"
  at c pull "$b/default/box:1" | tee "$machines/pulled"
  is "$(grep -o 'Digest: .*' "$machines/pulled")" "$(grep -o 'digest: sha256:[0-9a-f]*' "$machines/pushed" | sed 's/^d/D/')"
  is "$(at c run --rm --network none "$b/default/box:1" echo here)" here
  is "$(ask c /mirrors | json '[(one["failures"] > 0, one["lied"]) for one in it["items"]]')" "[(True, False), (True, True)]"
  served=$(ask c /fetches | json '{one["endpoint"]: one["blobs"] for one in it["items"]}')
  has "$served" "'https://$b': "; lacks "$served" "5002"
}
promise "between machines: C pulls past a dead mirror and one that lies in one byte, and runs it" mirrored

through() {
  local name=$b/default/cache/${a}_7443/default/box
  at a tag busybox "$a:7443/default/box:1"; at a push "$a:7443/default/box:1"
  "$sampan" admin ca --data-root "$machines/a/data" >"$machines/a.crt"; trust b "$a:7443" "$machines/a.crt"
  exits 1 at c pull "$name:1"; at c rmi "$b/default/box:1"
  ask b "/credentials/$a:7443" -X PUT -H 'Content-Type: application/json' -d '{"username":"root2","password":"'"$(cat "$machines/a/token")"'"}'
  at c pull "$name:1"; at c rmi "$name:1"
  kill "$(cat "$machines/a/serve")"; within 10 sh -c "! nsenter --net=$(net_of a) curl -s http://127.0.0.1:7070/healthz"
  at c pull "$name:1"; is "$(at c run --rm --network none "$name:1" echo here)" here
  is "$(ask b /fetches | json 'sum(one["blobs"] for one in it["items"])')" 2
  exits 1 at c push "$name:1"; has "$(cat "$work/stderr")" "nobody pushes there"
}
promise "between machines: C pulls what A has through B's cache, by B's name at A, and again when A is gone" through

machines_gone() {
  local instances
  instances=$(cat "$machines"/?/data/instance | paste -sd '|')
  machines_down
  is "$(snapshot | grep -E "sampan-($instances)|$machines" || true)" ""
  is "$(pgrep -f "$machines/|instance ($instances)" || true)" ""
}
promise "between machines: nothing of the three is left" machines_gone
machines_down
