# The same by HTTP, and in the browser.
api() {
  is "$(fetch -f "$url/healthz" -o /dev/null -w '%{http_code}')" 200
  has "$(fetch -f "$url/api/v1/openapi.json")" '"openapi":"3.1'
  id=$(rest /containers -H 'Content-Type: application/json' -d '{"name":"by-http","image":"busybox","command":["sh","-c","echo over http; sleep 100"]}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')
  rest "/containers/$id/start" -X POST; within 5 sh -c "curl -sS -H 'Authorization: Bearer $TOKEN' $url/api/v1/containers/$id/logs | grep -q 'over http'"
  has "$(docker ps --format '{{.Names}}')" by-http; rest "/containers/$id?force=true" -X DELETE
}
promise "create, start, logs and delete by curl" api
bad_input() {
  is "$(status -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' "$url/api/v1/containers" -d '{"image":')" 400
  is "$(status -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' "$url/api/v1/containers" -d '{"image":"busybox","nonsense":1}')" 400
  is "$(status -H "Authorization: Bearer $TOKEN" "$url/api/v1/containers/none")" 404
  is "$(status -H "Authorization: Bearer wrong" "$url/api/v1/containers")" 401
  is "$(status --unix-socket "$sock" http://d/v1.45/containers/create -d '{' -H 'Content-Type: application/json')" 400
  is "$(status --unix-socket "$sock" http://d/v1.45/build -X POST)" 501
}
promise "bad input gets the right status at each door" bad_input
changed() {
  docker run --name was busybox sh -c 'echo hello > /greeting'; docker commit was changed:1; docker rm was
  found=$(rest '/images/busybox/difference?to=changed:1')
  has "$found" '"path":"/greeting","change":"added","kind":"file","before_bytes":null,"after_bytes":6'
  has "$found" '"added":{"count":1,'
  docker rmi -f changed:1
  has "$(rest '/images/debian:bookworm/difference?to=nginx')" '"manager":"dpkg","name":"libssl3","architecture":"amd64","before":null'
}
promise "what changed between two images is told by curl: files and packages" changed
socket_inside() {
  is "$(docker run --rm -v "$sock:/var/run/docker.sock" busybox sh -c 'test -S /var/run/docker.sock && echo there')" there
}
promise "the docker socket can be mounted into a container" socket_inside
if [ -n "$browser" ]; then
  pages() { python3 "$here/browser.py" "$url" ada 'correct horse 3' "$work"; }
  promise "in the browser: sign in, list, create, log, console, stop, remove, in both languages" pages
fi
