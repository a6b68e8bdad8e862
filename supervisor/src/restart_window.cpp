#include <troupe/supervisor/restart_window.hpp>

namespace troupe::supervisor {

bool RestartWindow::allow(TimePoint now) {
  while (!restarts_.empty() && restarts_.front() < now - period_)
    restarts_.pop_front();
  if (restarts_.size() >= intensity_)
    return false;
  restarts_.push_back(now);
  return true;
}

}  // namespace troupe::supervisor
