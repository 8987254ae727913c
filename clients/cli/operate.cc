// Commands of operators: lock revoke, session expire, settings, transfer-leader.
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/cluster.h"
#include "clients/cli/command.h"
#include "clients/cli/output.h"

namespace holdfast::cli {

namespace {

using nlohmann::json;

int usage_error(const std::string& message) {
  std::fprintf(stderr, "holdfast: %s\n", message.c_str());
  return kUsage;
}

bool parse_id(const std::string& text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc{} && end == text.data() + text.size() && *out >= 0;
}

int done(const Arguments& arguments, const json& value, const std::string& line) {
  std::printf("%s\n", arguments.has("json") ? value.dump().c_str() : line.c_str());
  return kDone;
}

int run_revoke(const Arguments& arguments) {
  if (arguments.positional().size() != 1) return usage_error("one PATH is needed");
  const auto notice = arguments.duration_ms("notice", 10'000);
  if (!notice.ok()) return usage_error(notice.error().message);
  const auto holder = arguments.number("holder", 0, 0, int64_t{1} << 53);
  if (!holder.ok()) return usage_error(holder.error().message);
  auto cluster = Cluster::clients(arguments);
  if (!cluster) return fail(cluster.error());
  api::RevokeLockRequest request;
  request.path = arguments.positional()[0];
  request.holderId = *holder;
  request.noticeMs = *notice;
  request.reason = arguments.text("reason", "");
  request.force = arguments.has("force");
  const auto answer = (*cluster)->write<client::RevokeLock>(request);
  if (!answer) return fail(answer.error());
  return done(arguments, {{"noticeId", answer->noticeId}, {"holders", answer->holders}},
              answer->holders == 0 ? "nobody holds it"
              : request.force      ? "taken from " + std::to_string(answer->holders) + " holder(s)"
                              : std::to_string(answer->holders) + " holder(s) were given notice");
}

int run_expire(const Arguments& arguments) {
  api::ExpireSessionRequest request;
  if (arguments.positional().size() != 1 ||
      !parse_id(arguments.positional()[0], &request.sessionId)) {
    return usage_error("one session id is needed (see holdfast sessions)");
  }
  const auto notice = arguments.duration_ms("notice", 10'000);
  if (!notice.ok()) return usage_error(notice.error().message);
  auto cluster = Cluster::administration(arguments);
  if (!cluster) return fail(cluster.error());
  request.noticeMs = *notice;
  request.reason = arguments.text("reason", "");
  request.force = arguments.has("force");
  const auto answer = (*cluster)->write<client::ExpireSession>(request);
  if (!answer) return fail(answer.error());
  return done(arguments, {{"sessionId", request.sessionId}, {"force", request.force}},
              request.force ? "ended" : "its client was given notice");
}

int run_settings(const Arguments& arguments) {
  api::SettingsRequest request;
  for (const std::string& word : arguments.positional()) {
    const size_t equals = word.find('=');
    int64_t value = 0;
    if (equals == std::string::npos || !parse_id(word.substr(equals + 1), &value)) {
      return usage_error("'" + word + "' is not NAME=NUMBER");
    }
    request.changes[word.substr(0, equals)] = value;
  }
  auto cluster = Cluster::administration(arguments);
  if (!cluster) return fail(cluster.error());
  const auto answer = request.changes.empty() ? (*cluster)->read<client::ChangeSettings>(request)
                                              : (*cluster)->write<client::ChangeSettings>(request);
  if (!answer) return fail(answer.error());
  json all = json::object();
  std::vector<std::vector<std::string>> rows;
  for (const api::Setting& s : answer->settings) {
    all[s.name] = {{"value", s.value},
                   {"smallest", s.smallest},
                   {"largest", s.largest},
                   {"initial", s.initial},
                   {"help", s.help}};
    rows.push_back({s.name, std::to_string(s.value), std::to_string(s.smallest),
                    std::to_string(s.largest), s.help});
  }
  if (arguments.has("json")) return done(arguments, all, "");
  print_table({"SETTING", "VALUE", "SMALLEST", "LARGEST", "WHAT IT LIMITS"}, rows);
  return kDone;
}

int run_transfer(const Arguments& arguments) {
  api::TransferLeadershipRequest request;
  int64_t node = 0;
  const bool named = arguments.positional().size() == 1;
  if (arguments.positional().size() > 1 || (named && !parse_id(arguments.positional()[0], &node))) {
    return usage_error("at most one node id is taken");
  }
  request.nodeId = static_cast<int32_t>(node);
  auto cluster = Cluster::administration(arguments);
  if (!cluster) return fail(cluster.error());
  const auto answer = (*cluster)->write<client::TransferLeadership>(request);
  if (!answer) return fail(answer.error());
  return done(arguments, {{"leaderId", answer->header.leaderId}},
              "node " + std::to_string(answer->header.leaderId) + " leads");
}

}  // namespace

std::vector<Command> operate_commands() {
  const std::vector<OptionSpec> notice = {
      {"notice", "TIME", "time to let go after the client has taken note (10s)"},
      {"reason", "TEXT", "told to the client and kept with the lock's past"},
      {"force", nullptr,
       "at once: the old holder may still believe it holds, only tokens protect"}};
  std::vector<OptionSpec> revoke = notice;
  revoke.push_back({"holder", "ID", "only this holder (see lock describe)"});
  return {
      {"lock revoke", "PATH [options]", "take a lock away from its holders, with notice",
       "A holder that does not answer loses the lock one session TTL after the announcement.\n\n"
       "  holdfast lock revoke /jobs/nightly --reason maintenance\n",
       revoke, &run_revoke},
      {"session expire", "ID [options]", "end a session for its client, with notice",
       "  holdfast session expire 4711 --reason 'host is gone' --force\n", notice, &run_expire},
      {"settings",
       "[NAME=VALUE ...]",
       "show or change the cluster's limits",
       "  holdfast settings\n  holdfast settings waiters_per_lock_max=20000\n",
       {},
       &run_settings},
      {"transfer-leader",
       "[NODE]",
       "hand leadership to another server",
       "  holdfast transfer-leader\n  holdfast transfer-leader 2\n",
       {},
       &run_transfer},
  };
}

}  // namespace holdfast::cli
