#include <troupe/workflow/model.hpp>

namespace troupe::workflow {

std::vector<std::string> default_shell() { return {"sh", "-e"}; }

}  // namespace troupe::workflow
