#pragma once

#include <troupe/fanout/record_reader.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

namespace troupe::fanout {

/// A ByteReader over a text, which gives at most `most` bytes at a time.
class TextBytes final : public ByteReader {
 public:
  explicit TextBytes(std::string text, std::size_t most = 1 << 20)
      : text_{std::move(text)}, most_{most} {}

  Result<std::size_t> read(std::span<char> buffer) override {
    const std::size_t count =
        std::min({buffer.size(), most_, text_.size() - at_});
    std::copy_n(text_.data() + at_, count, buffer.data());
    at_ += count;
    return count;
  }

 private:
  std::string text_;
  std::size_t most_;
  std::size_t at_ = 0;
};

inline std::unique_ptr<ByteReader> bytes_of(std::string text,
                                            std::size_t most = 1 << 20) {
  return std::make_unique<TextBytes>(std::move(text), most);
}

/// An endless stream of the lines "line", which counts what was taken.
class EndlessBytes final : public ByteReader {
 public:
  explicit EndlessBytes(std::size_t& taken) : taken_{taken} {}

  Result<std::size_t> read(std::span<char> buffer) override {
    constexpr std::string_view line = "line\n";
    std::size_t count = 0;
    for (; count + line.size() <= buffer.size(); count += line.size())
      std::copy_n(line.data(), line.size(), buffer.data() + count);
    taken_ += count;
    return count;
  }

 private:
  std::size_t& taken_;
};

class BrokenBytes final : public ByteReader {
 public:
  Result<std::size_t> read(std::span<char> /*buffer*/) override {
    return failure(Errc::unavailable, "read: input/output error");
  }
};

}  // namespace troupe::fanout
