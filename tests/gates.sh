#!/usr/bin/env bash
# What every change has to pass beside the tests: the formatter, no warning of the compiler, none of clang-tidy, the
# tests that need no server and a part of the others under the address and undefined behaviour sanitizers, and the plan
# parser under a minute of invented texts. All of them in any case; the last line is "N passed, N failed". CI runs format
# and fuzz, and builds with warnings as errors; the others take as long as all of CI, and are for before a release.
#
#   tests/gates.sh [format|warnings|tidy|sanitizers|fuzz ...]      default: all
set -uo pipefail
cd "$(dirname "$0")/.."

# One build for three gates: developer warnings are errors, everything runs under the sanitizers.
folder=build-gates
jobs=$(nproc)
configure() {
  cmake -S . -B $folder -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" -DECMIGRATE_DEVELOPER=ON \
    -DECMIGRATE_SANITIZE=address,undefined -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
}

sources() { git ls-files "$@"; }

format() {
  sources 'src/*.cpp' 'src/*.hpp' 'include/*.hpp' 'tests/*.cpp' 'tests/*.hpp' | xargs clang-format --dry-run --Werror
}

warnings() {
  configure && cmake --build $folder --target ecmigrate unit_tests http_tests integration_tests plan_parser
}

tidy() {
  configure && sources 'src/*.cpp' | grep -v src/serve/embed/ |
    xargs --max-procs="$jobs" --max-args=4 clang-tidy-16 -p $folder --quiet --extra-arg=-Wno-unknown-warning-option 2>/dev/null
}

# Errors of undefined behaviour end the program too. The server's own memory is not ours to look at, and what the
# process leaves at its end is not a leak that grows.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export ASAN_OPTIONS=detect_leaks=1

sanitizers() {
  warnings >/dev/null && $folder/tests/unit_tests && $folder/tests/http_tests &&
    $folder/tests/integration_tests '[sync]' && invent_plans $folder
}

# In the build that there is; under the sanitizers it is a part of theirs.
fuzz() {
  [ -f build/build.ninja ] || ./build.sh >/dev/null || return
  cmake --build build --target plan_parser >/dev/null && invent_plans build
}

invent_plans() {
  local corpus
  corpus=$(mktemp -d)
  cp plans/*.yaml tests/fuzz/corpus/* "$corpus"
  "$1/tests/plan_parser" "$corpus" "${FUZZ_SECONDS:-60}"
  local status=$?
  rm -rf "$corpus"
  return $status
}

passed=0
failed=0
for gate in "${@:-format warnings tidy sanitizers fuzz}"; do
  for one in $gate; do
    echo "── $one"
    if "$one"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "$one failed"
    fi
  done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
