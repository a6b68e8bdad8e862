#include "sqlite.hpp"

#include <fmt/format.h>

namespace troupe::store {
namespace {

Errc code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Errc::overloaded;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Errc::corrupt;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Errc::permission_denied;
    case SQLITE_MISUSE:
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_RANGE:
      return Errc::internal;
    default:
      return Errc::unavailable;
  }
}

[[noreturn]] void fail(sqlite3* database) {
  throw Error{code_of(sqlite3_extended_errcode(database)),
              sqlite3_errmsg(database)};
}

void check_result(sqlite3* database, int result) {
  if (result != SQLITE_OK)
    fail(database);
}

}  // namespace

Statement::Statement(sqlite3* database, std::string_view sql)
    : database_{database} {
  sqlite3_stmt* statement = nullptr;
  check_result(database, sqlite3_prepare_v3(
                             database, sql.data(), static_cast<int>(sql.size()),
                             SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
  statement_.reset(statement);
}

bool Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW)
    return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  sqlite3_reset(statement_.get());
  fail(database_);
}

std::string Statement::bytes(int column) const {
  const auto* const data =
      static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string{}
                         : std::string{data, static_cast<std::size_t>(size)};
}

void Statement::bind_bytes(int index, std::string_view value,
                           sqlite3_destructor_type lifetime) {
  // A null pointer would be NULL.
  check_result(database_, sqlite3_bind_blob64(statement_.get(), index,
                                              value.empty() ? "" : value.data(),
                                              value.size(), lifetime));
}

void Statement::bind_number(int index, std::int64_t value) {
  check_result(database_, sqlite3_bind_int64(statement_.get(), index, value));
}

void Statement::bind_null(int index) {
  check_result(database_, sqlite3_bind_null(statement_.get(), index));
}

Database::Database(const std::string& path) {
  sqlite3* database = nullptr;
  const int result = sqlite3_open_v2(
      path.c_str(), &database,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  database_.reset(database);
  if (result != SQLITE_OK)
    throw Error{code_of(result), sqlite3_errstr(result)};
  sqlite3_extended_result_codes(database, 1);
}

void Database::execute(const char* sql) {
  check_result(database_.get(),
               sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr));
}

std::int64_t Database::number(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.number(0) : 0;
}

std::string Database::text(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.bytes(0) : "";
}

}  // namespace troupe::store
