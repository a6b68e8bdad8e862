# troupe_part(<name> [CORE <src>...] [SHELL <src>...] [USES <part>...]
#             [CORE_LINKS <target>...] [LINKS <target>...])
#
# Adds one folder of the tree as two targets: troupe::<name>_core, the logic,
# which never links CAF, and troupe::<name>, which adds the shell. A part
# without SHELL is all core and both names mean the same target.
#
#   USES        lower parts; asking for one that is not there yet is an error,
#               so the layering holds by construction
#   CORE_LINKS  third-party targets visible to users of the core
#   LINKS       third-party targets visible to users of the shell
#
# troupe_test(<name> [WHOLE] [LABEL unit|model|sim|actor|e2e]
#             SOURCES <src>... LINKS <target>...)
#
# Adds one GoogleTest program; each TEST in it becomes one CTest entry, or all of
# them one if it is WHOLE.
#
# troupe_precompile(<target>)
#
# For what has actors in it: reads CAF's headers once for all sources of the
# target, where those are not compiled in batches.
include_guard(GLOBAL)
include(GoogleTest)
include(TroupeHeaderCheck)

function(troupe_precompile target)
  if(TROUPE_UNITY OR TROUPE_FUZZ)
    return()
  endif()
  target_precompile_headers(${target} PRIVATE <troupe/actors/caf.hpp>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess)  # For ccache.
  endif()
endfunction()

function(troupe_part name)
  cmake_parse_arguments(PARSE_ARGV 1 PART "" ""
                        "CORE;SHELL;USES;CORE_LINKS;LINKS")
  set(core troupe_${name}_core)
  set(all ${core})
  add_library(${core} STATIC ${PART_CORE})
  target_include_directories(${core} PUBLIC include PRIVATE src)
  target_link_libraries(${core} PUBLIC troupe::build_mode ${PART_CORE_LINKS}
                                PRIVATE troupe::warnings)
  if(PART_SHELL)
    set(all troupe_${name})
    add_library(${all} STATIC ${PART_SHELL})
    target_include_directories(${all} PRIVATE src)
    target_link_libraries(${all} PUBLIC ${core} ${PART_LINKS}
                                 PRIVATE troupe::warnings)
  endif()
  add_library(troupe::${name}_core ALIAS ${core})
  add_library(troupe::${name} ALIAS ${all})

  foreach(used IN LISTS PART_USES)
    if(NOT TARGET troupe::${used})
      message(FATAL_ERROR "${name} may not use ${used}: not a lower layer")
    endif()
    target_link_libraries(${core} PUBLIC troupe::${used}_core)
    if(PART_SHELL)
      target_link_libraries(${all} PUBLIC troupe::${used})
    endif()
  endforeach()
  if(PART_SHELL AND "actors" IN_LIST PART_USES)
    troupe_precompile(${all})
  endif()
  troupe_header_check(${name})
endfunction()

function(troupe_test name)
  cmake_parse_arguments(PARSE_ARGV 1 TEST "WHOLE" "LABEL;TIMEOUT" "SOURCES;LINKS")
  if(NOT TEST_LABEL)
    set(TEST_LABEL unit)
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 60)
  endif()
  # A sanitizer may stop to look up a symbol.
  set(longest_handler 250ms)
  if(TROUPE_SANITIZE)
    set(longest_handler 5s)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LINKS} troupe::warnings
                                        GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/support")
  set(properties LABELS "${TEST_LABEL}" TIMEOUT ${TEST_TIMEOUT}
      ENVIRONMENT_MODIFICATION TROUPE_STALLS=set:${longest_handler})
  # An empty value is lost on the way, and the next name is taken for it.
  if(TROUPE_TEST_ENVIRONMENT)
    list(APPEND properties ENVIRONMENT "${TROUPE_TEST_ENVIRONMENT}")
  endif()
  # Histories of chance compute, those of `sim` for longest, which so begin first.
  if(TEST_LABEL STREQUAL "sim")
    list(APPEND properties COST 30)
  elseif(TEST_LABEL STREQUAL "model")
    list(APPEND properties COST 20)
  endif()
  if(TEST_WHOLE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES ${properties})
    return()
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 30 PROPERTIES ${properties})
endfunction()
