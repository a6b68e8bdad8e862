# How every target is compiled: standard, warnings, sanitizers, compiler cache.
#
#   TROUPE_WERROR     warnings are errors (on in the CI presets)
#   TROUPE_SANITIZE   "address,undefined", "thread" or empty
#   TROUPE_COVERAGE   instrument for gcov
#   TROUPE_FUZZ       instrument for libFuzzer and offer tests/fuzz (clang)
#   TROUPE_UNITY      compile the sources of a target in batches
include_guard(GLOBAL)
include(CTest)

option(TROUPE_WERROR "Treat warnings as errors" OFF)
option(TROUPE_COVERAGE "Instrument for gcov" OFF)
option(TROUPE_FUZZ "Instrument for libFuzzer" OFF)
option(TROUPE_UNITY "Compile the sources of a target in batches" OFF)
set(TROUPE_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# Most of the time of a compiler goes into headers, above all CAF's: ten
# sources that are compiled as one pay for them once. For builds of everything:
# when one file has changed, its batch is compiled again.
if(TROUPE_UNITY)
  set(CMAKE_UNITY_BUILD ON)
  if(NOT CMAKE_UNITY_BUILD_BATCH_SIZE)
    set(CMAKE_UNITY_BUILD_BATCH_SIZE 10)
  endif()
endif()
set(unity_gcc OFF)
if(TROUPE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(unity_gcc ON)
endif()

set(is_sanitized 0)
if(TROUPE_SANITIZE)
  set(is_sanitized 1)
endif()

# The sloppiness is what lets ccache serve files that use a precompiled header.
find_program(TROUPE_CCACHE ccache)
if(TROUPE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;${TROUPE_CCACHE}")
endif()

add_library(troupe_warnings INTERFACE)
add_library(troupe::warnings ALIAS troupe_warnings)
target_compile_options(troupe_warnings INTERFACE
  -Wall -Wextra -Wpedantic
  # In a batch, what is local to one source is global to the others; and GCC
  # takes each of them for a header.
  $<IF:$<BOOL:${unity_gcc}>,-Wshadow=local,-Wshadow>
  $<$<BOOL:${unity_gcc}>:-Wno-subobject-linkage>
  -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Woverloaded-virtual
  -Wconversion -Wsign-conversion -Wimplicit-fallthrough -Wswitch-enum
  # Designated initializers name what differs from the defaults.
  -Wno-missing-field-initializers
  # GCC 12 reports a std::string concatenation out of libstdc++ under C++20.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # With -O3 or a sanitizer, it warns of members of a std::variant or an empty
  # std::optional that are never read.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<OR:$<CONFIG:Release>,${is_sanitized}>>:-Wno-maybe-uninitialized>
  $<$<BOOL:${TROUPE_WERROR}>:-Werror>)

# Linked by every target, so that a sanitizer never sees half a program.
add_library(troupe_build_mode INTERFACE)
add_library(troupe::build_mode ALIAS troupe_build_mode)
if(TROUPE_FUZZ)
  target_compile_options(troupe_build_mode INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(troupe_build_mode INTERFACE
    -fsanitize=address,undefined)
endif()
if(TROUPE_SANITIZE)
  target_compile_options(troupe_build_mode INTERFACE
    -fsanitize=${TROUPE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(troupe_build_mode INTERFACE
    -fsanitize=${TROUPE_SANITIZE})
  if(TROUPE_SANITIZE MATCHES "thread")
    # ThreadSanitizer does not understand the fences by which Asio completes
    # an operation; the locks of its scheduler, which it does, order the same.
    target_compile_definitions(troupe_build_mode INTERFACE
      BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
  if(TROUPE_SANITIZE MATCHES "undefined")
    # Only a check that may recover can be suppressed; the tests make it halt
    # again for whatever cmake/sanitizers/ubsan.supp does not name.
    target_compile_options(troupe_build_mode INTERFACE -fsanitize-recover=null)
  endif()
endif()

# What every test of an instrumented build needs in its environment.
set(TROUPE_TEST_ENVIRONMENT "")
set(suppressions "${CMAKE_CURRENT_LIST_DIR}/sanitizers")
if(TROUPE_SANITIZE MATCHES "undefined")
  set(TROUPE_TEST_ENVIRONMENT "UBSAN_OPTIONS=halt_on_error=1:\
print_stacktrace=1:suppressions=${suppressions}/ubsan.supp")
elseif(TROUPE_SANITIZE MATCHES "thread")
  set(TROUPE_TEST_ENVIRONMENT "TSAN_OPTIONS=second_deadlock_stack=1:\
suppressions=${suppressions}/tsan.supp")
endif()
if(TROUPE_COVERAGE)
  target_compile_options(troupe_build_mode INTERFACE --coverage)
  target_link_options(troupe_build_mode INTERFACE --coverage)
endif()
