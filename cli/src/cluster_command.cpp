/// troupe cluster: who belongs to a cluster. The authority is a folder on one
/// host; all that goes to and from it is text, which ssh carries.
#include "cluster_members.hpp"
#include "command_options.hpp"
#include "file_io.hpp"
#include "state_folder.hpp"
#include "subcommand.hpp"
#include "text_table.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/link/authority.hpp>
#include <troupe/link/cluster_folder.hpp>
#include <troupe/node/audit.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using link::Authority;
using link::ClusterFolder;
using link::EnrolledNode;
using Json = nlohmann::ordered_json;

constexpr std::size_t largest_enrolment = 64 << 10;
/// A certificate that ends within that time is to be renewed.
constexpr Duration renewal_time = 24h * 30;

struct ClusterOptions {
  std::vector<std::string> words;  ///< Action and its word.
  std::string authority;
  std::string folder;
  std::string token;
  std::string answer;
  std::string valid;
  bool renews = false;
  std::string within;
  NodeOptions node;
};

/// What can be done, and with what.
struct ClusterAction {
  std::string_view name;
  std::size_t least_words;  ///< After the name.
  std::size_t most_words;
  std::string_view word;  ///< What it is.
  std::array<std::string_view, 4> options;
};

constexpr std::array<ClusterAction, 13> cluster_actions{{
    {"init", 0, 1, "the name of this host", {"--authority", "--folder"}},
    {"token",
     1,
     1,
     "the name of a node",
     {"--authority", "--valid", "--renew"}},
    {"enrol", 0, 0, "", {"--folder", "--token", "--answer"}},
    {"sign", 0, 1, "a file", {"--authority", "--folder"}},
    {"revoke",
     1,
     1,
     "the name or the id of a node",
     {"--authority", "--folder"}},
    {"certificates", 0, 0, "", {"--authority", "--json"}},
    {"status", 0, 0, "", {"--socket", "--json"}},
    {"nodes", 0, 0, "", {"--socket", "--json"}},
    {"ring", 0, 0, "", {"--socket", "--json"}},
    {"doctor", 0, 0, "", {"--socket", "--folder", "--json"}},
    {"owner", 1, 1, "a key", {"--socket", "--json"}},
    {"drain", 0, 1, "the name or the id of a node", {"--socket", "--within"}},
    {"consent", 0, 0, "", {"--socket", "--within"}},
}};

int cluster_failed(const Error& error) {
  complain(fmt::format("cluster: {}", error.what));
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::permission_denied:
    case Errc::corrupt:
      return exit_failed;
    case Errc::overloaded:
    case Errc::timed_out:
    case Errc::unavailable:
    case Errc::cancelled:
    case Errc::unsupported:
    case Errc::internal:
      break;
  }
  return exit_troupe_failed;
}

WallTime wall_now() { return std::chrono::system_clock::now(); }

std::string date(WallTime time) { return format_wall_time(time).substr(0, 10); }

/// For people who are to go on somewhere else; nothing of it is a result.
void hint(std::string_view text) { fmt::print(stderr, "{}\n", text); }

/// Reads a file, or standard input if there is none or it is "-".
Result<std::string> read_text(const std::string& path) {
  if (path.empty() || path == "-")
    return read_to_end(STDIN_FILENO, largest_enrolment);
  return read_whole_file(path);
}

/// While the authority is locked; before its result is told.
template <class T>
void record(const ClusterOptions& o, std::string what, const Result<T>& done,
            std::string about = {}) {
  const auto recorded = node::record_change(
      o.authority, "cluster " + std::move(what), std::move(about),
      done ? "ok" : to_string(done.error().code));
  if (!recorded)
    complain(fmt::format("cluster: not in the audit log: {}",
                         recorded.error().what));
}

// -- The host of the authority ------------------------------------------------

/// If a node of this cluster is here as well, it tells the others.
void hand_out_roster(const ClusterOptions& o, const Authority& authority) {
  const auto taken = ClusterFolder{o.folder}.take_roster(
      authority.enrolments().roster(), authority.certificate().fingerprint,
      wall_now());
  if (!taken)
    complain(fmt::format("cluster: the node of this host has no new roster: {}",
                         taken.error().what));
}

Result<ClusterFolder::Enrolled> enrol_here(Authority& authority,
                                           const ClusterFolder& folder,
                                           const std::string& name) {
  auto token = authority.add_token(name, /*renews=*/false, 1h, wall_now());
  if (!token)
    return tl::unexpected(std::move(token.error()));
  auto request = folder.begin(*token);
  if (!request)
    return tl::unexpected(std::move(request.error()));
  auto answer = authority.sign(*request, wall_now());
  if (!answer)
    return tl::unexpected(std::move(answer.error()));
  return folder.finish(answer->answer, wall_now());
}

int init(const ClusterOptions& o) {
  if (o.words.size() > 1) {
    if (const auto named = link::check_node_name(o.words[1]); !named)
      return usage_error("cluster", named.error().what);
  }
  auto authority = Authority::create(o.authority, wall_now());
  if (!authority)
    return cluster_failed(authority.error());
  record(o, "init", authority, authority->certificate().fingerprint);
  std::string text =
      fmt::format("authority    {}\nfingerprint  {}\n", printable(o.authority),
                  authority->certificate().fingerprint);
  std::string done = "the authority is made";
  if (o.words.size() > 1) {
    const auto enrolled =
        enrol_here(*authority, ClusterFolder{o.folder}, o.words[1]);
    record(o, "sign", enrolled, o.words[1]);
    if (!enrolled) {
      write_answer(text, done);
      return cluster_failed(enrolled.error());
    }
    hand_out_roster(o, *authority);
    text += fmt::format("node         {} ({}), until {}\n", enrolled->name,
                        to_string(enrolled->node), date(enrolled->until));
    done += fmt::format(" and this host is enrolled as {}", enrolled->name);
  }
  write_answer(text, done);
  hint("Each other host gets a token: troupe cluster token NAME");
  return exit_ok;
}

int give_token(const ClusterOptions& o) {
  Duration valid = 1h;
  if (const auto read = read_duration("--valid", o.valid, valid); !read)
    return usage_error("cluster", read.error().what);
  auto authority = Authority::open(o.authority);
  if (!authority)
    return cluster_failed(authority.error());
  const auto token =
      authority->add_token(o.words[1], o.renews, valid, wall_now());
  record(o, o.renews ? "token --renew" : "token", token, o.words[1]);
  if (!token)
    return cluster_failed(token.error());
  write_answer(*token + "\n",
               fmt::format("a token for {} is made", printable(o.words[1])));
  hint(fmt::format(
      "Valid for {}, once. On {}, where HOST is this one:\n"
      "  troupe cluster enrol --token TOKEN | ssh HOST troupe cluster sign |\n"
      "    troupe cluster enrol --answer -",
      format_duration(valid), o.words[1]));
  return exit_ok;
}

int sign(const ClusterOptions& o) {
  // Before the authority is locked: standard input may take its time.
  const auto request = read_text(o.words.size() > 1 ? o.words[1] : "");
  if (!request)
    return cluster_failed(request.error());
  auto authority = Authority::open(o.authority);
  if (!authority)
    return cluster_failed(authority.error());
  const auto answer = authority->sign(*request, wall_now());
  record(o, "sign", answer,
         answer ? fmt::format("{} ({})", answer->name, to_string(answer->node))
                : "");
  if (!answer)
    return cluster_failed(answer.error());
  hand_out_roster(o, *authority);
  write_answer(answer->answer, fmt::format("{} is enrolled", answer->name));
  hint(fmt::format("{} {} ({})",
                   answer->is_repeated ? "answered again:" : "enrolled:",
                   answer->name, to_string(answer->node)));
  return exit_ok;
}

int revoke(const ClusterOptions& o) {
  auto authority = Authority::open(o.authority);
  if (!authority)
    return cluster_failed(authority.error());
  const auto revoked = authority->revoke(o.words[1], wall_now());
  record(o, "revoke", revoked, o.words[1]);
  if (!revoked)
    return cluster_failed(revoked.error());
  hand_out_roster(o, *authority);
  write_answer(fmt::format("{} is revoked since {}\n", o.words[1],
                           format_wall_time(*revoked)),
               fmt::format("{} is revoked", printable(o.words[1])));
  return exit_ok;
}

std::string_view certificate_state(const EnrolledNode& node) {
  if (node.revoked)
    return "revoked";
  if (node.expires <= wall_now())
    return "expired";
  return node.expires - renewal_time <= wall_now() ? "expires soon" : "valid";
}

Json certificate_json(const EnrolledNode& node) {
  Json json{{"name", node.name},
            {"node", to_string(node.node)},
            {"state", certificate_state(node)},
            {"key", node.key},
            {"issued", format_wall_time(node.issued)},
            {"expires", format_wall_time(node.expires)},
            {"revoked", nullptr}};
  if (node.revoked)
    json["revoked"] = format_wall_time(*node.revoked);
  return json;
}

int print_as_json(const Authority& authority) {
  Json nodes = Json::array();
  for (const EnrolledNode& node : authority.enrolments().nodes())
    nodes.push_back(certificate_json(node));
  Json tokens = Json::array();
  for (const link::EnrolmentToken& token : authority.enrolments().tokens()) {
    if (token.is_open(wall_now()))
      tokens.push_back({{"name", token.name},
                        {"node", to_string(token.node)},
                        {"expires", format_wall_time(token.expires)}});
  }
  const Json all{
      {"authority",
       {{"fingerprint", authority.certificate().fingerprint},
        {"expires", format_wall_time(authority.certificate().until)}}},
      {"nodes", std::move(nodes)},
      {"tokens", std::move(tokens)}};
  write_out(all.dump(2) + "\n");
  return exit_ok;
}

int list_certificates(const ClusterOptions& o) {
  const auto authority = Authority::open(o.authority);
  if (!authority)
    return cluster_failed(authority.error());
  if (o.node.json)
    return print_as_json(*authority);
  std::vector<TableRow> rows{{"NAME", "STATE", "UNTIL", "NODE"}};
  rows.push_back(
      {"(authority)",
       authority->certificate().until <= wall_now() ? "expired" : "valid",
       date(authority->certificate().until), ""});
  for (const EnrolledNode& node : authority->enrolments().nodes())
    rows.push_back({node.name, std::string{certificate_state(node)},
                    date(node.expires), to_string(node.node)});
  for (const link::EnrolmentToken& token : authority->enrolments().tokens()) {
    if (token.is_open(wall_now()))
      rows.push_back(
          {token.name, "token", date(token.expires), to_string(token.node)});
  }
  write_out(render_rows(rows, {}));
  return exit_ok;
}

// -- The host that is enrolled ------------------------------------------------

int enrol(const ClusterOptions& o) {
  const ClusterFolder folder{o.folder};
  if (!o.token.empty()) {
    std::string token = o.token;
    if (token == "-") {
      auto text = read_text("-");
      if (!text)
        return cluster_failed(text.error());
      token = text->substr(0, text->find_first_of(" \t\r\n"));
    }
    const auto request = folder.begin(token);
    if (!request)
      return cluster_failed(request.error());
    write_out(*request);
    return exit_ok;
  }
  const auto answer = read_text(o.answer);
  if (!answer)
    return cluster_failed(answer.error());
  const auto enrolled = folder.finish(*answer, wall_now());
  if (!enrolled)
    return cluster_failed(enrolled.error());
  write_answer(fmt::format("{} ({}), until {}\n", enrolled->name,
                           to_string(enrolled->node), date(enrolled->until)),
               fmt::format("this host is enrolled as {}", enrolled->name));
  return exit_ok;
}

// -- Words --------------------------------------------------------------------

/// What is wrong with the words; empty if nothing is.
std::string cluster_mistake_in(const ClusterOptions& o, const CLI::App& app) {
  std::vector<std::string_view> names;
  for (const ClusterAction& action : cluster_actions)
    names.push_back(action.name);
  if (o.words.empty())
    return "expected init, token, enrol, sign, revoke, certificates, status, "
           "nodes, ring, doctor, owner, drain or consent";
  const auto* const action = std::find_if(
      cluster_actions.begin(), cluster_actions.end(),
      [&o](const ClusterAction& one) { return one.name == o.words[0]; });
  if (action == cluster_actions.end()) {
    const auto meant = suggest(o.words[0], names);
    return fmt::format(
        "unknown action \"{}\"{}", printable(o.words[0]),
        meant ? fmt::format("; did you mean \"{}\"?", *meant) : "");
  }
  const std::size_t words = o.words.size() - 1;
  if (words < action->least_words)
    return fmt::format("{} takes {}", action->name, action->word);
  if (words > action->most_words)
    return action->most_words == 0
               ? fmt::format("{} takes no words", action->name)
               : fmt::format("{} takes {} and nothing more", action->name,
                             action->word);
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (option->count() != 0 && name.starts_with("--") &&
        std::find(action->options.begin(), action->options.end(), name) ==
            action->options.end())
      return fmt::format("{} is not for {}", name, action->name);
  }
  if (action->name == "enrol" && o.token.empty() == o.answer.empty())
    return "enrol takes --token to begin, or --answer to finish";
  return {};
}

void add_cluster_options(CLI::App& app, ClusterOptions& o) {
  app.add_option("ACTION", o.words,
                 "init [NAME], token NAME, enrol, sign [FILE],\n"
                 "revoke NAME, certificates, status, nodes, ring,\n"
                 "doctor, owner KEY, drain [NAME] or consent");
  app.add_option("--authority", o.authority,
                 "The folder of the authority; default:\n"
                 "~/.config/troupe/authority")
      ->type_name("FOLDER");
  app.add_option("--folder", o.folder,
                 "Where this host keeps who it is; default:\n"
                 "~/.config/troupe/cluster")
      ->type_name("FOLDER");
  app.add_option("--valid", o.valid, "How long the token is (1h; at most 7d)")
      ->type_name("DURATION");
  app.add_flag("--renew", o.renews,
               "A new certificate for a node that is enrolled");
  app.add_option("--token", o.token,
                 "Begin: print a request for troupe cluster sign;\n"
                 "- reads the token from standard input")
      ->type_name("TOKEN");
  app.add_option("--answer", o.answer,
                 "Finish: take what troupe cluster sign has\n"
                 "printed; - is standard input")
      ->type_name("FILE");
  app.add_option("--within", o.within,
                 "drain: end what runs if it takes longer, of the\n"
                 "node that is asked; consent: for how long (5m)")
      ->type_name("DURATION");
  o.node.add_to(app);
}

/// Of this host.
Result<WallTime> certificate_end(const ClusterFolder& folder) {
  const auto identity = folder.identity(wall_now());
  if (!identity)
    return tl::unexpected{identity.error()};
  const auto info = link::read_certificate(identity->certificate);
  if (!info)
    return tl::unexpected{info.error()};
  return info->until;
}

Result<void> fill_in(ClusterOptions& o) {
  if (o.authority.empty() || o.folder.empty()) {
    const std::string home = config_home_path();
    if (home.empty())
      return failure(Errc::invalid_argument,
                     "there is no home to look in; set HOME or "
                     "XDG_CONFIG_HOME, or say --authority and --folder");
    if (o.authority.empty())
      o.authority = home + "/authority";
    if (o.folder.empty())
      o.folder = home + "/cluster";
  }
  o.authority = std::filesystem::absolute(o.authority);
  o.folder = std::filesystem::absolute(o.folder);
  return {};
}

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all subcommands.
int run_cluster(const Startup&, std::vector<std::string> words) {
  ClusterOptions o;
  CLI::App app{
      "Says who belongs to a cluster, and who is there. On one host is the "
      "authority, which "
      "signs the\ncertificate of each node:\n\n"
      "  n1$ troupe cluster init n1\n"
      "  n1$ troupe cluster token n2\n"
      "  n2$ troupe cluster enrol --token TOKEN | ssh n1 troupe cluster sign "
      "|\n"
      "        troupe cluster enrol --answer -",
      "troupe cluster"};
  add_cluster_options(app, o);
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (const std::string mistake = cluster_mistake_in(o, app); !mistake.empty())
    return usage_error("cluster", mistake);
  const std::string& action = o.words[0];
  if (action == "status")
    return show_members(real_queue_context(), o.node);
  if (action == "nodes")
    return show_nodes(real_queue_context(), o.node);
  if (action == "ring")
    return show_ring(real_queue_context(), o.node);
  if (action == "owner")
    return show_owner(real_queue_context(), o.node, o.words[1]);
  if (action == "drain")
    return drain_member(real_queue_context(), o.node,
                        o.words.size() > 1 ? o.words[1] : "", o.within);
  if (action == "consent")
    return consent_to_evictions(real_queue_context(), o.node, o.within);
  if (const auto filled = fill_in(o); !filled)
    return cluster_failed(filled.error());
  if (action == "doctor")
    return examine_cluster(real_queue_context(), o.node,
                           certificate_end(ClusterFolder{o.folder}));
  if (action == "init")
    return init(o);
  if (action == "token")
    return give_token(o);
  if (action == "sign")
    return sign(o);
  if (action == "revoke")
    return revoke(o);
  if (action == "certificates")
    return list_certificates(o);
  return enrol(o);
}

}  // namespace troupe::cli
