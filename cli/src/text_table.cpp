#include "text_table.hpp"

#include <troupe/base/text.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::cli {
namespace {

std::vector<std::size_t> widths_of(const std::vector<TableRow>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const TableRow& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i]));
  }
  return widths;
}

}  // namespace

std::string render_rows(const std::vector<TableRow>& rows,
                        const TableStyle& style, std::size_t coloured,
                        std::string (*colour_of)(const std::string& text)) {
  const std::vector<std::size_t> widths = widths_of(rows);
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      if (i == coloured)
        at = line.size();
      line += rows[r][i];
      if (i + 1 < rows[r].size())
        line.append(widths[i] - display_width(rows[r][i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (style.columns != 0)
      line = ellipsize(line, style.columns);
    if (style.colour && r == 0) {
      line = fmt::format("\x1b[2m{}\x1b[0m", line);
    } else if (style.colour && colour_of != nullptr) {
      const std::string& cell = rows[r][coloured];
      if (line.compare(at, cell.size(), cell) == 0)
        line =
            fmt::format("{}\x1b[{}m{}\x1b[0m{}", line.substr(0, at),
                        colour_of(cell), cell, line.substr(at + cell.size()));
    }
    out += line + "\n";
  }
  return out;
}

std::vector<std::string> lines_of(std::string_view text, std::size_t most) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (most != 0 && lines.size() > most) {
    const std::size_t missing = lines.size() - most + 1;
    lines.resize(most - 1);
    lines.push_back(fmt::format("and {} more", missing));
  }
  return lines;
}

}  // namespace troupe::cli
