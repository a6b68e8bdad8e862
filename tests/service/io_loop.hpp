#pragma once

#include <troupe/base/time.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>

namespace troupe::testing {

/// An I/O loop that the test's own thread turns: nothing runs but while the
/// test waits for something.
struct IoLoop {
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      guard{io.get_executor()};

  /// Turns the loop until `condition` holds, at most `limit`; whether it does.
  template <class Condition>
  [[nodiscard]] bool run_until(Condition condition, Duration limit = 20s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end)
        return false;
      io.run_one_for(5ms);
    }
    return true;
  }

  /// Runs what can run without waiting.
  void settle() { io.poll(); }
};

}  // namespace troupe::testing
