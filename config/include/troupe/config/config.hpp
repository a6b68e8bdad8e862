#pragma once

/// Start here. `config` turns the YAML that people write into structs that the
/// program can trust, and says what is wrong with it as a compiler does.
///
///   source.hpp       a file's name and text, and places in it
///   diagnostics.hpp  the errors of one file, with the line and a caret
///   document.hpp     read_yaml(): text to a bounded tree of nodes
///   dotenv.hpp       files of variables
///   fields.hpp       Keyword, Section, Fields: nodes to checked values
///
/// Nothing here reads files, and nothing but one source file knows yaml-cpp.
#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/config/dotenv.hpp>
#include <troupe/config/fields.hpp>
#include <troupe/config/source.hpp>
