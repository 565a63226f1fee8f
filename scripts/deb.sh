#!/usr/bin/env bash
# Makes the Debian package of the version that CMakeLists.txt names, compiled with Debian's flags; the last line is its
# path. It is for the release of Debian that it is made on. scripts/packages.sh deb installs what this needs.
#
#   scripts/deb.sh [BUILD FOLDER]      default: build-deb
#
# ECMIGRATE_MAINTAINER="Name <address>" says who answers for the package.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build-deb}
command -v dpkg-buildflags >/dev/null || { echo "dpkg-dev is missing: scripts/packages.sh deb installs it" >&2; exit 1; }

# Debugging information would be stripped in the end.
export DEB_BUILD_MAINT_OPTIONS=hardening=+all DEB_CXXFLAGS_STRIP=-g
CXXFLAGS="$(dpkg-buildflags --get CXXFLAGS) $(dpkg-buildflags --get CPPFLAGS)"
LDFLAGS=$(dpkg-buildflags --get LDFLAGS)
export CXXFLAGS LDFLAGS
# The same source gives the same package.
if [ -z "${SOURCE_DATE_EPOCH:-}" ] && git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  export SOURCE_DATE_EPOCH
fi
umask 022
{
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DECMIGRATE_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr \
    ${ECMIGRATE_MAINTAINER:+"-DECMIGRATE_MAINTAINER=$ECMIGRATE_MAINTAINER"}
  cmake --build "$folder" --target ecmigrate beside
  rm -f "$folder"/ecmigrate_*.deb
  (cd "$folder" && cpack -G DEB)
} >&2
ls "$PWD/$folder"/ecmigrate_*.deb
