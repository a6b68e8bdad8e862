#include "watch_core.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/service/file_watcher.hpp>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <deque>
#include <dirent.h>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::service {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// 1 MiB holds more events than the kernel keeps (fs.inotify.max_queued_events
// is 16,384), and 10 ms is too short for so many to come.
constexpr std::size_t buffer_bytes = 64 << 10;
constexpr int most_reads_per_turn = 16;
constexpr auto between_event_turns = 10ms;

/// Looking for folders takes at most one part in so many of the time.
constexpr int rest_per_sync = 10;

/// As the kernel.
constexpr int most_links = 40;
/// Parts of one path that are looked at, also again because they change.
constexpr int most_parts = 1000;

/// That a folder is not where it was.
constexpr std::uint32_t self_events = IN_MOVE_SELF | IN_DELETE_SELF;
/// That a name in it means something else.
constexpr std::uint32_t name_events =
    self_events | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr std::uint32_t all_events = name_events | IN_CLOSE_WRITE | IN_ATTRIB;

/// Ours, for more folders than are allowed.
constexpr int too_many_folders = E2BIG;

Error inotify_error(const std::string& path, int error) {
  switch (error) {
    case too_many_folders:
      return {Errc::overloaded,
              fmt::format("more than {} folders to watch; watch fewer, or "
                          "leave some out with \"exclude\"",
                          most_watched_folders)};
    case ENOSPC:
      return {Errc::overloaded,
              fmt::format("cannot watch {}: no inotify watches are left; raise "
                          "the limit fs.inotify.max_user_watches with sysctl, "
                          "or watch fewer folders",
                          path)};
    case EMFILE:
      return {Errc::overloaded,
              "no inotify instances are left; raise the limit "
              "fs.inotify.max_user_instances with sysctl"};
    default:
      return system_error(fmt::format("cannot watch {}", path), error);
  }
}

/// For system calls; paths are kept without the '/' at their end.
std::string folder_path(const std::string& folder) {
  return folder.empty() ? "/" : folder;
}

std::string path_in(const std::string& folder, std::string_view name) {
  return fmt::format("{}/{}", folder == "/" ? "" : folder, name);
}

/// Puts the parts of `path` before those in `parts`.
void push_parts(std::deque<std::string>& parts, std::string_view path) {
  std::vector<std::string> found;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0 && path.substr(0, end) != ".")
      found.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  parts.insert(parts.begin(), found.begin(), found.end());
}

/// That something was moved away while we looked.
bool is_gone(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

std::optional<struct stat> look_at(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0)
    return std::nullopt;
  return found;
}

/// The same at the end of links.
std::optional<struct stat> look_through(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0)
    return std::nullopt;
  return found;
}

std::optional<std::string> goal_of_link(const std::string& path) {
  std::array<char, PATH_MAX> goal{};
  const ssize_t size = ::readlink(path.c_str(), goal.data(), goal.size());
  if (size <= 0)
    return std::nullopt;
  return std::string{goal.data(), static_cast<std::size_t>(size)};
}

/// A folder while it is listed.
struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

/// The folders that are watched, and what happens in them. After an event that
/// may have made other folders the right ones, all is looked at again, which is
/// simpler than to follow each move, and right also when events were lost.
class FolderWatches {
 public:
  FolderWatches(int fd, WatchedPaths paths, ChangeTeller& teller)
      : fd_{fd}, paths_{std::move(paths)}, teller_{teller} {
    ends_.resize(paths_.roots().size());
  }

  [[nodiscard]] const WatchedPaths& paths() const { return paths_; }

  /// Whether `sync` is to be called.
  [[nodiscard]] bool is_stale() const { return is_stale_; }

  /// Watches what is to be watched now, and nothing else; what differs from
  /// before, unless this is the first time, is a change at `now`.
  ///
  /// Errors: as FileWatcher::watch.
  Result<void> sync(TimePoint now) {
    now_ = now;
    is_stale_ = false;
    ++round_;
    entries_ = 0;
    watched_paths_.clear();
    for (std::size_t i = 0; i < paths_.roots().size(); ++i) {
      if (auto synced = sync_root(paths_.roots()[i], ends_[i]); !synced)
        return synced;
    }
    for (auto it = folders_.begin(); it != folders_.end();) {
      if (it->second.round == round_) {
        ++it;
      } else {
        ::inotify_rm_watch(fd_, it->first);
        it = folders_.erase(it);
      }
    }
    is_first_round_ = false;
    return {};
  }

  void on_event(const inotify_event& event, const std::string& name,
                TimePoint now) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      teller_.on_noticed("", now);
      is_stale_ = true;
      return;
    }
    const auto it = folders_.find(event.wd);
    if (it == folders_.end())
      return;
    if ((event.mask & (IN_IGNORED | self_events)) != 0) {
      is_stale_ = true;
      if ((event.mask & IN_IGNORED) != 0)
        folders_.erase(it);
    } else if (!name.empty()) {
      on_name(it->second, event.mask, name, now);
    }
  }

 private:
  /// What a name stands for.
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;

    friend bool operator==(const Identity&, const Identity&) = default;
  };

  /// Where a path leads.
  struct End {
    std::optional<Identity> identity;  ///< Nothing if it leads nowhere.
    bool is_folder = false;
    std::string folder;  ///< Its path without links, if it is one.
  };

  struct Folder {
    std::uint64_t round = 0;
    std::uint32_t events = 0;
    /// Names on the way to what is watched.
    std::set<std::string> steps;
    /// Names of files, and what they are watched as.
    std::map<std::string, std::vector<std::string>> files;
    /// What the folder is watched as, with all that is in it.
    std::vector<std::string> members;
  };

  struct Watch {
    Folder* folder = nullptr;
    bool is_new = false;
  };

  // -- Looking ---------------------------------------------------------------

  Result<void> sync_root(const std::string& root, End& before) {
    auto end = find_end(root, root);
    if (!end)
      return tl::unexpected{std::move(end.error())};
    // What comes into a folder that is there for a pattern counts by its name.
    const bool is_other =
        end->identity != before.identity &&
        (before.identity || paths_.counts(root, end->is_folder));
    if (is_other && !is_first_round_)
      teller_.on_noticed(root, now_);
    before = std::move(*end);
    return before.is_folder ? sync_folders(before.folder, root)
                            : Result<void>{};
  }

  /// Follows `path` as the kernel does, and watches all on the way that could
  /// make it lead elsewhere; if it leads to a file, that as `watched_as`. Each
  /// name is looked at after it is watched, so that nothing is missed.
  Result<End> find_end(const std::string& path, const std::string& watched_as) {
    std::deque<std::string> parts;
    push_parts(parts, path);
    std::string at;  // Without links; empty for "/".
    int links = 0;
    for (int tries = 0; !parts.empty(); ++tries) {
      if (tries == most_parts) {
        is_stale_ = true;
        return End{};
      }
      const std::string name = parts.front();
      const bool is_last = parts.size() == 1;
      const std::string here = path_in(at, name);
      if (name == "..") {
        at.erase(std::min(at.rfind('/'), at.size()));
        parts.pop_front();
        continue;
      }
      const auto found = look_at(here);
      if (found && S_ISDIR(found->st_mode)) {
        const auto watch = add(here, self_events);
        if (!watch && is_gone(watch.error()))
          continue;
        // One that may not be read belongs to others, who rarely move it.
        if (!watch && watch.error() != EACCES)
          return tl::unexpected{inotify_error(here, watch.error())};
        at = here;
        parts.pop_front();
        continue;
      }
      const auto watch =
          add(folder_path(at), is_last ? all_events : name_events);
      if (!watch && is_gone(watch.error())) {
        is_stale_ = true;
        return End{};
      }
      if (!watch)
        return tl::unexpected{inotify_error(folder_path(at), watch.error())};
      watch->folder->steps.insert(name);
      const auto again = look_at(here);
      if (again && S_ISLNK(again->st_mode)) {
        const auto goal = goal_of_link(here);
        if (!goal)
          continue;
        if (++links > most_links)
          return End{};
        parts.pop_front();
        push_parts(parts, *goal);
        if (goal->starts_with('/'))
          at.clear();
        continue;
      }
      if (again && S_ISDIR(again->st_mode))
        continue;
      if (is_last)
        watch->folder->files[name].push_back(watched_as);
      if (again && is_last)
        return End{Identity{again->st_dev, again->st_ino}, false, {}};
      return End{};
    }
    const auto found = look_at(folder_path(at));
    if (!found || !S_ISDIR(found->st_mode)) {
      is_stale_ = true;
      return End{};
    }
    return End{Identity{found->st_dev, found->st_ino}, true, folder_path(at)};
  }

  /// Watches `folder`, which is meant by `watched_as`, and those below.
  Result<void> sync_folders(const std::string& folder,
                            const std::string& watched_as) {
    std::vector<std::pair<std::string, std::string>> left{{folder, watched_as}};
    while (!left.empty()) {
      const auto [path, meant] = std::move(left.back());
      left.pop_back();
      if (!paths_.may_hold(meant))
        continue;
      const auto watch = add(path, all_events);
      const bool may_be_left_out =
          !watch && (is_gone(watch.error()) ||
                     (watch.error() == EACCES && path != folder));
      if (may_be_left_out)
        continue;  // The folder above tells if this is to change.
      if (!watch)
        return tl::unexpected{inotify_error(path, watch.error())};
      std::vector<std::string>& members = watch->folder->members;
      if (std::find(members.begin(), members.end(), meant) != members.end())
        continue;
      members.push_back(meant);
      if (auto listed = list(path, meant, watch->is_new, left); !listed)
        return listed;
    }
    return {};
  }

  /// Adds the folders in `path` to `left`. `is_new`: all in it is.
  Result<void> list(const std::string& path, const std::string& meant,
                    bool is_new,
                    std::vector<std::pair<std::string, std::string>>& left) {
    const OpenFolder open{::opendir(path.c_str())};
    if (!open)
      return {};  // As if it were empty; it is watched.
    while (const dirent* const entry = ::readdir(open.get())) {
      const std::string name{&entry->d_name[0]};
      if (name == "." || name == "..")
        continue;
      if (++entries_ > most_watched_entries)
        return failure(
            Errc::overloaded,
            fmt::format("more than {} files in the watched folders; watch "
                        "fewer, or leave some out with \"exclude\"",
                        most_watched_entries));
      const std::string here = path_in(path, name);
      unsigned char type = entry->d_type;
      if (type == DT_UNKNOWN) {
        const auto found = look_at(here);
        type =
            found ? static_cast<unsigned char>(IFTODT(found->st_mode)) : type;
      }
      const std::string entry_meant = path_in(meant, name);
      const bool counts = paths_.counts(entry_meant, type == DT_DIR);
      if (is_new && counts && !is_first_round_)
        teller_.on_noticed(entry_meant, now_);
      if (type == DT_DIR) {
        left.emplace_back(here, entry_meant);
      } else if (type == DT_LNK && counts) {
        if (const auto end = find_end(here, entry_meant); !end)
          return tl::unexpected{end.error()};
      }
    }
    return {};
  }

  /// Watches a folder for `events` besides those that it is watched for. The
  /// error is that of the system, or too_many_folders.
  tl::expected<Watch, int> add(const std::string& path, std::uint32_t events) {
    const auto known = watched_paths_.find(path);
    if (known != watched_paths_.end()) {
      Folder& folder = folders_.at(known->second);
      if ((folder.events & events) == events)
        return Watch{&folder, false};
    }
    const int watch = ::inotify_add_watch(
        fd_, path.c_str(),
        events | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD);
    if (watch < 0)
      return tl::unexpected{errno};
    const auto [it, is_added] = folders_.try_emplace(watch);
    Folder& folder = it->second;
    if (folder.round != round_) {
      folder.round = round_;
      folder.steps.clear();
      folder.files.clear();
      folder.members.clear();
    }
    const bool is_new = (folder.events & all_events) != all_events;
    folder.events |= events;
    watched_paths_[path] = watch;
    if (folders_.size() > most_watched_folders)
      return tl::unexpected{too_many_folders};
    return Watch{&folder, is_new};
  }

  // -- Events ----------------------------------------------------------------

  void on_name(const Folder& folder, std::uint32_t mask,
               const std::string& name, TimePoint now) {
    const bool is_folder = (mask & IN_ISDIR) != 0;
    const bool is_name = (mask & name_events) != 0;
    if (is_name && folder.steps.contains(name))
      is_stale_ = true;
    const FileEffect effect = effect_of(mask);
    std::optional<struct stat> found;
    for (const std::string& member : folder.members) {
      const std::string path = path_in(member, name);
      if (is_folder && paths_.may_hold(path))
        is_stale_ = true;
      if (!paths_.counts(path, is_folder))
        continue;
      if (!found && is_name && !is_folder) {
        found = look_at(path);
        if (found && S_ISLNK(found->st_mode))
          is_stale_ = true;  // Its goal is to be watched.
      }
      tell(path, effect, found, now);
    }
    const auto files = folder.files.find(name);
    if (files == folder.files.end())
      return;
    for (const std::string& path : files->second) {
      if (paths_.counts(path, is_folder))
        tell(path, effect, look_through(path), now);
    }
  }

  void tell(const std::string& path, FileEffect effect,
            const std::optional<struct stat>& found, TimePoint now) {
    switch (effect) {
      case FileEffect::none:
        return;
      case FileEffect::changed:
        teller_.on_changed(path, now);
        return;
      case FileEffect::created:
        // Other links to a file, and what is no file, come as they are.
        if (found && S_ISREG(found->st_mode) && found->st_nlink == 1)
          teller_.on_created(path, now);
        else
          teller_.on_changed(path, now);
        return;
    }
  }

  int fd_;
  WatchedPaths paths_;
  ChangeTeller& teller_;
  std::vector<End> ends_;          ///< Of each root, by the last sync.
  std::map<int, Folder> folders_;  ///< By inotify's number.
  std::map<std::string, int> watched_paths_;  ///< Of this sync.
  std::uint64_t round_ = 0;
  std::size_t entries_ = 0;
  TimePoint now_;
  bool is_first_round_ = true;
  bool is_stale_ = true;
};

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

}  // namespace

/// Everything but construction happens on the I/O thread.
class FileWatcher::Receiver : public std::enable_shared_from_this<Receiver> {
 public:
  Receiver(asio::io_context& io, int fd, WatchedPaths paths, Duration debounce,
           FileChangeHandlers handlers)
      : io_{io},
        teller_{debounce},
        watches_{fd, std::move(paths), teller_},
        descriptor_{io},
        pause_{io},
        timer_{io},
        handlers_{std::move(handlers)} {}

  Result<void> adopt(OwnedFd fd) {
    error_code error;
    descriptor_.assign(fd.get(), error);
    if (error)
      return tl::unexpected(system_error("inotify", error.value()));
    (void)fd.release();
    return {};
  }

  Result<void> sync() {
    const TimePoint start = clock_now();
    auto synced = watches_.sync(start);
    const TimePoint end = clock_now();
    next_sync_ = end + rest_per_sync * (end - start);
    return synced;
  }

  void begin() {
    asio::post(io_, [self = shared_from_this()] {
      self->wait();
      self->proceed();
    });
  }

  void end() {
    asio::dispatch(io_, [self = shared_from_this()] { self->close(); });
  }

 private:
  void close() {
    error_code ignored;
    descriptor_.close(ignored);
    pause_.cancel();
    timer_.cancel();
  }

  void wait() {
    if (!descriptor_.is_open())
      return;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](error_code error) {
                             if (!error)
                               self->read_turn();
                           });
  }

  void read_turn() {
    const TimePoint now = clock_now();
    for (int i = 0;
         i < most_reads_per_turn && descriptor_.is_open() && read_some(now);
         ++i) {
    }
    pause_.expires_after(between_event_turns);
    pause_.async_wait([self = shared_from_this()](error_code) {
      self->wait();  // Does nothing once it is closed.
    });
    proceed();
  }

  /// False if nothing is there.
  bool read_some(TimePoint now) {
    const ssize_t size =
        ::read(descriptor_.native_handle(), buffer_.data(), buffer_.size());
    if (size <= 0)
      return size < 0 && errno == EINTR;
    std::size_t at = 0;
    while (at + sizeof(inotify_event) <= static_cast<std::size_t>(size)) {
      const auto& event = *reinterpret_cast<inotify_event*>(&buffer_[at]);
      // The name is padded with zeros.
      const std::string name = event.len > 0 ? &event.name[0] : "";
      watches_.on_event(event, name, now);
      at += sizeof event + event.len;
    }
    return true;
  }

  /// Does what is due, and comes back when more is.
  void proceed() {
    if (!descriptor_.is_open())
      return;
    // Nothing is told before it has been looked at, or the same would be told
    // again afterwards.
    bool may_tell = !watches_.is_stale();
    if (!may_tell && clock_now() >= next_sync_) {
      may_tell = true;
      if (auto synced = sync(); !synced) {
        close();
        handlers_.on_trouble(synced.error());
        return;
      }
    }
    if (const auto path = may_tell ? teller_.take(clock_now()) : std::nullopt) {
      handlers_.on_change(path->empty() ? "" : watches_.paths().shown(*path));
      if (!descriptor_.is_open())
        return;
    }
    const auto next =
        watches_.is_stale() ? std::optional{next_sync_} : teller_.due();
    if (!next)
      return;
    timer_.expires_at(*next);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->proceed();
    });
  }

  asio::io_context& io_;
  ChangeTeller teller_;
  FolderWatches watches_;
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer pause_;
  asio::steady_timer timer_;
  FileChangeHandlers handlers_;
  TimePoint next_sync_;
  alignas(inotify_event) std::array<char, buffer_bytes> buffer_{};
};

FileWatcher::FileWatcher(std::shared_ptr<Receiver> receiver)
    : receiver_{std::move(receiver)} {}

FileWatcher::~FileWatcher() { receiver_->end(); }

Result<std::unique_ptr<FileWatcher>> FileWatcher::watch(
    asio::io_context& io, const WatchedFiles& files,
    FileChangeHandlers handlers) {
  std::error_code error;
  const auto current_folder = std::filesystem::current_path(error);
  if (error)
    return tl::unexpected{system_error("current folder", error.value())};
  auto paths = WatchedPaths::from(files, current_folder.string());
  if (!paths)
    return tl::unexpected{std::move(paths.error())};
  OwnedFd fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  if (!fd.is_open())
    return tl::unexpected{inotify_error(files.paths.front(), errno)};
  auto receiver = std::make_shared<Receiver>(
      io, fd.get(), std::move(*paths), files.debounce, std::move(handlers));
  auto started = receiver->adopt(std::move(fd));
  if (started)
    started = receiver->sync();
  if (!started)
    return tl::unexpected{std::move(started.error())};
  receiver->begin();
  return std::unique_ptr<FileWatcher>{new FileWatcher{std::move(receiver)}};
}

}  // namespace troupe::service
