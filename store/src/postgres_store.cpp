#include "pq.hpp"

#include <troupe/store/postgres_store.hpp>
#include <troupe/store/postgres_uri.hpp>

#include <algorithm>
#include <utility>

namespace troupe::store {
namespace {

constexpr std::size_t longest_schema = 63;

bool is_schema(const std::string& name) {
  return !name.empty() && name.size() <= longest_schema &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

Result<std::unique_ptr<PostgresStore>> PostgresStore::open(
    const std::string& uri, const PostgresOptions& options) {
  if (!is_schema(options.schema))
    return failure(Errc::invalid_argument,
                   "the schema of the store has to be 1 to 63 of a-z, 0-9, _");
  if (options.deadline < 1ms)
    return failure(Errc::invalid_argument,
                   "the deadline of the store is below 1ms");
  if (auto place = check_postgres_uri(uri); !place)
    return tl::unexpected(
        std::move(place.error()).within("the place of the store"));
  try {
    auto database = std::make_unique<PgDatabase>(
        PgPlace{uri, options.schema, options.deadline, options.password_file,
                options.presence});
    const bool is_new = database->open();
    return std::unique_ptr<PostgresStore>{
        new PostgresStore(std::move(database), is_new)};
  } catch (Error& error) {
    return tl::unexpected(std::move(error));
  }
}

}  // namespace troupe::store
