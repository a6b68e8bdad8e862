# troupe_header_check(<part>)
#
# Compiles each public header of a part alone, so that an include line which
# it lacks is found here and not by whoever includes it first. One tiny source
# per header is written at configure time. Target `header_check` does them all,
# for scripts/check.sh: the ordinary build takes long enough.
include_guard(GLOBAL)

function(troupe_header_check part)
  if(NOT BUILD_TESTING)
    return()
  endif()
  # A new header makes CMake run again: no list to forget it in.
  file(GLOB headers CONFIGURE_DEPENDS
       RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/include"
       "${CMAKE_CURRENT_SOURCE_DIR}/include/troupe/${part}/*.hpp")
  set(sources)
  foreach(header IN LISTS headers)
    get_filename_component(stem "${header}" NAME_WE)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/header_check/${stem}.cpp")
    file(CONFIGURE OUTPUT "${source}" CONTENT "#include <${header}>\n")
    list(APPEND sources "${source}")
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_library(troupe_${part}_header_check OBJECT EXCLUDE_FROM_ALL ${sources})
  set_target_properties(troupe_${part}_header_check PROPERTIES UNITY_BUILD OFF)
  target_link_libraries(troupe_${part}_header_check
                        PRIVATE troupe::${part} troupe::warnings)
  if(NOT TARGET header_check)
    add_custom_target(header_check)
  endif()
  add_dependencies(header_check troupe_${part}_header_check)
endfunction()
