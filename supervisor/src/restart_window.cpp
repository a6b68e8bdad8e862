#include <troupe/supervisor/restart_window.hpp>

#include <algorithm>

namespace troupe::supervisor {

bool RestartWindow::allow(TimePoint now) {
  while (!restarts_.empty() && restarts_.front() < now - period_)
    restarts_.pop_front();
  if (restarts_.size() >= intensity_)
    return false;
  restarts_.push_back(now);
  return true;
}

std::size_t RestartWindow::used(TimePoint now) const {
  return static_cast<std::size_t>(
      std::count_if(restarts_.begin(), restarts_.end(),
                    [&](TimePoint when) { return when >= now - period_; }));
}

}  // namespace troupe::supervisor
