#include <troupe/workflow/hook.hpp>

#include <algorithm>

namespace troupe::workflow {

std::string_view job_name(Hook hook) {
  switch (hook) {
    case Hook::on_start:
      return "hooks.on-start";
    case Hook::on_success:
      return "hooks.on-success";
    case Hook::on_failure:
      return "hooks.on-failure";
    case Hook::on_cancel:
      return "hooks.on-cancel";
    case Hook::on_exit:
      return "hooks.on-exit";
  }
  return "hooks";
}

std::string_view to_string(Hook hook) {
  return job_name(hook).substr(std::string_view{"hooks."}.size());
}

bool is_hook(std::string_view job) {
  return std::any_of(all_hooks.begin(), all_hooks.end(),
                     [&](Hook hook) { return job_name(hook) == job; });
}

}  // namespace troupe::workflow
