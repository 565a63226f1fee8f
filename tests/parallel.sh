#!/usr/bin/env bash
# Runs a test program's files side by side, each in a process of its own with a server of its own: they wait for locks,
# servers and each other most of the time. A line a file, as it ends, and all that one says that fails. The last line is
# "N passed, N failed".
#
#   tests/parallel.sh [PROGRAM] [TESTS]      default: build/tests/integration_tests, and all of it
#
# TESTS narrows them, in the words of Catch2: '[sync],[version]', '~[sweep]'.
# JOBS says how many at once; default: one more than there are processors.
set -uo pipefail

program=${1:-build/tests/integration_tests}
tests=${2:-}
jobs=${JOBS:-$(($(nproc) + 1))}

# "[sync],[version]" of one file: "[#file][sync],[#file][version]".
of_file() {
  local file=$1 filter="" part
  IFS=, read -ra parts <<<"$tests"
  [ ${#parts[@]} -gt 0 ] || parts=("")
  for part in "${parts[@]}"; do
    filter+="${filter:+,}[#$file]$part"
  done
  echo "$filter"
}

# Runs one file; writes "PASSED FAILED" to $folder/FILE.count.
run_file() {
  local file=$1 began=$SECONDS output=$folder/$1.log count_passed=0 count_failed=0 summary status
  "$program" -# "$(of_file "$file")" >"$output" 2>&1 </dev/null
  status=$?
  if [[ $(grep -E '^All tests passed' "$output" | tail -n 1) =~ in\ ([0-9]+)\ test\ case ]]; then
    count_passed=${BASH_REMATCH[1]}
  else
    summary=$(grep -E '^test cases:' "$output" | tail -n 1)
    [[ $summary =~ ([0-9]+)\ passed ]] && count_passed=${BASH_REMATCH[1]}
    [[ $summary =~ ([0-9]+)\ failed ]] && count_failed=${BASH_REMATCH[1]}
    if [ "$count_failed" -eq 0 ] &&
      { [ "$status" -ne 0 ] || { [ "$count_passed" -eq 0 ] && ! grep -q '^No tests ran' "$output"; }; }; then
      count_failed=1
      echo "$program ended with status $status" >>"$output"
    fi
  fi
  echo "$count_passed $count_failed" >"$folder/$file.count"
  if [ "$count_failed" -gt 0 ]; then
    cat "$output"
    printf 'FAILED  %-28s %3d of %d cases, %d s\n' "$file" "$count_failed" $((count_passed + count_failed)) $((SECONDS - began))
  elif [ "$count_passed" -gt 0 ]; then
    printf 'ok      %-28s %3d cases, %d s\n' "$file" "$count_passed" $((SECONDS - began))
  fi
}

folder=$(mktemp -d)
# An interrupt goes to the tests as well, which remove their servers.
trap 'wait; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# The longest first, or they would be what all wait for at the end.
mapfile -t files < <("$program" --list-tags -# | grep -oE '\[#[a-z_0-9]+\]' | tr -d '[]#' |
  awk '{print (/crash_sweep|workload|load_test|random_plan/ ? 0 : 1), $0}' | sort -s -k1,1n | cut -d' ' -f2)
for file in "${files[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
    wait -n
  done
  run_file "$file" &
done
wait

if [ "$(ls "$folder" | grep -c '\.count$')" -ne ${#files[@]} ]; then
  echo "a file ended without a word"
  echo "0 1" >"$folder/missing.count"
fi
awk '{ passed += $1; failed += $2 } END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }' "$folder"/*.count
