#include "io_thread_test.hpp"
#include "own_resources.hpp"
#include "raw_client.hpp"
#include "temp_dir.hpp"

#include <troupe/api/api.hpp>

#include <atomic>
#include <fcntl.h>
#include <future>
#include <optional>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::api {
namespace {

using testing::wait_until;

/// A server whose I/O thread runs; what is asked is kept.
class ControlServerTest : public IoThreadTest {
 protected:
  ~ControlServerTest() override {
    on_io_thread([this] { server.reset(); });
    end_io();
  }

  void listen(ControlServer::Handler handler, ServerLimits limits = {}) {
    on_io_thread([&] {
      auto listening =
          ControlServer::listen(io, path, std::move(handler), limits);
      ASSERT_TRUE(listening) << listening.error().what;
      server = std::move(*listening);
    });
  }

  /// Requests are put aside, each with its responder.
  void listen_and_keep(ServerLimits limits = {}) {
    listen(
        [this](const Json&, const Responder& responder) {
          kept.push_back(responder);
          ++asked;
        },
        limits);
  }
  Responder wait_for_request(int number = 1) {
    EXPECT_TRUE(wait_until([&] { return asked >= number; }));
    std::optional<Responder> responder;
    on_io_thread([&] { responder = kept.back(); });
    return *responder;
  }

  static void echo(Json request, const Responder& responder) {
    responder.succeed(request);
  }

  testing::TempDir dir;
  const std::string path = dir.path("run/control.sock");
  std::unique_ptr<ControlServer> server;
  std::vector<Responder> kept;  ///< Of the I/O thread.
  std::atomic<int> asked{0};
};

TEST_F(ControlServerTest, AnswersARequestAndEndsTheConnection) {
  listen(echo);
  const RawClient client{path};
  client.send("{\"do\":\"ps\"}\n");
  EXPECT_EQ(client.read_to_end(), "{\"ok\":true,\"result\":{\"do\":\"ps\"}}\n");
}

TEST_F(ControlServerTest, AnswersAClientThatHasClosedItsSide) {
  listen_and_keep();
  const RawClient client{path};
  client.send("{}\n");
  client.end_writing();
  const Responder responder = wait_for_request();
  responder.event("still here");
  EXPECT_EQ(client.read_line(), "{\"event\":\"still here\"}\n");
  responder.fail({Errc::not_found, "no service web"});
  EXPECT_EQ(client.read_to_end(),
            "{\"ok\":false,\"error\":{\"code\":\"not_found\","
            "\"what\":\"no service web\"}}\n");
}

TEST_F(ControlServerTest, TakesARequestOf64KiBAndRefusesOneMore) {
  listen([](const Json& request, const Responder& responder) {
    responder.succeed(request.at("text").get_ref<const std::string&>().size());
  });
  const auto ask = [&](std::size_t line_bytes) {
    const RawClient client{path};
    const std::string frame = R"({"text":""})";
    client.send(R"({"text":")" + std::string(line_bytes - frame.size(), 'x') +
                "\"}\n");
    return client.read_to_end();
  };
  EXPECT_EQ(ask(65'536), "{\"ok\":true,\"result\":65525}\n");
  EXPECT_EQ(ask(65'537),
            "{\"ok\":false,\"error\":{\"code\":\"invalid_argument\","
            "\"what\":\"the request is longer than 64.0 KiB\"}}\n");
}

TEST_F(ControlServerTest, EndsALineWithoutEndBeforeItFillsTheMemory) {
  listen(echo);
  const RawClient client{path};
  const std::string piece(32 << 10, ' ');
  int sent = 0;
  while (sent < 1'000 && client.send(piece))
    ++sent;
  EXPECT_LT(sent, 100);
  EXPECT_EQ(client.read_line(),
            "{\"ok\":false,\"error\":{\"code\":\"invalid_argument\","
            "\"what\":\"the request is longer than 64.0 KiB\"}}\n");
}

TEST_F(ControlServerTest, RefusesGarbage) {
  listen(echo);
  for (const char* const line : {"\n", "GET / HTTP/1.1\r\n", "[]\n", "{\n"}) {
    const RawClient client{path};
    client.send(line);
    EXPECT_EQ(client.read_to_end(),
              "{\"ok\":false,\"error\":{\"code\":\"invalid_argument\",\"what\":"
              "\"request: expected an object of JSON in one line\"}}\n")
        << line;
  }
}

TEST_F(ControlServerTest, RefusesARequestWithoutTheEndOfItsLine) {
  listen(echo);
  const RawClient client{path};
  client.send("{}");
  client.end_writing();
  EXPECT_EQ(client.read_to_end(),
            "{\"ok\":false,\"error\":{\"code\":\"invalid_argument\","
            "\"what\":\"the request has no end of line\"}}\n");
}

TEST_F(ControlServerTest, AnswersWhatTheHandlerDidNotFindInTheRequest) {
  listen([](const Json& request, const Responder& responder) {
    responder.succeed(request.at("name"));
  });
  const RawClient client{path};
  client.send("{}\n");
  EXPECT_EQ(client.read_to_end(),
            "{\"ok\":false,\"error\":{\"code\":\"invalid_argument\",\"what\":"
            "\"request: [json.exception.out_of_range.403] key 'name' not "
            "found\"}}\n");
}

TEST_F(ControlServerTest, GivesUpOnAClientThatStopsInTheMiddleOfALine) {
  listen(echo, {.request_time = 50ms});
  const RawClient client{path};
  client.send("{\"do\":");
  EXPECT_EQ(client.read_to_end(),
            "{\"ok\":false,\"error\":{\"code\":\"timed_out\","
            "\"what\":\"no request within 50ms\"}}\n");
}

TEST_F(ControlServerTest, DoesNotLimitTheTimeOfTheAnswer) {
  listen_and_keep({.request_time = 20ms});
  const RawClient asking{path};
  asking.send("{}\n");
  const Responder responder = wait_for_request();
  const RawClient silent{path};  // As long as the limit of the other one.
  EXPECT_NE(silent.read_to_end(), "");
  responder.succeed("late");
  EXPECT_EQ(asking.read_to_end(), "{\"ok\":true,\"result\":\"late\"}\n");
}

TEST_F(ControlServerTest, CutsOffAReaderThatIsSlowerThanItsEvents) {
  listen_and_keep({.unread_bytes = 100'000});
  const RawClient client{path};
  client.send("{}\n");
  const Responder responder = wait_for_request();
  std::promise<void> closed;
  responder.on_closed([&] { closed.set_value(); });
  const std::string text(1'000, 'x');
  int sent = 0;
  while (sent < 100'000 && responder.event(text))
    ++sent;
  EXPECT_GT(sent, 90);
  EXPECT_LT(sent, 10'000);  // The bound and what the kernel keeps.
  EXPECT_EQ(closed.get_future().wait_for(deadline), std::future_status::ready);
  EXPECT_TRUE(responder.is_over());
  EXPECT_EQ(client.read_to_end().find("\"ok\""), std::string::npos);
}

TEST_F(ControlServerTest, KeepsAReaderThatFollows) {
  listen_and_keep({.unread_bytes = 10'000});
  const RawClient client{path};
  client.send("{}\n");
  const Responder responder = wait_for_request();
  const std::string text(1'000, 'x');
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(responder.event(text)) << i;
    ASSERT_EQ(client.read_line().size(), 1'013U);
  }
  responder.succeed(true);
  EXPECT_EQ(client.read_to_end(), "{\"ok\":true,\"result\":true}\n");
}

TEST_F(ControlServerTest, CutsOffWhoDoesNotFetchTheLastAnswer) {
  listen_and_keep({.last_read_time = 50ms});
  const std::size_t descriptors = testing::own_resources().descriptors;
  const RawClient client{path};
  client.send("{}\n");
  wait_for_request().succeed(std::string(1'000'000, 'x'));
  // Ours is left; that of the server is gone.
  EXPECT_TRUE(wait_until(
      [&] { return testing::own_resources().descriptors == descriptors + 1; }));
  EXPECT_LT(client.read_to_end().size(), 1'000'000U);
}

TEST_F(ControlServerTest, SaysThatAnAnswerIsTooLong) {
  listen([](const Json& request, const Responder& responder) {
    const std::string text(request.at("size").get<std::size_t>(), 'x');
    request.contains("event") ? static_cast<void>(responder.event(text))
                              : responder.succeed(text);
  });
  const auto size_of_answer_to = [&](std::string_view request) {
    const RawClient client{path};
    client.send(request);
    return client.read_to_end();
  };
  const std::string overloaded =
      "{\"ok\":false,\"error\":{\"code\":\"overloaded\","
      "\"what\":\"the answer is longer than 1.00 MiB\"}}\n";
  EXPECT_EQ(size_of_answer_to("{\"size\":1048552}\n").size(), 1U << 20);
  EXPECT_EQ(size_of_answer_to("{\"size\":1048553}\n"), overloaded);
  EXPECT_EQ(size_of_answer_to("{\"size\":2000000,\"event\":1}\n"), overloaded);
}

TEST_F(ControlServerTest, TellsTheSixtyFifthClientToComeBackLater) {
  listen(echo);
  std::vector<RawClient> clients;
  clients.reserve(65);
  for (int i = 0; i < 64; ++i)
    clients.emplace_back(path);
  const RawClient refused{path};
  EXPECT_EQ(refused.read_to_end(),
            "{\"ok\":false,\"error\":{\"code\":\"overloaded\",\"what\":"
            "\"64 clients are connected already; try again later\"}}\n");

  clients.back().send("{}\n");
  EXPECT_EQ(clients.back().read_to_end(), "{\"ok\":true,\"result\":{}}\n");
  const RawClient next{path};
  next.send("{}\n");
  EXPECT_EQ(next.read_to_end(), "{\"ok\":true,\"result\":{}}\n");
}

TEST_F(ControlServerTest, TellsTheHandlerThatTheClientHasGone) {
  listen_and_keep();
  RawClient client{path};
  client.send("{}\n");
  const Responder responder = wait_for_request();
  EXPECT_FALSE(responder.is_over());
  std::promise<std::thread::id> closed;
  responder.on_closed([&] { closed.set_value(std::this_thread::get_id()); });
  client.close();
  auto future = closed.get_future();
  ASSERT_EQ(future.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(future.get(), io_thread.get_id());
  EXPECT_TRUE(responder.is_over());
  EXPECT_FALSE(responder.event(1));
  responder.succeed(1);

  std::promise<void> afterwards;
  responder.on_closed([&] { afterwards.set_value(); });
  EXPECT_EQ(afterwards.get_future().wait_for(deadline),
            std::future_status::ready);
}

TEST_F(ControlServerTest, AnswersOnceAndIgnoresTheRest) {
  listen_and_keep();
  const RawClient client{path};
  client.send("{}\n");
  const Responder responder = wait_for_request();
  std::atomic<bool> closed = false;
  responder.on_closed([&] { closed = true; });
  responder.succeed(1);
  responder.succeed(2);
  responder.fail({Errc::internal, "3"});
  EXPECT_FALSE(responder.event(4));
  EXPECT_TRUE(responder.is_over());
  EXPECT_EQ(client.read_to_end(), "{\"ok\":true,\"result\":1}\n");
  responder.on_closed([&] { closed = true; });
  on_io_thread([] {});
  EXPECT_FALSE(closed);
}

TEST_F(ControlServerTest, AnswersForAResponderThatWasDropped) {
  listen([](const Json&, const Responder& responder) {
    const Responder copy = responder;
    copy.event("begun");
  });
  const RawClient client{path};
  client.send("{}\n");
  EXPECT_EQ(client.read_to_end(),
            "{\"event\":\"begun\"}\n"
            "{\"ok\":false,\"error\":{\"code\":\"internal\","
            "\"what\":\"the request was dropped\"}}\n");
}

TEST_F(ControlServerTest, MayBeAnsweredFromManyThreads) {
  listen_and_keep();
  const RawClient client{path};
  client.send("{}\n");
  const Responder responder = wait_for_request();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([responder] {
      for (int n = 0; n < 100; ++n)
        responder.event(n);
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  responder.succeed("done");
  const std::string all = client.read_to_end();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 401);
}

TEST_F(ControlServerTest, EndsWithItsConnectionsAndRemovesItsFiles) {
  listen_and_keep();
  const RawClient asking{path};
  asking.send("{}\n");
  const Responder responder = wait_for_request();
  const RawClient silent{path};
  std::promise<void> closed;
  responder.on_closed([&] { closed.set_value(); });
  on_io_thread([&] { server.reset(); });
  EXPECT_EQ(closed.get_future().wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(asking.read_to_end(), "");
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path("run")));
  responder.succeed("nobody is there");
  listen(echo);
}

TEST_F(ControlServerTest, LeavesNothingBehind) {
  const auto serve_two_clients = [this](int number) {
    listen_and_keep();
    const RawClient asking{path};
    asking.send("{}\n");
    (void)wait_for_request(number);
    const RawClient silent{path};
    on_io_thread([&] { server.reset(); });
    on_io_thread([&] { kept.clear(); });
  };
  serve_two_clients(1);  // What the io_context needs for itself stays.
  const auto before = testing::own_resources();
  serve_two_clients(2);
  EXPECT_EQ(testing::own_resources(), before);
}

TEST_F(ControlServerTest, HasNoDescriptorThatACommandInherits) {
  listen_and_keep();
  const RawClient client{path};
  client.send("{}\n");
  (void)wait_for_request();
  for (const auto& entry :
       std::filesystem::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry, gone).string();
    if (target.starts_with("socket:") ||
        target.find("control.sock") != std::string::npos) {
      const int fd = std::stoi(entry.path().filename());
      EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << target;
    }
  }
}

TEST_F(ControlServerTest, RefusesOtherUsers) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can become another user";
  listen(echo);
  // What the modes would keep away anyhow.
  for (const std::string& open : {dir.path(), dir.path("run"), path})
    ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  const auto address = socket_address(path).value();
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t nobody = 65'534;
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (::setuid(nobody) != 0 || connect_now(fd, address) != 0)
      ::_exit(100);
    (void)::send(fd, "{}\n", 3, MSG_NOSIGNAL);
    char byte = 0;
    ::_exit(::recv(fd, &byte, 1, 0) > 0 ? 101 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0) << status;
}

RC_GTEST_FIXTURE_PROP(ControlServerTest, TakesARequestInAnyPieces, ()) {
  listen(echo);
  const auto text = *rc::gen::arbitrary<std::string>();
  const std::string line =
      Json{{"text", text}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  const RawClient client{path};
  const std::string whole = line + "\n";
  for (std::size_t at = 0; at < whole.size();) {
    const auto size = *rc::gen::inRange<std::size_t>(1, 9);
    RC_ASSERT(client.send(std::string_view{whole}.substr(at, size)));
    at += size;
  }
  std::string answer;
  while (answer.empty() || answer.back() != '\n')
    answer += client.read(*rc::gen::inRange<std::size_t>(1, 9));
  RC_ASSERT(answer == "{\"ok\":true,\"result\":" + line + "}\n");
}

}  // namespace
}  // namespace troupe::api
