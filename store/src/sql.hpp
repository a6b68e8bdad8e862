#pragma once

/// What the statements of SqlStore need of a database: SQLite in this process
/// (sqlite.hpp) or PostgreSQL at the end of a socket (pq.hpp). Whatever is
/// refused is thrown as an Error, since every statement may fail; SqlStore
/// catches that at its border. All of it belongs to one thread.
///
/// The SQL is what both understand. Numbers are 64-bit, flags are numbers, and
/// all else is bytes, compared byte by byte. Parameters are ?1, ?2, ..
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/store/sql_store.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe::store {

/// A parameter, which refers to what it was made from.
struct SqlValue {
  enum class Kind : std::uint8_t {
    null,
    number,
    bytes,
    // For databases that work in sets only.
    numbers,        ///< Of std::int64_t.
    maybe_numbers,  ///< Of std::optional<std::int64_t>.
    texts,          ///< Of std::string.
  };
  Kind kind = Kind::null;
  std::int64_t number = 0;
  const void* data = nullptr;
  std::size_t size = 0;  ///< In bytes, or elements.

  template <class T>
  static SqlValue of(const T& value) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      const std::string_view bytes = value;
      return {Kind::bytes, 0, bytes.data(), bytes.size()};
    } else {
      return {Kind::number, static_cast<std::int64_t>(value)};
    }
  }
  template <class T>
  static SqlValue of(const std::optional<T>& value) {
    return value ? of(*value) : SqlValue{};
  }
  static SqlValue of(const std::vector<std::int64_t>& values) {
    return {Kind::numbers, 0, values.data(), values.size()};
  }
  static SqlValue of(const std::vector<std::optional<std::int64_t>>& values) {
    return {Kind::maybe_numbers, 0, values.data(), values.size()};
  }
  static SqlValue of(const std::vector<std::string>& values) {
    return {Kind::texts, 0, values.data(), values.size()};
  }
};

/// A prepared statement; lives as long as its database at most.
class SqlStatement {
 public:
  SqlStatement() = default;
  SqlStatement(const SqlStatement&) = delete;
  SqlStatement& operator=(const SqlStatement&) = delete;
  virtual ~SqlStatement() = default;

  /// Forgets the run before and begins another one. Several that are begun
  /// before one is read cost one way to the server.
  template <class... Values>
  SqlStatement& bind(const Values&... values) {
    const std::array<SqlValue, sizeof...(Values)> all{SqlValue::of(values)...};
    begin(all);
    return *this;
  }
  /// Goes to the next row; false if there is none.
  virtual bool step() = 0;
  /// For statements whose rows, if any, nobody reads. What becomes of it may be
  /// known only when something is read, or at the end of the transaction.
  template <class... Values>
  void run(const Values&... values) {
    const std::array<SqlValue, sizeof...(Values)> all{SqlValue::of(values)...};
    run_all(all);
  }
  virtual void run_all(std::span<const SqlValue> values) = 0;
  /// Gives up rows that were not read.
  virtual void reset() = 0;

  // Of the row at hand.
  [[nodiscard]] virtual std::int64_t number(int column) const = 0;
  [[nodiscard]] virtual bool is_null(int column) const = 0;
  [[nodiscard]] virtual std::string bytes(int column) const = 0;

 private:
  virtual void begin(std::span<const SqlValue> values) = 0;
};

class SqlDatabase {
 public:
  SqlDatabase() = default;
  SqlDatabase(const SqlDatabase&) = delete;
  SqlDatabase& operator=(const SqlDatabase&) = delete;
  virtual ~SqlDatabase() = default;

  /// Whether a statement for many rows is worth more than many statements: each
  /// one that is read costs a way to a server and back.
  [[nodiscard]] virtual bool works_in_sets() const = 0;

  [[nodiscard]] virtual std::unique_ptr<SqlStatement> prepare(
      std::string_view sql) = 0;
  /// One that is run once.
  [[nodiscard]] virtual std::unique_ptr<SqlStatement> prepare_once(
      std::string_view sql) {
    return prepare(sql);
  }
  /// One that adds a row to a table in which the database numbers rows.
  [[nodiscard]] virtual std::unique_ptr<SqlStatement> prepare_insert(
      std::string_view sql) = 0;
  /// The number of the row that such a statement adds, which was bound.
  [[nodiscard]] virtual std::int64_t added(SqlStatement& insert) = 0;
  /// Rows that the last statement has changed.
  [[nodiscard]] virtual std::int64_t changes() = 0;

  /// What is known of it since it was opened.
  [[nodiscard]] virtual StoreFacts facts() = 0;
  /// How long each call may take from now on, if that is less than it was
  /// opened with; `whole` is what its errors tell of.
  virtual void set_patience(Duration /*left*/, Duration /*whole*/) {}

  // A transaction that writes is alone; one that looks sees one moment.

  /// A call of the store begins: its deadline counts from here.
  virtual void begin_call() {}
  virtual void begin() = 0;
  /// One that changes a single row by a single statement, and need not be
  /// alone: it waits for that row at most.
  virtual void begin_one_row() { begin(); }

  virtual void commit() = 0;
  /// Whether a commit that has failed may have happened.
  [[nodiscard]] virtual bool may_have_committed() const { return false; }
  /// Of a transaction that may have ended by itself. Throws nothing.
  virtual void roll_back() = 0;
  virtual void begin_look() {}
  /// By then what it has seen is as durable as what was committed.
  virtual void end_look() {}
  /// The same without that; also of one that has failed. Throws nothing.
  virtual void end_hint() {}
  /// A part of a transaction that can be taken back by itself.
  virtual void begin_part() = 0;
  virtual void end_part() = 0;
  virtual void roll_back_part() = 0;
  /// Waits for what was sent.
  virtual void settle() {}
  /// Whether what was taken back may be tried once more: if it was nobody's
  /// fault, has surely not happened and there is time left. May wait a little.
  [[nodiscard]] virtual bool try_again() { return false; }

  /// Some of the space that is free goes back to the disk.
  virtual void give_back_space() {}
};

}  // namespace troupe::store
