#!/usr/bin/env bash
# Runs a test program's files side by side, each in a process of its own with a server of its own: they wait for locks,
# servers and each other much of the time. A case that takes as long as many files has a tag [alone:NAME], and a process
# of its own as well. A line a process, as it ends, and all that one says that fails. The last line is "N passed,
# N failed".
#
# It begins with the longest, which all would wait for at the end, and says about how long is left: by how long each took
# last, which is kept beside the program in PROGRAM.seconds, or by tests/parallel.seconds, which tells of another machine.
#
#   tests/parallel.sh [PROGRAM] [TESTS]      default: build/tests/integration_tests, and all of it
#
# TESTS narrows them, in the words of Catch2: '[sync],[version]', '~[sweep]'.
# JOBS says how many at once; default: one more than there are processors. Two more were no faster.
set -uo pipefail

program=${1:-build/tests/integration_tests}
tests=${2:-}
jobs=${JOBS:-$(($(nproc) + 1))}

# "[sync],[version]" of one part: "[#file][sync],[#file][version]".
of_part() {
  local part=$1 filter="" one
  case $part in
    alone:*) part="[$part]" ;;
    *) part="[#$part]$not_alone" ;;
  esac
  IFS=, read -ra narrowed <<<"$tests"
  [ ${#narrowed[@]} -gt 0 ] || narrowed=("")
  for one in "${narrowed[@]}"; do
    filter+="${filter:+,}$part$one"
  done
  echo "$filter"
}

# About how long the parts will take that have not ended, told by the last run; nothing where that knew other parts.
left() {
  local part sum=0
  [ -z "$tests" ] || return
  for part in "${parts[@]}"; do
    if [ ! -e "$folder/$part.count" ]; then
      [ -n "${seconds[$part]:-}" ] || return
      sum=$((sum + seconds[$part]))
    fi
  done
  [ "$sum" -eq 0 ] || printf ', about %d s left' $((sum / jobs))
}

# Runs one part; writes "PASSED FAILED" to $folder/PART.count, and how long it took.
run_part() {
  local part=$1 began=$SECONDS output=$folder/$1.log count_passed=0 count_failed=0 summary status
  "$program" -# "$(of_part "$part")" >"$output" 2>&1 </dev/null
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
  [ $((count_passed + count_failed)) -eq 0 ] || echo "$part $((SECONDS - began))" >"$folder/$part.seconds"
  echo "$count_passed $count_failed" >"$folder/$part.count"
  if [ "$count_failed" -gt 0 ]; then
    cat "$output"
    printf 'FAILED  %-28s %3d of %d cases, %d s%s\n' "$part" "$count_failed" $((count_passed + count_failed)) $((SECONDS - began)) "$(left)"
  elif [ "$count_passed" -gt 0 ]; then
    printf 'ok      %-28s %3d cases, %d s%s\n' "$part" "$count_passed" $((SECONDS - began)) "$(left)"
  fi
}

folder=$(mktemp -d)
chmod 755 "$folder"
# An interrupt goes to the tests as well, which remove their servers.
trap 'wait; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# Those that the last run did not know come first: they may be long.
mapfile -t tags < <("$program" --list-tags -# | grep -oE '\[(#|alone:)[a-z_0-9]+\]' | tr -d '[]#')
declare -A seconds
while read -r part took; do
  seconds[$part]=$took
done < <(cat "$(dirname "$0")/parallel.seconds" "$program.seconds" 2>/dev/null)
not_alone=$(printf '%s\n' "${tags[@]}" | sed -n 's/^alone:.*/~[&]/p' | tr -d '\n')
mapfile -t parts < <(for part in "${tags[@]}"; do echo "${seconds[$part]:-99999} $part"; done | sort -k1,1rn -k2 | cut -d' ' -f2)
"$(dirname "$0")/../scripts/postgres.sh" make "$folder/made" || exit 1
export ECMIGRATE_TEST_MADE=$folder/made
for part in "${parts[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
    wait -n
  done
  run_part "$part" &
done
wait

if [ -z "$tests" ] && [ -w "$(dirname "$program")" ]; then
  for part in "${parts[@]}"; do
    cat "$folder/$part.seconds" 2>/dev/null
  done >"$folder/seconds"
  mv "$folder/seconds" "$program.seconds"
fi

if [ "$(ls "$folder" | grep -c '\.count$')" -ne ${#parts[@]} ]; then
  echo "a part ended without a word"
  echo "0 1" >"$folder/missing.count"
fi
awk '{ passed += $1; failed += $2 } END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }' "$folder"/*.count
