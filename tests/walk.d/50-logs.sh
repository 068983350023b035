# Logs, statistics, events.
logs() {
  docker run -d --name talk busybox sh -c 'for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; sleep 1; echo late; sleep 100' >/dev/null
  within 5 sh -c "command docker -H unix://$sock logs talk 2>&1 | grep -q late"
  is "$(docker logs --tail 1 talk 2>/dev/null)" late
  is "$(docker logs talk 2>&1 >/dev/null)" oops
  has "$(docker logs -t --tail 1 talk)" "$(date -u +%Y-)"
  is "$(docker logs --since 1h talk 2>/dev/null | wc -l)" 6
  timeout -k 1 $((3 * slow)) "$(type -P docker)" -H "unix://$sock" logs -f talk >"$work/follow" 2>&1 || true; has "$(cat "$work/follow")" "line 5"
  docker rm -f talk
}

promise "logs: tail, since, timestamps, streams apart, follow" logs

flood() {
  docker run --rm --log-opt max-size=1m --log-opt max-file=2 -d --name flood busybox sh -c 'yes 0123456789012345678901234567890123456789 | head -c 50000000; sleep 100' >/dev/null
  sleep $((2 * slow)); id=$(docker inspect -f '{{.Id}}' flood)
  size=$(du -sb "$data/containers/$id/log" | cut -f 1); [ "$size" -lt 6000000 ]
  is "$(docker run --rm busybox echo still here)" "still here"; docker rm -f flood
}
promise "a log flood stays within its bounds and hurts no neighbour" flood

stats() { docker run -d --name busy busybox sh -c 'while :; do :; done' >/dev/null; sleep 1; has "$(docker stats --no-stream --format '{{.Name}} {{.CPUPerc}}' busy)" "busy "; lacks "$(docker stats --no-stream --format '{{.CPUPerc}}' busy)" "0.00%"; docker rm -f busy; }
promise "docker stats shows what a busy container takes" stats

events() {
  docker run --rm --name noisy busybox true
  has "$(docker events --since 1m --until "$(($(date +%s) + 1))" --filter container=noisy --format '{{.Action}}' | tr '\n' ' ')" "start"
}
promise "events tell what happened" events
