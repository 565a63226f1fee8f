# What scripts that check things share; sourced by them.
passed=0
failed=0

# check WHAT GOT EXPECTED
check() {
  if [ "$2" = "$3" ]; then
    printf '  ok    %s\n' "$1"
    passed=$((passed + 1))
  else
    printf '  WRONG %s: %s, expected %s\n' "$1" "$2" "$3"
    failed=$((failed + 1))
  fi
}

# The last line, which tests/run.sh reads; the status says whether everything held.
conclude() {
  if [ $failed = 0 ]; then
    printf '\neverything held: %s passed, 0 failed\n' $passed
  else
    printf '\n%s things were not as they should be: %s passed, %s failed\n' $failed $passed $failed
  fi
  [ $failed = 0 ]
}
