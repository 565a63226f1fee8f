#!/usr/bin/env bash
# The scripts that start, find and remove the demo, with folders and ports of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/checks.sh
. scripts/ports.sh

work=$(mktemp -d /tmp/ecmigrate-scripts-XXXXXX)
chmod 755 "$work"
export ECMIGRATE_DEMO_DIR=$work/demo
process_file=$ECMIGRATE_DEMO_DIR.run/process

free_port() {
  local port
  for port in $(shuf -i 20000-30000 -n 100); do
    if ! port_taken "$port"; then
      echo "$port"
      return
    fi
  done
}
ECMIGRATE_PAGE_PORT=$(free_port)
ECMIGRATE_API_PORT=$(free_port)
export ECMIGRATE_PAGE_PORT ECMIGRATE_API_PORT

tidy() {
  scripts/demo.sh remove >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT TERM

# try NAME COMMAND ...: its status; what it said is in $work/NAME
try() {
  "${@:2}" >"$work/$1" 2>&1 </dev/null && echo 0 || echo $?
}

said() {
  grep -q -- "$2" "$work/$1" && echo yes || { cat "$work/$1" >&2; echo no; }
}

process() {
  head -n 1 "$process_file"
}

check "stop where nothing runs" "$(try stop scripts/demo.sh stop)" 0
check "start, from a terminal that hangs up" "$(try start setsid --wait bash -c 'trap : HUP; ./start.sh; status=$?; kill -HUP 0; exit $status')" 0
check "its smoke tests" "$(said start 'passed, 0 failed')" yes
first=$(process)
check "the demo answers after that" "$(try smoke scripts/smoke.sh)" 0
check "a second start" "$(try again ./start.sh)" 0
check "it says that the demo runs already" "$(said again 'running already')" yes
check "it is the same process" "$(process)" "$first"

check "start beside it" "$(ECMIGRATE_DEMO_DIR=$work/other try taken ./start.sh)" 1
check "it names who has the port" "$(said taken "port $ECMIGRATE_PAGE_PORT of 127.0.0.1 is taken by process $first (.*ecmigrate demo")" yes
check "nothing is left of it" "$(ls "$work/other" 2>&1 | grep -c 'No such file')" 1
check "the first one still runs" "$(process)" "$first"

kill -KILL "$first"
check "start after a kill, with the server still there" "$(try killed ./start.sh)" 0
check "the demo that was killed is not taken for one that runs" "$(said killed 'the demo is running (process')" yes

check "stop" "$(try stopped scripts/demo.sh stop)" 0
check "its server is stopped too" "$(scripts/postgres.sh running "$ECMIGRATE_DEMO_DIR" && echo running || echo stopped)" stopped

# What a reboot leaves: a process file whose number is somebody else's now.
sleep 600 &
bystander=$!
printf '%s\n' $bystander "an-earlier-boot 1" "$PWD/build/ecmigrate" >"$process_file"
check "start with the process number of a bystander on file" "$(try reboot ./start.sh)" 0
check "stop, again" "$(try stopped scripts/demo.sh stop)" 0
check "the bystander lives" "$(kill -0 $bystander && echo yes)" yes
# The same of the server: after a crash of the machine its number may be another's.
mkdir -p "$work/stale/data" && touch "$work/stale/ecmigrate-throwaway" && printf '%s\n' $bystander >"$work/stale/data/postmaster.pid"
check "a server whose process number is a bystander's is not running" "$(try pid_running scripts/postgres.sh running "$work/stale")" 1
check "and is removed" "$(try pid_removed scripts/postgres.sh remove "$work/stale")" 0
check "the bystander lives on" "$(kill -0 $bystander && echo yes)" yes
kill $bystander

# A machine without a network, where nothing is installed: apt as it answers there.
mkdir "$work/bin"
cat >"$work/bin/apt-get" <<'TEXT'
#!/bin/sh
[ "$1" = update ] && { echo "W: Failed to fetch http://mirror.example/dists/bookworm/InRelease  Temporary failure resolving 'mirror.example'" >&2; exit 0; }
for package in g++ cmake; do
  echo "E: Failed to fetch http://mirror.example/pool/$package.deb  Temporary failure resolving 'mirror.example'" >&2
done
echo "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?" >&2
exit 100
TEXT
printf '#!/bin/sh\necho not-installed\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work"/bin/*
check "setup without a network" "$(PATH=$work/bin:$PATH try offline ./setup.sh)" 1
check "it says so in one sentence" "$(grep -v '^installing ' "$work/offline" | cut -d: -f1)" \
  "these packages are missing and could not be downloaded (Temporary failure resolving 'mirror.example'), so run this again with a network"
printf '#!/bin/sh\necho "E: Could not get lock /var/lib/dpkg/lock-frontend." >&2\nexit 100\n' >"$work/bin/apt-get"
check "setup while apt is at work elsewhere" "$(PATH=$work/bin:$PATH try locked ./setup.sh)" 1
check "it says what apt says" "$(said locked 'E: Could not get lock')" yes

check "remove" "$(try removed scripts/demo.sh remove)" 0
check "nothing is left" "$(ls -d "$ECMIGRATE_DEMO_DIR"* 2>/dev/null)" ""
check "remove, again" "$(try removed scripts/demo.sh remove)" 0

mkdir "$ECMIGRATE_DEMO_DIR"
touch "$ECMIGRATE_DEMO_DIR/precious"
check "start in a folder that is not the demo's" "$(try foreign ./start.sh)" 1
check "it says so" "$(said foreign "$ECMIGRATE_DEMO_DIR")" yes
check "remove leaves that folder" "$(scripts/demo.sh remove; ls "$ECMIGRATE_DEMO_DIR")" precious

# A test run that is killed takes its server along; what one leaves that was killed with all its processes is found.
runs() { for folder in {/tmp,/dev/shm}/ecmigrate-test-*/pg/data/postmaster.pid; do [ ! -e "$folder" ] || echo "$folder"; done | sort; }
runs >"$work/before"
build/tests/integration_tests "status --wait-for*" >/dev/null 2>&1 </dev/null &
tests=$!
for _ in $(seq 600); do
  server=$(comm -13 "$work/before" <(runs) | head -n 1)
  [ -z "$server" ] || break
  sleep 0.1
done
kill -KILL $tests
wait $tests 2>/dev/null || true
for _ in $(seq 600); do
  [ -e "${server%/pg/*}" ] || break
  sleep 0.1
done
check "a killed test run leaves nothing" "$(ls -d "${server%/pg/*}" 2>/dev/null)" ""
mkdir "$work/ecmigrate-test-abcdef" && scripts/postgres.sh start "$work/ecmigrate-test-abcdef/pg"
check "leftovers" "$(try leftovers scripts/leftovers.sh "$work")" 0
check "it says what it removed" "$(said leftovers "removed $work/ecmigrate-test-abcdef")" yes
check "they are gone" "$(ls "$work" | grep ecmigrate-test)" ""
conclude
