#pragma once

/// Tables for people: columns as wide as what is in them.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

using TableRow = std::vector<std::string>;  ///< A cell for each column.

struct TableStyle {
  bool colour = false;
  std::size_t columns = 0;  ///< Longer lines are cut; zero for never.
};

/// One line for each row, the first being the head; each ends in a line break.
/// With colour the head is dim and the cells of `coloured` have the colour that
/// `colour_of` gives for their text.
[[nodiscard]] std::string render_rows(
    const std::vector<TableRow>& rows, const TableStyle& style,
    std::size_t coloured = 0,
    std::string (*colour_of)(const std::string& text) = nullptr);

/// The lines of `text`, at most `most`; the last one then says how many are
/// missing. Zero for all. Pure.
[[nodiscard]] std::vector<std::string> lines_of(std::string_view text,
                                                std::size_t most);

}  // namespace troupe::cli
