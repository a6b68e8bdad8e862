# embed_text(<header> <namespace> <variable> <file> [<variable> <file>]...)
#
# Writes a header with one string_view constant per file, at configure time; a
# change of a file configures again.
function(embed_text header namespace)
  set(text "#pragma once\n\n// Generated; do not edit.\n#include <string_view>\n\n")
  string(APPEND text "namespace ${namespace} {\n")
  while(ARGN)
    list(POP_FRONT ARGN variable file)
    file(READ "${file}" content)
    string(APPEND text "inline constexpr std::string_view ${variable} = "
                       "R\"embedded(${content})embedded\";\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  endwhile()
  string(APPEND text "}  // namespace ${namespace}\n")
  file(CONFIGURE OUTPUT "${header}" CONTENT "${text}" @ONLY)
endfunction()
