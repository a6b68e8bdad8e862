#pragma once

/// Which operation a request is for. Pure.
#include "http_text.hpp"

#include <troupe/api/http.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::api {

/// The one table of what can be reached. Immutable.
class Router {
 public:
  /// Errors: invalid_argument (two operations for one path and method; a path
  /// that does not begin with /, has an empty part or half a placeholder; a
  /// body of more than most_http_body_bytes; no handler).
  [[nodiscard]] static Result<Router> make(std::vector<Operation> operations);

  struct Match {
    const Operation* operation = nullptr;  ///< Of the router.
    std::vector<std::string> path;         ///< Of the placeholders.
    std::map<std::string, std::string> query;
  };

  /// What somebody with `role` may ask by `method` at `target`, a path with
  /// or without a query. Refuses with 400, 403, 404 or 405, in the order path,
  /// method, role, query.
  [[nodiscard]] tl::expected<Match, Refusal> match(std::string_view method,
                                                   std::string_view target,
                                                   Role role) const;

 private:
  struct Part {
    std::string text;
    bool is_placeholder = false;
  };
  struct Route {
    Operation operation;
    std::vector<Part> parts;
  };

  [[nodiscard]] static Result<Route> route_for(Operation operation);
  [[nodiscard]] static bool fits(const Route& route,
                                 const std::vector<std::string>& path);
  [[nodiscard]] static bool is_same(const Route& a, const Route& b);
  [[nodiscard]] static bool is_closer(const Route& a, const Route& b);
  [[nodiscard]] Refusal not_found(const std::string& path) const;

  std::vector<Route> routes_;
};

}  // namespace troupe::api
