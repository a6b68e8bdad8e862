#include <troupe/base/overload.hpp>
#include <troupe/base/text.hpp>
#include <troupe/service/service_spec.hpp>

#include <fmt/format.h>

namespace troupe::service {
namespace {

std::string address(const std::string& host, std::uint16_t port) {
  if (host.find(':') != std::string::npos)
    return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

}  // namespace

std::string describe(const Check& check) {
  return std::visit(
      Overload{
          [](const ExecCheck& c) {
            return fmt::format("exec {}", printable(c.line));
          },
          [](const HttpCheck& c) {
            return fmt::format("http://{}{}", address(c.host, c.port),
                               printable(c.target));
          },
          [](const TcpCheck& c) {
            return fmt::format("tcp {}", address(c.host, c.port));
          },
          [](const LogCheck& c) {
            return fmt::format("log \"{}\"", printable(c.text));
          },
          [](const NotifyCheck&) { return std::string{"notify"}; },
      },
      check);
}

}  // namespace troupe::service
