#pragma once

/// PostgreSQL by libpq, which never waits by itself: every wait is a poll() of
/// ours with the deadline of the call at hand. A blocking call of libpq has
/// hung for 8 s on a server that was stopped, despite all of its time limits.
///
/// Statements go out as they are made and are answered in order (pipeline
/// mode); what nobody reads costs no way of its own.
///
/// A transaction that is alone lets the next one in before it is on the disk:
/// it commits without waiting for that, and waits afterwards, when it has no
/// lock any more. So those of several nodes share one sync (ADR 32).
#include "libpq.hpp"
#include "sql.hpp"

#include <troupe/base/time.hpp>
#include <troupe/store/postgres_store.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::store {

class PgDatabase;

/// Where the tables are, and how long a call may take.
struct PgPlace {
  std::string uri;     ///< postgresql://...
  std::string schema;  ///< A name that needs no check any more.
  Duration deadline;
  std::string password_file;  ///< Empty for none.
  Presence presence = Presence::unnoticed;
};

namespace pq {

struct Clear {
  void operator()(PGresult* result) const { libpq().PQclear(result); }
};
using Rows = std::unique_ptr<PGresult, Clear>;

/// Parameters as libpq wants them.
class Parameters {
 public:
  void set(std::span<const SqlValue> values);

  [[nodiscard]] int count() const { return static_cast<int>(bytes_.size()); }
  [[nodiscard]] const char* const* values() const { return values_.data(); }
  [[nodiscard]] const int* lengths() const { return lengths_.data(); }
  [[nodiscard]] const int* formats() const { return formats_.data(); }
  [[nodiscard]] const Oid* types() const { return types_.data(); }

 private:
  /// Of what was made for it; what is given as bytes is not copied.
  std::vector<std::string> bytes_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<Oid> types_;
};

}  // namespace pq

class PgStatement final : public SqlStatement {
 public:
  /// The server forgets one without a name after it has run.
  PgStatement(PgDatabase* database, bool is_named, std::string sql);
  ~PgStatement() override;

  bool step() override;
  void run_all(std::span<const SqlValue> values) override;
  void reset() override;
  [[nodiscard]] std::int64_t number(int column) const override;
  [[nodiscard]] bool is_null(int column) const override;
  [[nodiscard]] std::string bytes(int column) const override;

 private:
  friend class PgDatabase;

  void begin(std::span<const SqlValue> values) override;

  PgDatabase* database_;
  bool is_named_;
  std::string name_;
  std::string sql_;
  std::uint64_t prepared_in_ = 0;  ///< The connection that knows it.
  bool is_awaited_ = false;        ///< It was sent, and will be read.
  pq::Rows rows_;
  int row_ = -1;
};

/// One connection, which is made again when it is lost.
class PgDatabase final : public SqlDatabase {
 public:
  explicit PgDatabase(PgPlace place);
  ~PgDatabase() override;

  /// Connects, and makes the tables where there are none. Whether it has.
  [[nodiscard]] bool open();
  /// "postgresql://troupe@db.example:5432/troupe": without a password.
  [[nodiscard]] const std::string& name() const { return name_; }

  [[nodiscard]] bool works_in_sets() const override { return true; }
  [[nodiscard]] StoreFacts facts() override { return facts_; }
  void set_patience(Duration left, Duration whole) override {
    patience_ = left;
    whole_patience_ = whole;
  }
  [[nodiscard]] bool may_have_committed() const override { return is_unknown_; }
  [[nodiscard]] std::unique_ptr<SqlStatement> prepare(
      std::string_view sql) override;
  [[nodiscard]] std::unique_ptr<SqlStatement> prepare_once(
      std::string_view sql) override;
  [[nodiscard]] std::unique_ptr<SqlStatement> prepare_insert(
      std::string_view sql) override;
  [[nodiscard]] std::int64_t added(SqlStatement& insert) override;
  [[nodiscard]] std::int64_t changes() override;
  void begin_call() override;
  void begin() override;
  void begin_one_row() override;

  void commit() override;
  void roll_back() override;
  void begin_look() override;
  void end_look() override;
  void end_hint() override;
  void begin_part() override;
  void end_part() override;
  void roll_back_part() override;
  void settle() override { settle_until(0); }
  [[nodiscard]] bool try_again() override;

 private:
  friend class PgStatement;

  /// What the server still has to answer.
  struct Pending {
    enum class Kind : std::uint8_t { prepare, run, sync };
    Kind kind = Kind::run;
    PgStatement* statement = nullptr;  ///< That is prepared, or reads.
    bool is_ignored = false;           ///< Also if it fails.
  };
  struct Finish {
    void operator()(PGconn* connection) const { libpq().PQfinish(connection); }
  };

  // Connecting.
  void require_connection();
  void connect();
  void set_up();
  [[nodiscard]] bool make_tables();
  /// The version of the tables that are there.
  std::int64_t check_cluster();
  /// Gives tables of an older version what they lack.
  void expand_tables();
  /// Keeps others away that cannot be there beside us, while we are connected.
  void take_place();
  void look_at_server();
  /// Statements as text, outside of the pipeline. The last one's rows.
  pq::Rows query(const std::string& sql);
  [[nodiscard]] std::string text(const std::string& sql);

  // Sending.
  void send(PgStatement& statement, bool is_read);
  void send_sync();
  /// Nobody reads what is on its way to it. If it `is_gone`, nobody has to know
  /// either whether the server knows it.
  void forget(PgStatement& statement, bool is_gone);
  void ignore_pending();
  /// Does `send`, and nobody waits for the answers to it: if that is not
  /// possible, the connection goes.
  void send_unawaited(const std::function<void()>& send);

  // Waiting.
  /// Until so many answers are missing at most.
  void settle_until(std::size_t left);
  void await(PgStatement& reader);
  void take_answer();
  pq::Rows next_result();
  /// Until more has come; sends what is left to be sent meanwhile.
  void wait();
  /// Until one of these events of poll(). Answers which.
  int wait_for(int events);

  // Failing.
  [[noreturn]] void fail(Error error);
  [[noreturn]] void fail_connecting();
  [[noreturn]] void fail_lost(std::string_view why);
  [[noreturn]] void fail_late();
  [[noreturn]] void fail_statement(const PGresult* result);
  void drop();

  PgPlace place_;
  std::string name_;
  StoreFacts facts_;            ///< Of what was opened.
  Duration patience_;           ///< Of a call.
  Duration whole_patience_{0};  ///< With what it has waited already.
  std::unique_ptr<PGconn, Finish> connection_;
  std::uint64_t generation_ = 0;  ///< Of the connection.
  std::uint64_t names_ = 0;       ///< Given to statements.
  pq::Parameters parameters_;
  std::deque<Pending> pending_;
  std::int64_t changes_ = 0;
  std::optional<Error> failure_;  ///< Of the transaction at hand.
  std::string state_;             ///< SQLSTATE of the last failure.
  bool is_passing_ = false;       ///< What has failed may be tried again.
  bool is_committing_ = false;
  bool has_lock_ = false;    ///< The transaction at hand.
  bool is_unknown_ = false;  ///< What has become of the last commit.
  TimePoint deadline_;
  int tries_ = 0;  ///< Of the call at hand.
  std::minstd_rand chance_{std::random_device{}()};
  // Declared last: they go before what they belong to.
  std::unique_ptr<PgStatement> begin_;
  std::unique_ptr<PgStatement> lock_;
  std::unique_ptr<PgStatement> commit_;
  std::unique_ptr<PgStatement> sync_;
  std::unique_ptr<PgStatement> sync_if_behind_;
  std::unique_ptr<PgStatement> roll_back_;
  std::unique_ptr<PgStatement> begin_look_;
  std::unique_ptr<PgStatement> begin_part_;
  std::unique_ptr<PgStatement> end_part_;
  std::unique_ptr<PgStatement> roll_back_part_;
};

}  // namespace troupe::store
