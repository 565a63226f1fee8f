#!/usr/bin/env bash
# Everything from the start: stop, set up, the scripted migration under traffic, all tests.
set -euo pipefail
cd "$(dirname "$0")"
scripts/demo.sh stop
./setup.sh
./build.sh ecmigrate-traffic
scripts/run.sh
./test.sh
