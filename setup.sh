#!/usr/bin/env bash
# From a clone to the demo that runs: installs what is missing, builds, starts it, asks page and API. They answer until
# ./cleanup.sh. Run it as often as you like. With --docker the same as a Compose stack, with nothing but Docker, bash and
# curl.
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:-}" = --docker ]; then
  exec scripts/docker.sh setup
fi
scripts/packages.sh
scripts/demo.sh ports
./build.sh ecmigrate
scripts/demo.sh start
scripts/smoke.sh
scripts/demo.sh addresses
