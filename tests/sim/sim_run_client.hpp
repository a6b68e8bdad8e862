#pragma once

#include "node_cores.hpp"

#include <troupe/base/time.hpp>
#include <troupe/store/job.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace troupe::sim {

class SimNode;
class SimWorld;

/// Submits runs of workflows to nodes, and changes some of them at others: what
/// is not answered it asks for again, somewhere else.
class SimRunClient {
 public:
  SimRunClient(SimWorld& world, Duration submits_until);

  [[nodiscard]] bool is_done() const {
    return acknowledged_ == submissions_.size();
  }

 private:
  struct Submission {
    std::string text;
    store::RunId run;  ///< Zero until it is acknowledged.
    bool has_approval = false;
    // What is to be asked for, until it was.
    bool is_cancelled = false;  ///< From some time on:
    Duration cancelled_at{0};
    bool is_retried = false;   ///< If it fails.
    bool is_approved = false;  ///< What was.
  };

  void submit(const std::string& request);
  void acknowledge(const std::string& request, store::RunId run);
  void tend(const std::string& request);
  void change(const std::string& request, const node::RunNews& news,
              std::function<void(Submission&)> done);
  void ask_some_node(std::function<void(SimNode&)> call);
  [[nodiscard]] bool has_ended(const Submission& submission) const;

  SimWorld& world_;
  std::map<std::string, Submission> submissions_;
  std::size_t acknowledged_ = 0;
};

}  // namespace troupe::sim
