#pragma once

/// Looks after what piles up: output, jobs that have ended, space on the disk.
#include "store_writer.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/node/node_config.hpp>
#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/store/job.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace troupe::node {

/// How often a housekeeper looks.
struct HousekeeperPace {
  Duration look = 5s;
  /// For what others have forgotten, which nobody waits for: each of all nodes
  /// asks the store they share.
  Duration look_for_forgotten = 30s;
};

/// Has a thread of its own for slow work on files. All methods from any thread.
class Housekeeper {
 public:
  /// With a store that the configuration names, others may forget jobs as well
  /// and do not say so: it looks for what is here of those.
  Housekeeper(StoreWriter& store, std::string output_folder,
              std::string content_folder, std::string services_folder,
              const NodeConfig& config, HousekeeperPace pace = {});
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  /// Ends the thread and leaves what is not done to the next one. The store may
  /// go then, and only then; its last answers are ignored. Repeating does
  /// nothing.
  void stop();

  /// From now on these bounds hold.
  void configure(const NodeConfig& config);

  /// Deletes the output of a job that was forgotten, some time.
  void remove_output(store::JobId job);

  /// Deletes the artifacts of a run that was forgotten, and the logs of its
  /// services, some time.
  void remove_files_of(store::RunId run);

  /// Forgets runs that have ended, some time.
  void forget_runs(const std::vector<store::RunId>& runs);

  /// Deletes a file that is not counted as output, some time.
  void remove_file(const std::string& path);

  /// See queue::MemberDeps.
  void read_end(const queue::EndFiles& files,
                std::function<void(queue::EndRead)> done);
  /// See queue::DispatcherDeps.
  void find_texts(const std::string& record_path,
                  std::vector<std::string> texts,
                  std::function<void(std::vector<bool>)> done);

  /// An attempt has ended, and its record is complete, if there is one: counts
  /// it and makes it smaller.
  void take_record(const std::string& record_path);

  /// As of some seconds ago.
  ///
  /// Errors: overloaded (less space on the disk than is to stay free).
  [[nodiscard]] Result<void> check_space() const;

 private:
  struct Ended {
    std::uint64_t number = 0;  ///< Of a job or a run.
    bool has_failed = false;
    WallTime ended;
  };
  struct Old {
    std::vector<Ended> oldest;
    std::uint64_t count = 0;  ///< Of all that have ended.
  };
  struct OldJobs {
    Old jobs;  ///< That belong to no run.
    Old runs;
  };

  void look_later();
  void look();
  void look_at_space();
  void look_at_jobs();
  static Result<OldJobs> find_old(store::Store& store);
  [[nodiscard]] std::vector<std::uint64_t> too_old(const Old& old) const;
  void forget_old(const OldJobs& old);
  void forget(std::vector<std::uint64_t> jobs, std::vector<std::uint64_t> runs);
  void tidy();
  void delete_output(store::JobId job);
  void look_at_output();
  void look_at_content();
  void look_for_forgotten();
  /// Of what is here: those that the store does not have any more.
  template <class Id>
  void remove_forgotten(
      std::vector<Id> here,
      Result<std::vector<Id>> (store::Store::*find)(std::span<const Id>),
      void (Housekeeper::*remove)(Id));
  [[nodiscard]] std::vector<store::JobId> jobs_with_output() const;
  [[nodiscard]] std::vector<store::JobId> next_with_output();
  [[nodiscard]] std::vector<store::RunId> next_with_files();

  StoreWriter& store_;
  std::string output_folder_;
  std::string content_folder_;
  std::string services_folder_;
  HousekeeperPace pace_;
  TimePoint next_look_at_content_;       ///< Of the thread.
  TimePoint next_look_for_forgotten_{};  ///< Likewise, as the next.
  NodeConfig config_;
  std::uint64_t output_bytes_ = 0;  ///< Of all records that are complete.
  /// From where on jobs are looked for that were forgotten elsewhere.
  std::uint64_t next_thousand_ = 0;
  store::RunId next_run_{};  ///< Likewise runs.
  std::atomic<std::uint64_t> disk_reserve_{0};
  std::atomic<std::uint64_t> disk_free_{UINT64_MAX};
  std::atomic<bool> is_ending_{false};
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      keep_running_{io_.get_executor()};
  boost::asio::steady_timer timer_{io_};
  std::thread thread_;
};

}  // namespace troupe::node
