# Images and containers as files: saved and loaded elsewhere, copied in and out, compared, committed, exported, imported.
carried() {
  # A second instance, with a data root of its own.
  local other=$work/other port id
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  mkdir "$other"
  "$sampan" serve --data-root "$other/data" --state-root "$other/state" --http "127.0.0.1:$port" \
    --docker-sock "$other/docker.sock" >"$other/log" 2>&1 &
  local second=$!
  # The names are gone when the trap runs.
  trap "kill $second; wait $second || true; '$sampan' down --purge --data-root '$other/data' --state-root '$other/state'; rm -rf '$other'" EXIT
  within 30 curl -sSf "http://127.0.0.1:$port/healthz"
  id=$(docker image inspect -f '{{.Id}}' debian:bookworm)
  docker save debian:bookworm | command docker -H "unix://$other/docker.sock" load -q
  is "$(command docker -H "unix://$other/docker.sock" image inspect -f '{{.Id}}' debian:bookworm)" "$id"
  is "$(command docker -H "unix://$other/docker.sock" run --rm debian:bookworm cat /etc/debian_version)" "$(docker run --rm debian:bookworm cat /etc/debian_version)"
}
promise "an image saved here and loaded on another data root has the same id" carried

saved_for_all() {
  command -v skopeo >/dev/null || { echo "skopeo is not installed"; exit 1; }
  docker save -o "$work/saved.tar" busybox
  skopeo --insecure-policy inspect --config "docker-archive:$work/saved.tar" >/dev/null
  skopeo --insecure-policy copy -q "oci-archive:$work/saved.tar" "dir:$work/copied"
  rm -rf "$work/saved.tar" "$work/copied"
}
promise "what save writes is a docker archive and an OCI layout to others too" saved_for_all

copied() {
  mkdir -p "$work/tree/deep"; echo hello >"$work/tree/deep/file"
  docker create --name copied -v copied:/vol busybox cat /usr/tree/deep/file >/dev/null
  docker cp "$work/tree" copied:/usr/; docker cp "$work/tree/deep" copied:/vol/
  is "$(docker start -a copied)" hello
  docker cp copied:/usr/tree "$work/back"; is "$(cat "$work/back/deep/file")" hello
  is "$(docker cp copied:/vol/deep - | tar -t)" "deep/
deep/file"
  exits 1 docker cp copied:/nothing -; has "$(cat "$work/stderr")" "Could not find the file /nothing"
  docker rm -v copied; docker volume rm copied; rm -rf "$work/tree" "$work/back"
}
promise "docker cp goes both ways, into volumes too, running or not" copied

compared() {
  docker run --name compared busybox sh -c 'echo x >/new; rm /etc/passwd; chmod 700 /root' >/dev/null
  is "$(docker diff compared | sort)" "A /new
C /etc
C /root
D /etc/passwd"
  docker rm compared
}
promise "docker diff tells what a container added, changed and deleted" compared

committed() {
  docker run --name committed busybox sh -c 'echo made >/made; rm /etc/passwd' >/dev/null
  docker commit -c 'CMD ["cat", "/made"]' committed committed:1
  is "$(docker run --rm committed:1)" made; exits 1 docker run --rm committed:1 test -e /etc/passwd
  docker rm committed; docker rmi committed:1
}
promise "docker commit makes an image that runs, deletions included" committed

flattened() {
  docker create --name flat debian:bookworm true >/dev/null
  docker export flat | docker import -c 'CMD ["cat", "/etc/debian_version"]' - flat:1
  is "$(docker run --rm flat:1)" "$(docker run --rm debian:bookworm cat /etc/debian_version)"
  docker rm flat; docker rmi flat:1
}
promise "an exported container is an image again by import" flattened
