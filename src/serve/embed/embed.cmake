# Puts the files of the page, and the chart library of the system's package, into the program: embedded_files().
find_package(ZLIB REQUIRED)
find_file(ECMIGRATE_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist
          DOC "Chart.js 3 as one file")
if(NOT ECMIGRATE_CHART_JS)
  message(FATAL_ERROR "Chart.js, which draws the page's charts, is not found. On Debian: apt-get install libjs-chart.js. "
                      "Elsewhere, give the path of Chart.js 3 as one file: -DECMIGRATE_CHART_JS=/path/to/chart.min.js")
endif()

set(page_folder ${PROJECT_SOURCE_DIR}/src/serve/page)
file(GLOB_RECURSE page_files CONFIGURE_DEPENDS RELATIVE ${page_folder} ${page_folder}/*)
set(embed_arguments /chart.js ${ECMIGRATE_CHART_JS})
set(embed_inputs ${ECMIGRATE_CHART_JS})
foreach(file ${page_files})
  list(APPEND embed_arguments /${file} ${page_folder}/${file})
  list(APPEND embed_inputs ${page_folder}/${file})
endforeach()

add_executable(embed ${PROJECT_SOURCE_DIR}/src/serve/embed/embed.cpp)
target_link_libraries(embed PRIVATE ZLIB::ZLIB)
set(embedded_source ${PROJECT_BINARY_DIR}/embedded_files.cpp)
add_custom_command(
  OUTPUT ${embedded_source}
  COMMAND embed ${embedded_source} ${embed_arguments}
  DEPENDS embed ${embed_inputs}
  COMMENT "Embedding the page"
  VERBATIM)
set_source_files_properties(${embedded_source} PROPERTIES INCLUDE_DIRECTORIES ${PROJECT_SOURCE_DIR}/src/serve)
