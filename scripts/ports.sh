# Who has a TCP port; sourced by the scripts that need one. Bash alone, as the Docker stack's host may have nothing else.

port_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# "process 4242 (node server.js)", or less where that cannot be seen: another user's process, a system without /proc.
port_holder() {
  local inode link pid
  for inode in $(awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null); do
    link=$(find /proc/[0-9]*/fd -lname "socket:\\[$inode\\]" -print -quit 2>/dev/null || true)
    if [ -n "$link" ]; then
      pid=${link#/proc/}
      pid=${pid%%/*}
      echo "process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-100 | sed 's/ *$//'))"
      return
    fi
  done
  echo "another program"
}

# Ends the script with a message if one of the ports is taken, other than those in the text $1 (as `docker port` prints
# them).
require_ports() {
  local variable=ECMIGRATE_PAGE_PORT port
  for port in "$page_port" "$api_port"; do
    if [[ "${1:-}"$'\n' != *":$port"$'\n'* ]] && port_taken "$port"; then
      echo "port $port of 127.0.0.1 is taken by $(port_holder "$port"): end that, or choose another port with $variable" >&2
      exit 1
    fi
    variable=ECMIGRATE_API_PORT
  done
}

# Waits until the API's /health is good, for at most $1 seconds; gives up early when the command in the other arguments
# fails.
wait_for_health() {
  local until=$((SECONDS + $1))
  shift
  until curl --silent --fail --output /dev/null --max-time 5 --noproxy '*' "$api_url/health"; do
    if ! "$@" || [ $SECONDS -ge $until ]; then
      return 1
    fi
    sleep 0.2
  done
}
