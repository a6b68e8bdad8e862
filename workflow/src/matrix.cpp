#include "matrix.hpp"

#include <troupe/base/text.hpp>
#include <troupe/config/fields.hpp>
#include <troupe/workflow/model.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::workflow {
namespace {

using config::Diagnostics;
using config::Entry;
using config::Node;
using Combination = Value::Object;

constexpr std::size_t most_lists = 32;

/// Every combination has a copy, so a long text would be there a thousand
/// times.
constexpr std::size_t longest_value = 1 << 10;

/// A number stays one only if it is printed as it was written: 1.10 is a
/// version, not 1.1.
Value to_value(const Node& node, Diagnostics& diagnostics) {
  switch (node.kind) {
    case Node::Kind::null:
      return {};
    case Node::Kind::scalar: {
      if (node.text.find("${{") != std::string::npos)
        diagnostics.add(node.where,
                        "an expression inside of a list is not supported yet "
                        "by this version; make the list one expression");
      if (const auto flag = config::plain_bool(node))
        return Value{*flag};
      const auto number = config::plain_number(node);
      if (number && Value{*number}.text() == node.text)
        return Value{*number};
      return Value{node.text};
    }
    case Node::Kind::sequence: {
      Value::List list;
      for (const Node& item : node.items)
        list.push_back(to_value(item, diagnostics));
      return Value{std::move(list)};
    }
    case Node::Kind::mapping: {
      Value::Object object;
      for (const Entry& entry : node.entries)
        object.emplace_back(entry.key, to_value(entry.value, diagnostics));
      return Value{std::move(object)};
    }
  }
  return {};
}

Value to_small_value(const Node& node, Diagnostics& diagnostics) {
  Value value = to_value(node, diagnostics);
  if (value.text().size() <= longest_value)
    return value;
  diagnostics.add(node.where, "a matrix value of more than 1 KiB");
  return {};
}

const Value* find(const Combination& combination, std::string_view key) {
  for (const auto& [name, value] : combination) {
    if (name == key)
      return &value;
  }
  return nullptr;
}

/// The maps under `include` or `exclude`. `keys` are those that can be in
/// them; empty for any.
std::vector<Combination> read_maps(const Node* list, std::string_view name,
                                   const std::vector<std::string_view>& keys,
                                   Diagnostics& diagnostics) {
  std::vector<Combination> maps;
  if (list == nullptr)
    return maps;
  if (list->kind != Node::Kind::sequence) {
    config::report_expected(*list, name, "a list of maps", diagnostics);
    return maps;
  }
  for (const Node& item : list->items) {
    if (item.kind != Node::Kind::mapping) {
      config::report_expected(item, name, "a map", diagnostics);
      continue;
    }
    if (maps.size() == most_combinations || item.entries.size() > most_lists) {
      diagnostics.add(item.where,
                      fmt::format("{}: at most {} entries of {} values", name,
                                  most_combinations, most_lists));
      return maps;
    }
    Combination map;
    for (const Entry& entry : item.entries) {
      const bool known = keys.empty() || std::find(keys.begin(), keys.end(),
                                                   entry.key) != keys.end();
      if (!known)
        diagnostics.add(entry.where,
                        fmt::format("unknown matrix key \"{}\"",
                                    printable(ellipsize(entry.key, 60))),
                        config::did_you_mean(entry.key, keys));
      map.emplace_back(entry.key, to_small_value(entry.value, diagnostics));
    }
    maps.push_back(std::move(map));
  }
  return maps;
}

/// Whether every value of `part` is in `whole`.
bool is_part(const Combination& part, const Combination& whole) {
  return std::all_of(part.begin(), part.end(), [&](const auto& entry) {
    const Value* const value = find(whole, entry.first);
    return value != nullptr && *value == entry.second;
  });
}

/// Whether `added` leaves the values of the lists in `whole` as they are.
bool agrees(const Combination& added, const Combination& lists) {
  return std::all_of(added.begin(), added.end(), [&](const auto& entry) {
    const Value* const value = find(lists, entry.first);
    return value == nullptr || *value == entry.second;
  });
}

void include(const std::vector<Combination>& added,
             std::vector<Combination>& combinations) {
  const std::vector<Combination> of_lists = combinations;
  for (const Combination& entry : added) {
    bool taken = false;
    for (std::size_t i = 0; i < of_lists.size(); ++i) {
      if (!agrees(entry, of_lists[i]))
        continue;
      taken = true;
      for (const auto& [key, value] : entry) {
        const auto known = std::find_if(
            combinations[i].begin(), combinations[i].end(),
            [&name = key](const auto& pair) { return pair.first == name; });
        if (known != combinations[i].end())
          known->second = value;
        else
          combinations[i].emplace_back(key, value);
      }
    }
    if (!taken)
      combinations.push_back(entry);
  }
}

void remove(const std::vector<Combination>& removed,
            std::vector<Combination>& combinations) {
  std::erase_if(combinations, [&](const Combination& combination) {
    return std::any_of(
        removed.begin(), removed.end(),
        [&](const Combination& entry) { return is_part(entry, combination); });
  });
}

tl::unexpected<Error> too_many_combinations() {
  return failure(Errc::overloaded,
                 fmt::format("the matrix has more than {} combinations",
                             most_combinations));
}

/// As read_maps() of a file; null for none.
Result<std::vector<Combination>> read_maps(
    const Value* list, std::string_view name,
    const std::vector<std::string_view>& keys) {
  std::vector<Combination> maps;
  if (list == nullptr)
    return maps;
  const auto* const items = std::get_if<Value::List>(&list->data);
  if (items == nullptr)
    return failure(Errc::invalid_argument,
                   fmt::format("{}: expected a list of objects, got {}", name,
                               ellipsize(printable(list->json()), 60)));
  if (items->size() > most_combinations)
    return too_many_combinations();
  for (const Value& item : *items) {
    const auto* const object = std::get_if<Value::Object>(&item.data);
    if (object == nullptr || object->size() > most_lists)
      return failure(
          Errc::invalid_argument,
          fmt::format("{}: expected an object of at most {} values, got {}",
                      name, most_lists, ellipsize(printable(item.json()), 60)));
    for (const auto& [key, value] : *object) {
      if (!keys.empty() &&
          std::find(keys.begin(), keys.end(), key) == keys.end())
        return failure(Errc::invalid_argument,
                       fmt::format("{}: unknown matrix key \"{}\"", name,
                                   ellipsize(printable(key), 60)));
      if (value.text().size() > longest_value)
        return failure(Errc::overloaded, "a matrix value of more than 1 KiB");
    }
    maps.push_back(*object);
  }
  return maps;
}

}  // namespace

std::vector<Combination> expand_matrix(const Node& node,
                                       Diagnostics& diagnostics) {
  if (node.kind != Node::Kind::mapping) {
    config::report_expected(node, "matrix", "a map of lists", diagnostics);
    return {};
  }
  std::vector<std::string_view> keys;
  for (const Entry& entry : node.entries) {
    if (entry.key != "include" && entry.key != "exclude")
      keys.push_back(entry.key);
  }
  const std::vector<Combination> added =
      read_maps(node.find("include"), "include", {}, diagnostics);
  const std::vector<Combination> removed =
      read_maps(node.find("exclude"), "exclude", keys, diagnostics);

  std::vector<Combination> combinations;
  std::size_t lists = 0;
  for (const Entry& entry : node.entries) {
    if (entry.key == "include" || entry.key == "exclude")
      continue;
    const auto& items = entry.value.items;
    if (entry.value.kind != Node::Kind::sequence || items.empty()) {
      config::report_expected(entry.value, entry.key,
                              "a list with at least one value", diagnostics);
      return {};
    }
    if (++lists > most_lists) {
      diagnostics.add(entry.where, fmt::format("a matrix of more than {} lists",
                                               most_lists));
      return {};
    }
    if (lists == 1)
      combinations = {{}};
    if (items.size() > most_combinations / combinations.size()) {
      diagnostics.add(entry.where,
                      fmt::format("the matrix has more than {} combinations",
                                  most_combinations));
      return {};
    }
    std::vector<Value> values;
    values.reserve(items.size());
    for (const Node& item : items)
      values.push_back(to_small_value(item, diagnostics));
    std::vector<Combination> longer;
    for (const Combination& combination : combinations) {
      for (const Value& value : values) {
        longer.push_back(combination);
        longer.back().emplace_back(entry.key, value);
      }
    }
    combinations = std::move(longer);
  }
  remove(removed, combinations);
  include(added, combinations);
  if (combinations.size() > most_combinations) {
    diagnostics.add(node.where,
                    fmt::format("the matrix has more than {} combinations",
                                most_combinations));
    return {};
  }
  if (combinations.empty()) {
    diagnostics.add(node.where, "the matrix has no combination");
    return {};
  }
  return combinations;
}

bool has_expression(const Node& node) {
  const auto in = [](const auto& child) { return has_expression(child); };
  return node.text.find("${{") != std::string::npos ||
         std::any_of(node.items.begin(), node.items.end(), in) ||
         std::any_of(node.entries.begin(), node.entries.end(),
                     [&](const Entry& entry) { return in(entry.value); });
}

Value matrix_value(const Node& node, Diagnostics& diagnostics) {
  return to_value(node, diagnostics);
}

Result<std::vector<Combination>> expand_matrix(const Value& matrix) {
  if (std::holds_alternative<Value::List>(matrix.data))
    return read_maps(&matrix, "a list as a matrix", {});
  const auto* const object = std::get_if<Value::Object>(&matrix.data);
  if (object == nullptr)
    return failure(Errc::invalid_argument,
                   fmt::format("expected an object of lists or a list of "
                               "objects, got {}",
                               ellipsize(printable(matrix.json()), 60)));
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : *object) {
    if (key != "include" && key != "exclude")
      keys.push_back(key);
  }
  if (keys.size() > most_lists)
    return failure(Errc::overloaded,
                   fmt::format("a matrix of more than {} lists", most_lists));
  auto added = read_maps(matrix.member("include"), "include", {});
  if (!added)
    return added;
  auto removed = read_maps(matrix.member("exclude"), "exclude", keys);
  if (!removed)
    return removed;
  std::vector<Combination> combinations;
  if (!keys.empty())
    combinations = {{}};
  for (const std::string_view key : keys) {
    const Value& value = *matrix.member(key);
    const auto* const list = std::get_if<Value::List>(&value.data);
    if (list == nullptr)
      return failure(Errc::invalid_argument,
                     fmt::format("{}: expected a list, got {}",
                                 ellipsize(printable(key), 60),
                                 ellipsize(printable(value.json()), 60)));
    for (const Value& item : *list) {
      if (item.text().size() > longest_value)
        return failure(Errc::overloaded, "a matrix value of more than 1 KiB");
    }
    if (!combinations.empty() &&
        list->size() > most_combinations / combinations.size())
      return too_many_combinations();
    std::vector<Combination> longer;
    for (const Combination& combination : combinations) {
      for (const Value& item : *list) {
        longer.push_back(combination);
        longer.back().emplace_back(key, item);
      }
    }
    combinations = std::move(longer);
  }
  remove(*removed, combinations);
  include(*added, combinations);
  if (combinations.size() > most_combinations)
    return too_many_combinations();
  return combinations;
}

}  // namespace troupe::workflow
