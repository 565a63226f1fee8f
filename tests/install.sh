#!/usr/bin/env bash
# What `cmake --install` puts where, from build/.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/checks.sh
build=${ECMIGRATE_BUILD:-build}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

# What is there, manual pages of commands and what lies in folders left out.
installed() {
  (cd "$prefix" && find . -type f | sed 's|^\./||' | grep -v -e '/man1/ecmigrate-' -e '/doc/ecmigrate/docs/' -e '/doc/ecmigrate/plans/' | sort | tr '\n' ' ')
}
check "what is installed" "$(installed)" "bin/ecmigrate share/bash-completion/completions/ecmigrate \
share/doc/ecmigrate/LICENSE share/doc/ecmigrate/README.md share/doc/ecmigrate/changelog.gz share/doc/ecmigrate/copyright \
share/ecmigrate/plan.schema.json share/fish/vendor_completions.d/ecmigrate.fish share/man/man1/ecmigrate.1.gz \
share/zsh/site-functions/_ecmigrate "

version=$(sed -n 's/^project(ecmigrate VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
program=$prefix/bin/ecmigrate
check "its version is that of CMakeLists.txt" "$("$program" version | cut -d' ' -f2)" "$version"
check "and of --version" "$("$program" --version)" "ecmigrate $version"
check "and of the manual" "$(zcat "$prefix/share/man/man1/ecmigrate.1.gz" | grep -c "^.TH.*\"ecmigrate $version\"")" 1
check "and of the newest entry of the changelog" "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)" "$version"
check "and of the image in docs/ci.md" "$(grep -o '/ecmigrate:[0-9.]*[0-9]' docs/ci.md | sort -u)" "/ecmigrate:$version"

for command in $("$program" help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\)  .*/\1/p'); do
  man --path --manpath "$prefix/share/man" "ecmigrate-$command" >/dev/null 2>&1 || echo "$command"
done >"$work/without"
check "commands without a manual page" "$(cat "$work/without")" ""
check "man finds it" "$(man --path --manpath "$prefix/share/man" ecmigrate)" "$prefix/share/man/man1/ecmigrate.1.gz"

check "the schema is what the program prints" "$("$program" schema | cmp - "$prefix/share/ecmigrate/plan.schema.json" && echo same)" same
check "bash's completion" "$(bash -c ". '$prefix/share/bash-completion/completions/ecmigrate' && complete -p ecmigrate")" "complete -F _ecmigrate ecmigrate"
check "zsh's is for ecmigrate" "$(head -n 1 "$prefix/share/zsh/site-functions/_ecmigrate")" "#compdef ecmigrate"
check "fish's can be read" "$(fish --no-execute "$prefix/share/fish/vendor_completions.d/ecmigrate.fish" && echo yes)" yes
check "the pages of docs/" "$(ls "$prefix/share/doc/ecmigrate/docs")" "$(ls docs)"
check "the program alone" "$(cmake --install "$build" --component program --prefix "$work/alone" >/dev/null && cd "$work/alone" && find . -type f)" ./bin/ecmigrate
conclude
