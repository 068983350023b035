# Limits hold, neighbours do not notice.
memory_hog() {
  code=0; docker run --name hog -m 32m --memory-swap 32m busybox sh -c 'x=a; while :; do x=$x$x; done' >/dev/null 2>&1 || code=$?
  is "$code" 137; is "$(docker inspect -f '{{.State.OOMKilled}}' hog)" true; docker rm hog
}
promise "a memory hog is ended at its limit, and it is told why" memory_hog

fork_bomb() {
  docker run -d --name bomb --pids-limit 64 busybox sh -c 'b() { b | b & }; while :; do b; sleep 0.1; done' >/dev/null
  sleep 2; is "$(docker run --rm busybox echo calm)" calm
  # On a slow host the shell itself may have met the limit, and ended.
  docker rm -f bomb
}
promise "a fork bomb stays within its process limit" fork_bomb

cpu_limit() {
  docker run -d --name half --cpus 0.5 busybox sh -c 'while :; do :; done' >/dev/null; sleep $((3 * slow))
  percent=$(docker stats --no-stream --format '{{.CPUPerc}}' half | tr -d %); python3 -c "import sys; sys.exit(not 20 < $percent < 75)"
  docker rm -f half
}
promise "--cpus 0.5 gives half a core" cpu_limit
