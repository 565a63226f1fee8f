#!/usr/bin/env bash
# Builds into build/. With target names, only those: ./build.sh ecmigrate. ECMIGRATE_DEVELOPER=ON makes every warning an
# error.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v cmake >/dev/null || ! command -v ninja >/dev/null; then
  echo "cmake and ninja are needed: ./setup.sh installs them, or see scripts/packages.sh" >&2
  exit 1
fi
mkdir -p build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DECMIGRATE_DEVELOPER="${ECMIGRATE_DEVELOPER:-OFF}" >build/configure.log || { cat build/configure.log; exit 1; }
if [ $# -gt 0 ]; then
  cmake --build build --target "$@"
else
  cmake --build build
fi
