# A real image runs, and ends as Docker's would.
hello() { is "$(docker run --rm busybox echo hello)" hello; }
promise "docker run prints what the container says" hello

exit_codes() {
  exits 0 docker run --rm busybox true
  exits 7 docker run --rm busybox sh -c 'exit 7'
  exits 127 docker run --rm busybox no-such-program
  exits 126 docker run --rm busybox /etc
  exits 125 docker run --rm --network nonsense busybox true
  # From outside: the first process of a pid namespace cannot kill itself.
  { within 20 docker kill -s TERM ended; } & exits 143 docker run --rm --name ended busybox sh -c 'trap "trap - TERM; exit 143" TERM; while :; do sleep 0.1; done'
  { within 20 docker kill ended; } & exits 137 docker run --rm --name ended busybox sleep 100
}
promise "exit codes are Docker's: 0, 7, 125, 126, 127, 137" exit_codes

pipe_in() { is "$(echo hi | docker run -i --rm busybox cat)" hi; }
promise "standard input reaches the container and closes: echo hi | docker run -i --rm busybox cat" pipe_in

streams() {
  is "$(docker run --rm busybox sh -c 'echo out; echo err >&2' 2>/dev/null)" out
  is "$(docker run --rm busybox sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err
}
promise "standard output and standard error stay apart" streams

terminal() { has "$(script -qec "command docker -H unix://$sock run --rm -it busybox tty" /dev/null)" /dev/pts/0; }
promise "docker run -it gives a terminal" terminal

verbs() {
  id=$(docker run -d --name verbs busybox sleep 1000)
  has "$(docker ps --format '{{.Names}} {{.Status}}')" "verbs Up"
  docker exec verbs true
  is "$(docker exec -w /tmp -e A=b -u 1:1 verbs sh -c 'pwd; echo $A; id -u')" $'/tmp\nb\n1'
  exits 3 docker exec verbs sh -c 'exit 3'
  docker pause verbs; is "$(docker inspect -f '{{.State.Status}}' verbs)" paused; docker unpause verbs
  docker rename verbs verbs2; docker restart -t 0 verbs2
  is "$(docker inspect -f '{{.State.Running}}' verbs2)" true
  has "$(docker top verbs2)" "sleep 1000"
  docker update --memory 64m --memory-swap 64m verbs2; is "$(docker inspect -f '{{.HostConfig.Memory}}' verbs2)" 67108864
  docker kill verbs2; is "$(docker wait verbs2)" 137
  docker rm verbs2; exits 1 docker inspect "$id"
}
promise "exec, pause, rename, restart, top, update, kill, wait and rm do what they say" verbs

stop_time() {
  docker run -d --name polite busybox sh -c 'trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done' >/dev/null
  docker stop -t 10 polite; is "$(docker inspect -f '{{.State.ExitCode}}' polite)" 0; is "$(docker logs polite)" bye; docker rm polite
  docker run -d --name stubborn busybox sh -c 'trap "" TERM; while :; do sleep 0.1; done' >/dev/null
  docker stop -t 1 stubborn; is "$(docker inspect -f '{{.State.ExitCode}}' stubborn)" 137; docker rm stubborn
}
promise "stop asks first and kills after its time" stop_time

user_and_root() {
  is "$(docker run --rm busybox id -u)" 0
  map=$(docker run --rm busybox cat /proc/self/uid_map | awk '{print $1, $3, ($2 >= 1879048192)}'); is "$map" "0 65536 1"
  is "$(docker run --rm -u 1234:5678 busybox sh -c 'id -u; id -g')" $'1234\n5678'
}
promise "root inside is nobody outside: the user namespace is on by default" user_and_root

read_only() {
  exits 1 docker run --rm --read-only busybox touch /x
  docker run --rm --read-only --tmpfs /t busybox touch /t/x
  exits 1 docker run --rm busybox sh -c 'echo 1 > /proc/sys/kernel/panic'
  exits 1 docker run --rm busybox mount -t tmpfs t /mnt
}
promise "read-only roots, masked paths and dropped capabilities hold" read_only

auto_remove() { docker run --rm --name gone busybox true; exits 1 docker inspect gone; }
promise "--rm leaves nothing behind" auto_remove

debian_shell() { has "$(docker run --rm debian:bookworm cat /etc/os-release)" bookworm; }
promise "a whole Debian runs" debian_shell

init_option() { is "$(docker run --rm --init busybox sh -c 'cat /proc/1/comm' | head -c 4)" "$(printf samp)" || is "$(docker run --rm --init busybox sh -c 'cat /proc/1/comm')" init; }
# The init is sampan-runtime itself, which only `make build` links statically: an image without a C library needs that.
head -c 4096 "$(dirname "$sampan")/sampan-runtime" | grep -aq /ld-linux || promise "--init brings a first process that reaps" init_option
