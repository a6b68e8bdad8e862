#include "io_loop.hpp"
#include "own_resources.hpp"
#include "temp_dir.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/service/notify_socket.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::service {
namespace {

namespace fs = std::filesystem;

/// What sd_notify(3) does.
class Sender {
 public:
  explicit Sender(const std::string& path)
      : fd_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
    address_.sun_family = AF_UNIX;
    std::strcpy(address_.sun_path, path.c_str());
  }

  /// Sends `text`, with `passed` as SCM_RIGHTS; false if nobody listens.
  bool send(std::string text, const std::vector<int>& passed = {}) {
    iovec data{.iov_base = text.data(), .iov_len = text.size()};
    msghdr message{};
    message.msg_name = &address_;
    message.msg_namelen = sizeof address_;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 8)> control{};
    const std::size_t bytes = sizeof(int) * passed.size();
    if (!passed.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(header), passed.data(), bytes);
    }
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }

 private:
  OwnedFd fd_;
  sockaddr_un address_{};
};

struct Pipe {
  OwnedFd reader;
  OwnedFd writer;
};

Pipe make_pipe() {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {OwnedFd{ends[0]}, OwnedFd{ends[1]}};
}

/// Whether all copies of the writing end are closed: what a barrier waits for.
bool is_hung_up(const Pipe& pipe) {
  pollfd end{.fd = pipe.reader.get(), .events = POLLIN, .revents = 0};
  return ::poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
}

class NotifySocketTest : public ::testing::Test {
 protected:
  std::unique_ptr<NotifySocket> open() {
    auto opened = NotifySocket::open(
        loop.io, dir.path("n"),
        [this](const Notification& said) { received.push_back(said); });
    EXPECT_TRUE(opened) << opened.error().what;
    return std::move(opened).value();
  }

  /// The status texts, in the order in which they came.
  [[nodiscard]] std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const Notification& said : received)
      all.push_back(said.status.value_or(""));
    return all;
  }

  [[nodiscard]] bool wait_for(std::size_t count) {
    return loop.run_until([&] { return received.size() >= count; });
  }

  NotifySocketTest() { fs::create_directory(dir.path("n")); }

  testing::TempDir dir;
  testing::IoLoop loop;
  std::vector<Notification> received;
};

TEST_F(NotifySocketTest, PassesOnWhatAServiceSays) {
  const auto socket = open();
  Sender service{socket->path()};
  ASSERT_TRUE(service.send("READY=1\nSTATUS=up"));
  ASSERT_TRUE(wait_for(1));
  Notification expected;
  expected.ready = true;
  expected.status = "up";
  EXPECT_EQ(received, std::vector{expected});
}

TEST_F(NotifySocketTest, HearsSeveralSendersInOrder) {
  const auto socket = open();
  ASSERT_TRUE(Sender{socket->path()}.send("STATUS=a"));
  ASSERT_TRUE(Sender{socket->path()}.send("STATUS=b"));
  ASSERT_TRUE(wait_for(2));
  ASSERT_TRUE(Sender{socket->path()}.send("STATUS=c"));
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(texts(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(NotifySocketTest, IsAFileInTheFolderForAsLongAsItLives) {
  auto socket = open();
  EXPECT_EQ(fs::path{socket->path()}.parent_path(), dir.path("n"));
  EXPECT_LE(fs::path{socket->path()}.filename().string().size(), 8U);
  EXPECT_TRUE(fs::is_socket(socket->path()));
  socket.reset();
  EXPECT_TRUE(fs::is_empty(dir.path("n")));
}

TEST_F(NotifySocketTest, HasANameOfItsOwn) {
  const auto one = open();
  const auto other = open();
  EXPECT_NE(one->path(), other->path());
  ASSERT_TRUE(Sender{other->path()}.send("STATUS=other"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(texts(), std::vector<std::string>{"other"});
}

TEST_F(NotifySocketTest, IsNotPassedOnToPrograms) {
  const auto before = testing::own_resources().descriptors;
  const auto socket = open();
  EXPECT_GT(testing::own_resources().descriptors, before);
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd"}) {
    const int fd = std::stoi(entry.path().filename().string());
    if (fd <= STDERR_FILENO || !fs::is_socket(entry.status()))
      continue;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
  }
}

TEST_F(NotifySocketTest, KeepsQuietAboutWhatSaysNothing) {
  const auto socket = open();
  Sender service{socket->path()};
  ASSERT_TRUE(service.send(""));
  ASSERT_TRUE(service.send("MAINPID=1"));
  ASSERT_TRUE(service.send("STATUS=end"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(texts(), std::vector<std::string>{"end"});
}

TEST_F(NotifySocketTest, DropsDatagramsThatAreTooLarge) {
  const auto socket = open();
  Sender service{socket->path()};
  const std::string text = "STATUS=x\n";
  const std::string rest(max_notification_bytes - text.size(), 'A');
  ASSERT_TRUE(service.send(text + rest + "A"));
  ASSERT_TRUE(service.send("STATUS=fits\n" + rest.substr(3)));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(texts(), std::vector<std::string>{"fits"});
}

TEST_F(NotifySocketTest, ClosesDescriptorsThatArePassed) {
  const auto socket = open();
  Sender service{socket->path()};
  Pipe barrier = make_pipe();
  Pipe other = make_pipe();
  const auto before = testing::own_resources().descriptors;
  ASSERT_TRUE(service.send("READY=1"));
  ASSERT_TRUE(service.send("BARRIER=1", {barrier.writer.get()}));
  ASSERT_TRUE(
      service.send("STATUS=last", {other.writer.get(), other.reader.get()}));
  barrier.writer.reset();
  other.writer.reset();
  EXPECT_FALSE(is_hung_up(barrier)) << "it is in the datagram";

  ASSERT_TRUE(loop.run_until([&] { return is_hung_up(barrier); }));
  EXPECT_TRUE(received.at(0).ready) << "a barrier waits for what came before";
  ASSERT_TRUE(wait_for(2));
  EXPECT_TRUE(is_hung_up(other));
  EXPECT_EQ(testing::own_resources().descriptors, before - 2);
}

TEST_F(NotifySocketTest, ClosesDescriptorsOfADatagramThatIsDropped) {
  const auto socket = open();
  Pipe pipe = make_pipe();
  ASSERT_TRUE(
      Sender{socket->path()}.send(std::string(5000, 'A'), {pipe.writer.get()}));
  pipe.writer.reset();
  EXPECT_TRUE(loop.run_until([&] { return is_hung_up(pipe); }));
}

TEST_F(NotifySocketTest, LetsOthersHaveTheirTurnDuringAFlood) {
  constexpr std::size_t count = 300;
  const auto socket = open();
  std::thread flood{[path = socket->path()] {
    Sender service{path};
    for (std::size_t i = 0; i < count; ++i)
      service.send("WATCHDOG=1");
  }};
  // A neighbour on the same loop notes how much came between its turns.
  std::size_t seen = 0;
  std::size_t most_at_once = 0;
  std::function<void()> neighbour = [&] {
    most_at_once = std::max(most_at_once, received.size() - seen);
    seen = received.size();
    if (seen < count)
      boost::asio::post(loop.io, neighbour);
  };
  boost::asio::post(loop.io, neighbour);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(loop.run_until([&] { return seen == count; }));
  // The sender was held up: at least nine pauses between ten turns.
  EXPECT_GE(std::chrono::steady_clock::now() - start, 90ms);
  EXPECT_LE(most_at_once, 32U);
  EXPECT_EQ(received.size(), count);
  flood.join();
}

TEST_F(NotifySocketTest, TellsNothingMoreOnceItIsDestroyed) {
  const auto before = testing::own_resources().descriptors;
  auto socket = open();
  ASSERT_TRUE(loop.run_until([turns = 0]() mutable { return ++turns > 3; }));
  Sender service{socket->path()};
  ASSERT_TRUE(service.send("READY=1"));
  boost::asio::post(loop.io, [&] { socket.reset(); });
  ASSERT_TRUE(loop.run_until([&] { return !socket; }));
  loop.settle();
  EXPECT_FALSE(service.send("READY=1"));
  EXPECT_TRUE(received.empty());
  // Of the sender, and of the loop, which has begun to wait for sockets.
  EXPECT_LE(testing::own_resources().descriptors, before + 4);
  const auto after = testing::own_resources().descriptors;
  open().reset();
  loop.settle();
  EXPECT_EQ(testing::own_resources().descriptors, after);
}

TEST_F(NotifySocketTest, MayBeDestroyedByAMessage) {
  std::unique_ptr<NotifySocket> socket;
  int calls = 0;
  socket = std::move(
      NotifySocket::open(loop.io, dir.path("n"), [&](const Notification&) {
        ++calls;
        socket.reset();
      }).value());
  Sender service{socket->path()};
  ASSERT_TRUE(service.send("READY=1"));
  ASSERT_TRUE(service.send("READY=1"));
  ASSERT_TRUE(loop.run_until([&] { return calls > 0; }));
  loop.settle();
  EXPECT_EQ(calls, 1);
}

TEST_F(NotifySocketTest, MayBeDestroyedWithItsLoopAtRest) {
  auto socket = open();
  socket.reset();
  loop.settle();
  EXPECT_TRUE(fs::is_empty(dir.path("n")));
}

TEST_F(NotifySocketTest, RefusesAPathThatDoesNotFitIntoAnAddress) {
  std::string folder = dir.path(std::string(200, 'f'));
  fs::create_directory(folder);
  folder.resize(folder.size() - 201);  // That of the test.
  folder += std::string(108 - 9 - folder.size(), '/');
  const auto ignore = [](const Notification&) {};
  const auto refused = NotifySocket::open(loop.io, folder, ignore);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_argument);
  EXPECT_TRUE(refused.error().what.ends_with(
      ": has 108 bytes, but the path of a socket may have 107; use a folder "
      "with a shorter name"))
      << refused.error().what;
  folder.pop_back();
  const auto fits = NotifySocket::open(loop.io, folder, ignore);
  ASSERT_TRUE(fits) << fits.error().what;
  EXPECT_TRUE(Sender{(*fits)->path()}.send("READY=1"));
}

TEST_F(NotifySocketTest, SaysWhatIsWrongWithItsFolder) {
  const auto error = [&](const std::string& folder) {
    auto opened =
        NotifySocket::open(loop.io, folder, [](const Notification&) {});
    return opened ? Error{} : opened.error();
  };
  EXPECT_EQ(error("run/n"),
            (Error{Errc::invalid_argument,
                   "run/n: the folder of a notification socket must be an "
                   "absolute path"}));
  const Error missing = error("/no/such/place");
  EXPECT_EQ(missing.code, Errc::not_found);
  EXPECT_TRUE(missing.what.starts_with("notification socket: /no/such/place/"));
  EXPECT_TRUE(missing.what.ends_with(": no such file or directory"));
}

}  // namespace
}  // namespace troupe::service
