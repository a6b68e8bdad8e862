#include "basic_environment.hpp"

#include <troupe/node/approvers.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace troupe::node {
namespace {

constexpr std::size_t entry_bytes = 16384;
constexpr std::size_t most_entry_bytes = 1 << 22;

/// Calls `look(buffer)` with more room until it does not say ERANGE.
template <class F>
int with_room(F look) {
  for (std::size_t size = entry_bytes;; size *= 2) {
    std::string buffer(size, '\0');
    const int error = look(buffer);
    if (error != ERANGE || size >= most_entry_bytes)
      return error;
  }
}

struct User {
  std::string name;
  gid_t group = 0;
};

/// Calls `use` with what is known of the user, if there is one.
template <class F>
void look_up(uid_t uid, F use) {
  with_room([&](std::string& buffer) {
    passwd entry{};
    passwd* found = nullptr;
    const int error =
        ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (error == 0 && found != nullptr)
      use(*found);
    return error;
  });
}

std::optional<User> user_of(uid_t uid) {
  std::optional<User> user;
  look_up(uid, [&](const passwd& found) {
    user = User{found.pw_name, found.pw_gid};
  });
  return user;
}

std::optional<uid_t> uid_of(const std::string& name) {
  std::optional<uid_t> uid;
  with_room([&](std::string& buffer) {
    passwd entry{};
    passwd* found = nullptr;
    const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(),
                                   buffer.size(), &found);
    if (error == 0 && found != nullptr)
      uid = found->pw_uid;
    return error;
  });
  return uid;
}

std::optional<gid_t> gid_of(const std::string& name) {
  std::optional<gid_t> gid;
  with_room([&](std::string& buffer) {
    group entry{};
    group* found = nullptr;
    const int error = ::getgrnam_r(name.c_str(), &entry, buffer.data(),
                                   buffer.size(), &found);
    if (error == 0 && found != nullptr)
      gid = found->gr_gid;
    return error;
  });
  return gid;
}

std::vector<gid_t> groups_of(const User& user) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(user.name.c_str(), user.group, groups.data(), &count) <
         0) {
    // `count` says how many there are.
    if (static_cast<std::size_t>(count) <= groups.size())
      return {};
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace

bool is_one_of(uid_t uid, const std::vector<std::string>& names) {
  const auto user = user_of(uid);
  const auto groups = user ? groups_of(*user) : std::vector<gid_t>{};
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    if (uid_of(name) == uid)
      return true;
    const auto gid = gid_of(name);
    return gid && std::find(groups.begin(), groups.end(), *gid) != groups.end();
  });
}

std::optional<std::string> first_unknown(
    const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!uid_of(name) && !gid_of(name))
      return name;
  }
  return std::nullopt;
}

Account account_of(uid_t user) {
  Account account;
  look_up(user, [&](const passwd& found) {
    account = {found.pw_name, found.pw_dir, found.pw_shell};
  });
  return account;
}

std::string user_name(uid_t uid) {
  const auto user = user_of(uid);
  return user ? user->name : fmt::format("{}", uid);
}

}  // namespace troupe::node
