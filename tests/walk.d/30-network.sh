# Ports answer, teams are apart.
published() {
  docker run -d --name web -p 18080:80 nginx >/dev/null
  within 20 fetch -f http://127.0.0.1:18080/
  address=$(ip -4 -o addr show scope global | awk '{sub("/.*", "", $4); print $4; exit}')
  [ -z "$address" ] || fetch -f "http://$address:18080/" >/dev/null
  has "$(docker run --rm busybox wget -qO- "http://$(docker inspect -f '{{.NetworkSettings.Networks.bridge.Gateway}}' web):18080/")" nginx
  within 10 sh -c "command docker -H unix://$sock logs web 2>&1 | grep -q 'GET /'"
}
promise "nginx answers on its published port: on 127.0.0.1, on the host's address, from another container" published

udp() {
  # Busybox has no UDP listener here; Debian's perl answers.
  docker run -d --name echo -p 19053:9053/udp debian:bookworm perl -MIO::Socket::INET -e '
    $| = 1; $s = IO::Socket::INET->new(LocalPort => 9053, Proto => "udp") or die $!; print "ready\n";
    while ($s->recv($m, 99)) { $s->send("pong\n") }' >/dev/null
  within 10 sh -c "command docker -H unix://$sock logs echo | grep -q ready"
  exec 5<>/dev/udp/127.0.0.1/19053; echo ping >&5; is "$(timeout $((5 * slow)) head -n 1 <&5)" pong; docker rm -f echo
}
promise "UDP ports are published too" udp

port_taken() {
  exits 125 docker run --rm -p 18080:80 nginx true; has "$(cat "$work/stderr")" 18080
  docker run -d --name range -p 18100-18110:80 nginx >/dev/null; has "$(docker port range)" 181; docker rm -f range
  docker run -d --name any -P nginx >/dev/null; has "$(docker port any)" 0.0.0.0; docker rm -f any
}
promise "a taken port is refused by name, ranges and -P choose a free one" port_taken

other_modes() {
  is "$(docker run --rm --network none busybox sh -c 'ls /sys/class/net')" lo
  docker run -d --name base busybox sleep 100 >/dev/null
  is "$(docker run --rm --network container:base busybox cat /proc/net/fib_trie | md5sum)" "$(docker exec base cat /proc/net/fib_trie | md5sum)"
  docker rm -f base
}
promise "network none has loopback only, container:X shares" other_modes

teams_apart() {
  # Both teams run a server; neither reaches the other by address.
  for pair in "$BLUE:blue" "$RED:red"; do
    token=${pair%:*} name=${pair#*:}
    curl -sSf -H "Authorization: Bearer $token" -H 'Content-Type: application/x-tar' --data-binary "@$images/busybox.tar" "$url/api/v1/images" >/dev/null
    curl -sSf -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$url/api/v1/containers" \
      -d '{"name":"'"$name"'-server","image":"busybox","command":["sh","-c","mkdir -p /w; echo '"$name"' > /w/index.html; httpd -f -p 80 -h /w"]}' >"$work/$name.json"
    id=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["id"])' "$work/$name.json"); echo "$id" >"$work/$name.id"
    curl -sSf -X POST -H "Authorization: Bearer $token" "$url/api/v1/containers/$id/start" >/dev/null
  done
  address=$(curl -sSf -H "Authorization: Bearer $RED" "$url/api/v1/containers/$(cat "$work/red.id")" | python3 -c 'import json,sys; print(json.load(sys.stdin)["address"])')
  code=$(curl -sS -H "Authorization: Bearer $BLUE" -H 'Content-Type: application/json' "$url/api/v1/containers" -d '{"name":"prober","image":"busybox","command":["wget","-T","2","-qO-","http://'"$address"'/"]}')
  id=$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["id"])' "$code")
  curl -sSf -X POST -H "Authorization: Bearer $BLUE" "$url/api/v1/containers/$id/start" >/dev/null
  result=$(curl -sSf -X POST -H "Authorization: Bearer $BLUE" "$url/api/v1/containers/$id/wait"); lacks "$result" '"exit_code":0'
  is "$(fetch -f "http://$address/")" red
}
promise "containers of two teams do not reach each other" teams_apart

teams_blind() {
  is "$(status -H "Authorization: Bearer $BLUE" "$url/api/v1/containers/$(cat "$work/red.id")")" 404
  is "$(status -X POST -H "Authorization: Bearer $BLUE" "$url/api/v1/containers/$(cat "$work/red.id")/stop")" 404
  lacks "$(curl -sS -H "Authorization: Bearer $BLUE" "$url/api/v1/containers")" red-server
  lacks "$(docker ps -a --format '{{.Names}}')" red-server
  is "$(status "$url/api/v1/containers")" 401
}
promise "a team sees nothing of another, and nobody sees nothing" teams_blind

api_closed() {
  gateway=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.Gateway}}' web)
  has "$(docker run --rm busybox wget -qO- "http://$gateway:18080/")" nginx
  exits 0 docker run --rm busybox nc -w 5 "$gateway" 18080; exits 1 docker run --rm busybox nc -w 2 "$gateway" "$port"
}
promise "no container reaches Sampan's own API" api_closed
