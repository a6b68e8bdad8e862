#pragma once

#include <troupe/base/error.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::queue {

/// Reads the keys of an object of JSON that others have written. Whatever is
/// wrong is kept until finish(), the first of it; a key that nobody asked for
/// is an error with "did you mean". Lives on the stack; `json` outlives it.
class JsonFields {
 public:
  using Json = nlohmann::ordered_json;

  /// `name` is what to call the object in messages; empty for the whole.
  JsonFields(const Json& json, std::string name);

  /// The value of `key`, or null.
  [[nodiscard]] const Json* take(const char* key);

  // A key that is not there leaves `out` as it was.
  void read(const char* key, std::string& out);
  void read(const char* key, std::optional<std::string>& out);
  void read(const char* key, bool& out);
  void read(const char* key, std::int64_t& out, std::int64_t least,
            std::int64_t most);
  void read(const char* key, std::optional<int>& out, int least, int most);
  void read(const char* key, std::uint64_t& out);
  void read(const char* key, std::optional<std::uint64_t>& out);
  void read(const char* key, double& out, double least, double most);
  void read(const char* key, std::vector<std::string>& out);
  void read(const char* key, std::optional<std::vector<std::string>>& out);
  void read(const char* key, std::vector<int>& out, int least, int most);
  void read(const char* key,
            std::optional<std::map<std::string, std::string>>& out);

  /// The value of `key` is wrong in a way of its own.
  void refuse(const char* key, const std::string& what);
  /// What is wrong inside of a value.
  void add(Result<void> inner);

  /// Errors: invalid_argument, "command.timeout_ms: expected ..".
  [[nodiscard]] Result<void> finish();

 private:
  [[nodiscard]] std::string place(std::string_view key) const;

  const Json& json_;
  std::string name_;
  std::vector<std::string_view> asked_;
  std::optional<Error> wrong_;
};

}  // namespace troupe::queue
