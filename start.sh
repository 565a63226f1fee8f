#!/usr/bin/env bash
# Starts the demo's throwaway server with a fresh table of users, and leaves it running for you to try things.
set -euo pipefail
cd "$(dirname "$0")"
scripts/packages.sh
./build.sh ecmigrate ecmigrate-traffic
scripts/start.sh
