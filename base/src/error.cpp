#include <troupe/base/error.hpp>

#include <cerrno>
#include <fmt/format.h>
#include <system_error>

namespace troupe {
namespace {

Errc code_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      return Errc::not_found;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::permission_denied;
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
      return Errc::overloaded;
    case EINVAL:
    case E2BIG:
    case ENAMETOOLONG:
      return Errc::invalid_argument;
    case EEXIST:
      return Errc::already_exists;
    case ENOSYS:
    case EOPNOTSUPP:
      return Errc::unsupported;
    default:
      return Errc::unavailable;
  }
}

}  // namespace

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::not_found:
      return "not_found";
    case Errc::overloaded:
      return "overloaded";
    case Errc::timed_out:
      return "timed_out";
    case Errc::unavailable:
      return "unavailable";
    case Errc::corrupt:
      return "corrupt";
    case Errc::permission_denied:
      return "permission_denied";
    case Errc::already_exists:
      return "already_exists";
    case Errc::cancelled:
      return "cancelled";
    case Errc::unsupported:
      return "unsupported";
    case Errc::internal:
      return "internal";
  }
  return "unknown";
}

Error Error::within(std::string_view context) && {
  return {code, fmt::format("{}: {}", context, what)};
}

Error system_error(std::string_view context, int errno_value) {
  // std::generic_category is thread-safe where strerror is not. Its text starts
  // with a capital; ours do not.
  std::string reason = std::generic_category().message(errno_value);
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z' &&
      !(reason.size() > 1 && reason[1] >= 'A' && reason[1] <= 'Z'))
    reason[0] = static_cast<char>(reason[0] - 'A' + 'a');
  return {code_of(errno_value), fmt::format("{}: {}", context, reason)};
}

}  // namespace troupe
