#include "services_reporter_actor.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace troupe::cli {
namespace {

struct TryAgain {};
struct PatienceOver {};

}  // namespace
}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::TryAgain)
TROUPE_LOCAL_MESSAGE(troupe::cli::PatienceOver)

namespace troupe::cli {
namespace {

class ServicesReporterActor {
 public:
  ServicesReporterActor(actors::Actor* self, std::unique_ptr<NodeClient> client,
                        std::string target, ServiceReports reports,
                        actors::ActorRef owner)
      : self_{self},
        client_{std::move(client)},
        target_{std::move(target)},
        reports_{std::move(reports)},
        owner_{std::move(owner)} {}

  actors::Behavior make_behavior() {
    return {
        [this](const ReportChanges& m) {
          reports_.add(m.changes);
          tell();
        },
        [this](TryAgain) {
          waits_ = false;
          tell();
        },
        [this](const EndReports& m) {
          done_ = m.done;
          actors::send_after(self_, m.patience, PatienceOver{});
          end_if_done();
        },
        [this](PatienceOver) { end(); },
    };
  }

 private:
  void tell() {
    while (!waits_ && !is_refused_) {
      const auto body = reports_.next();
      if (!body)
        break;
      const auto answer = client_->call(NodeMethod::post, target_, *body);
      if (answer) {
        tries_ = 0;
        reports_.acknowledge();
      } else if (may_pass(answer.error())) {
        waits_ = true;
        actors::send_after(
            self_, client_->retry_after().value_or(pause_after(tries_++)),
            TryAgain{});
      } else {
        is_refused_ = true;
        actors::send(self_, owner_, ReportsRefused{answer.error()});
      }
    }
    end_if_done();
  }

  [[nodiscard]] bool may_pass(const Error& error) const {
    return may_come_back(error, *client_) || error.code == Errc::overloaded ||
           error.code == Errc::timed_out;
  }

  void end_if_done() {
    if (done_ && !waits_)
      end();
  }

  void end() {
    if (const auto done = std::exchange(done_, nullptr))
      done();
    actors::quit(self_);
  }

  actors::Actor* self_;
  std::unique_ptr<NodeClient> client_;
  std::string target_;
  ServiceReports reports_;
  actors::ActorRef owner_;
  std::function<void()> done_;
  int tries_ = 0;
  bool waits_ = false;
  bool is_refused_ = false;
};

}  // namespace

void ServiceReports::add(const Changes& changes) {
  pending_.insert(pending_.end(), changes.begin(), changes.end());
  if (pending_.size() <= most_kept)
    return;
  // What was asked for may be known to the node: it stays where it is.
  std::map<std::string, service::AvailabilityChange> last;
  const auto kept = pending_.begin() + static_cast<std::ptrdiff_t>(asked_);
  for (auto change = kept; change != pending_.end(); ++change)
    last.insert_or_assign(change->service, std::move(*change));
  pending_.erase(kept, pending_.end());
  for (auto& [service, change] : last)
    pending_.push_back(std::move(change));
}

std::optional<api::Json> ServiceReports::next() {
  if (pending_.empty() && is_known_)
    return std::nullopt;
  if (asked_ == 0)
    asked_ = std::min(pending_.size(), most_told);
  node::RunServicesTold told = told_;
  told.changes.assign(pending_.begin(),
                      pending_.begin() + static_cast<std::ptrdiff_t>(asked_));
  return to_json(told);
}

void ServiceReports::acknowledge() {
  is_known_ = true;
  pending_.erase(pending_.begin(),
                 pending_.begin() + static_cast<std::ptrdiff_t>(asked_));
  told_.from += std::exchange(asked_, 0);
}

actors::ActorRef spawn_services_reporter(actors::ActorSystem& system,
                                         std::unique_ptr<NodeClient> client,
                                         std::string target,
                                         ServiceReports reports,
                                         actors::ActorRef owner) {
  return actors::spawn_detached<ServicesReporterActor>(
      system, std::move(client), std::move(target), std::move(reports),
      std::move(owner));
}

}  // namespace troupe::cli
