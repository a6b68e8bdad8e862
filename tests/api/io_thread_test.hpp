#pragma once

#include "raw_client.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <cstdlib>
#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <thread>

namespace troupe::api {

/// For servers: an I/O loop with a thread of its own.
class IoThreadTest : public ::testing::Test {
 protected:
  /// What the loop uses has to be gone by then, or end_io() was called.
  ~IoThreadTest() override { end_io(); }

  void end_io() {
    io.stop();
    if (io_thread.joinable())
      io_thread.join();
  }

  void on_io_thread(const std::function<void()>& what) {
    std::promise<void> done;
    boost::asio::post(io, [&] {
      what();
      done.set_value();
    });
    if (done.get_future().wait_for(deadline) != std::future_status::ready) {
      ADD_FAILURE() << "the I/O thread hangs";
      std::abort();
    }
  }

  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      guard{io.get_executor()};
  std::thread io_thread{[this] { io.run(); }};
};

}  // namespace troupe::api
