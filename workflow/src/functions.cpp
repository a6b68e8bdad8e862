#include "functions.hpp"

#include <array>

namespace troupe::workflow {
namespace {

/// More than anybody writes; keeps the table free of special cases.
constexpr std::size_t many = 64;

constexpr std::array<FunctionInfo, 13> functions{{
    {"success", Function::success, 0, 0},
    {"failure", Function::failure, 0, 0},
    {"always", Function::always, 0, 0},
    {"cancelled", Function::cancelled, 0, 0},
    {"contains", Function::contains, 2, 2},
    {"startsWith", Function::starts_with, 2, 2},
    {"endsWith", Function::ends_with, 2, 2},
    {"format", Function::format, 1, many},
    {"join", Function::join, 1, 2},
    {"toJSON", Function::to_json, 1, 1},
    {"fromJSON", Function::from_json, 1, 1},
    {"raw", Function::raw, 1, 1},
    {"hashFiles", Function::hash_files, 1, many},
}};

}  // namespace

std::span<const FunctionInfo> function_table() { return functions; }

bool is_status_function(Function function) {
  switch (function) {
    case Function::success:
    case Function::failure:
    case Function::always:
    case Function::cancelled:
      return true;
    case Function::contains:
    case Function::starts_with:
    case Function::ends_with:
    case Function::format:
    case Function::join:
    case Function::to_json:
    case Function::raw:
    case Function::from_json:
    case Function::hash_files:
      return false;
  }
  return false;
}

}  // namespace troupe::workflow
