#include "record_writer.hpp"
#include "temp_dir.hpp"

#include <troupe/process/output_record.hpp>

#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace troupe::process {
namespace {

constexpr WallTime noon{std::chrono::hours{12}};

/// What is there from where `reader` stands.
std::string rest_of(RecordReader& reader) {
  std::string bytes;
  while (const auto frame = reader.next().value())
    bytes += frame->bytes;
  return bytes;
}

std::string text_of(const std::deque<RecordPiece>& pieces) {
  std::string text;
  for (const RecordPiece& piece : pieces)
    text += piece.bytes;
  return text;
}

class OutputRecordTest : public ::testing::Test {
 protected:
  RecordReader open(std::uint64_t offset = 0) const {
    return std::move(RecordReader::open(path, offset).value());
  }

  testing::TempDir dir;
  std::string path = dir.path("record");
  RecordWriter writer{{.path = path}};
};

TEST_F(OutputRecordTest, FollowsAFileThatGrows) {
  EXPECT_EQ(RecordReader::open(path).error().code, Errc::not_found);
  writer.write(RecordKind::out, "one", noon);
  RecordReader reader = open();
  const auto frame = reader.next().value().value();
  EXPECT_EQ(frame.kind, RecordKind::out);
  EXPECT_EQ(frame.time, noon);
  EXPECT_EQ(frame.bytes, "one");
  EXPECT_EQ(reader.next().value(), std::nullopt);
  writer.write(RecordKind::err, "two", noon);
  EXPECT_EQ(reader.next().value().value().kind, RecordKind::err);
  EXPECT_EQ(reader.next().value(), std::nullopt);
}

TEST_F(OutputRecordTest, ItsFolderIsMadeWithTheFirstByte) {
  const std::string folder = dir.path("thousand");
  const std::string file = folder + "/job/0.1";
  RecordWriter silent{{.path = file}};
  silent.finish(noon);
  EXPECT_FALSE(std::filesystem::exists(folder));
  RecordWriter talkative{{.path = file}};
  talkative.write(RecordKind::out, "one", noon);
  RecordReader reader = std::move(RecordReader::open(file).value());
  EXPECT_EQ(rest_of(reader), "one");
}

TEST_F(OutputRecordTest, CountsWhatHasNoFolderAndCannotHaveOne) {
  writer.write(RecordKind::out, "one", noon);
  RecordWriter lost{{.path = path + "/0.1"}};  // Below a file.
  lost.write(RecordKind::out, "two", noon);
  lost.finish(noon);
  EXPECT_EQ(lost.unrecorded_bytes(), 3U);
}

TEST_F(OutputRecordTest, GoesOnWhereItWas) {
  writer.write(RecordKind::out, "one", noon);
  RecordReader reader = open();
  EXPECT_EQ(rest_of(reader), "one");
  writer.write(RecordKind::out, "two", noon);
  RecordReader later = open(reader.offset());
  EXPECT_EQ(rest_of(later), "two");
}

TEST_F(OutputRecordTest, AFrameThatIsTakenBackWasNeverThere) {
  writer.write(RecordKind::out, "one", noon);
  const auto size = std::filesystem::file_size(path);
  writer.write(RecordKind::out, "two, which is torn", noon);
  std::filesystem::resize_file(path, size + 15);
  RecordReader reader = open();
  EXPECT_EQ(rest_of(reader), "one");
  std::filesystem::resize_file(path, size);
  writer.write(RecordKind::out, "three", noon);
  EXPECT_EQ(rest_of(reader), "three");
}

TEST_F(OutputRecordTest, ReadsTheCompressedFormAlike) {
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string piece = std::string(
        static_cast<std::size_t>(i % 1500) + 1, static_cast<char>(i));
    writer.write(RecordKind::out, piece, noon);
    expected += piece;
  }
  RecordReader follower = open();
  (void)follower.next();
  const std::uint64_t offset = follower.offset();
  ASSERT_TRUE(compress_record(path));
  EXPECT_EQ(::access(path.c_str(), F_OK), -1);
  EXPECT_LT(std::filesystem::file_size(path + ".zst"), expected.size() / 4);

  RecordReader whole = open();
  EXPECT_EQ(rest_of(whole), expected);
  RecordReader later = open(offset);
  EXPECT_EQ(rest_of(later), expected.substr(1));
  EXPECT_EQ(rest_of(follower), expected.substr(1));
  EXPECT_EQ(later.offset(), follower.offset());
  EXPECT_TRUE(compress_record(path)) << "a second time";
}

TEST_F(OutputRecordTest, SaysWhatCannotBeCompressed) {
  EXPECT_EQ(compress_record(path).error().code, Errc::not_found);
}

TEST_F(OutputRecordTest, RefusesADamagedFileForEver) {
  writer.write(RecordKind::out, "one", noon);
  dir.write("record", dir.read("record") + std::string(20, '\xff'));
  RecordReader reader = open();
  EXPECT_TRUE(reader.next());
  EXPECT_EQ(reader.next().error().code, Errc::corrupt);
  EXPECT_EQ(reader.next().error().code, Errc::corrupt);
  dir.write("record.zst", "\x28\xb5\x2f\xfd and nonsense");
  std::filesystem::remove(path);
  RecordReader compressed = open();
  EXPECT_EQ(compressed.next().error().code, Errc::corrupt);
}

TEST_F(OutputRecordTest, TheTailIsTheLastLinesOfBothStreams) {
  for (const char* piece : {"a\nb", "b\n", "c\nd\n", "e"})
    writer.write(piece[0] == 'b' ? RecordKind::err : RecordKind::out, piece,
                 noon);
  const std::vector<std::string> expected{"",
                                          "e",
                                          "d\ne",
                                          "c\nd\ne",
                                          "bb\nc\nd\ne",
                                          "a\nbb\nc\nd\ne",
                                          "a\nbb\nc\nd\ne"};
  for (std::size_t lines = 0; lines < expected.size(); ++lines) {
    RecordReader reader = open();
    EXPECT_EQ(text_of(reader.tail(lines).value()), expected[lines]) << lines;
  }
  writer.write(RecordKind::out, "\n", noon);
  RecordReader reader = open();
  EXPECT_EQ(text_of(reader.tail(2).value()), "d\ne\n");
}

TEST_F(OutputRecordTest, TheTailIsBoundedWhateverTheLinesAre) {
  const std::string piece(most_record_bytes, 'x');
  for (int i = 0; i < 40; ++i)
    writer.write(RecordKind::out, piece, noon);
  RecordReader reader = open();
  EXPECT_LE(text_of(reader.tail(10).value()).size(),
            RecordReader::most_tail_bytes);
  writer.write(RecordKind::out, "more", noon);
  EXPECT_EQ(rest_of(reader), "more");
}

TEST_F(OutputRecordTest, TheTailTellsOfAGap) {
  RecordWriter bounded{{.path = dir.path("bounded"), .most_bytes = 2}};
  bounded.write(RecordKind::out, "a\nb\n", noon);
  bounded.finish(noon);
  auto reader = RecordReader::open(dir.path("bounded")).value();
  const auto pieces = reader.tail(1).value();
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].bytes, "a\n");
  EXPECT_EQ(pieces[1].unrecorded_bytes, 2U);
}

}  // namespace
}  // namespace troupe::process
