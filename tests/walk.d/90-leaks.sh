# Nothing stays behind.
nothing_left() {
  docker ps -aq | xargs -r "$(type -P docker)" -H "unix://$sock" rm -f >/dev/null
  for pair in "$BLUE" "$RED"; do
    for id in $(curl -sS -H "Authorization: Bearer $pair" "$url/api/v1/containers" | python3 -c 'import json,sys; print(*[c["id"] for c in json.load(sys.stdin)["items"]])'); do
      curl -sS -X DELETE -H "Authorization: Bearer $pair" "$url/api/v1/containers/$id?force=true" >/dev/null
    done
  done
  kill "$(cat "$work/server.pid")"
  within 20 sh -c "! pgrep -f '(keeper|guard) .*--data-roo[t] $data'"
  "$sampan" down --purge --data-root "$data" --state-root "$state"
  within 10 leak_free || leak_free
}
leak_free() { snapshot >"$work/after"; lost=$(comm -13 "$work/before" "$work/after"); [ -z "$lost" ] || { echo "left behind: $lost"; return 1; };  }
promise "no leak at the end: mounts, cgroups, namespaces, links, rules, processes" nothing_left
