#include "http_route.hpp"

#include <troupe/base/suggest.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>

namespace troupe::api {
namespace {

/// "/v1/jobs" as v1, jobs; "/" as one empty part.
std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  path.remove_prefix(1);
  while (true) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos)
      return parts;
    path.remove_prefix(slash + 1);
  }
}

Result<std::vector<std::string>> decoded_parts(std::string_view path) {
  std::vector<std::string> parts;
  for (const std::string_view part : split(path)) {
    auto decoded = percent_decode(part);
    if (!decoded)
      return tl::unexpected{std::move(decoded.error()).within("path")};
    parts.push_back(std::move(*decoded));
  }
  return parts;
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& known) {
  const std::vector<std::string_view> candidates{known.begin(), known.end()};
  const auto found = suggest(word, candidates);
  return found ? std::optional{std::string{*found}} : std::nullopt;
}

std::string title(const Operation& operation) {
  return fmt::format("{} {}", to_string(operation.method), operation.path);
}

tl::unexpected<Error> unusable(const Operation& operation,
                               std::string_view why) {
  return failure(Errc::invalid_argument,
                 fmt::format("operation {}: {}", title(operation), why));
}

tl::unexpected<Refusal> bad_request(Error error) {
  return tl::unexpected{Refusal{.status = 400, .error = std::move(error)}};
}

std::string known_keys(const Operation& operation) {
  return operation.query.empty()
             ? "it knows none"
             : fmt::format("it knows {}", fmt::join(operation.query, ", "));
}

Result<std::map<std::string, std::string>> known_query(
    const Operation& operation, std::string_view text) {
  auto query = parse_query(text);
  if (!query)
    return query;
  for (const auto& [key, value] : *query) {
    const auto& known = operation.query;
    if (std::find(known.begin(), known.end(), key) != known.end())
      continue;
    const auto meant = nearest(key, known);
    return failure(
        Errc::invalid_argument,
        fmt::format("{} does not know the query key \"{}\"; {}",
                    title(operation), excerpt(key),
                    meant ? fmt::format("did you mean \"{}\"?", *meant)
                          : known_keys(operation)));
  }
  return query;
}

}  // namespace

Result<Router> Router::make(std::vector<Operation> operations) {
  Router router;
  for (Operation& operation : operations) {
    auto route = route_for(std::move(operation));
    if (!route)
      return tl::unexpected{std::move(route.error())};
    for (const Route& other : router.routes_) {
      if (is_same(*route, other))
        return unusable(route->operation, fmt::format("is the same as {}",
                                                      title(other.operation)));
    }
    router.routes_.push_back(std::move(*route));
  }
  return router;
}

tl::expected<Router::Match, Refusal> Router::match(std::string_view method,
                                                   std::string_view target,
                                                   Role role) const {
  const std::string_view path = target.substr(0, target.find('?'));
  target.remove_prefix(std::min(path.size() + 1, target.size()));
  if (!path.starts_with('/'))
    return bad_request({Errc::invalid_argument,
                        fmt::format("expected a path that begins with /, got "
                                    "\"{}\"",
                                    excerpt(path))});
  const auto parts = decoded_parts(path);
  if (!parts)
    return bad_request(parts.error());

  const Route* best = nullptr;
  std::vector<std::string_view> methods;
  for (const Route& route : routes_) {
    if (!fits(route, *parts))
      continue;
    methods.push_back(to_string(route.operation.method));
    if (methods.back() == method &&
        (best == nullptr || is_closer(route, *best)))
      best = &route;
  }
  if (methods.empty())
    return tl::unexpected{not_found(std::string{path})};
  if (best == nullptr) {
    std::sort(methods.begin(), methods.end());
    methods.erase(std::unique(methods.begin(), methods.end()), methods.end());
    return tl::unexpected{Refusal{
        .status = 405,
        .error = {Errc::invalid_argument,
                  fmt::format("{} takes {}, not {}", excerpt(path),
                              fmt::join(methods, " or "), excerpt(method))},
        .allow = fmt::format("{}", fmt::join(methods, ", "))}};
  }

  const Operation& operation = best->operation;
  if (role < operation.role)
    return tl::unexpected{refusal_of(
        {Errc::permission_denied,
         fmt::format("{} needs the role {}; you have {}", title(operation),
                     to_string(operation.role), to_string(role))})};
  auto query = known_query(operation, target);
  if (!query)
    return bad_request(std::move(query.error()));
  Match match{.operation = &operation, .query = std::move(*query)};
  for (std::size_t i = 0; i < parts->size(); ++i) {
    if (best->parts[i].is_placeholder)
      match.path.push_back((*parts)[i]);
  }
  return match;
}

Result<Router::Route> Router::route_for(Operation operation) {
  if (!operation.path.starts_with('/'))
    return unusable(operation, "the path has to begin with /");
  if (operation.most_body_bytes > most_http_body_bytes)
    return unusable(operation, "the body is too long");
  if (!operation.handler)
    return unusable(operation, "has no handler");
  std::vector<Part> parts;
  for (const std::string_view part : split(operation.path)) {
    const bool is_placeholder =
        part.size() > 2 && part.starts_with('{') && part.ends_with('}');
    if (part.empty() && operation.path != "/")
      return unusable(operation, "a part of the path is empty");
    if (!is_placeholder && part.find_first_of("{}") != std::string_view::npos)
      return unusable(operation, "a placeholder has to be a whole part");
    parts.push_back({std::string{part}, is_placeholder});
  }
  return Route{std::move(operation), std::move(parts)};
}

bool Router::fits(const Route& route, const std::vector<std::string>& path) {
  return std::equal(route.parts.begin(), route.parts.end(), path.begin(),
                    path.end(), [](const Part& part, const std::string& text) {
                      return part.is_placeholder ? !text.empty()
                                                 : part.text == text;
                    });
}

bool Router::is_same(const Route& a, const Route& b) {
  return a.operation.method == b.operation.method &&
         std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(),
                    b.parts.end(), [](const Part& x, const Part& y) {
                      return x.is_placeholder == y.is_placeholder &&
                             (x.is_placeholder || x.text == y.text);
                    });
}

/// Whether the first part that differs is a word in `a`. For two that fit the
/// same path.
bool Router::is_closer(const Route& a, const Route& b) {
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    if (a.parts[i].is_placeholder != b.parts[i].is_placeholder)
      return b.parts[i].is_placeholder;
  }
  return false;
}

/// Suggests what the path would be if its words were right, with what it has
/// for placeholders.
Refusal Router::not_found(const std::string& path) const {
  const auto given = split(path);
  std::vector<std::string> candidates;
  for (const Route& route : routes_) {
    std::string candidate;
    for (std::size_t i = 0; i < route.parts.size(); ++i) {
      const Part& part = route.parts[i];
      const bool is_given =
          part.is_placeholder && i < given.size() && !given[i].empty();
      candidate += "/";
      candidate += is_given ? given[i] : std::string_view{part.text};
    }
    candidates.push_back(std::move(candidate));
  }
  const auto meant = nearest(path, candidates);
  return refusal_of(
      {Errc::not_found,
       fmt::format(
           "there is no {}{}", excerpt(path),
           meant ? fmt::format("; did you mean {}?", excerpt(*meant)) : "")});
}

}  // namespace troupe::api
