#include <troupe/base/quantity.hpp>
#include <troupe/fanout/joblog.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

namespace troupe::fanout {
namespace {

/// Columns before the command.
constexpr int leading_columns = 8;

/// No row has that much before its command, unless a host has a long name.
constexpr std::size_t most_column_bytes = 4096;

/// Whether `text` is a number, such as "0", "127" or "-1".
bool is_number(std::string_view text) {
  if (text.starts_with('-'))
    text.remove_prefix(1);
  return parse_count(text).has_value();
}

/// Splits "1\t:\t...\t0\t" into its columns.
std::optional<std::array<std::string_view, leading_columns>> split_columns(
    std::string_view text) {
  std::array<std::string_view, leading_columns> columns;
  for (auto& column : columns) {
    const auto tab = text.find('\t');
    if (tab == std::string_view::npos)
      return std::nullopt;
    column = text.substr(0, tab);
    text.remove_prefix(tab + 1);
  }
  return columns;
}

}  // namespace

std::string format_job_log_row(const JobLogRow& row) {
  using std::chrono::milliseconds;
  const auto started =
      std::chrono::floor<milliseconds>(row.started.time_since_epoch()).count();
  const double seconds = std::chrono::duration<double>(row.runtime).count();
  std::string line = fmt::format(
      "{}\t{}\t{}.{:03}\t{:10.3f}\t{}\t{}\t{}\t{}\t", row.seq, row.host,
      started / 1000, started % 1000, seconds, row.sent_bytes,
      row.received_bytes, row.exit_value, row.signal);
  const std::size_t command_start = line.size();
  line += row.command;
  std::replace(line.begin() + static_cast<std::ptrdiff_t>(command_start),
               line.end(), '\n', '\0');
  line += '\n';
  return line;
}

Result<void> JobLogReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const std::string_view part = bytes.substr(0, newline);
    for (std::size_t i = 0; i < part.size() && tabs_ < leading_columns; ++i) {
      columns_ += part[i];
      tabs_ += part[i] == '\t' ? 1 : 0;
    }
    if (columns_.size() > most_column_bytes)
      return refuse("a row");
    bytes_ += part.size();
    if (newline == std::string_view::npos)
      return {};
    ++bytes_;
    if (auto ended = end_line(); !ended)
      return ended;
    complete_bytes_ = bytes_;
    columns_.clear();
    tabs_ = 0;
    ++lines_;
    bytes.remove_prefix(newline + 1);
  }
  return {};
}

Result<void> JobLogReader::end_line() {
  constexpr std::string_view header =
      job_log_header.substr(0, job_log_header.rfind('\t') + 1);
  // Also in the middle, where logs were concatenated.
  if (columns_ == header)
    return {};
  if (lines_ == 0)
    return refuse("the header");
  const auto columns = split_columns(columns_);
  if (!columns)
    return refuse("a row");
  const auto seq = parse_count((*columns)[0]);
  const std::string_view exit_value = (*columns)[6];
  const std::string_view signal = (*columns)[7];
  if (!seq || *seq == 0 || !is_number(exit_value) || !is_number(signal))
    return refuse("a row");
  if (resume_ == Resume::succeeded && (exit_value != "0" || signal != "0"))
    return {};
  return finished_.insert(*seq);
}

tl::unexpected<Error> JobLogReader::refuse(std::string_view expected) const {
  return failure(Errc::corrupt, fmt::format("line {} is not {} of a job log",
                                            lines_ + 1, expected));
}

}  // namespace troupe::fanout
