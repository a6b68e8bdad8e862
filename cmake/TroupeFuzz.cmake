# troupe_fuzz(<name> SOURCES <src>... LINKS <target>...)
#
# With TROUPE_FUZZ, which needs clang, adds one libFuzzer program to the target
# `fuzz`, which scripts/fuzz.sh builds and runs with the seeds in
# tests/fuzz/corpus/<name>. Otherwise adds a test, fuzz.<name>, that runs the
# same code once on each seed.
include_guard(GLOBAL)

if(TROUPE_FUZZ AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "TROUPE_FUZZ needs clang++; see scripts/fuzz.sh")
endif()

add_custom_target(fuzz)

function(troupe_fuzz name)
  cmake_parse_arguments(PARSE_ARGV 1 FUZZ "" "" "SOURCES;LINKS")
  if(TROUPE_FUZZ)
    add_executable(${name}_fuzz EXCLUDE_FROM_ALL ${FUZZ_SOURCES})
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz ${name}_fuzz)
  else()
    add_executable(${name}_fuzz ${FUZZ_SOURCES} replay.cpp)
    add_test(NAME fuzz.${name} COMMAND ${name}_fuzz
             "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name}")
    set_tests_properties(fuzz.${name} PROPERTIES LABELS unit TIMEOUT 60
      ENVIRONMENT "${TROUPE_TEST_ENVIRONMENT}")
  endif()
  set_target_properties(${name}_fuzz PROPERTIES UNITY_BUILD OFF)
  target_link_libraries(${name}_fuzz PRIVATE ${FUZZ_LINKS} troupe::warnings)
endfunction()
