#!/usr/bin/env bash
# Starts the demo that ./setup.sh built, after a stop or a reboot. With --docker the Compose stack.
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:-}" = --docker ]; then
  exec scripts/docker.sh start
fi
scripts/demo.sh start
scripts/smoke.sh
scripts/demo.sh addresses
