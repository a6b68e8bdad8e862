#pragma once

/// SQLite's C interface with owners. What it refuses is thrown as an Error,
/// since every statement may fail; SqliteStore catches that at its border.
#include <troupe/base/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <sqlite3.h>
#include <string>
#include <string_view>
#include <type_traits>

namespace troupe::store {

/// A prepared statement; lives as long as its database at most.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql);

  /// Forgets the run before and sets ?1, ?2, ..
  template <class... Values>
  Statement& bind(const Values&... values) {
    return bind_all(SQLITE_TRANSIENT, values...);
  }
  /// Gives up rows that were not read: until then the look at the database
  /// goes on.
  void reset() { sqlite3_reset(statement_.get()); }
  /// Goes to the next row; false if there is none.
  bool step();
  /// For statements without rows.
  void run() {
    while (step()) {
    }
  }
  template <class... Values>
  void run(const Values&... values) {
    // They stay for as long as it runs, and need not be copied.
    bind_all(SQLITE_STATIC, values...).run();
  }

  [[nodiscard]] std::int64_t number(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
  }
  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  [[nodiscard]] std::string bytes(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const {
      sqlite3_finalize(statement);
    }
  };

  template <class... Values>
  Statement& bind_all([[maybe_unused]] sqlite3_destructor_type lifetime,
                      const Values&... values) {
    sqlite3_reset(statement_.get());
    int index = 0;
    (bind_one(++index, values, lifetime), ...);
    return *this;
  }
  template <class T>
  void bind_one(int index, const T& value,
                [[maybe_unused]] sqlite3_destructor_type lifetime) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>)
      bind_bytes(index, value, lifetime);
    else
      bind_number(index, static_cast<std::int64_t>(value));
  }
  template <class T>
  void bind_one(int index, const std::optional<T>& value,
                sqlite3_destructor_type lifetime) {
    if (value)
      bind_one(index, *value, lifetime);
    else
      bind_null(index);
  }
  void bind_bytes(int index, std::string_view value,
                  sqlite3_destructor_type lifetime);
  void bind_number(int index, std::int64_t value);
  void bind_null(int index);

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// A database file that nobody else has open.
class Database {
 public:
  explicit Database(const std::string& path);

  void execute(const char* sql);
  [[nodiscard]] Statement prepare(std::string_view sql) {
    return {database_.get(), sql};
  }
  /// The one number of the one row of `sql`.
  [[nodiscard]] std::int64_t number(std::string_view sql);
  [[nodiscard]] std::string text(std::string_view sql);
  /// Rows that the last statement has changed.
  [[nodiscard]] std::int64_t changes() const {
    return sqlite3_changes64(database_.get());
  }
  [[nodiscard]] std::int64_t last_row() const {
    return sqlite3_last_insert_rowid(database_.get());
  }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace troupe::store
