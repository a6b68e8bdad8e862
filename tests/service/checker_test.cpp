#include "fake_command_runner.hpp"
#include "io_loop.hpp"
#include "own_resources.hpp"
#include "temp_dir.hpp"

#include <troupe/process/warden_runner.hpp>
#include <troupe/service/checker.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace troupe {

void PrintTo(const Error& error, std::ostream* out) {
  *out << to_string(error.code) << ": " << error.what;
}

}  // namespace troupe

namespace troupe::service {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

/// Reads one request per connection, writes what it was given, and then closes
/// or says no more.
class Server {
 public:
  enum class Then : std::uint8_t { closes, waits };

  Server(asio::io_context& io, std::string answer, Then then = Then::closes,
         const char* address = "127.0.0.1")
      : acceptor_{io, {asio::ip::make_address(address), 0}},
        answer_{std::move(answer)},
        then_{then} {
    accept();
  }

  [[nodiscard]] std::uint16_t port() const {
    return acceptor_.local_endpoint().port();
  }

  std::vector<std::string> requests;
  std::size_t connections = 0;

 private:
  struct Session {
    tcp::socket socket;
    std::string request;
  };

  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error)
        return;
      ++connections;
      sessions_.push_back({std::move(socket), {}});
      read(sessions_.back());
      accept();
    });
  }

  void read(Session& session) {
    asio::async_read_until(
        session.socket, asio::dynamic_buffer(session.request), "\r\n\r\n",
        [this, &session](error_code error, std::size_t) {
          if (error)
            return;
          requests.push_back(session.request);
          asio::async_write(session.socket, asio::buffer(answer_),
                            [this, &session](error_code failed, std::size_t) {
                              if (!failed && then_ == Then::closes)
                                session.socket.close();
                            });
        });
  }

  tcp::acceptor acceptor_;
  std::string answer_;
  Then then_;
  std::list<Session> sessions_;
};

std::string head(const std::string& status, const std::string& more = "") {
  return "HTTP/1.1 " + status + "\r\n" + more + "\r\n";
}

/// Checks of real sockets, on a loop that the test turns.
class CheckerTest : public ::testing::Test {
 protected:
  CheckerTest() {
    checker = make_checker(io, runner, [this] { return CommandId{++last_id}; });
  }

  CheckId start(const Check& check, Duration limit = 20s) {
    return checker->start(check, limit, [this](Result<void> answer) {
      answers.push_back(std::move(answer));
    });
  }

  /// What a check answers: an Error, or nothing if all is well.
  std::optional<Error> ask(const Check& check, Duration limit = 20s) {
    answers.clear();
    start(check, limit);
    EXPECT_TRUE(loop.run_until([&] { return !answers.empty(); }))
        << "no answer to " << describe(check);
    loop.settle();
    EXPECT_EQ(answers.size(), 1U);
    if (answers.empty() || answers[0])
      return std::nullopt;
    return answers[0].error();
  }

  /// What an HTTP check answers to a server that says `answer`.
  std::optional<Error> ask_server(std::string answer,
                                  Server::Then then = Server::Then::closes,
                                  Duration limit = 20s) {
    Server server{io, std::move(answer), then};
    auto error = ask(at(server), limit);
    EXPECT_EQ(server.connections, 1U);
    return error;
  }

  static HttpCheck at(const Server& server) {
    return {.host = "127.0.0.1", .port = server.port(), .target = "/"};
  }

  inline static const std::optional<Error> well;
  testing::IoLoop loop;
  asio::io_context& io = loop.io;
  process::FakeCommandRunner runner;
  std::uint64_t last_id = 0;
  std::unique_ptr<Checker> checker;
  std::vector<Result<void>> answers;
};

/// A port that is taken, but where nobody listens.
class DeafPort {
 public:
  explicit DeafPort(asio::io_context& io) : socket_{io, tcp::v4()} {
    socket_.bind({asio::ip::address_v4::loopback(), 0});
  }
  [[nodiscard]] std::uint16_t port() const {
    return socket_.local_endpoint().port();
  }

 private:
  tcp::socket socket_;
};

// --- HTTP -------------------------------------------------------------------

TEST_F(CheckerTest, AsksByOneSmallRequest) {
  Server server{io, head("200 OK")};
  const HttpCheck check{
      .host = "127.0.0.1", .port = server.port(), .target = "/health?a=b%20c"};
  EXPECT_EQ(ask(check), well);
  EXPECT_EQ(server.requests,
            std::vector<std::string>{"GET /health?a=b%20c HTTP/1.1\r\n"
                                     "Host: 127.0.0.1:" +
                                     std::to_string(server.port()) +
                                     "\r\n"
                                     "User-Agent: troupe\r\n"
                                     "Accept: */*\r\n"
                                     "Connection: close\r\n\r\n"});
}

TEST_F(CheckerTest, IsContentWithSuccessAndRedirection) {
  EXPECT_EQ(ask_server(head("200 OK")), well);
  EXPECT_EQ(ask_server(head("204 No Content")), well);
  EXPECT_EQ(ask_server(head("302 Found", "Location: /elsewhere\r\n")), well);
  EXPECT_EQ(ask_server("HTTP/1.0 200 OK\r\n\r\nbody"), well);
}

TEST_F(CheckerTest, SaysWhichStatusWasNotWanted) {
  EXPECT_EQ(ask_server(head("404 Not Found")),
            (Error{Errc::unavailable, "answered 404"}));
  EXPECT_EQ(ask_server(head("503 Service Unavailable")),
            (Error{Errc::unavailable, "answered 503"}));
  EXPECT_EQ(ask_server(head("103 Early Hints")),
            (Error{Errc::unavailable, "answered 103"}));
}

TEST_F(CheckerTest, DoesNotWaitForTheBody) {
  EXPECT_EQ(ask_server(
                head("200 OK", "Content-Length: 99999999999\r\n") + "the start",
                Server::Then::waits),
            well);
  EXPECT_EQ(ask_server(head("200 OK", "Transfer-Encoding: chunked\r\n"),
                       Server::Then::waits),
            well);
}

TEST_F(CheckerTest, GivesUpAtTheLimit) {
  const Error late{Errc::timed_out, "no answer within 30ms"};
  EXPECT_EQ(ask_server("", Server::Then::waits, 30ms), late);
  EXPECT_EQ(ask_server("HTTP/1.1 200 OK\r\nServer", Server::Then::waits, 30ms),
            late);
}

TEST_F(CheckerTest, SaysThatTheConnectionWasRefused) {
  const DeafPort nobody{io};
  const Error refused{Errc::unavailable, "connection refused"};
  EXPECT_EQ(ask(HttpCheck{.host = "127.0.0.1", .port = nobody.port()}),
            refused);
  EXPECT_EQ(ask(TcpCheck{.host = "127.0.0.1", .port = nobody.port()}), refused);
}

TEST_F(CheckerTest, SaysThatTheAnswerIsNotHttp) {
  const Error error{Errc::corrupt, "answered with something that is not HTTP"};
  EXPECT_EQ(ask_server("SSH-2.0-OpenSSH_9.2\r\n", Server::Then::waits), error);
  EXPECT_EQ(ask_server("HTTP/1.1 two hundred\r\n\r\n"), error);
  EXPECT_EQ(ask_server(std::string(3000, '\0'), Server::Then::waits), error);
}

TEST_F(CheckerTest, ReadsAHeadOfUpToEightKibibytes) {
  const Error error{Errc::corrupt, "answered with a head of more than 8 KiB"};
  const auto with_head_of = [](std::size_t bytes) {
    const std::size_t rest = head("200 OK", "A: \r\n").size();
    return head("200 OK", "A: " + std::string(bytes - rest, 'a') + "\r\n");
  };
  EXPECT_EQ(ask_server(with_head_of(8 << 10) + "body"), well);
  EXPECT_EQ(ask_server(with_head_of(9 << 10)), error);
  EXPECT_EQ(ask_server(with_head_of(1 << 20), Server::Then::waits), error);
  EXPECT_EQ(ask_server("HTTP/1.1 200 " + std::string(1 << 20, 'a'),
                       Server::Then::waits),
            error);
}

TEST_F(CheckerTest, SaysThatTheConnectionWasClosed) {
  EXPECT_EQ(ask_server(""), (Error{Errc::unavailable,
                                   "closed the connection without an answer"}));
  EXPECT_EQ(
      ask_server("HTTP/1.1 200 OK\r\nContent-"),
      (Error{Errc::unavailable, "closed the connection amid its answer"}));
}

TEST_F(CheckerTest, RefusesWhatCannotStandInARequest) {
  EXPECT_EQ(ask(HttpCheck{.host = "127.0.0.1", .target = "/a b"}),
            (Error{Errc::invalid_argument,
                   "\"/a b\" is not the target of a request: it starts with / "
                   "and has no spaces"}));
  EXPECT_EQ(ask(HttpCheck{.host = "127.0.0.1", .target = "/\r\nX: y"})->code,
            Errc::invalid_argument);
  EXPECT_EQ(ask(HttpCheck{.host = "127.0.0.1", .target = ""})->code,
            Errc::invalid_argument);
  EXPECT_EQ(
      ask(HttpCheck{.host = "a\nb"}),
      (Error{Errc::invalid_argument, "\"a\\nb\" is not the name of a host"}));
  EXPECT_EQ(ask(TcpCheck{.host = "", .port = 1})->code, Errc::invalid_argument);
}

// --- Addresses --------------------------------------------------------------

TEST_F(CheckerTest, TriesBothAddressesOfLocalhost) {
  const Server four{io, head("200 OK")};
  EXPECT_EQ(ask(HttpCheck{.host = "localhost", .port = four.port()}), well);
  EXPECT_EQ(ask(TcpCheck{.host = "localhost", .port = four.port()}), well);
}

TEST_F(CheckerTest, SpeaksToAnAddressOfVersionSix) {
  std::unique_ptr<Server> server;
  try {
    server = std::make_unique<Server>(io, head("200 OK"), Server::Then::closes,
                                      "::1");
  } catch (const boost::system::system_error& e) {
    GTEST_SKIP() << "no IPv6 here: " << e.what();
  }
  EXPECT_EQ(ask(HttpCheck{.host = "::1", .port = server->port()}), well);
  EXPECT_EQ(ask(HttpCheck{.host = "localhost", .port = server->port()}), well);
  EXPECT_NE(server->requests.at(0).find(
                "\r\nHost: [::1]:" + std::to_string(server->port()) + "\r\n"),
            std::string::npos);
}

TEST_F(CheckerTest, LooksUpOtherNames) {
  const Server server{io, head("200 OK")};
  // Not taken for localhost, but in /etc/hosts, which disregards case.
  EXPECT_EQ(ask(HttpCheck{.host = "LOCALHOST", .port = server.port()}), well);
}

TEST_F(CheckerTest, SaysThatThereIsNoSuchHost) {
  // Too long a label: refused without asking a server.
  const std::string name(64, 'n');
  EXPECT_EQ(ask(TcpCheck{.host = name, .port = 1}),
            (Error{Errc::not_found, "no such host: " + name}));
}

// --- TCP --------------------------------------------------------------------

TEST_F(CheckerTest, IsContentWithAConnectionAndClosesIt) {
  Server server{io, ""};
  EXPECT_EQ(ask(TcpCheck{.host = "127.0.0.1", .port = server.port()}), well);
  EXPECT_TRUE(loop.run_until([&] { return server.connections == 1; }));
  EXPECT_TRUE(server.requests.empty());
}

/// A port where nobody is, of those that the kernel gives to clients first.
std::uint16_t free_even_port(asio::io_context& io) {
  const auto loopback = asio::ip::address_v4::loopback();
  for (;;) {
    tcp::socket any{io, tcp::v4()};
    any.bind({loopback, 0});
    const auto even =
        static_cast<std::uint16_t>(any.local_endpoint().port() & ~1U);
    any.close();
    tcp::socket socket{io, tcp::v4()};
    error_code taken;
    socket.bind({loopback, even}, taken);
    if (!taken)
      return even;
  }
}

TEST_F(CheckerTest, IsNotFooledByASocketThatIsConnectedToItself) {
  // The kernel goes round its 14,116 even ports for our own end, in steps of
  // one to eight of them: within 40,000 checks it picks, all but surely, the
  // very port that is asked.
  const std::uint16_t port = free_even_port(io);
  std::size_t left = 40'000;
  std::size_t accepted = 0;
  std::function<void()> again = [&] {
    checker->start(TcpCheck{.host = "127.0.0.1", .port = port}, 20s,
                   [&](const Result<void>& answer) {
                     accepted += answer ? 1U : 0U;
                     if (--left > 0)
                       again();
                   });
  };
  again();
  ASSERT_TRUE(loop.run_until([&] { return left == 0; }, 50s));
  EXPECT_EQ(accepted, 0U);
}

/// Flags of our descriptor whose other end is at `port`; -1 if there is none.
int flags_of_connection_to(std::uint16_t port) {
  for (const auto& entry :
       std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int fd = std::stoi(entry.path().filename().string());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
        peer.sin_family == AF_INET && ntohs(peer.sin_port) == port)
      return ::fcntl(fd, F_GETFD);
  }
  return -1;
}

TEST_F(CheckerTest, PassesNoConnectionOnToPrograms) {
  Server server{io, "", Server::Then::waits};
  start(at(server));
  ASSERT_TRUE(loop.run_until([&] { return !server.requests.empty(); }));
  EXPECT_EQ(flags_of_connection_to(server.port()), FD_CLOEXEC);
}

TEST_F(CheckerTest, RunsManyChecksSideBySide) {
  Server server{io, head("200 OK")};
  for (int i = 0; i < 100; ++i)
    start(at(server));
  EXPECT_TRUE(loop.run_until([&] { return answers.size() == 100; }));
  EXPECT_EQ(std::count_if(answers.begin(), answers.end(),
                          [](const auto& answer) { return answer; }),
            100);
}

TEST_F(CheckerTest, TakesStartAndCancelFromAnyThread) {
  Server silent{io, "", Server::Then::waits};
  Server server{io, head("200 OK")};
  std::thread other{[&] {
    checker->cancel(start(at(silent)));
    start(at(server));
  }};
  EXPECT_TRUE(loop.run_until([&] { return answers.size() == 1; }));
  other.join();
  EXPECT_TRUE(answers[0]);
}

// --- Cancelling -------------------------------------------------------------

class CancelTest : public CheckerTest {
 protected:
  /// Lets a check go `steps` handlers far, gives it up, and lets the loop
  /// settle. Returns whether it was answered before that was performed.
  bool give_up_after(int steps, const Check& check) {
    answers.clear();
    const CheckId id = start(check);
    for (int i = 0; i < steps && answers.empty(); ++i)
      EXPECT_EQ(io.run_one_for(20s), 1U);
    std::size_t before = 0;
    checker->cancel(id);
    asio::post(io, [&] { before = answers.size(); });
    loop.settle();
    EXPECT_EQ(answers.size(), before) << "given up after " << steps << " steps";
    return before > 0;
  }

  /// Gives a check up at each moment until it is over before. Whatever the
  /// moment, it leaves no descriptor behind.
  template <class MakeServer>
  void give_up_at_each_moment(const MakeServer& serve) {
    {
      // The loop and Asio's thread for look-ups get what they need for good.
      const auto server = serve();
      ask(check_of(*server));
    }
    loop.settle();
    const auto before = testing::own_resources();
    for (int steps = 0; steps < 100; ++steps) {
      const auto server = serve();
      if (give_up_after(steps, check_of(*server))) {
        EXPECT_GT(steps, 2) << "this was no test";
        return;
      }
      // What is left is the server's.
      EXPECT_LE(testing::own_resources().descriptors,
                before.descriptors + 1 + server->connections)
          << "given up after " << steps << " steps";
    }
    FAIL() << "a check has no end";
  }

  static HttpCheck check_of(const Server& server) { return at(server); }
};

TEST_F(CancelTest, AnHttpCheckMayBeGivenUpAtEachMoment) {
  give_up_at_each_moment(
      [this] { return std::make_unique<Server>(io, head("200 OK")); });
}

TEST_F(CancelTest, LeavesNoDescriptorBehindWhateverHappened) {
  const DeafPort nobody{io};
  const auto each_way = [&] {
    ask_server(head("200 OK"));
    ask_server("garbage\r\n", Server::Then::waits);
    ask_server("", Server::Then::waits, 10ms);
    ask(HttpCheck{.host = "localhost", .port = nobody.port()});
    ask(HttpCheck{.host = "LOCALHOST", .port = nobody.port()});
    ask(TcpCheck{.host = "127.0.0.1", .port = nobody.port()});
    loop.settle();
  };
  each_way();
  const auto before = testing::own_resources();
  each_way();
  EXPECT_EQ(testing::own_resources(), before);
}

TEST_F(CancelTest, ALookUpMayBeGivenUp) {
  const Server server{io, head("200 OK")};
  const HttpCheck check{.host = "LOCALHOST", .port = server.port()};
  EXPECT_FALSE(give_up_after(1, check));
  EXPECT_EQ(ask(check), well);
}

TEST_F(CancelTest, ADestroyedCheckerAnswersNobody) {
  Server server{io, "", Server::Then::waits};
  ask(at(server), 10ms);
  answers.clear();
  loop.settle();
  const auto before = testing::own_resources();
  start(at(server));
  ASSERT_TRUE(loop.run_until([&] { return server.requests.size() == 2; }));
  start(TcpCheck{.host = "LOCALHOST", .port = server.port()});
  checker.reset();
  loop.settle();
  EXPECT_TRUE(answers.empty());
  // The server's end of the second connection.
  EXPECT_EQ(testing::own_resources().descriptors, before.descriptors + 1);
}

// --- Commands ---------------------------------------------------------------

ExecCheck exec(std::string script) {
  process::CommandSpec spec;
  spec.argv = {"sh", "-c", script};
  return {std::move(script),
          std::make_shared<const process::CommandSpec>(std::move(spec))};
}

TEST_F(CheckerTest, AnswersAtTheLimitAndLetsTheCommandEndThereafter) {
  EXPECT_EQ(ask(exec("sleep 300"), 20ms),
            (Error{Errc::timed_out, "no answer within 20ms"}));
  // The runner stops it by itself; until then the attempt is not forgotten.
  EXPECT_EQ(runner.remembered(), 1U);
  runner.end(runner.started[0], process::ExitReport{.timed_out = true});
  loop.settle();
  EXPECT_EQ(runner.remembered(), 0U);
  EXPECT_TRUE(runner.killed.empty());
  EXPECT_EQ(answers.size(), 1U);
}

TEST_F(CheckerTest, KillsACommandInItsGraceWhenItIsDestroyed) {
  ask(exec("sleep 300"), 20ms);
  checker.reset();
  EXPECT_EQ(runner.killed, runner.started);
}

/// Exec checks under a real warden.
class WardenCheckTest : public CheckerTest {
 protected:
  WardenCheckTest() {
    process::WardenOptions options;
    options.program = TROUPE_WARDEN_PROGRAM;
    options.lanes = 1;
    sigemptyset(&options.signal_mask);
    warden = std::move(process::WardenRunner::create(io, options).value());
    checker =
        make_checker(io, *warden, [this] { return CommandId{++last_id}; });
  }
  ~WardenCheckTest() override {
    checker.reset();
    loop.settle();
    warden->close(5s);
  }

  /// Waits until a command has written its process id into the file `name`.
  int pid_in(const std::string& name) {
    EXPECT_TRUE(loop.run_until([&] { return dir.read(name).ends_with('\n'); }));
    return std::stoi(dir.read(name));
  }

  [[nodiscard]] static bool is_there(int pid) {
    return std::filesystem::exists("/proc/" + std::to_string(pid));
  }

  testing::TempDir dir;
  std::unique_ptr<process::WardenRunner> warden;
};

TEST_F(WardenCheckTest, AnswersByTheExitCodeOfACommand) {
  EXPECT_EQ(ask(exec("echo fine")), well);
  EXPECT_EQ(ask(exec("echo one; echo no reply >&2; exit 3")),
            (Error{Errc::unavailable, "exited with 3: no reply"}));
  EXPECT_EQ(ask(exec("kill -KILL $$")),
            (Error{Errc::unavailable, "killed by SIGKILL"}));
}

TEST_F(WardenCheckTest, SaysThatThereIsNoSuchProgram) {
  process::CommandSpec spec;
  spec.argv = {"no-such-program-here"};
  EXPECT_EQ(
      ask(ExecCheck{"no-such-program-here",
                    std::make_shared<const process::CommandSpec>(spec)}),
      (Error{Errc::not_found, "no-such-program-here: command not found"}));
}

TEST_F(WardenCheckTest, EndsTheWholeTreeOfACommandThatTakesTooLong) {
  EXPECT_EQ(ask(exec("sh -c 'echo $$ >" + dir.path("pid") +
                     "; trap \"\" TERM; while :; do sleep 0.05; done' & wait"),
                500ms),
            (Error{Errc::timed_out, "no answer within 500ms"}));
  const int child = pid_in("pid");
  EXPECT_TRUE(loop.run_until([&] { return !is_there(child); }, 5s));
}

TEST_F(WardenCheckTest, KillsTheWholeTreeOfACommandThatIsGivenUp) {
  const CheckId id =
      start(exec("sh -c 'echo $$ >" + dir.path("pid") +
                 "; trap \"\" TERM; while :; do sleep 0.05; done' & wait"));
  const int child = pid_in("pid");
  checker->cancel(id);
  EXPECT_TRUE(loop.run_until([&] { return !is_there(child); }, 5s));
  EXPECT_TRUE(answers.empty());
}

}  // namespace
}  // namespace troupe::service
