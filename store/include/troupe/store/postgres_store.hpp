#pragma once

#include <troupe/base/time.hpp>
#include <troupe/store/sql_store.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace troupe::store {

/// Who else may have the same tables at the same time, as long as both are
/// connected.
enum class Presence : std::uint8_t {
  unnoticed,  ///< Anybody.
  member,     ///< Other members of a cluster.
  alone,      ///< Nobody who is noticed.
};

/// Where in a database the tables are, and how long one may wait for it.
struct PostgresOptions {
  /// 1 to 63 of a-z, 0-9 and _.
  std::string schema = "troupe";
  /// Of each call, and of the commit of a batch; at least 1 ms.
  Duration deadline = 5s;
  /// What has the password in it, and may be followed by a line break; read for
  /// each connection. Not for everybody's eyes. Empty for none, or for what
  /// libpq knows.
  std::string password_file;
  /// Who may not be there is refused: `unavailable`.
  Presence presence = Presence::unnoticed;
};

/// The store in a PostgreSQL database (14 or newer) that several nodes share.
/// Each has a connection, which is made again when it is lost. Calls that write
/// happen one after the other, whichever node makes them, as if there were one
/// file; calls that read see one moment and wait for nobody.
///
/// A call blocks its thread until the deadline at most; the names of servers
/// are looked up before that counts. To one that has not been committed nothing
/// has happened, and it is tried again in time if that may help: when the
/// server was restarted, say. If the answer to a commit is lost, the call has
/// happened or not, and is answered as unavailable (timed_out if the deadline
/// has passed); to repeat it is safe, as it always is. The calls of a batch are
/// not tried again by themselves.
///
/// Errors of every call, besides those of Store: timed_out, permission_denied
/// (the server has refused the user) and unsupported (it is another one now).
class PostgresStore final : public SqlStore {
 public:
  /// Connects to `uri`, see check_postgres_uri(), and makes the
  /// schema with its tables if it is missing or empty; of several nodes that do
  /// so at once one has made it. Blocks, until the deadline at most.
  ///
  /// Errors: invalid_argument (the uri, the schema, the password file),
  /// unavailable, timed_out, permission_denied, not_found (the database, the
  /// password file), overloaded (connections, space), corrupt (the schema is
  /// somebody else's), unsupported (PostgreSQL is too old, the store of a newer
  /// troupe, or not in UTF-8; libpq is not there or too old).
  [[nodiscard]] static Result<std::unique_ptr<PostgresStore>> open(
      const std::string& uri, const PostgresOptions& options = {});

 private:
  using SqlStore::SqlStore;
};

}  // namespace troupe::store
