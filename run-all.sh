#!/usr/bin/env bash
# Everything from the start: clean, set up with the demo, test.
set -euo pipefail
cd "$(dirname "$0")"
./cleanup.sh
./setup.sh
./test.sh
