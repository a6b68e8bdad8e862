#pragma once

/// What the main thread of a warden does that is kept: lets runners connect to
/// its lanes, one runner at a time, and ends when KeepCore says so.
#include "keep_core.hpp"
#include "warden_lane.hpp"

#include <troupe/base/owned_fd.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace troupe::process {

/// A new connection that has not said yet what it wants.
struct Stranger;

class KeptWarden {
 public:
  using Lanes = std::vector<std::unique_ptr<WardenLane>>;

  /// `exit` is called once, to kill what is left and end the process. What is
  /// referred to outlives the warden.
  KeptWarden(const LaneContext& context, const Lanes& lanes, OwnedFd listener,
             Duration patience, std::function<void()> exit);
  ~KeptWarden();

  void begin();

 private:
  void accept();
  void admit(OwnedFd socket);
  void hear(const std::shared_ptr<Stranger>& stranger);
  void forget(const std::shared_ptr<Stranger>& stranger);
  void serve(const wire::Greeting& greeting, OwnedFd socket);
  void attach(std::uint32_t lane, OwnedFd socket);
  void take_over();
  void lost(std::uint32_t lane, std::uint64_t connection);
  void perform(const KeepCore::Actions& actions);
  void set_timer(TimePoint at);
  void await_empty();

  const LaneContext& context_;
  const Lanes& lanes_;
  boost::asio::posix::stream_descriptor listener_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer empty_timer_;
  boost::asio::steady_timer accept_timer_;
  KeepCore core_;
  std::function<void()> exit_;
  std::vector<std::shared_ptr<Stranger>> strangers_;
  std::uint64_t takeover_ = 0;  ///< How many runners have come.
  std::uint64_t last_connection_ = 0;
  /// The number of the connection of each lane; zero for none.
  std::vector<std::uint64_t> connections_;
};

}  // namespace troupe::process
