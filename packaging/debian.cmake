# The Debian package: `cpack -G DEB`, or scripts/deb.sh, which also compiles with Debian's flags.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ecmigrate)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "zero-downtime schema migrations for PostgreSQL")
set(CPACK_PACKAGE_DESCRIPTION
    "Changes the schema of a busy PostgreSQL table in phases, with the old and the
new version of an application at work side by side: expand adds the new
columns and a trigger that keeps old and new equal, backfill fills the rows
that exist in small batches, verify compares every row, and contract removes
the old columns. Until then rollback brings back the schema of the start.

Locks are held for milliseconds, the backfill gives way to the application,
and whatever is interrupted goes on when the same command is run again. A
status page shows it all while it happens.")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                                WORLD_EXECUTE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_CMAKE_PROJECTS)
foreach(component program beside debian)
  list(APPEND CPACK_INSTALL_CMAKE_PROJECTS ${PROJECT_BINARY_DIR} ecmigrate ${component} /)
endforeach()

set(CPACK_DEBIAN_PACKAGE_RELEASE ${ECMIGRATE_DEB_REVISION})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${ECMIGRATE_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# demo and compare start a server of their own.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "postgresql, bash-completion")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
