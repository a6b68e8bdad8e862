#include "socket_file.hpp"

#include "raw_client.hpp"
#include "temp_dir.hpp"

#include <atomic>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::api {
namespace {

class SocketFileTest : public ::testing::Test {
 protected:
  static unsigned mode_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
  }
  static gid_t group_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_gid;
  }
  static Error error_of(const std::string& path) {
    const auto file = SocketFile::open(path);
    return file ? Error{} : file.error();
  }
  /// What a server leaves that was killed.
  void leave_stale_socket() const {
    const OwnedFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto address = socket_address(path).value();
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                     sizeof address),
              0);
    ASSERT_EQ(::listen(socket.get(), 1), 0);
  }

  testing::TempDir dir;
  const std::string path = dir.path("control.sock");
};

TEST_F(SocketFileTest, IsForItsUserOnly) {
  const mode_t old_mask = ::umask(0);
  const auto file = SocketFile::open(dir.path("run/control.sock"));
  ::umask(old_mask);
  ASSERT_TRUE(file) << file.error().what;
  EXPECT_EQ(mode_of(dir.path("run")), 0700U);
  EXPECT_EQ(mode_of(dir.path("run/control.sock")), 0600U);
  EXPECT_EQ(mode_of(dir.path("run/control.sock.lock")), 0600U);
  EXPECT_EQ(dir.read("run/control.sock.lock"), fmt::format("{}\n", ::getpid()));
}

TEST_F(SocketFileTest, IsForAGroupOnRequest) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can give a file to any group";
  constexpr gid_t group = 54'321;
  const std::string socket = dir.path("run/control.sock");
  const auto file = SocketFile::open(socket, group);
  ASSERT_TRUE(file) << file.error().what;
  EXPECT_EQ(mode_of(dir.path("run")), 0710U);
  EXPECT_EQ(mode_of(socket), 0660U);
  EXPECT_EQ(mode_of(socket + ".lock"), 0600U);
  EXPECT_EQ(group_of(dir.path("run")), group);
  EXPECT_EQ(group_of(socket), group);
}

TEST_F(SocketFileTest, LeavesAFolderAloneThatWasThere) {
  const mode_t mode = mode_of(dir.path());
  const auto file = SocketFile::open(path, ::getegid());
  ASSERT_TRUE(file) << file.error().what;
  EXPECT_EQ(mode_of(dir.path()), mode);
  EXPECT_EQ(mode_of(path), 0660U);
}

TEST_F(SocketFileTest, RefusesAFolderThatOthersMayWriteTo) {
  std::filesystem::create_directory(dir.path("open"));
  ASSERT_EQ(::chmod(dir.path("open").c_str(), 01777), 0);
  EXPECT_EQ(error_of(dir.path("open/control.sock")),
            (Error{Errc::permission_denied,
                   "others may write to " + dir.path("open") +
                       "; choose a folder of your own for the socket"}));
}

TEST_F(SocketFileTest, NamesTheServerThatListensAlready) {
  const auto first = SocketFile::open(path);
  ASSERT_TRUE(first);
  EXPECT_EQ(error_of(path),
            (Error{Errc::already_exists,
                   fmt::format("a server listens on {} already: process {}",
                               path, ::getpid())}));
  const RawClient still_there{path};
}

TEST_F(SocketFileTest, LeavesTheSocketOfAnotherProgramAlone) {
  const OwnedFd other{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto address = socket_address(path).value();
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&address),
                   sizeof address),
            0);
  ASSERT_EQ(::listen(other.get(), 1), 0);
  EXPECT_EQ(error_of(path),
            (Error{Errc::already_exists,
                   fmt::format("a server listens on {} already: process {}",
                               path, ::getpid())}));
  const RawClient still_there{path};
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
}

TEST_F(SocketFileTest, ReplacesTheSocketOfADeadServer) {
  leave_stale_socket();
  dir.write("control.sock.lock", "1\n");
  {
    const auto file = SocketFile::open(path);
    ASSERT_TRUE(file) << file.error().what;
    const RawClient client{path};
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST_F(SocketFileTest, LeavesAFileThatIsNoSocketAlone) {
  dir.write("control.sock", "precious");
  EXPECT_EQ(error_of(path), (Error{Errc::already_exists,
                                   path + " is there and is not a socket"}));
  EXPECT_EQ(dir.read("control.sock"), "precious");
}

TEST_F(SocketFileTest, SaysHowLongAPathMayBe) {
  const std::string longest =
      dir.path(std::string(107 - dir.path("").size(), 'x'));
  ASSERT_EQ(longest.size(), 107U);
  EXPECT_TRUE(SocketFile::open(longest));
  EXPECT_EQ(error_of(longest + "x"),
            (Error{Errc::invalid_argument,
                   "the path of a socket can have 107 bytes, and this one has "
                   "108; choose a shorter one: " +
                       longest + "x"}));
  EXPECT_EQ(error_of(""),
            (Error{Errc::invalid_argument, "not the path of a socket: \"\""}));
}

TEST_F(SocketFileTest, SaysThatTheFolderAboveIsMissing) {
  EXPECT_EQ(error_of(dir.path("a/b/control.sock")),
            (Error{Errc::not_found, "cannot make " + dir.path("a/b") +
                                        ": no such file or directory"}));
}

/// Servers that come and go on one path: never two at once, and the socket
/// that is there is always that of the one who has it.
TEST_F(SocketFileTest, HasOneOwnerAtATimeHoweverManyTry) {
  leave_stale_socket();
  std::atomic<int> owners = 0;
  std::atomic<int> most_owners = 0;
  std::atomic<int> turns = 0;
  std::atomic<int> unreachable = 0;
  const auto end = std::chrono::steady_clock::now() + deadline;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (turns < 2'000 && std::chrono::steady_clock::now() < end) {
        const auto file = SocketFile::open(path);
        if (!file)
          continue;
        most_owners = std::max<int>(most_owners, ++owners);
        const OwnedFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (connect_now(fd.get(), socket_address(path).value()) != 0)
          ++unreachable;
        ++turns;
        --owners;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(most_owners, 1);
  EXPECT_EQ(unreachable, 0);
  EXPECT_GE(turns, 2'000);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace troupe::api
