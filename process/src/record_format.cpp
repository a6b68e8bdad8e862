#include <troupe/process/output_record.hpp>

#include <chrono>

namespace troupe::process {
namespace {

constexpr std::string_view magic{"TRPREC\0", 7};
constexpr char version = 1;
constexpr std::size_t gap_size = 8;

template <class T>
void append_number(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i)
    value |= static_cast<T>(static_cast<unsigned char>(bytes[at + i]))
             << (8 * i);
  return value;
}

std::uint64_t microseconds(WallTime time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(
          time.time_since_epoch())
          .count());
}

WallTime wall_time(std::uint64_t microseconds) {
  // The clock counts nanoseconds: what is after 2262 has no place in it.
  constexpr std::uint64_t latest = std::uint64_t{INT64_MAX} / 1000;
  return WallTime{std::chrono::microseconds{
      static_cast<std::int64_t>(std::min(microseconds, latest))}};
}

bool has_known_kind(RecordKind kind) {
  return kind == RecordKind::out || kind == RecordKind::err ||
         kind == RecordKind::gap;
}

bool has_right_size(RecordKind kind, std::uint32_t size) {
  if (kind == RecordKind::gap)
    return size == gap_size;
  return size > 0 && size <= most_record_bytes;
}

}  // namespace

std::string record_header() { return std::string{magic} + version; }

std::string record_frame_header(const RecordFrame& frame) {
  const bool is_gap = frame.kind == RecordKind::gap;
  std::string out;
  append_number(
      out, static_cast<std::uint32_t>(is_gap ? gap_size : frame.bytes.size()));
  append_number(out, static_cast<std::uint8_t>(frame.kind));
  append_number(out, microseconds(frame.time));
  if (is_gap)
    append_number(out, frame.unrecorded_bytes);
  return out;
}

Result<std::optional<std::size_t>> parse_record_header(std::string_view bytes) {
  const std::size_t present = std::min(bytes.size(), magic.size());
  if (bytes.substr(0, present) != magic.substr(0, present))
    return failure(Errc::corrupt, "this is not recorded output");
  if (bytes.size() < record_header_size)
    return std::nullopt;
  if (bytes[magic.size()] != version)
    return failure(Errc::unsupported,
                   "this output was recorded by a later version of troupe");
  return record_header_size;
}

Result<std::optional<ParsedRecordFrame>> parse_record_frame(
    std::string_view bytes) {
  if (bytes.size() < record_frame_header_size)
    return std::nullopt;
  const auto size = number_at<std::uint32_t>(bytes, 0);
  ParsedRecordFrame parsed;
  parsed.frame.kind =
      static_cast<RecordKind>(static_cast<unsigned char>(bytes[4]));
  if (!has_known_kind(parsed.frame.kind) ||
      !has_right_size(parsed.frame.kind, size))
    return failure(Errc::corrupt, "recorded output is damaged");
  if (bytes.size() < record_frame_header_size + size)
    return std::nullopt;
  parsed.size = record_frame_header_size + size;
  parsed.frame.time = wall_time(number_at<std::uint64_t>(bytes, 5));
  if (parsed.frame.kind == RecordKind::gap)
    parsed.frame.unrecorded_bytes =
        number_at<std::uint64_t>(bytes, record_frame_header_size);
  else
    parsed.frame.bytes = bytes.substr(record_frame_header_size, size);
  return parsed;
}

}  // namespace troupe::process
