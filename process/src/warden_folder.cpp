#include "warden_folder.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace troupe::process {
namespace {

constexpr const char* lock_name = "warden.lock";
constexpr std::size_t longest_session = 64;
constexpr std::size_t longest_identity = 256;

/// As many as a runner has lanes, several times.
constexpr int most_waiting = 64;

/// By the descriptor of its folder: the address of a socket has room for 107
/// bytes, and folders may have longer names.
sockaddr_un address_in(const OwnedFd& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path =
      fmt::format("/proc/self/fd/{}/{}", folder.get(), warden_socket_name);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

template <class T>
bool take_number(std::string_view& rest, T& value) {
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{} || end == rest.data() + rest.size() || *end != ' ')
    return false;
  rest.remove_prefix(static_cast<std::size_t>(end + 1 - rest.data()));
  return true;
}

}  // namespace

std::string to_text(const WardenIdentity& identity) {
  return fmt::format("{} {} {}\n", identity.process.first,
                     identity.process.second, identity.session);
}

std::optional<WardenIdentity> parse_identity(std::string_view text) {
  WardenIdentity identity;
  if (!text.ends_with('\n'))
    return std::nullopt;
  text.remove_suffix(1);
  if (!take_number(text, identity.process.first) ||
      !take_number(text, identity.process.second) || !is_session(text))
    return std::nullopt;
  identity.session = text;
  return identity;
}

bool is_session(std::string_view text) {
  return !text.empty() && text.size() <= longest_session &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

Result<WardenFolder> WardenFolder::open(const std::string& path) {
  OwnedFd folder{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!folder.is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot open folder {}", path), errno));
  return WardenFolder{path, std::move(folder)};
}

Result<std::optional<OwnedFd>> WardenFolder::try_lock() const {
  OwnedFd file{
      ::openat(folder_.get(), lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!file.is_open())
    return tl::unexpected(system_error(
        fmt::format("cannot open {}/{}", path_, lock_name), errno));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0)
    return file;
  if (errno == EWOULDBLOCK)
    return std::nullopt;
  return tl::unexpected(
      system_error(fmt::format("cannot lock {}/{}", path_, lock_name), errno));
}

std::optional<WardenIdentity> WardenFolder::identity() const {
  return parse_identity(
      read_file(fmt::format("/proc/self/fd/{}/{}", folder_.get(), lock_name),
                longest_identity));
}

Result<OwnedFd> WardenFolder::listen() const {
  OwnedFd socket{
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const sockaddr_un address = address_in(folder_);
  ::unlinkat(folder_.get(), warden_socket_name, 0);
  // The file takes the mode of the socket, so that at no time others may use
  // it.
  if (!socket.is_open() || ::fchmod(socket.get(), 0600) != 0 ||
      ::bind(socket.get(), generic(address), sizeof address) != 0 ||
      ::listen(socket.get(), most_waiting) != 0)
    return tl::unexpected(system_error(
        fmt::format("cannot listen on {}/{}", path_, warden_socket_name),
        errno));
  return socket;
}

Result<OwnedFd> WardenFolder::connect() const {
  OwnedFd socket{
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const sockaddr_un address = address_in(folder_);
  if (socket.is_open() &&
      ::connect(socket.get(), generic(address), sizeof address) == 0)
    return socket;
  const Errc code = !socket.is_open() || errno == EACCES || errno == EPERM
                        ? system_error("", errno).code
                        : Errc::unavailable;
  return failure(code, system_error(fmt::format("cannot connect to {}/{}",
                                                path_, warden_socket_name),
                                    errno)
                           .what);
}

}  // namespace troupe::process
