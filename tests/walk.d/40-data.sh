# Volumes keep, binds obey, services keep their data over a restart.
volumes() {
  docker volume create kept >/dev/null
  docker run --rm -v kept:/d busybox sh -c 'echo data > /d/file'
  is "$(docker run --rm -v kept:/d:ro busybox cat /d/file)" data
  exits 1 docker run --rm -v kept:/d:ro busybox touch /d/x
  exits 1 docker volume rm nothing-here; docker volume rm kept
}
promise "a named volume keeps its data, :ro holds" volumes

copy_up() {
  docker run --rm -v web-root:/etc/nginx nginx sh -c 'ls /etc/nginx/nginx.conf'
  docker run --rm -v web-root:/c busybox ls /c/nginx.conf; docker volume rm web-root
}
promise "an empty volume gets the image's content on first use" copy_up

binds() {
  mkdir -p "$work/bind"; echo host >"$work/bind/file"
  is "$(docker run --rm -v "$work/bind:/b" busybox sh -c 'cat /b/file; echo inside > /b/new')" host
  is "$(stat -c %u "$work/bind/new") $(cat "$work/bind/new")" "0 inside"
  is "$(status -H "Authorization: Bearer $BLUE" -H 'Content-Type: application/json' "$url/api/v1/containers" -d '{"image":"busybox","mounts":[{"type":"bind","source":"/etc","destination":"/e"}]}')" 403
}
promise "the administrator's bind writes as the host's root, a team's bind is refused" binds

granted() {
  base=$(docker run --rm busybox awk '{ print $2 }' /proc/self/uid_map)
  mkdir -p "$work/granted"; chown "$base:$base" "$work/granted"
  body='{"image":"busybox","network":"none","start":true,"command":["sh","-c","touch /g/x; chmod 4755 /g/x"],'
  body=$body'"mounts":[{"type":"bind","source":"'$work'/granted","destination":"/g"}]}'
  make() { status -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' "$url/api/v1/containers" -d "$body"; }
  is "$(make)" 403
  admin grant-folder default "$work/granted" >/dev/null; is "$(make)" 201
  within 10 test -u "$work/granted/x"; is "$(stat -c %u "$work/granted/x")" "$base"
  admin revoke-folder default "$work/granted" >/dev/null; is "$(make)" 403
}
promise "a granted host folder is the team's, a setuid file in it too" granted

redis_keeps() {
  docker run -d --name cache -v cache:/var/lib/redis redis >/dev/null
  within 30 docker exec cache redis-cli set boat sampan
  docker exec cache redis-cli save; docker restart cache
  within 30 sh -c "command docker -H unix://$sock exec cache redis-cli get boat | grep -q sampan"
  docker rm -f cache; docker volume rm cache
}
promise "redis keeps its data over a restart" redis_keeps

# By TCP: while it is set up for the first time the image's server listens on its own socket alone, then starts anew.
sql() { docker exec -e PGPASSWORD=secret db psql -h 127.0.0.1 -U postgres -Atc "$1"; }
postgres_keeps() {
  docker run -d --name db -e POSTGRES_PASSWORD=secret -v db:/var/lib/postgresql postgres >/dev/null
  within 90 sql 'create table if not exists boats (name text)'
  sql "insert into boats values ('sampan')"; docker restart db
  within 60 sql 'select 1'
  is "$(sql 'select name from boats')" sampan
  docker rm -f db; docker volume rm db
}
promise "postgres keeps its data over a restart" postgres_keeps
