#pragma once

/// A table on the terminal that is drawn anew each second.
#include "run_view.hpp"

#include <troupe/base/error.hpp>

#include <functional>
#include <string>
#include <vector>

namespace troupe::cli {

/// Draws what `frame` answers until q or Ctrl-C is pressed, and returns the
/// exit code. Once something was drawn, a node that is away ends nothing: it is
/// asked again. Blocks; standard input and output are the terminal.
int redraw_until_quit(
    const std::function<Result<std::vector<std::string>>(const FrameStyle&)>&
        frame);

}  // namespace troupe::cli
