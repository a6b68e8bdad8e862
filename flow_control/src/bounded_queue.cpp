#include <troupe/base/quantity.hpp>
#include <troupe/flow_control/bounded_queue.hpp>

#include <fmt/format.h>

namespace troupe::flow_control {

std::string_view to_string(OnFull policy) {
  switch (policy) {
    case OnFull::block:
      return "block";
    case OnFull::reject:
      return "reject";
    case OnFull::drop_oldest:
      return "drop_oldest";
  }
  return "unknown";
}

Error to_error(const Rejected& rejected, std::string_view queue) {
  return {Errc::overloaded,
          fmt::format("{} is full: {} item{} before this one, retry in {}",
                      queue, rejected.depth, rejected.depth == 1 ? "" : "s",
                      format_duration(rejected.retry_after))};
}

}  // namespace troupe::flow_control
