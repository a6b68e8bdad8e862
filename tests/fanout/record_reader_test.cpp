#include "text_bytes.hpp"

#include <troupe/fanout/record_reader.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::fanout {
namespace {

using Records = std::vector<std::string>;

/// All records; the text of the error last, if there is one.
Records read_all(std::unique_ptr<ByteReader> bytes, RecordFormat format = {}) {
  RecordReader reader{std::move(bytes), std::move(format), "input"};
  Records records;
  while (true) {
    const auto record = reader.next();
    if (!record)
      records.push_back("error: " + record.error().what);
    if (!record || !*record)
      return records;
    records.emplace_back(**record);
  }
}

TEST(RecordReader, ReadsLinesAsGnuParallelDoes) {
  EXPECT_EQ(read_all(bytes_of("a\r\nb\n\n  c d \n")),
            (Records{"a\r", "b", "", "  c d "}));
  EXPECT_EQ(read_all(bytes_of("a\nb")), (Records{"a", "b"}));
  EXPECT_EQ(read_all(bytes_of("")), Records{});
  EXPECT_EQ(read_all(bytes_of("\n")), (Records{""}));
}

TEST(RecordReader, DropsBlankRecordsOnRequest) {
  EXPECT_EQ(read_all(bytes_of("a\n\n \t\nb\n"), {.skip_blank = true}),
            (Records{"a", "b"}));
}

TEST(RecordReader, ReadsOtherSeparators) {
  EXPECT_EQ(read_all(bytes_of(std::string{"a\0b\nc\0", 6}),
                     {.separator = std::string(1, '\0')}),
            (Records{"a", "b\nc"}));
  EXPECT_EQ(read_all(bytes_of("a,b,\nc"), {.separator = ","}),
            (Records{"a", "b", "\nc"}));
  EXPECT_EQ(read_all(bytes_of("aXXbXXXc", 1), {.separator = "XX"}),
            (Records{"a", "b", "Xc"}));
}

TEST(RecordReader, NamesTheRecordThatNoProgramCanGet) {
  EXPECT_EQ(read_all(bytes_of("a\n12345\n123456\nb\n", 3),
                     {.longest_record_bytes = 5}),
            (Records{"a", "12345",
                     "error: input: record 3 is longer than 5 bytes, more than "
                     "a program can get in one argument"}));
  EXPECT_EQ(read_all(bytes_of(std::string{"a\nb\0c\n", 6})),
            (Records{"a",
                     "error: input: record 2 holds a NUL byte, which no "
                     "argument can; if records end in NUL, use -0"}));
}

TEST(RecordReader, StopsReadingARecordThatNeverEnds) {
  const std::string no_separator(10 << 20, 'x');
  EXPECT_EQ(read_all(bytes_of(no_separator)),
            (Records{"error: input: record 1 is longer than 131071 bytes, more "
                     "than a program can get in one argument"}));
}

TEST(RecordReader, PassesOnWhatTheBytesSay) {
  EXPECT_EQ(read_all(std::make_unique<BrokenBytes>()),
            (Records{"error: input: read: input/output error"}));
}

TEST(RecordReader, IsIndifferentToHowTheBytesArrive) {
  EXPECT_TRUE(rc::check("records do not depend on the blocks", [] {
    const auto separator = *rc::gen::element<std::string>(",", "ab", "aab");
    const auto records = *rc::gen::container<Records>(
        rc::gen::container<std::string>(rc::gen::element('x', 'b', 'c')));
    const auto block = *rc::gen::inRange<std::size_t>(1, 9);
    std::string text;
    for (const auto& record : records)
      text += record + separator;
    RC_ASSERT(read_all(bytes_of(text, block), {.separator = separator}) ==
              records);
  }));
}

TEST(ParseDelimiter, UnderstandsEscapes) {
  EXPECT_EQ(parse_delimiter(","), ",");
  EXPECT_EQ(parse_delimiter("::"), "::");
  EXPECT_EQ(parse_delimiter("\\t"), "\t");
  EXPECT_EQ(parse_delimiter("\\0"), std::string(1, '\0'));
  EXPECT_EQ(parse_delimiter("\\x41\\102\\\\"), "AB\\");
  for (const char* bad : {"", "\\", "\\q", "\\x", "\\xg", "\\400", "\\x-1"})
    EXPECT_FALSE(parse_delimiter(bad).has_value()) << bad;
  EXPECT_EQ(parse_delimiter("\\q").error().what,
            "expected a delimiter such as , or \\t, got \"\\q\"");
}

}  // namespace
}  // namespace troupe::fanout
