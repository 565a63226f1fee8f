#!/usr/bin/env bash
# Runs test programs one after the other, all of them in any case, and ends with "N passed, N failed". A program is a
# binary of Catch2, a run of Node.js's tests, or anything whose last line ends like this script's. One that dies without a summary counts as one
# failed case.
set -uo pipefail

passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

for binary in "$@"; do
  echo "── $binary"
  "$binary" 2>&1 </dev/null | tee "$output"
  status=${PIPESTATUS[0]}
  if [[ $(grep -E '^All tests passed' "$output" | tail -n 1) =~ in\ ([0-9]+)\ test\ case ]]; then
    here_passed=${BASH_REMATCH[1]}
    here_failed=0
  elif [[ $(tail -n 1 "$output") =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    here_passed=${BASH_REMATCH[1]}
    here_failed=${BASH_REMATCH[2]}
  elif [[ $(grep -E '^(ℹ|#) (pass|fail) ' "$output") =~ pass\ ([0-9]+).*fail\ ([0-9]+) ]]; then
    here_passed=${BASH_REMATCH[1]}
    here_failed=${BASH_REMATCH[2]}
  else
    summary=$(grep -E '^test cases:' "$output" | tail -n 1)
    [[ $summary =~ ([0-9]+)\ passed ]] && here_passed=${BASH_REMATCH[1]} || here_passed=0
    [[ $summary =~ ([0-9]+)\ failed ]] && here_failed=${BASH_REMATCH[1]} || here_failed=0
  fi
  if [ "$status" -ne 0 ] && [ "$here_failed" -eq 0 ]; then
    echo "$binary ended with status $status"
    here_failed=1
  fi
  if [ "$status" -eq 0 ] && [ "$here_passed" -eq 0 ]; then
    echo "$binary ran no test"
    here_failed=1
  fi
  passed=$((passed + here_passed))
  failed=$((failed + here_failed))
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
