# What is installed beside the program. All but the pages of docs/ is made from the program's own tables.
#
# Components: program; beside (manual pages, completion, schema, docs); other (what a Debian package has in another
# place); debian (what only a Debian package has).
include(GNUInstallDirs)

set(beside ${PROJECT_BINARY_DIR}/beside)
set(changelog_debian ${PROJECT_BINARY_DIR}/changelog.Debian)
string(TIMESTAMP changelog_date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH's, where that is set
configure_file(packaging/changelog.Debian.in ${changelog_debian} @ONLY)

add_custom_command(
  OUTPUT ${beside}/made
  COMMAND ${PROJECT_SOURCE_DIR}/packaging/make-beside ${beside} $<TARGET_FILE:ecmigrate> $<TARGET_FILE:ecmigrate-manual>
          ${PROJECT_SOURCE_DIR} ${changelog_debian}
  DEPENDS ecmigrate ecmigrate-manual packaging/make-beside CHANGELOG.md ${changelog_debian}
  COMMENT "Making manual pages, completion and the schema of plans"
  VERBATIM)
add_custom_target(beside ALL DEPENDS ${beside}/made)

install(TARGETS ecmigrate COMPONENT program)

install(DIRECTORY ${beside}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT beside)
install(FILES ${beside}/ecmigrate DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT beside)
install(FILES ${beside}/ecmigrate.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT beside)
install(FILES ${beside}/plan.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/ecmigrate COMPONENT beside)
install(FILES README.md ${beside}/changelog.gz packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT beside)
install(DIRECTORY docs plans DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT beside)

install(FILES ${beside}/_ecmigrate DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT other)
# Debian has this text once for all packages.
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT other)

install(FILES ${beside}/_ecmigrate DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT debian
        EXCLUDE_FROM_ALL)
install(FILES ${beside}/changelog.Debian.gz DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES packaging/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME ecmigrate
        COMPONENT debian EXCLUDE_FROM_ALL)
