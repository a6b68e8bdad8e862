#include "sqlite.hpp"

#include <fmt/format.h>

namespace troupe::store {
namespace {

constexpr int pages_given_back = 1000;  ///< At a time; 4 MB.

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

SqliteStatement::SqliteStatement(sqlite3* database, std::string_view sql)
    : database_{database} {
  sqlite3_stmt* statement = nullptr;
  check_result(database, sqlite3_prepare_v3(
                             database, sql.data(), static_cast<int>(sql.size()),
                             SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
  statement_.reset(statement);
}

bool SqliteStatement::step() {
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

std::string SqliteStatement::bytes(int column) const {
  const auto* const data =
      static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string{}
                         : std::string{data, static_cast<std::size_t>(size)};
}

void SqliteStatement::bind_all(std::span<const SqlValue> values,
                               sqlite3_destructor_type lifetime) {
  sqlite3_reset(statement_.get());
  int index = 0;
  for (const SqlValue& value : values) {
    int result = SQLITE_MISUSE;
    switch (value.kind) {
      case SqlValue::Kind::null:
        result = sqlite3_bind_null(statement_.get(), ++index);
        break;
      case SqlValue::Kind::number:
        result = sqlite3_bind_int64(statement_.get(), ++index, value.number);
        break;
      case SqlValue::Kind::bytes:
        // A null pointer would be NULL.
        result = sqlite3_bind_blob64(statement_.get(), ++index,
                                     value.size == 0 ? "" : value.data,
                                     value.size, lifetime);
        break;
      case SqlValue::Kind::numbers:
      case SqlValue::Kind::maybe_numbers:
      case SqlValue::Kind::texts:
        break;
    }
    check_result(database_, result);
  }
}

SqliteDatabase::SqliteDatabase(const std::string& path) {
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

void SqliteDatabase::execute(const char* sql) {
  check_result(database_.get(),
               sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr));
}

std::unique_ptr<SqlStatement> SqliteDatabase::prepare(std::string_view sql) {
  return std::make_unique<SqliteStatement>(database_.get(), sql);
}

std::int64_t SqliteDatabase::added(SqlStatement& insert) {
  while (insert.step()) {
  }
  return sqlite3_last_insert_rowid(database_.get());
}

void SqliteDatabase::roll_back() {
  // Some errors make SQLite roll back by itself.
  if (sqlite3_get_autocommit(database_.get()) == 0)
    sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void SqliteDatabase::give_back_space() {
  execute(
      fmt::format("PRAGMA incremental_vacuum({})", pages_given_back).c_str());
}

void SqliteDatabase::run(Prepared& statement, const char* sql) {
  if (!statement)
    statement = prepare(sql);
  statement->run();
}

std::int64_t SqliteDatabase::number(std::string_view sql) {
  const auto statement = prepare(sql);
  return statement->step() ? statement->number(0) : 0;
}

std::string SqliteDatabase::text(std::string_view sql) {
  const auto statement = prepare(sql);
  return statement->step() ? statement->bytes(0) : "";
}

}  // namespace troupe::store
