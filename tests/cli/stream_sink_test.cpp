#include "stream_sink.hpp"

#include <array>
#include <csignal>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace troupe::cli {
namespace {

using process::SinkState;
using process::Stream;

class StreamSinkTest : public ::testing::Test {
 protected:
  StreamSinkTest() {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(::pipe(ends.data()), 0);
    sink.emplace(io, ends[1], [this] { ++broken; });
    sink->on_attach([this] { ++resumed; });
  }
  ~StreamSinkTest() override {
    sink.reset();
    close_reader();
    ::close(ends[1]);
  }

  void close_reader() {
    if (ends[0] >= 0)
      ::close(std::exchange(ends[0], -1));
  }

  SinkState write(std::string_view bytes) {
    return sink->write(Stream::out, bytes);
  }

  /// Fills the pipe and what may wait, and returns how much that is.
  std::size_t write_until_full() {
    const std::string piece(64 << 10, 'x');
    std::size_t written = 0;
    SinkState state = SinkState::ready;
    while (state == SinkState::ready) {
      state = write(piece);
      written += piece.size();
      EXPECT_LT(written, std::size_t{4} << 20);
    }
    return written;
  }

  std::size_t read_some() {
    const ssize_t got = ::read(ends[0], buffer.data(), buffer.size());
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }

  boost::asio::io_context io;
  std::array<int, 2> ends{};
  std::array<char, 64 << 10> buffer{};
  std::optional<StreamSink> sink;
  int broken = 0;
  int resumed = 0;
};

TEST_F(StreamSinkTest, WritesAtOnceWhatFits) {
  EXPECT_EQ(write("some "), SinkState::ready);
  EXPECT_EQ(write("text"), SinkState::ready);
  EXPECT_EQ(read_some(), 9U);
  EXPECT_EQ(std::string(buffer.data(), 9), "some text");
  bool done = false;
  sink->when_written([&] { done = true; });
  EXPECT_TRUE(done);
  EXPECT_EQ(resumed, 0) << "nobody was held back";
}

TEST_F(StreamSinkTest, HoldsBackWhoWritesMoreThanIsRead) {
  const std::size_t written = write_until_full();
  bool done = false;
  sink->when_written([&] { done = true; });
  io.poll();
  EXPECT_FALSE(done);
  EXPECT_EQ(resumed, 0);

  std::size_t got = 0;
  while (got < written) {
    got += read_some();
    io.restart();
    io.poll();
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(resumed, 1);
  EXPECT_EQ(write("more"), SinkState::ready);
}

TEST_F(StreamSinkTest, WithoutAReaderSaysSoOnceAndDropsTheRest) {
  close_reader();
  EXPECT_EQ(write("a"), SinkState::ready);
  EXPECT_EQ(write("b"), SinkState::ready);
  EXPECT_EQ(broken, 1);
}

TEST_F(StreamSinkTest, WhoseReaderGoesWhileItWaitsHoldsNobodyBack) {
  write_until_full();
  bool done = false;
  sink->when_written([&] { done = true; });
  close_reader();
  io.restart();
  io.run_one();
  EXPECT_EQ(broken, 1);
  EXPECT_EQ(resumed, 1);
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace troupe::cli
