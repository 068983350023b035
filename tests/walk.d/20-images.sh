# Images come from files, are listed, tagged, removed; what is in use stays; what is hostile is refused.
listing() {
  has "$(docker images --format '{{.Repository}}:{{.Tag}}')" busybox:latest
  id=$(docker inspect -f '{{.Id}}' busybox); has "$id" sha256:
  has "$(docker history busybox)" IMAGE
}
promise "docker images, inspect and history know what was loaded" listing

tagging() {
  docker tag busybox mine/busy:1; has "$(docker images -q mine/busy)" "$(docker images -q busybox | head -n 1)"
  docker rmi mine/busy:1; exits 1 docker inspect mine/busy:1; docker run --rm busybox true
}
promise "tag and rmi move names, not bytes" tagging

in_use() {
  docker run -d --name holder busybox sleep 100 >/dev/null
  exits 1 docker rmi busybox; has "$(cat "$work/stderr")" "conflict"
  docker image prune -af >/dev/null; docker run --rm busybox true; docker rm -f holder
  docker load -q -i "$images/debian.tar" >/dev/null
  for image in nginx redis postgres; do docker load -q -i "$images/$image.tar" >/dev/null; done
}
promise "an image in use is neither removed nor pruned" in_use

deep() { docker load -q -i "$images/deep.tar" >/dev/null; is "$(docker run --rm deep cat /deep/126)" 126; docker rmi deep; }
promise "127 layers are as good as one" deep

hostile() {
  docker load -q -i "$images/hostile.tar" >/dev/null
  exits 125 docker run -d hostile sleep 1000; has "$(cat "$work/stderr")" "ids above 65,535"
  docker run -d --userns host --name hostile hostile sleep 1000 >/dev/null
  pid=$(docker inspect -f '{{.State.Pid}}' hostile)
  python3 "$here/images/make" check "$images/hostile.expect.json" "/proc/$pid/root"
  docker rm -f hostile; docker rmi hostile
}
promise "whiteouts, opaque folders, hard links, attributes, sparse files and odd owners arrive as they were packed" hostile

evil() { python3 "$here/images/make" try-evil "$images/evil" "unix://$sock"; }
promise "every archive that wants out is refused or made harmless" evil

unknown() {
  exits 125 docker run --rm no/such-image:1 true
  exits 1 docker load -i /etc/passwd
  exits 1 docker tag busybox 'BAD//name'
}
promise "unknown images, broken archives and bad names get a clear refusal" unknown
