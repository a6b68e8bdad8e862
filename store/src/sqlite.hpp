#pragma once

/// SQLite's C interface with owners.
#include "sql.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <sqlite3.h>
#include <string>
#include <string_view>

namespace troupe::store {

class SqliteStatement final : public SqlStatement {
 public:
  SqliteStatement(sqlite3* database, std::string_view sql);

  bool step() override;
  void run_all(std::span<const SqlValue> values) override {
    // They stay for as long as it runs, and need not be copied.
    bind_all(values, SQLITE_STATIC);
    while (step()) {
    }
  }
  void reset() override { sqlite3_reset(statement_.get()); }
  [[nodiscard]] std::int64_t number(int column) const override {
    return sqlite3_column_int64(statement_.get(), column);
  }
  [[nodiscard]] bool is_null(int column) const override {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  [[nodiscard]] std::string bytes(int column) const override;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const {
      sqlite3_finalize(statement);
    }
  };

  void begin(std::span<const SqlValue> values) override {
    bind_all(values, SQLITE_TRANSIENT);
  }
  void bind_all(std::span<const SqlValue> values,
                sqlite3_destructor_type lifetime);

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// A database file that nobody else has open.
class SqliteDatabase final : public SqlDatabase {
 public:
  explicit SqliteDatabase(const std::string& path);

  void execute(const char* sql);
  /// The one number of the one row of `sql`.
  [[nodiscard]] std::int64_t number(std::string_view sql);
  [[nodiscard]] std::string text(std::string_view sql);

  [[nodiscard]] bool works_in_sets() const override { return false; }
  [[nodiscard]] StoreFacts facts() override {
    return {fmt::format("SQLite {}", sqlite3_libversion()), "",
            Durability::synced, "synchronous=full"};
  }
  [[nodiscard]] std::unique_ptr<SqlStatement> prepare(
      std::string_view sql) override;
  [[nodiscard]] std::unique_ptr<SqlStatement> prepare_insert(
      std::string_view sql) override {
    return prepare(sql);
  }
  [[nodiscard]] std::int64_t added(SqlStatement& insert) override;
  [[nodiscard]] std::int64_t changes() override {
    return sqlite3_changes64(database_.get());
  }
  void begin() override { run(begin_, "BEGIN IMMEDIATE"); }
  void commit() override { run(commit_, "COMMIT"); }
  void roll_back() override;
  void begin_part() override { run(begin_part_, "SAVEPOINT call"); }
  void end_part() override { run(end_part_, "RELEASE call"); }
  void roll_back_part() override { execute("ROLLBACK TO call; RELEASE call"); }
  void give_back_space() override;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  using Prepared = std::unique_ptr<SqlStatement>;

  void run(Prepared& statement, const char* sql);

  std::unique_ptr<sqlite3, Close> database_;
  Prepared begin_;
  Prepared commit_;
  Prepared begin_part_;
  Prepared end_part_;
};

}  // namespace troupe::store
