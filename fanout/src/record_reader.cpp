#include <troupe/base/assert.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/record_reader.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fmt/format.h>

namespace troupe::fanout {
namespace {

constexpr std::size_t block_bytes = 64 << 10;

/// The byte that `\` and the front of `rest` stand for, which is taken off.
std::optional<char> take_escape(std::string_view& rest) {
  if (rest.empty())
    return std::nullopt;
  constexpr std::string_view names = "ntrabfv\\";
  constexpr std::string_view bytes = "\n\t\r\a\b\f\v\\";
  if (const auto at = names.find(rest.front()); at != std::string_view::npos) {
    rest.remove_prefix(1);
    return bytes[at];
  }
  const bool hexadecimal = rest.front() == 'x';
  if (hexadecimal)
    rest.remove_prefix(1);
  const std::string_view digits = rest.substr(0, hexadecimal ? 2 : 3);
  unsigned value = 0;
  const auto [next, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value,
                      hexadecimal ? 16 : 8);
  if (error != std::errc{} || value > 255)
    return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(next - digits.data()));
  return static_cast<char>(value);
}

}  // namespace

Result<std::string> parse_delimiter(std::string_view text) {
  const auto refuse = [text] {
    return failure(
        Errc::invalid_argument,
        fmt::format("expected a delimiter such as , or \\t, got \"{}\"",
                    printable(text)));
  };
  std::string delimiter;
  std::string_view rest = text;
  while (!rest.empty()) {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\') {
      const auto escaped = take_escape(rest);
      if (!escaped)
        return refuse();
      c = *escaped;
    }
    delimiter += c;
  }
  if (delimiter.empty())
    return refuse();
  return delimiter;
}

RecordReader::RecordReader(std::unique_ptr<ByteReader> bytes,
                           RecordFormat format, std::string name)
    : bytes_{std::move(bytes)},
      format_{std::move(format)},
      name_{std::move(name)},
      buffer_(block_bytes) {
  TROUPE_ASSERT(bytes_ != nullptr);
  TROUPE_ASSERT(!format_.separator.empty());
}

Result<std::optional<std::string_view>> RecordReader::next() {
  while (true) {
    auto record = next_record();
    if (!record || !*record)
      return record;
    ++records_;
    if (!format_.skip_blank ||
        !std::all_of((*record)->begin(), (*record)->end(), is_space))
      return checked(**record);
  }
}

Result<std::optional<std::string_view>> RecordReader::next_record() {
  const std::string& separator = format_.separator;
  while (true) {
    const std::string_view pending{buffer_.data() + begin_, end_ - begin_};
    const auto length = pending.find(separator, scanned_ - begin_);
    if (length != std::string_view::npos) {
      begin_ += length + separator.size();
      scanned_ = begin_;
      return pending.substr(0, length);
    }
    if (at_end_) {
      begin_ = end_;
      scanned_ = end_;
      if (pending.empty())
        return std::nullopt;
      return pending;
    }
    // A separator may lie across the end of what was read.
    const std::size_t tail = std::min(pending.size(), separator.size() - 1);
    scanned_ = end_ - tail;
    if (pending.size() - tail > format_.longest_record_bytes) {
      ++records_;
      return checked(pending);
    }
    if (auto filled = fill(); !filled)
      return tl::unexpected(std::move(filled.error()));
  }
}

Result<void> RecordReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < block_bytes)
    buffer_.resize(end_ + block_bytes);
  const auto count =
      bytes_->read(std::span{buffer_}.subspan(end_, block_bytes));
  if (!count)
    return tl::unexpected(Error{count.error()}.within(name_));
  TROUPE_ASSERT(*count <= block_bytes);
  at_end_ = *count == 0;
  end_ += *count;
  return {};
}

Result<std::optional<std::string_view>> RecordReader::checked(
    std::string_view record) {
  if (record.size() > format_.longest_record_bytes)
    return refuse(
        fmt::format("is longer than {} bytes, more than a program can get in "
                    "one argument",
                    format_.longest_record_bytes));
  if (record.find('\0') != std::string_view::npos)
    return refuse(
        "holds a NUL byte, which no argument can; if records end in NUL, use "
        "-0");
  return record;
}

tl::unexpected<Error> RecordReader::refuse(std::string_view what) const {
  return failure(Errc::invalid_argument,
                 fmt::format("{}: record {} {}", name_, records_, what));
}

}  // namespace troupe::fanout
