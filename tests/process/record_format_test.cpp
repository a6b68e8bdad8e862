#include <troupe/process/output_record.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <vector>

namespace troupe::process {
namespace {

using rc::gen::inRange;

/// As a reader sees it, with its own bytes.
struct Said {
  RecordKind kind = RecordKind::out;
  std::int64_t time_us = 0;
  std::string bytes;
  std::uint64_t unrecorded = 0;

  friend bool operator==(const Said&, const Said&) = default;
};

RecordFrame frame_of(const Said& said) {
  return {.kind = said.kind,
          .time = WallTime{std::chrono::microseconds{said.time_us}},
          .bytes = said.bytes,
          .unrecorded_bytes = said.unrecorded};
}

Said said_in(const RecordFrame& frame) {
  return {.kind = frame.kind,
          .time_us = std::chrono::duration_cast<std::chrono::microseconds>(
                         frame.time.time_since_epoch())
                         .count(),
          .bytes = std::string{frame.bytes},
          .unrecorded = frame.unrecorded_bytes};
}

rc::Gen<Said> any_said() {
  return rc::gen::exec([] {
    Said said;
    said.kind = static_cast<RecordKind>(*inRange(1, 4));
    said.time_us = *inRange<std::int64_t>(0, 4'000'000'000'000'000);
    if (said.kind == RecordKind::gap)
      said.unrecorded = *rc::gen::arbitrary<std::uint64_t>();
    else
      said.bytes = *rc::gen::nonEmpty(rc::gen::arbitrary<std::string>());
    return said;
  });
}

std::string file_of(const std::vector<Said>& all) {
  std::string file = record_header();
  for (const Said& said : all) {
    file += record_frame_header(frame_of(said));
    file += said.bytes;
  }
  return file;
}

/// All whole frames of a file.
std::vector<Said> read_all(std::string_view file) {
  std::vector<Said> all;
  const auto header = parse_record_header(file).value();
  if (!header)
    return all;
  file.remove_prefix(*header);
  while (const auto parsed = parse_record_frame(file).value()) {
    all.push_back(said_in(parsed->frame));
    file.remove_prefix(parsed->size);
  }
  return all;
}

TEST(RecordFormat, GivesBackWhatWasWritten) {
  EXPECT_TRUE(rc::check([] {
    const auto all = *rc::gen::container<std::vector<Said>>(any_said());
    RC_ASSERT(read_all(file_of(all)) == all);
  }));
}

TEST(RecordFormat, AFileThatIsCutOffAnywhereHasTheFramesBefore) {
  EXPECT_TRUE(rc::check([] {
    const auto all = *rc::gen::container<std::vector<Said>>(any_said());
    const std::string file = file_of(all);
    const auto size = *inRange<std::size_t>(0, file.size());
    const auto some = read_all(std::string_view{file}.substr(0, size));
    RC_ASSERT(some.size() <= all.size());
    RC_ASSERT(std::equal(some.begin(), some.end(), all.begin()));
    RC_ASSERT(file_of(some).size() <= std::max(size, record_header_size));
  }));
}

TEST(RecordFormat, AnswersToAnyBytes) {
  EXPECT_TRUE(rc::check([](const std::string& garbage) {
    (void)parse_record_header(garbage);
    const auto parsed = parse_record_frame(garbage);
    RC_ASSERT(!parsed || !*parsed || (*parsed)->size <= garbage.size());
  }));
}

TEST(RecordFormat, RefusesWhatIsNotARecordAndWhatIsOfALaterVersion) {
  EXPECT_EQ(parse_record_header("#!/bin/sh").error().code, Errc::corrupt);
  std::string later = record_header();
  later.back() = 2;
  EXPECT_EQ(parse_record_header(later).error().code, Errc::unsupported);
  EXPECT_EQ(parse_record_header("TRP").value(), std::nullopt);
}

TEST(RecordFormat, RefusesALengthAboveTheLimitBeforeTheBytesCome) {
  std::string header = record_frame_header({.bytes = "x"});
  header[2] = 1;  // 65,537
  EXPECT_EQ(parse_record_frame(header).error().code, Errc::corrupt);
}

TEST(RecordFormat, IsLaidOutAsTheHeaderSays) {
  const RecordFrame frame{
      .kind = RecordKind::err,
      .time = WallTime{std::chrono::microseconds{0x0102030405}},
      .bytes = "ab"};
  EXPECT_EQ(record_header(), std::string("TRPREC\0\1", 8));
  EXPECT_EQ(record_frame_header(frame),
            std::string("\2\0\0\0\2\5\4\3\2\1\0\0\0", 13));
}

}  // namespace
}  // namespace troupe::process
