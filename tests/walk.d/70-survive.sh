# What dies takes nothing with it.
under_load() { # a container that writes a line each 100 ms
  docker run -d --name ticker --restart unless-stopped busybox sh -c 'i=0; while :; do i=$((i + 1)); echo tick $i; sleep 0.1; done' >/dev/null
  docker run -d --name later busybox sh -c 'sleep 12; exit 42' >/dev/null
}
no_gap() { # every tick from 1 to the last is in the log, in order
  docker logs ticker | awk '$2 != NR { print "gap at " NR ": " $0; bad = 1; exit } END { exit bad || NR < 5 }'
}
kill_serve() {
  under_load; sleep 1; relaunch; sleep 1; no_gap
  is "$(docker inspect -f '{{.State.Running}}' ticker)" true; fetch -f http://127.0.0.1:18080/ >/dev/null
}
promise "kill -9 of serve: containers, output and published ports go on" kill_serve
kill_spawner() {
  kill -9 "$(pid_of spawner)"; within 10 docker run --rm busybox true; no_gap; is "$(docker inspect -f '{{.State.Running}}' ticker)" true
}
promise "kill -9 of spawner: nothing running notices, and the next start works" kill_spawner
kill_net() {
  kill -9 "$(pid_of net)"; fetch -f http://127.0.0.1:18080/ >/dev/null
  within 10 docker run --rm -p 18090:80 busybox true; no_gap
}
promise "kill -9 of net: published ports go on answering" kill_net
kill_monitor() {
  before=$(docker logs ticker | wc -l); kill -9 "$(pid_of monitor)"; sleep 2
  after=$(docker logs ticker | wc -l); [ "$after" -gt "$((before + 5))" ]
  is "$(docker inspect -f '{{.State.Running}}' ticker)" true
}
promise "kill -9 of a monitor: containers live and later output arrives" kill_monitor
kill_keeper() {
  docker run -d --name soon --restart on-failure:1 busybox sh -c 'sleep 3; exit 7' >/dev/null
  kill -9 "$(pid_of keeper)"; within 10 docker run --rm busybox true; no_gap
  is "$(docker inspect -f '{{.State.Running}}' ticker)" true
  exits 5 docker run --rm busybox sh -c 'exit 5'
  within 20 sh -c "command docker -H unix://$sock inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' soon | grep -q 'exited 7 1'"
  docker rm soon; relaunch; within 10 docker run --rm busybox true
  within 10 sh -c "command docker -H unix://$sock logs --tail 1 ticker | grep -q tick"
}
promise "kill -9 of keeper: no container ends, another follows by itself, and starts, codes and policies hold" kill_keeper
exit_code_survives() { within 30 sh -c "command docker -H unix://$sock inspect -f '{{.State.Status}} {{.State.ExitCode}}' later | grep -q 'exited 42'"; docker rm later; }
promise "no exit code is lost over all that" exit_code_survives
restart_policy() {
  docker run -d --name again --restart on-failure:2 busybox sh -c 'echo run; exit 3' >/dev/null
  within 15 sh -c "[ \$(command docker -H unix://$sock logs again | wc -l) = 3 ]"
  within 15 sh -c "command docker -H unix://$sock inspect -f '{{.State.Status}} {{.RestartCount}}' again | grep -q 'exited 2'"; docker rm again
}
promise "on-failure:2 tries twice more and gives up" restart_policy
restart_without_daemon() {
  docker run -d --name phoenix --restart always busybox sh -c 'echo born; sleep 2; exit 1' >/dev/null
  kill -9 "$(cat "$work/server.pid")"; sleep $((6 * slow)); launch
  [ "$(docker logs phoenix | grep -c born)" -ge 2 ]; docker rm -f phoenix
}
promise "restart policies work while the daemon is away, and the journal tells it" restart_without_daemon
terminate() {
  kill "$(cat "$work/server.pid")"; sleep 2; is "$(cat "/proc/$(pid_of keeper)/comm" | head -c 6)" sampan
  launch; is "$(docker inspect -f '{{.State.Running}}' ticker)" true; docker rm -f ticker
}
promise "SIGTERM ends the server and leaves running containers running" terminate
privileges() {
  pid=$(cat "$work/server.pid"); has "$(tr '\0' ' ' <"/proc/$pid/cmdline")" "serve"
  is "$(awk '/^Cap(Prm|Eff|Inh|Amb|Bnd)/ {print $2}' "/proc/$pid/status" | sort -u)" 0000000000000000
  [ "$(awk '/^Uid/ {print $2}' "/proc/$pid/status")" != 0 ]
}
promise "serve holds no capability and is not root" privileges
