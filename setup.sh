#!/usr/bin/env bash
# From a clone to a finished migration under live traffic: installs what is missing, builds, runs the demo. Exit 0 only
# if everything held. Run it as often as you like.
set -euo pipefail
cd "$(dirname "$0")"
scripts/packages.sh
./build.sh ecmigrate ecmigrate-traffic
scripts/run.sh
