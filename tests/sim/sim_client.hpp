#pragma once

#include "sim_store.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace troupe::sim {

class SimWorld;

/// Submits jobs, and repeats each step until it is answered.
class SimClient {
 public:
  SimClient(SimWorld& world, std::uint32_t link, std::uint32_t shards,
            Duration submits_until);

  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }
  [[nodiscard]] bool is_done() const {
    return acknowledged_ == submissions_.size();
  }

 private:
  struct Submission {
    CommandSpec spec;
    std::uint64_t tasks = 0;
    store::JobId job;
    std::uint64_t step = 0;  ///< 0 opens, then a chunk each, then seals.
    std::uint64_t chunks = 0;
    bool has_key = false;
    bool is_acknowledged = false;
  };

  void choose_place(Submission& submission);
  void take_step(const std::string& request, std::uint64_t step);
  void step_taken(const std::string& request, std::uint64_t step,
                  store::JobId job);
  void acknowledge(const std::string& request);
  [[nodiscard]] static std::uint64_t tasks_of_chunk(const Submission& all,
                                                    std::uint64_t chunk);

  SimWorld& world_;
  std::uint32_t link_;
  std::uint32_t shards_;
  std::map<std::string, Submission> submissions_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t tasks_ = 0;
};

}  // namespace troupe::sim
