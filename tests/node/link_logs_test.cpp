/// Output of one node that is read at another one, over real sockets.
#include "link_logs.hpp"

#include "content_stream.hpp"
#include "link_peers.hpp"
#include "temp_dir.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/content/content.hpp>
#include <troupe/process/output_record.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace troupe::node {
namespace {

using distributed::NodeId;
using link::LinkEnd;
using link::LogOpen;
using link::Message;
using link::node_id;
using process::RecordKind;

/// One end, as a node has it.
class End final : public link::LinksOwner {
 public:
  void on_up(const NodeId&, const link::Hello&) override {}
  void on_message(const NodeId& peer, Message message) override {
    std::visit(
        Overload{[&](const LogOpen& m) { logs->on_open(peer, m); },
                 [&](const link::ContentOpen& m) { logs->on_open(peer, m); },
                 [&](const link::LogChunk& m) {
                   received += m.bytes.size();
                   logs->on_chunk(peer, m);
                 },
                 [&](const link::LogClose& m) { logs->on_close(peer, m); },
                 [](const auto&) {}},
        message);
  }
  void on_down(const std::optional<NodeId>& peer, const std::string&, LinkEnd,
               const std::string&, bool) override {
    if (peer)
      logs->on_down(*peer);
  }
  void on_room(const NodeId& peer) override { logs->on_room(peer); }
  void on_log_room(const NodeId& peer, std::uint64_t stream) override {
    logs->on_log_room(peer, stream);
  }

  std::unique_ptr<link::Links> links;
  std::unique_ptr<LinkLogs> logs;
  std::size_t received = 0;
};

std::string frame_of(const std::string& bytes) {
  return process::record_frame_header(
             {.kind = RecordKind::out, .time = {}, .bytes = bytes}) +
         bytes;
}

/// Writes as much as there is room for, until it was enough.
class Pourer : public std::enable_shared_from_this<Pourer> {
 public:
  Pourer(std::shared_ptr<LogSink> sink, std::size_t frames)
      : sink_{std::move(sink)}, left_{frames} {}

  void pour() {
    while (left_ != 0 && sink_->wants_more()) {
      sink_->write(frame_of(std::string(size, 'x')));
      --left_;
    }
    if (left_ == 0)
      sink_->end();
    else
      sink_->on_drained([self = shared_from_this()] { self->pour(); });
  }
  static constexpr std::size_t size = 50'000;

 private:
  std::shared_ptr<LogSink> sink_;
  std::size_t left_;
};

/// Node 1 reads what node 2 has.
class LinkLogsTest : public link::LinksTest {
 protected:
  void SetUp() override {
    const auto one = cluster.identity(1);
    const auto two = cluster.identity(2);
    const auto roster =
        link::roster_of({link::entry_of(one), link::entry_of(two)});
    owner.links = open(options(two, true), roster, owner);
    owner.logs = std::make_unique<LinkLogs>(
        io, *owner.links,
        [this](const LogOpen& what, std::shared_ptr<LogSink> sink) {
          asked = what;
          serve(std::move(sink));
        },
        [this](const link::ContentOpen& what, std::shared_ptr<LogSink> sink) {
          serve_content(io, folder.path() + "/content", what, std::move(sink));
        });
    reader.links = open(options(one), roster, reader);
    reader.logs = std::make_unique<LinkLogs>(
        io, *reader.links, [](const LogOpen&, const auto&) {},
        [](const link::ContentOpen&, const auto&) {});
    reader.links->want(node_id(2), *owner.links->address());
    ASSERT_TRUE(run_until([this] {
      return reader.links->is_up(node_id(2)) && owner.links->is_up(node_id(1));
    }));
  }

  std::shared_ptr<RemoteLog> ask() {
    auto log = reader.logs->open(
        node_id(2), {.job = 7, .task = 3, .attempt = 2, .tail = 5});
    EXPECT_NE(log, nullptr);
    return log;
  }

  /// Until it is over, or `most` bytes were read.
  std::string read(RemoteLog& log, std::size_t most = SIZE_MAX) {
    std::string all;
    EXPECT_TRUE(run_until([&] {
      while (all.size() < most) {
        const auto frame = log.next();
        EXPECT_TRUE(frame.has_value());
        if (!frame || !*frame)
          return log.is_over();
        all += (*frame)->bytes;
      }
      return true;
    }));
    return all;
  }

  void TearDown() override {
    for (End* const end : {&reader, &owner}) {
      end->logs.reset();
      end->links.reset();
    }
  }

  End owner;
  End reader;
  /// Of the content of node 2.
  std::string fetch(link::ContentKind what, const std::string& name) {
    const auto remote =
        reader.logs->open_content(node_id(2), {.what = what, .name = name});
    EXPECT_NE(remote, nullptr);
    std::string all;
    EXPECT_TRUE(run_until([&] {
      for (std::string piece = remote->take(70'000); !piece.empty();
           piece = remote->take(70'000))
        all += piece;
      return remote->is_over();
    }));
    EXPECT_FALSE(remote->is_cut_off());
    return all + remote->take(SIZE_MAX);
  }

  testing::TempDir folder;
  std::function<void(std::shared_ptr<LogSink>)> serve = [](const auto&) {};
  LogOpen asked;
};

TEST_F(LinkLogsTest, WhatOneNodeHasIsReadAtAnotherAndEndsThere) {
  serve = [](const std::shared_ptr<LogSink>& sink) {
    sink->write(frame_of("one\n"));
    sink->write(frame_of("two\n"));
    sink->end();
  };
  const auto log = ask();
  EXPECT_EQ(read(*log), "one\ntwo\n");
  EXPECT_FALSE(log->is_cut_off());
  EXPECT_EQ(asked.job, 7U);
  EXPECT_EQ(asked.task, 3U);
  EXPECT_EQ(asked.attempt, 2U);
  EXPECT_EQ(asked.tail, 5U);
}

TEST_F(LinkLogsTest, WhoDoesNotReadOnHoldsAWindowAndGetsAllInTheEnd) {
  constexpr std::size_t frames = 100;
  serve = [&](std::shared_ptr<LogSink> sink) {
    std::make_shared<Pourer>(std::move(sink), frames)->pour();
  };
  const auto log = ask();
  // One that is asked later comes past it.
  ASSERT_TRUE(
      run_until([&] { return reader.received + Pourer::size > 1'000'000; }));
  const auto other = ask();
  std::size_t of_other = read(*other).size();
  EXPECT_EQ(of_other, frames * Pourer::size);
  EXPECT_LE(reader.received - of_other,
            RemoteLog::window + frames * (process::record_frame_header_size));
  EXPECT_EQ(read(*log).size(), frames * Pourer::size);
}

TEST_F(LinkLogsTest, FilesComeAsTheyAreAndWhatIsNotThereIsEmpty) {
  using link::ContentKind;
  EXPECT_EQ(fetch(ContentKind::blob, content::sha256_of("x")), "");
  const auto blobs = content::BlobStore::open(folder.path() + "/content");
  ASSERT_TRUE(blobs);
  const auto lock = blobs->lock_to_add();
  // More than a window.
  const std::string bytes(3 * RemoteLog::window + 17, 'x');
  const auto hash = blobs->keep(*lock, bytes, content::Sync::no);
  ASSERT_TRUE(hash);
  EXPECT_TRUE(fetch(ContentKind::blob, *hash) == bytes);
  const content::ArtifactStore artifacts{*blobs};
  for (const char* const instance : {"eu", "us"})
    ASSERT_TRUE(artifacts.save(
        *lock, {.run = "r7", .job = "a/b", .instance = instance, .name = "c"}));
  const std::string lines = fetch(ContentKind::artifact, "r7/a/b.c");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_TRUE(content::artifact_from_bytes(lines.substr(0, lines.find('\n'))));
  for (const char* const name :
       {"r7/a/b.d", "r8/a/b.c", "r7", "../../etc/passwd", "/etc/passwd"}) {
    EXPECT_EQ(fetch(ContentKind::artifact, name), "") << name;
    EXPECT_EQ(fetch(ContentKind::blob, name), "") << name;
    EXPECT_EQ(fetch(ContentKind::result, name), "") << name;
  }
}

TEST_F(LinkLogsTest, WhatIsBrokenOffIsNotTakenForAll) {
  serve = [](const std::shared_ptr<LogSink>& sink) { sink->break_off(); };
  const auto log = ask();
  EXPECT_EQ(read(*log), "");
  EXPECT_TRUE(log->is_cut_off());
  EXPECT_FALSE(log->has_received());
}

TEST_F(LinkLogsTest, WhoWantsNoMoreEndsItAtTheOtherNode) {
  std::shared_ptr<LogSink> sink;
  bool is_closed = false;
  serve = [&](const std::shared_ptr<LogSink>& given) {
    sink = given;
    sink->on_closed([&] { is_closed = true; });
    sink->write(frame_of("one\n"));
  };
  auto log = ask();
  EXPECT_EQ(read(*log, 1), "one\n");
  log.reset();
  EXPECT_TRUE(run_until([&] { return is_closed; }));
  EXPECT_TRUE(sink->is_over());
  sink->write("nobody reads it");
  sink->end();
}

TEST_F(LinkLogsTest, ALinkThatBreaksCutsOffWhatWentOverIt) {
  std::shared_ptr<LogSink> sink;
  serve = [&](const std::shared_ptr<LogSink>& given) {
    sink = given;
    sink->write(frame_of("one\n"));
  };
  const auto log = ask();
  EXPECT_EQ(read(*log, 1), "one\n");
  bool is_told = false;
  log->on_more([&] { is_told = true; });
  owner.logs.reset();
  owner.links.reset();
  EXPECT_TRUE(run_until([&] { return is_told; }));
  EXPECT_TRUE(log->is_over());
  EXPECT_TRUE(log->is_cut_off());
  EXPECT_TRUE(sink->is_over());
  // And nobody can be asked any more.
  EXPECT_EQ(reader.logs->open(node_id(2), {.job = 1, .attempt = 1}), nullptr);
}

}  // namespace
}  // namespace troupe::node
