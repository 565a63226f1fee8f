#!/usr/bin/env bash
# Asks the demo's page and API, however it was started, for what a visitor needs. Bash and curl alone.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/settings.sh
. scripts/checks.sh

get() {
  curl --silent --show-error --max-time 10 --noproxy '*' "$@"
}

# contains WHAT TEXT PATTERN
contains() {
  if grep -Eq "$3" <<<"$2"; then
    check "$1" yes yes
  else
    check "$1" "$(head -c 200 <<<"$2")" "$3"
  fi
}

status() {
  get --output /dev/null --write-out '%{http_code}' "$@" || true
}

contains "the page" "$(get "$page_url/")" '<title>.*ecmigrate.*</title>'
contains "the API's health" "$(get "$api_url/health")" '"ok": *true'
contains "the API's state" "$(get "$api_url/api/state")" '"mode": *"demo"'
contains "the state at the page's address" "$(get "$page_url/api/state")" '"mode": *"demo"'
contains "metrics" "$(get "$api_url/metrics")" '^# TYPE ecmigrate_up gauge'
check "a Host that is not ours is sent away" "$(status --header 'Host: elsewhere.example' "$page_url/")" 421
check "a path that is none" "$(status "$api_url/no-such-path")" 404
conclude
