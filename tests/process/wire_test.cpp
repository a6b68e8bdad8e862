#include "wire.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::process::wire {
namespace {

void feed(Reader& reader, std::string_view bytes) {
  std::memcpy(reader.prepare(bytes.size()), bytes.data(), bytes.size());
  reader.commit(bytes.size());
}

CommandSpec full_spec() {
  CommandSpec spec;
  spec.argv = {"printf", "%s", std::string("a\xff\n", 3)};
  spec.working_directory = "/tmp";
  spec.clear_env = true;
  spec.unset_env = {"HOME"};
  spec.env = {{"A", "1"}, {"B", ""}};
  spec.standard_input = StdinText{std::string("x\0y", 3)};
  spec.standard_output = Output::inherit;
  spec.standard_error = Output::merge;
  spec.record = {.path = "/var/log/x", .most_bytes = 1U << 30};
  spec.limits.memory_bytes = 1U << 30;
  spec.tree_limits = {.memory_bytes = 1U << 20, .cpu_percent = 150, .tasks = 9};
  spec.umask = 022;
  spec.nice = -5;
  spec.new_session = true;
  spec.time_limit = 1500ms;
  spec.silence_limit = 700ms;
  spec.grace = 3s;
  spec.polite_signal = SIGINT;
  spec.outlives_right = true;
  return spec;
}

TEST(Wire, CarriesEveryFieldOfASpec) {
  const AttemptId id{.command = {7}, .attempt = 3};
  std::string bytes;
  const AttemptId predecessor{.command = {6}, .attempt = 2};
  encode(bytes, id, Start{full_spec(), predecessor});
  Reader reader;
  feed(reader, bytes);
  const auto frame = reader.next().value().value();
  EXPECT_EQ(frame.id, id);
  EXPECT_EQ(std::get<Start>(frame.message).spec, full_spec());
  EXPECT_EQ(std::get<Start>(frame.message).after, predecessor);
}

TEST(Wire, CarriesReportsAndFailures) {
  ExitReport report;
  report.exit_code = 3;
  report.timed_out = true;
  report.silent = true;
  report.right_ended = true;
  report.out_of_memory = true;
  report.leftovers = 2;
  report.wall = 5ms;
  report.ended = BootTime{3h};
  report.max_rss_bytes = 123456;
  report.unrecorded_bytes = 78;
  const SpawnFailure failed{SpawnStage::exec, {Errc::not_found, "x: gone"}};
  std::string bytes;
  encode(bytes, {}, Exited{report});
  encode(bytes, {}, NotStarted{failed});
  Reader reader;
  feed(reader, bytes);
  EXPECT_EQ(std::get<Exited>(reader.next().value()->message).report, report);
  EXPECT_EQ(std::get<NotStarted>(reader.next().value()->message).failure,
            failed);
  EXPECT_EQ(reader.next().value(), std::nullopt);
}

TEST(Wire, CarriesDeadlines) {
  std::string bytes;
  encode(bytes, {}, Guard{BootTime{5s}, BootTime{7s}});
  encode(bytes, {}, Guard{});
  encode(bytes, {}, StopAll{BootTime{9s}});
  Reader reader;
  feed(reader, bytes);
  const auto guard = std::get<Guard>(reader.next().value()->message);
  EXPECT_EQ(guard.kill_at, BootTime{5s});
  EXPECT_EQ(guard.gone_by, BootTime{7s});
  EXPECT_EQ(std::get<Guard>(reader.next().value()->message).kill_at,
            BootTime::max());
  EXPECT_EQ(std::get<StopAll>(reader.next().value()->message).gone_by,
            BootTime{9s});
}

TEST(Wire, ReadsNothingButTheVersionOfAForeignHello) {
  std::string bytes;
  encode(bytes, {}, Hello{.session = "s", .lanes = 3, .takeover = 5});
  encode(bytes, {}, Hello{.version = 99, .session = "of another layout"});
  Reader reader;
  feed(reader, bytes);
  const auto ours = std::get<Hello>(reader.next().value()->message);
  EXPECT_EQ(ours.session, "s");
  EXPECT_EQ(ours.lanes, 3U);
  EXPECT_EQ(ours.takeover, 5U);
  const auto foreign = std::get<Hello>(reader.next().value()->message);
  EXPECT_EQ(foreign.version, 99U);
  EXPECT_EQ(foreign.session, "");
}

TEST(Wire, TellsAGreetingFromOtherBytes) {
  const std::string bytes = encode(Greeting{.lane = 2, .takeover = 9});
  ASSERT_EQ(bytes.size(), greeting_size);
  const auto greeting = parse_greeting(bytes).value();
  EXPECT_EQ(greeting.version, wire_version);
  EXPECT_EQ(greeting.lane, 2U);
  EXPECT_EQ(greeting.takeover, 9U);
  EXPECT_FALSE(parse_greeting(bytes.substr(1)));
  EXPECT_FALSE(parse_greeting("GET / HTTP/1.1\r\n\r\n.."));
}

TEST(Wire, ReadsFramesHoweverTheStreamIsCut) {
  EXPECT_TRUE(rc::check([](const std::vector<std::string>& texts) {
    std::string bytes;
    for (const std::string& text : texts)
      encode(bytes, {}, OutputRead{Stream::err, text});
    Reader reader;
    std::vector<std::string> got;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const auto size = *rc::gen::inRange<std::size_t>(1, 40);
      feed(reader, rest.substr(0, size));
      rest.remove_prefix(std::min(size, rest.size()));
      while (const auto frame = reader.next().value())
        got.emplace_back(std::get<OutputRead>(frame->message).bytes);
    }
    RC_ASSERT(got == texts);
  }));
}

TEST(Wire, RefusesGarbageWithoutReadingPastIt) {
  EXPECT_TRUE(rc::check([](const std::string& garbage) {
    std::string bytes;
    encode(bytes, {}, Start{full_spec()});
    const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
    bytes.replace(at, std::min(garbage.size(), bytes.size() - at), garbage);
    Reader reader;
    feed(reader, bytes);
    // Whatever it answers, it answers: no crash, no endless loop.
    for (int i = 0; i < 1000; ++i) {
      const auto frame = reader.next();
      if (!frame || !*frame)
        return;
    }
    RC_FAIL("more frames than bytes");
  }));
}

TEST(Wire, RefusesALengthAboveTheLimitBeforeTheBytesCome) {
  std::string bytes;
  encode(bytes, {}, Started{1});
  const std::uint32_t huge = max_body + 1;
  std::memcpy(bytes.data(), &huge, sizeof huge);
  Reader reader;
  feed(reader, bytes);
  EXPECT_EQ(reader.next().error().code, Errc::corrupt);
}

}  // namespace
}  // namespace troupe::process::wire
