#include "audit_log.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/approvers.hpp>
#include <troupe/node/audit.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::node {
namespace {

constexpr mode_t audit_mode = 0600;
/// Of whose users the names are kept; more look them up each time.
constexpr std::size_t most_names = 1000;
/// More files than any node has made.
constexpr std::uint32_t most_audit_files = 10'000;

std::string audit_path(const std::string& folder) {
  return folder + "/audit.log";
}

std::string older(const std::string& path, std::uint32_t number) {
  return number == 0 ? path : fmt::format("{}.{}", path, number);
}

/// The last whole line of an audit log, without its end, and where the next one
/// begins.
struct Tail {
  std::string line;
  std::uint64_t end = 0;
  std::uint64_t size = 0;  ///< With what is no whole line.
};

Result<Tail> tail_of(int file) {
  struct stat info {};
  if (::fstat(file, &info) != 0)
    return tl::unexpected(system_error("audit log", errno));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  // Twice a line holds a whole one, whatever follows it.
  const std::uint64_t from =
      size > 2 * most_audit_line ? size - 2 * most_audit_line : 0;
  std::string bytes(size - from, '\0');
  const ssize_t got =
      ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(from));
  if (got < 0)
    return tl::unexpected(system_error("audit log", errno));
  bytes.resize(static_cast<std::size_t>(got));
  const std::size_t end = bytes.rfind('\n');
  if (end == std::string::npos)
    return Tail{.line = {}, .end = from, .size = size};
  const std::size_t before =
      end == 0 ? std::string::npos : bytes.rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return Tail{.line = bytes.substr(begin, end - begin),
              .end = from + end + 1,
              .size = size};
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& folder,
                                                 AuditLimits limits) {
  const std::string path = audit_path(folder);
  OwnedFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC,
                      audit_mode)};
  if (!file.is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot open {}", path), errno));
  auto tail = tail_of(file.get());
  if (!tail)
    return tl::unexpected(std::move(tail.error()));
  if (tail->end < tail->size) {
    // Written when the power went, and told to nobody.
    log(LogLevel::warn, fmt::format("audit_line_incomplete file={} bytes={}",
                                    shell_quote(path), tail->size - tail->end));
    if (::ftruncate(file.get(), static_cast<off_t>(tail->end)) != 0)
      return tl::unexpected(
          system_error(fmt::format("cannot change {}", path), errno));
  }
  std::optional<AuditHead> head;
  if (!tail->line.empty()) {
    if (auto checked = check_audit_line(head, tail->line); !checked)
      return tl::unexpected(std::move(checked.error()).within(path));
  } else {
    // Ended right after it had begun the file.
    const OwnedFd before{::open(older(path, 1).c_str(), O_RDONLY | O_CLOEXEC)};
    if (before.is_open()) {
      auto last = tail_of(before.get());
      if (!last)
        return tl::unexpected(std::move(last.error()));
      if (auto checked = check_audit_line(head, last->line); !checked)
        return tl::unexpected(
            std::move(checked.error()).within(older(path, 1)));
    }
  }
  const AuditHead last = head.value_or(AuditHead{});
  log(LogLevel::info,
      fmt::format("audit_opened line={} head={}", last.number, last.hash));
  return std::unique_ptr<AuditLog>{
      new AuditLog{path, last, std::move(file), tail->end, limits}};
}

AuditLog::AuditLog(std::string path, AuditHead head, OwnedFd file,
                   std::uint64_t bytes, AuditLimits limits)
    : path_{std::move(path)},
      limits_{limits},
      head_{std::move(head)},
      file_{std::move(file)},
      bytes_{bytes},
      thread_{[this] { io_.run(); }} {}

AuditLog::~AuditLog() { close(); }

void AuditLog::add(AuditEntry entry, std::function<void()> written) {
  if (is_closed_ || waiting_ >= limits_.most_waiting) {
    ++missed_;
    if (written)
      written();
    return;
  }
  ++waiting_;
  boost::asio::post(io_, [this, entry = std::move(entry),
                          written = std::move(written)]() mutable {
    write(std::move(entry));
    --waiting_;
    if (written)
      written();
  });
}

void AuditLog::after(std::function<void()> call) {
  if (is_closed_)
    call();
  else
    boost::asio::post(io_, std::move(call));
}

void AuditLog::close() {
  if (is_closed_.exchange(true))
    return;
  boost::asio::post(io_, [this] { keep_running_.reset(); });
  thread_.join();
}

void AuditLog::write(AuditEntry entry) {
  if (entry.uid)
    entry.user = name_of(*entry.uid);
  if (bytes_ >= limits_.file_bytes)
    rotate();
  AuditHead next = head_;
  const std::uint64_t missed = missed_.exchange(0);
  const std::string line = next_audit_line(next, entry, missed);
  const ssize_t done = ::write(file_.get(), line.data(), line.size());
  if (done == static_cast<ssize_t>(line.size())) {
    head_ = std::move(next);
    bytes_ += line.size();
    has_complained_ = false;
    return;
  }
  const int error = done < 0 ? errno : ENOSPC;
  // Half a line would make the next one unreadable.
  (void)!::ftruncate(file_.get(), static_cast<off_t>(bytes_));
  missed_ += missed + 1;
  complain(system_error(fmt::format("cannot write {}", path_), error));
}

/// A file that cannot be begun anew goes on.
void AuditLog::rotate() {
  ::unlink(older(path_, limits_.files - 1).c_str());
  for (std::uint32_t number = limits_.files - 1; number > 0; --number)
    ::rename(older(path_, number - 1).c_str(), older(path_, number).c_str());
  OwnedFd next{::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC,
                      audit_mode)};
  if (!next.is_open()) {
    complain(system_error(fmt::format("cannot open {}", path_), errno));
    return;
  }
  ::fdatasync(file_.get());
  file_ = std::move(next);
  bytes_ = 0;
}

/// Once, until it goes on.
void AuditLog::complain(const Error& error) {
  if (!std::exchange(has_complained_, true))
    log(LogLevel::error,
        fmt::format("audit_not_written reason={}", shell_quote(error.what)));
}

const std::string& AuditLog::name_of(uid_t uid) {
  if (names_.size() >= most_names)
    names_.clear();
  const auto [name, is_new] = names_.try_emplace(uid);
  if (is_new)
    name->second = user_name(uid);
  return name->second;
}

Result<void> record_change(const std::string& folder, std::string what,
                           std::string about, std::string_view result) {
  auto log = AuditLog::open(folder);
  if (!log)
    return tl::unexpected(std::move(log.error()));
  (*log)->add({.at = std::chrono::system_clock::now(),
               .by = "user",
               .uid = ::getuid(),
               .pid = ::getpid(),
               .what = std::move(what),
               .about = std::move(about),
               .result = std::string{result}});
  (*log)->close();
  return {};
}

// -- The check ---------------------------------------------------------------

namespace {

struct AuditFile {
  std::string path;
  OwnedFd fd;
  std::uint64_t first = 0;  ///< The number that its first line says.
};

/// Of a file that was just begun, or is none, later than any.
std::uint64_t first_number(int file) {
  std::string bytes(most_audit_line, '\0');
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), 0);
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  const Json json = Json::parse(bytes.substr(0, bytes.find('\n')), nullptr,
                                /*allow_exceptions=*/false);
  const bool has_one = json.is_object() && json.contains("number") &&
                       json["number"].is_number_unsigned();
  return has_one ? json["number"].get<std::uint64_t>() : UINT64_MAX;
}

using FileId = std::pair<dev_t, ino_t>;

/// Of what is there by that name; nullopt if nothing is.
std::optional<FileId> id_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return std::nullopt;
  return FileId{info.st_dev, info.st_ino};
}

/// The oldest first. They may be renamed meanwhile: so none is read twice, and
/// what is in them gives the order.
Result<std::vector<AuditFile>> open_files_of_a_moment(
    const std::string& folder) {
  std::vector<AuditFile> files;
  std::set<FileId> seen;
  for (std::uint32_t number = 0; number < most_audit_files; ++number) {
    const std::string path = older(audit_path(folder), number);
    OwnedFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    // The newest is missing for a moment when another one is begun.
    if (!file.is_open() && errno == ENOENT && number == 0)
      continue;
    if (!file.is_open() && errno == ENOENT)
      break;
    struct stat info {};
    if (!file.is_open() || ::fstat(file.get(), &info) != 0)
      return tl::unexpected(
          system_error(fmt::format("cannot read {}", path), errno));
    if (seen.emplace(info.st_dev, info.st_ino).second) {
      const std::uint64_t first = first_number(file.get());
      files.push_back({path, std::move(file), first});
    }
  }
  if (files.empty())
    return failure(Errc::not_found,
                   fmt::format("there is no {}", audit_path(folder)));
  std::reverse(files.begin(), files.end());
  std::stable_sort(
      files.begin(), files.end(),
      [](const AuditFile& a, const AuditFile& b) { return a.first < b.first; });
  return files;
}

/// Between the first one and the last one several may have come and gone: then
/// those that were opened do not follow each other. If the newest one is the
/// same as before, none has.
Result<std::vector<AuditFile>> open_audit_files(const std::string& folder) {
  constexpr int most_tries = 100;
  for (int tries = 1;; ++tries) {
    const auto newest = id_of(audit_path(folder));
    auto files = open_files_of_a_moment(folder);
    if (tries == most_tries || newest == id_of(audit_path(folder)))
      return files;
  }
}

/// Calls `check` for each whole line. One without its end, at the end of the
/// newest file, is just being written.
Result<void> for_each_line(
    const AuditFile& file, bool is_newest,
    const std::function<Result<void>(std::string_view)>& check) {
  std::string rest;
  std::string piece(64 << 10, '\0');
  std::uint64_t number = 0;
  const auto at = [&](Error error) {
    return tl::unexpected(
        std::move(error).within(fmt::format("{}:{}", file.path, number)));
  };
  while (true) {
    const ssize_t got = ::read(file.fd.get(), piece.data(), piece.size());
    if (got < 0)
      return tl::unexpected(
          system_error(fmt::format("cannot read {}", file.path), errno));
    rest.append(piece, 0, static_cast<std::size_t>(got));
    std::size_t from = 0;
    for (std::size_t end = rest.find('\n'); end != std::string::npos;
         end = rest.find('\n', from)) {
      ++number;
      if (auto checked = check(std::string_view{rest}.substr(from, end - from));
          !checked)
        return at(std::move(checked.error()));
      from = end + 1;
    }
    rest.erase(0, from);
    const bool is_too_long = rest.size() > most_audit_line;
    const bool has_no_end = got == 0 && !rest.empty() && !is_newest;
    ++number;
    if (is_too_long || has_no_end)
      return at({Errc::corrupt, "this is not a line of an audit log"});
    --number;
    if (got == 0)
      return {};
  }
}

}  // namespace

Result<AuditReport> verify_audit(const std::string& folder,
                                 const std::optional<std::string>& head) {
  auto files = open_audit_files(folder);
  if (!files)
    return tl::unexpected(std::move(files.error()));
  AuditReport report;
  std::optional<AuditHead> now;
  bool has_head = !head;
  for (std::size_t i = 0; i < files->size(); ++i) {
    const auto check = [&](std::string_view line) -> Result<void> {
      if (auto checked = check_audit_line(now, line); !checked)
        return checked;
      if (report.first == 0)
        report.first = now->number;
      has_head = has_head || now->hash == *head;
      return {};
    };
    if (auto checked =
            for_each_line((*files)[i], i + 1 == files->size(), check);
        !checked)
      return tl::unexpected(std::move(checked.error()));
  }
  if (!has_head)
    return failure(Errc::corrupt,
                   fmt::format("no line has the hash {}: lines were taken "
                               "away or made anew, or so many have come "
                               "since that it was dropped",
                               printable(*head)));
  const AuditHead last = now.value_or(AuditHead{});
  report.last = last.number;
  report.head = last.hash;
  return report;
}

}  // namespace troupe::node
