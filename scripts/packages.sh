#!/usr/bin/env bash
# Installs the Debian packages that are missing, and no others; asks for nothing.
#
#   scripts/packages.sh           what building and the demo need
#   scripts/packages.sh tests     and what the tests need
#   scripts/packages.sh deb       and what making and trying the Debian package needs
#   scripts/packages.sh names     prints the names of what building needs
set -euo pipefail

build_packages=(g++ cmake ninja-build libpq-dev libfmt-dev libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libcpp-httplib-dev zlib1g-dev pkg-config libjs-chart.js catch2)
packages=("${build_packages[@]}" curl)

case "${1:-}" in
  "") ;;
  tests)
    packages+=(pgbouncer chromium fonts-dejavu-core clang-format clang-tidy-16 zsh fish man-db)
    # Another source's Node.js brings an npm of its own, which Debian's package would conflict with.
    command -v npm >/dev/null || packages+=(nodejs npm)
    ;;
  deb) packages+=(dpkg-dev lintian debootstrap) ;;
  names) echo "${build_packages[*]}"; exit ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "not root and no sudo: run as root: $*" >&2
    exit 1
  fi
}

# Without a network apt has two lines to say of each package: one sentence is made of them.
install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "$@" </dev/null 2>"$said/install" && return
  local no_network='(Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|Connection (failed|timed out)|Network is unreachable|No route to host).*'
  local reason=
  if grep -qE 'Failed to fetch|Unable to fetch|Unable to locate package|has no installation candidate' "$said/install"; then
    reason=$(cat "$said"/* | grep -oE "$no_network" | head -n 1 || true)
  fi
  if [ -n "$reason" ]; then
    echo "these packages are missing and could not be downloaded ($reason), so run this again with a network: $*" >&2
  else
    cat "$said"/* >&2
  fi
  exit 1
}

is_installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Debian's server package makes and starts a cluster on port 5432 when it is installed. That is nothing the demo needs,
# so its setting says no during the installation, and is put back afterwards (or in the next run, after a crash).
cluster_settings=/etc/postgresql-common/createcluster.conf

restore_cluster_settings() {
  if [ -f "$cluster_settings.ecmigrate-saved" ]; then
    as_root mv "$cluster_settings.ecmigrate-saved" "$cluster_settings"
  fi
}

install_server() {
  is_installed postgresql-common || install postgresql-common
  as_root cp -p "$cluster_settings" "$cluster_settings.ecmigrate-saved"
  echo 'create_main_cluster = false' | as_root tee -a "$cluster_settings" >/dev/null
  install postgresql
}

has_server() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || [ -x "${PG_BINDIR:-}/initdb" ]
}

if ! command -v apt-get >/dev/null; then
  echo "not a Debian system: install the equivalents of ${packages[*]} and postgresql yourself, and set PG_BINDIR" >&2
  exit 0
fi

said=$(mktemp -d)
tidy() {
  rm -rf "$said"
  restore_cluster_settings
}
trap tidy EXIT
restore_cluster_settings

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
has_server && server=() || server=(postgresql)

if [ ${#missing[@]} -gt 0 ] || [ ${#server[@]} -gt 0 ]; then
  echo "installing ${missing[*]} ${server[*]}"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    { echo "not root and no sudo: run as root: apt-get install ${missing[*]} ${server[*]}" >&2; exit 1; }
  # A source that does not answer is no matter if what is missing comes from another.
  as_root apt-get update --quiet=2 </dev/null 2>"$said/update" || true
fi
if [ ${#missing[@]} -gt 0 ]; then
  install "${missing[@]}"
fi
if [ ${#server[@]} -gt 0 ]; then
  install_server
fi
