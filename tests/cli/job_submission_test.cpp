#include "job_submission.hpp"

#include "fake_node.hpp"
#include "job_logs.hpp"
#include "job_wait.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using api::Json;

class TextReader : public fanout::ByteReader {
 public:
  explicit TextReader(std::string text) : text_{std::move(text)} {}
  Result<std::size_t> read(std::span<char> buffer) override {
    const std::size_t size = std::min(buffer.size(), text_.size() - at_);
    std::memcpy(buffer.data(), text_.data() + at_, size);
    at_ += size;
    return size;
  }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

class Submission : public ::testing::Test {
 protected:
  Submission() {
    node.on_text("POST /v1/jobs", R"({"job":17,"is_new":true})");
    node.on_text("POST /v1/jobs/17/arguments", "{}");
    node.on_text("POST /v1/jobs/17/seal", R"({"job":17,"state":"queued"})");
    node.on_text("POST /v1/jobs/17/cancel", "{}");
  }

  Result<SubmittedJob> submit(const std::string& text,
                              bool is_patient = false) {
    fanout::RecordReader records{
        std::make_unique<TextReader>(text), {}, "list.txt"};
    return submit_records(calls, Json{{"request_id", "r1"}}, records,
                          is_patient);
  }

  /// How many arguments the chunk had that was asked as number `i`.
  std::size_t arguments_of(std::size_t i) {
    const std::string& asked = node.asked.at(i);
    return Json::parse(asked.substr(asked.find('{')))["arguments"].size();
  }

  FakeNode node;
  FakeNode::Client client{node};
  NodeCalls calls{client,
                  [this](Duration time) { node.pauses.push_back(time); }};
};

std::string lines(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("{}\n", i);
  return text;
}

TEST_F(Submission, OfFewLinesIsOneCall) {
  const auto job = submit("a\n\nb c\n");
  ASSERT_TRUE(job);
  EXPECT_EQ(job->tasks, 3U);
  EXPECT_EQ(
      node.asked,
      (std::vector<std::string>{
          R"(POST /v1/jobs {"request_id":"r1","arguments":["a","","b c"]})"}));
}

TEST_F(Submission, OfManyLinesGoesChunkByChunk) {
  const auto job = submit(lines(2500));
  ASSERT_TRUE(job);
  EXPECT_EQ(job->tasks, 2500U);
  EXPECT_EQ(job->answer["state"], "queued");
  ASSERT_EQ(node.asked.size(), 5U);
  EXPECT_EQ(node.asked[0], R"(POST /v1/jobs {"request_id":"r1","open":true})");
  EXPECT_TRUE(node.asked[1].starts_with(
      R"(POST /v1/jobs/17/arguments {"chunk":0,"arguments":["0","1",)"));
  EXPECT_EQ(arguments_of(1), 1000U);
  EXPECT_EQ(arguments_of(2), 1000U);
  EXPECT_TRUE(node.asked[3].find(R"("chunk":2,"arguments":["2000")") !=
              std::string::npos);
  EXPECT_EQ(arguments_of(3), 500U);
  EXPECT_EQ(node.asked[4], "POST /v1/jobs/17/seal");
}

TEST_F(Submission, OfLongLinesKeepsEachChunkSmall) {
  std::string text;
  for (int i = 0; i < 10; ++i)
    text += std::string(100'000, '"') + "\n";  // Twice as long as JSON.
  const auto job = submit(text);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->tasks, 10U);
  ASSERT_EQ(node.asked.size(), 7U);
  for (std::size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(arguments_of(i), 2U);
    EXPECT_LT(node.asked[i].size(), most_chunk_bytes + 100);
  }
}

TEST_F(Submission, OfExactlyOneChunkLosesNothing) {
  const auto job = submit(lines(1000));
  ASSERT_TRUE(job);
  EXPECT_EQ(job->tasks, 1000U);
}

TEST_F(Submission, OfNothingIsRefused) {
  const auto job = submit("");
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().what, "there are no lines");
  EXPECT_TRUE(node.asked.empty());
}

TEST_F(Submission, OfALineThatIsNoTextCancelsTheJob) {
  const auto job = submit(lines(1500) + "\xff\n");
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().what,
            "job 17 was not completed and is cancelled: line 1501 is not "
            "UTF-8: \"\\xff\"");
  EXPECT_EQ(node.asked.back(), "POST /v1/jobs/17/cancel");
}

TEST_F(Submission, AsksAgainWithTheSameIdWhenTheAnswerIsLost) {
  node.answers["POST /v1/jobs"].push_front(failure(Errc::unavailable, "gone"));
  node.answers["POST /v1/jobs"].push_front(failure(Errc::unavailable, "gone"));
  ASSERT_TRUE(submit("a\n"));
  ASSERT_EQ(node.asked.size(), 3U);
  EXPECT_EQ(node.asked[0], node.asked[2]);
  EXPECT_EQ(node.pauses, (std::vector<Duration>{100ms, 200ms}));
}

TEST_F(Submission, DoesNotAskAgainANodeThatIsThereAndDoesNotAnswer) {
  node.answers["POST /v1/jobs"].push_front(
      failure(Errc::timed_out, "no answer"));
  EXPECT_EQ(submit("a\n").error().what, "no answer");
  EXPECT_TRUE(node.pauses.empty());
}

TEST_F(Submission, SaysAtOnceThatThereIsNoNode) {
  node.was_reached = false;
  node.answers["POST /v1/jobs"].push_front(
      failure(Errc::unavailable, "no node is running"));
  EXPECT_EQ(submit("a\n").error().what, "no node is running");
  EXPECT_TRUE(node.pauses.empty());
}

TEST_F(Submission, WaitsForRoomOnlyIfAsked) {
  node.retry_after = 1500ms;
  node.answers["POST /v1/jobs"].push_front(failure(Errc::overloaded, "full"));
  EXPECT_TRUE(submit("a\n", true));
  EXPECT_EQ(node.pauses, std::vector<Duration>{1500ms});
  node.answers["POST /v1/jobs"].push_front(failure(Errc::overloaded, "full"));
  EXPECT_EQ(submit("a\n").error().code, Errc::overloaded);
}

TEST_F(Submission, GivesUpANodeThatStaysAway) {
  node.answers["POST /v1/jobs"] = {failure(Errc::unavailable, "gone")};
  EXPECT_EQ(submit("a\n").error().what, "gone");
  Duration waited{0};
  for (const Duration pause : node.pauses)
    waited += pause;
  EXPECT_GE(waited, longest_absence);
  EXPECT_LT(waited, 2 * longest_absence);
}

QueueJob job(std::uint64_t number, const std::string& state) {
  return {.number = number, .state = state, .tasks = 1};
}

TEST(JobWait, IsOverWhenAllHaveEnded) {
  JobWait wait{{1, 2}, false};
  EXPECT_EQ(wait.left(), "1,2");
  wait.see(job(1, "succeeded"));
  wait.see(job(3, "failed"));
  EXPECT_FALSE(wait.is_over());
  EXPECT_EQ(wait.left(), "2");
  wait.see(job(2, "running"));
  wait.see(job(2, "cancelled"));
  EXPECT_TRUE(wait.is_over());
  EXPECT_FALSE(wait.is_success());
}

TEST(JobWait, OfAnyIsOverWithTheFirst) {
  JobWait wait{{1, 2}, true};
  wait.see(job(1, "running"));
  EXPECT_FALSE(wait.is_over());
  wait.see(job(2, "succeeded"));
  EXPECT_TRUE(wait.is_over());
  EXPECT_TRUE(wait.is_success());
}

TEST(RecordText, SeparatesTheStreamsAndTellsWhenALineCame) {
  using process::RecordKind;
  const WallTime noon{std::chrono::hours{12}};
  std::string bytes = process::record_header();
  const auto add = [&](RecordKind kind, std::string_view text) {
    const process::RecordFrame frame{.kind = kind, .time = noon, .bytes = text};
    bytes += process::record_frame_header(frame);
    bytes += text;
  };
  add(RecordKind::out, "a\nb");
  add(RecordKind::err, "x\n");
  add(RecordKind::out, "c\n");
  const auto text = [&](std::optional<RecordKind> only, bool timestamps) {
    RecordText record{only, timestamps};
    std::string all;
    for (const char c : bytes)
      all += record.add({&c, 1}).value();
    return all;
  };
  EXPECT_EQ(text({}, false), "a\nbx\nc\n");
  EXPECT_EQ(text(RecordKind::err, false), "x\n");
  EXPECT_EQ(text(RecordKind::out, true),
            "1970-01-01T12:00:00.000Z a\n1970-01-01T12:00:00.000Z bc\n");
  EXPECT_FALSE(RecordText({}, false).add("no record at all"));
}

TEST(LinePrefixer, JoinsPiecesToLines) {
  LinePrefixer lines{"17.3 | "};
  EXPECT_EQ(lines.add("a\nb"), "17.3 | a\n");
  EXPECT_EQ(lines.add("c\n\n"), "17.3 | bc\n17.3 | \n");
  EXPECT_EQ(lines.finish(), "");
  EXPECT_EQ(lines.add("end"), "");
  EXPECT_EQ(lines.finish(), "17.3 | end\n");
}

TEST(LinePrefixer, DoesNotKeepALineWithoutEnd) {
  LinePrefixer lines{"> "};
  const std::string piece(64 << 10, 'x');
  EXPECT_EQ(lines.add(piece), "> " + piece + "\n");
}

TEST(NodeTarget, EscapesWhatPeopleName) {
  EXPECT_EQ(node_target({"groups", "a/b c"}), "/v1/groups/a%2Fb%20c");
  EXPECT_EQ(node_target({"jobs"}, {{"tag", "ü&"}, {"limit", "5"}}),
            "/v1/jobs?tag=%C3%BC%26&limit=5");
  EXPECT_EQ(node_target({"events"}, {{"jobs", "1,2"}}),
            "/v1/events?jobs=1%2C2");
}

TEST(PauseAfter, GrowsUpToFiveSeconds) {
  EXPECT_EQ(pause_after(0), 100ms);
  EXPECT_EQ(pause_after(3), 800ms);
  EXPECT_EQ(pause_after(1000), 5s);
}

}  // namespace
}  // namespace troupe::cli
