#include <troupe/base/text.hpp>
#include <troupe/workflow/value.hpp>

#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <map>

namespace troupe::workflow {
namespace {

using Json = nlohmann::json;

/// Of each name one value, the last, at the place of the first.
void keep_last(Value::Object& object) {
  std::map<std::string_view, std::size_t> places;
  Value::Object kept;
  kept.reserve(object.size());
  for (auto& [name, value] : object) {
    const auto [place, added] = places.try_emplace(name, kept.size());
    if (!added) {
      kept[place->second].second = std::move(value);
      continue;
    }
    kept.emplace_back(name, std::move(value));
  }
  object = std::move(kept);
}

/// Takes what the library reads, one token at a time; a limit that is passed
/// ends the reading. The names of its functions are the library's.
class Builder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return add({}); }
  bool boolean(bool value) override { return add(Value{value}); }
  bool number_integer(number_integer_t value) override {
    return add(Value{static_cast<double>(value)});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add(Value{static_cast<double>(value)});
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return add(Value{value});
  }
  bool string(string_t& value) override { return add(Value{std::move(value)}); }
  bool binary(binary_t& /*value*/) override { return false; }

  bool start_array(std::size_t /*count*/) override {
    return open(Value{Value::List{}});
  }
  bool end_array() override { return close(); }
  bool start_object(std::size_t /*count*/) override {
    return open(Value{Value::Object{}});
  }
  bool end_object() override { return close(); }
  bool key(string_t& name) override {
    names_.back() = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    problem_ = Error{Errc::invalid_argument,
                     fmt::format("no JSON at byte {}", position)};
    return false;
  }

  Result<Value> take() {
    if (problem_)
      return tl::unexpected{std::move(*problem_)};
    return std::move(whole_);
  }

 private:
  bool refuse(std::string what) {
    problem_ = Error{Errc::overloaded, std::move(what)};
    return false;
  }

  bool open(Value value) {
    if (open_.size() == deepest_json)
      return refuse(
          fmt::format("JSON that is nested more than {} deep", deepest_json));
    if (++count_ > most_json_values)
      return too_many();
    open_.push_back(std::move(value));
    names_.emplace_back();
    return true;
  }

  bool close() {
    Value value = std::move(open_.back());
    open_.pop_back();
    names_.pop_back();
    if (auto* const object = std::get_if<Value::Object>(&value.data))
      keep_last(*object);
    put(std::move(value));
    return true;
  }

  bool add(Value value) {
    if (++count_ > most_json_values)
      return too_many();
    put(std::move(value));
    return true;
  }

  bool too_many() {
    return refuse(fmt::format("JSON of more than {} values", most_json_values));
  }

  void put(Value value) {
    if (open_.empty())
      whole_ = std::move(value);
    else if (auto* const list = std::get_if<Value::List>(&open_.back().data))
      list->push_back(std::move(value));
    else
      std::get<Value::Object>(open_.back().data)
          .emplace_back(std::move(names_.back()), std::move(value));
  }

  Value whole_;
  std::vector<Value> open_;         ///< From the outermost to the innermost.
  std::vector<std::string> names_;  ///< Of the member at hand, one for each.
  std::size_t count_ = 0;
  std::optional<Error> problem_;
};

}  // namespace

Result<Value> parse_json(std::string_view text) {
  Builder builder;
  Json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace troupe::workflow
