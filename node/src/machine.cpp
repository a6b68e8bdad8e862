#include <troupe/node/machine.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

namespace troupe::node {
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

std::uint32_t processors() {
  return std::max(1U, std::thread::hardware_concurrency());
}

flow_control::Resources with_those_of_machine(flow_control::Resources said) {
  constexpr std::uint64_t unit = flow_control::Resources::unit;
  if (said.amount("cpu") == 0)
    said.set("cpu", processors() * unit);
  const auto memory = look_at_machine().memory;
  if (said.amount("mem") == 0 && memory)
    said.set("mem", memory->total_bytes * unit);
  return said;
}

}  // namespace troupe::node
