#include "machine.hpp"

#include <fstream>
#include <iterator>
#include <string>

namespace troupe::cli {
namespace {

std::string read_file(const char* path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

flow_control::MachineSample look_at_machine() {
  using flow_control::parse_pressure;
  return {.memory = flow_control::parse_meminfo(read_file("/proc/meminfo")),
          .memory_pressure = parse_pressure(read_file("/proc/pressure/memory")),
          .cpu_pressure = parse_pressure(read_file("/proc/pressure/cpu")),
          .load = flow_control::parse_loadavg(read_file("/proc/loadavg"))};
}

}  // namespace troupe::cli
