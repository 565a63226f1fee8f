#!/usr/bin/env bash
# The demo (`ecmigrate demo`) as a process that outlives the terminal, one a user.
#
#   scripts/demo.sh start       start it and wait until it answers; nothing to do if it runs as it is built and set
#   scripts/demo.sh addresses   say where it answers
#   scripts/demo.sh stop        stop it, with its database server
#   scripts/demo.sh remove      stop it and delete its folders
#   scripts/demo.sh ports       exit 0 if its ports are free, or its own
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/settings.sh
. scripts/ports.sh

program=$PWD/build/ecmigrate
# Process id, identity of the process, what was started: one a line. Beside the server's folder, which belongs to
# another user where root is at work.
run_dir=$demo_dir.run
process_file=$run_dir/process
log=$run_dir/log

make_run_dir() {
  mkdir -m 700 "$run_dir" 2>/dev/null || true
  # In /tmp anybody may have made it first.
  if [ -L "$run_dir" ] || [ ! -d "$run_dir" ] || [ ! -O "$run_dir" ]; then
    echo "$run_dir was not made by this script; remove it, or set ECMIGRATE_DEMO_DIR to another folder" >&2
    exit 1
  fi
  exec 9>"$run_dir/lock"
  flock --wait 300 9 || { echo "another start or stop of the demo is under way" >&2; exit 1; }
}

# The boot and the moment in it at which a process began: a process id alone may have been given to another one since.
identity() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] && echo "$(cat /proc/sys/kernel/random/boot_id) ${fields[19]}"
}

what() {
  echo "$program $(stat --format '%i %Y' "$program") $page_port $api_port"
}

# Sets `pid` if the demo runs.
running() {
  local recorded
  [ -f "$process_file" ] || return 1
  { read -r pid && read -r recorded && read -r started; } <"$process_file" || return 1
  [ "$(identity "$pid")" = "$recorded" ]
}

alive() {
  kill -0 "$pid" 2>/dev/null
}

stop_process() {
  kill -TERM "$pid" 2>/dev/null || true
  local until=$((SECONDS + 30))
  while running; do
    if [ $SECONDS -ge $until ]; then
      echo "process $pid did not end in 30 s and is killed" >&2
      kill -KILL "$pid" 2>/dev/null || true
      until=$((SECONDS + 30))
    fi
    sleep 0.1
  done
}

# Also what a killed demo left behind.
stop_all() {
  if running; then
    stop_process
    echo "stopped the demo"
  fi
  rm -f "$process_file"
  if [ -f "$demo_dir/ecmigrate-throwaway" ]; then
    scripts/postgres.sh stop "$demo_dir"
  fi
}

start() {
  [ -x "$program" ] || { echo "build/ecmigrate is missing: run ./setup.sh first" >&2; exit 1; }
  if running && [ "$started" = "$(what)" ] && wait_for_health 10 running; then
    echo "the demo is running already (process $pid)"
    return
  fi
  if running; then
    echo "the demo that runs is of another build, on other ports, or does not answer: it is started again"
    stop_all
  fi
  require_ports
  (
    own=$BASHPID  # in the substitution it would be that shell's, which may have begun a tick later
    printf '%s\n' "$own" "$(identity "$own")" "$(what)" >"$process_file.new"
    mv "$process_file.new" "$process_file"
    exec setsid "$program" demo --folder "$demo_dir" --listen "127.0.0.1:$page_port" --api-listen "127.0.0.1:$api_port"
  ) </dev/null >"$log" 2>&1 9>&- &
  pid=$!
  if ! wait_for_health 180 alive; then
    echo "the demo did not start; the end of $log:" >&2
    tail -n 20 "$log" | sed 's/^/  /' >&2
    stop_all >&2
    echo "if what is in $demo_dir is in its way: scripts/demo.sh remove gives that up" >&2
    exit 1
  fi
  echo "the demo is running (process $pid)"
}

case "${1:-}" in
  start)
    make_run_dir
    start
    ;;
  addresses)
    cat <<TEXT

  page  $page_url/
  API   $api_url/api/state
  log   $log

It runs until ./cleanup.sh or a reboot; after one, ./start.sh starts it again. scripts/demo.sh stop only stops it.
TEXT
    ;;
  stop)
    make_run_dir
    stop_all
    ;;
  remove)
    if [ -e "$run_dir" ]; then
      make_run_dir
      stop_all
      rm -rf "$run_dir"
    fi
    if [ -f "$demo_dir/ecmigrate-throwaway" ]; then
      scripts/postgres.sh remove "$demo_dir"
      echo "removed $demo_dir"
    fi
    ;;
  ports)
    running || require_ports
    ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
