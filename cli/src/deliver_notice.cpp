#include "deliver_notice.hpp"

#include "file_io.hpp"
#include "webhook.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/notify.hpp>
#include <troupe/workflow/value.hpp>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr const char* usual_mailer = "/usr/sbin/sendmail";

std::string member(const workflow::Value& notice, std::string_view name) {
  const workflow::Value* const value = notice.member(name);
  return value == nullptr ? std::string{} : value->text();
}

int not_delivered(const Error& error) {
  complain(error.what);
  return exit_failed;
}

/// Becomes `argv`, whose standard input is `text`. Comes back only if it
/// cannot.
int become(const Startup& startup, const std::vector<std::string>& argv,
           const std::string& text) {
  const OwnedFd input{::memfd_create("notice", MFD_CLOEXEC)};
  if (!input.is_open() || !write_fully(input.get(), text) ||
      ::lseek(input.get(), 0, SEEK_SET) != 0 ||
      ::dup2(input.get(), STDIN_FILENO) < 0)
    return not_delivered(system_error("cannot keep the notice", errno));
  std::vector<char*> words;
  for (const std::string& word : argv)
    words.push_back(const_cast<char*>(word.c_str()));  // As POSIX has it.
  words.push_back(nullptr);
  ::unsetenv(std::string{workflow::notice_variable}.c_str());
  ::unsetenv(std::string{workflow::notice_target_variable}.c_str());
  ::sigprocmask(SIG_SETMASK, &startup.signal_mask, nullptr);
  ::execvp(words.front(), words.data());
  return not_delivered(
      system_error(fmt::format("cannot run {}", argv.front()), errno));
}

int by_command(const Startup& startup, const std::string& line,
               const std::string& json, const workflow::Value& notice) {
  for (const auto& [name, key] :
       {std::pair{"TROUPE_EVENT", "event"}, std::pair{"TROUPE_RUN", "run"},
        std::pair{"TROUPE_WORKFLOW", "workflow"},
        std::pair{"TROUPE_RESULT", "result"},
        std::pair{"TROUPE_FAILED_JOB", "failed_job"},
        std::pair{"TROUPE_BLAME", "blame"}, std::pair{"TROUPE_JOB", "job"},
        std::pair{"TROUPE_TEXT", "text"}})
    ::setenv(name, member(notice, key).c_str(), 1);
  return become(startup, {"sh", "-e", "-c", line}, json + "\n");
}

/// For a header: one line of ASCII.
std::string header(const std::string& text) {
  std::string out;
  for (const char c : ellipsize(printable(text), 150))
    out += c >= ' ' && c < 0x7f ? c : '?';
  return out;
}

int by_mail(const Startup& startup, const std::string& address,
            const workflow::Value& notice) {
  std::string text = fmt::format(
      "To: {}\nSubject: [troupe] {}\nMIME-Version: 1.0\n"
      "Content-Type: text/plain; charset=utf-8\n"
      "Content-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n\n"
      "{}\n\n",
      header(address), header(member(notice, "text")),
      printable(member(notice, "text")));
  for (const std::string_view key :
       {"event", "run", "workflow", "name", "file", "time", "result",
        "failed_job", "blame", "job", "detail"}) {
    if (const std::string value = member(notice, key); !value.empty())
      text += fmt::format("{}: {}\n", key, printable(value));
  }
  const std::string mailer = environment_variable("TROUPE_SENDMAIL");
  return become(startup, {mailer.empty() ? usual_mailer : mailer, "-t", "-i"},
                text);
}

int by_webhook(const std::string& url, const std::string& json) {
  const auto parsed = workflow::parse_webhook(url);
  if (!parsed)
    return not_delivered({Errc::invalid_argument, "the webhook is no URL"});
  if (const auto posted = post_json(*parsed, json); !posted)
    return not_delivered(posted.error());
  return exit_ok;
}

}  // namespace

int deliver_notice(const Startup& startup, std::vector<std::string> words) {
  const auto route =
      words.size() == 1 ? workflow::notice_route(words[0]) : std::nullopt;
  const std::string json = environment_variable(workflow::notice_variable);
  const std::string to = environment_variable(workflow::notice_target_variable);
  const auto notice = workflow::parse_json(json);
  if (!route || !notice)
    return usage_error("deliver-notice: for runs with \"notify\" only");
  switch (*route) {
    case workflow::NoticeRoute::command:
      return by_command(startup, to, json, *notice);
    case workflow::NoticeRoute::webhook:
      return by_webhook(to, json);
    case workflow::NoticeRoute::mail:
      return by_mail(startup, to, *notice);
  }
  return exit_usage;
}

}  // namespace troupe::cli
