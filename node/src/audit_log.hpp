#pragma once

/// Writes the audit log of a node: who has changed what. See audit_core.hpp for
/// its lines and audit.hpp for the check of them.
#include "audit_core.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

namespace troupe::node {

struct AuditLimits {
  std::uint64_t file_bytes = 16 << 20;  ///< A file that is longer is closed.
  std::uint32_t files = 8;              ///< With the newest; older are deleted.
  /// Entries under way; more are counted and not written.
  std::size_t most_waiting = 10'000;
};

/// Has a thread of its own, which waits for the disk. All methods from any
/// thread.
class AuditLog {
 public:
  /// Goes on behind the last whole line of `folder`/audit.log, for the user's
  /// own eyes only. Who opens it has the lock of the folder.
  ///
  /// Errors: corrupt (the last line is none of an audit log), those of the
  /// system.
  [[nodiscard]] static Result<std::unique_ptr<AuditLog>> open(
      const std::string& folder, AuditLimits limits = {});

  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  /// Adds `entry` and then calls `written`, on any thread: when the line is in
  /// the file, so that it is there whatever becomes of this process, or when it
  /// cannot be written, which is logged. Does not wait. Its user's name is
  /// looked up here.
  void add(AuditEntry entry, std::function<void()> written = nullptr);

  /// Calls it, on any thread, when what was added before is written, or cannot
  /// be, and whoever waited for that has been told.
  void after(std::function<void()> call);

  /// Writes what was added before, and nothing that is added from now on.
  /// Repeating does nothing.
  void close();

 private:
  AuditLog(std::string path, AuditHead head, OwnedFd file, std::uint64_t bytes,
           AuditLimits limits);

  void write(AuditEntry entry);
  void rotate();
  void complain(const Error& error);
  [[nodiscard]] const std::string& name_of(uid_t uid);

  std::string path_;
  AuditLimits limits_;
  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::uint64_t> missed_{0};  ///< Entries without a line.
  std::atomic<bool> is_closed_{false};
  // Of the thread.
  AuditHead head_;
  OwnedFd file_;
  std::uint64_t bytes_;
  bool has_complained_ = false;
  std::map<uid_t, std::string> names_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      keep_running_{io_.get_executor()};
  std::thread thread_;
};

}  // namespace troupe::node
