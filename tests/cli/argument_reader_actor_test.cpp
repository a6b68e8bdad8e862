#include "argument_reader_actor.hpp"

#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <unistd.h>

namespace troupe::cli {
namespace {

/// Nothing here may take longer; a test that does has failed.
constexpr auto reader_deadline = std::chrono::seconds{20};

/// A reader of a pipe that the test writes to.
class ArgumentReaderTest : public ::testing::Test {
 protected:
  ArgumentReaderTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    write_end = ends[1];
    std::vector<fanout::ArgumentSource> sources(1);
    sources[0].name = "input";
    sources[0].bytes = make_reader(ends[0], control);
    reader = spawn_argument_reader(
        system,
        std::make_shared<fanout::ArgumentStream>(std::move(sources),
                                                 fanout::ArgumentOptions{}),
        control);
  }
  ~ArgumentReaderTest() override {
    close_input();
    control->interrupt();
    actors::stop(std::exchange(reader, {}));
    self.reset();
    EXPECT_TRUE(actors::await_all_actors(system, reader_deadline));
  }

  void input(std::string_view text) const {
    EXPECT_EQ(::write(write_end, text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }

  void close_input() {
    if (write_end >= 0)
      ::close(std::exchange(write_end, -1));
  }

  void ask(std::size_t most) { (*self)->send(reader, ReadArguments{most}); }

  ArgumentsRead answer() {
    std::optional<ArgumentsRead> got;
    (*self)->receive([&](const ArgumentsRead& m) { got = m; },
                     caf::after(reader_deadline) >> [] {});
    EXPECT_TRUE(got.has_value()) << "no answer";
    return got.value_or(ArgumentsRead{});
  }

  actors::SystemConfig config{1};
  actors::ActorSystem system{config};
  std::optional<actors::ThreadActor> self{std::in_place, system};
  std::shared_ptr<ReaderControl> control = std::make_shared<ReaderControl>();
  actors::ActorRef reader;
  int write_end = -1;
};

TEST_F(ArgumentReaderTest, AnswersWithAsManyAsAreAskedFor) {
  input("a\nb\nc\n");
  ask(2);
  const ArgumentsRead first = answer();
  ASSERT_EQ(first.arguments.size(), 2U);
  EXPECT_EQ(first.arguments[1].values, std::vector<std::string>{"b"});
  EXPECT_FALSE(first.at_end);
  close_input();
  ask(5);
  const ArgumentsRead second = answer();
  ASSERT_EQ(second.arguments.size(), 1U);
  EXPECT_EQ(second.arguments[0].seq, 3U);
  EXPECT_TRUE(second.at_end);
}

TEST_F(ArgumentReaderTest, AnswersEarlyWhenMoreWouldHaveToBeWaitedFor) {
  input("a\nb\nhalf a li");
  ask(10);
  const ArgumentsRead early = answer();
  EXPECT_EQ(early.arguments.size(), 2U);
  EXPECT_FALSE(early.at_end);
  // The rest of that line is read on and kept for the next question.
  input("ne\n");
  ask(10);
  const ArgumentsRead rest = answer();
  ASSERT_EQ(rest.arguments.size(), 1U);
  EXPECT_EQ(rest.arguments[0].values, std::vector<std::string>{"half a line"});
}

TEST_F(ArgumentReaderTest, InterruptEndsAReadThatWaits) {
  ask(1);
  control->interrupt();
  const ArgumentsRead end = answer();
  EXPECT_TRUE(end.arguments.empty());
  EXPECT_TRUE(end.at_end);
  EXPECT_FALSE(end.error.has_value());
}

TEST_F(ArgumentReaderTest, EndsWithItsInput) {
  close_input();
  ask(1);
  EXPECT_TRUE(answer().at_end);
  ask(1);
  EXPECT_TRUE(answer().at_end) << "and says so again";
}

TEST_F(ArgumentReaderTest, ReportsAnErrorOfTheInput) {
  std::vector<fanout::ArgumentSource> sources(1);
  sources[0].name = "input";
  sources[0].bytes = make_reader(::open("/", O_RDONLY | O_CLOEXEC), control);
  const actors::ActorRef broken =
      spawn_argument_reader(system,
                            std::make_shared<fanout::ArgumentStream>(
                                std::move(sources), fanout::ArgumentOptions{}),
                            control);
  (*self)->send(broken, ReadArguments{1});
  const ArgumentsRead end = answer();
  EXPECT_TRUE(end.at_end);
  ASSERT_TRUE(end.error.has_value());
  EXPECT_NE(end.error->what.find("cannot read arguments: is a directory"),
            std::string::npos)
      << end.error->what;
  actors::stop(broken);
}

}  // namespace
}  // namespace troupe::cli
