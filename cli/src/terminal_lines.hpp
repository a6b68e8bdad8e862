#pragma once

#include <troupe/base/error.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::cli {

/// Lines that somebody types at the terminal of this process, one whenever one
/// is asked for. Any thread may call; the callback is called on that of the
/// I/O.
class TerminalLines {
 public:
  /// The line without its end; nothing if there will be none.
  using OnLine = std::function<void(std::optional<std::string>)>;

  /// Opens the terminal anew, so that nobody else's reads and writes become
  /// non-blocking. Errors: not_found, if there is none.
  [[nodiscard]] static Result<TerminalLines> open(boost::asio::io_context& io);

  /// What was typed until now is no answer to what comes.
  void forget_typed();

  /// Asks for one line. Ignored while one is asked for.
  void read(OnLine on_line);

  /// Asks no more; the callback is not called.
  void stop();

 private:
  class Reader;
  explicit TerminalLines(std::shared_ptr<Reader> reader);
  std::shared_ptr<Reader> reader_;
};

}  // namespace troupe::cli
