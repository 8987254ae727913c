// rebuild: another server's state in place of a quarantined one.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

constexpr Duration kLookEvery = 200ms;
/// It is away while it loads the state; for longer, it is gone.
constexpr Duration kAway = 120s;

const api::Alarm* quarantine_of(const api::StatusResult& status) {
  const auto at = std::ranges::find(status.alarms, "QUARANTINED", &api::Alarm::name);
  return at == status.alarms.end() ? nullptr : &*at;
}

client::Outcome<api::StatusResult> ask_status(const std::string& admin) {
  auto remote = Remote::connect({admin}, 2s, false);
  if (!remote) return remote.error();
  return (*remote)->read<client::ServerStatus>({});
}

/// Until the server is there without the alarm.
client::Outcome<api::StatusResult> wait_until_rebuilt(const std::string& admin, bool tell) {
  SystemClock clock;
  net::Loop loop{clock};
  std::string told;
  for (Instant heard = clock.now();; loop.turn(kLookEvery)) {
    auto status = ask_status(admin);
    if (!status && clock.now() - heard >= kAway) return status;
    if (!status) continue;
    heard = clock.now();
    const api::Alarm* alarm = quarantine_of(*status);
    if (alarm == nullptr) return status;
    if (tell && alarm->message != told) std::fprintf(stderr, "%s\n", alarm->message.c_str());
    told = alarm->message;
  }
}

void print(const api::RebuildStateResult& answer, const api::StatusResult& status, bool as_json) {
  const std::string kept = answer.keptAs.empty() ? "it had no database that could be kept"
                                                 : "the database it had is kept: " + answer.keptAs;
  if (as_json) {
    return print_json({{"node_id", status.nodeId},
                       {"kept_as", answer.keptAs},
                       {"applied_index", status.appliedIndex},
                       {"state_digest", status.stateDigest}});
  }
  std::printf("node %d is rebuilt: revision %lld, digest %s\n%s\n", status.nodeId,
              static_cast<long long>(status.appliedIndex), status.stateDigest.c_str(),
              kept.c_str());
}

}  // namespace

int rebuild_command(const Args& args, const Context& context) {
  if (!args.words.empty()) return report(Error{ErrorCode::kBadArgument, "no word is expected"});
  if (context.admins.size() != 1) {
    return report(
        Error{ErrorCode::kBadArgument, "--admin names " + std::to_string(context.admins.size()) +
                                           " servers: name the one that is to be rebuilt"});
  }
  api::RebuildStateRequest request;
  request.force = args.has("force");
  if (args.has("from")) {
    const auto node = parse_node("--from", args.get("from"));
    if (!node) return report(node.error());
    request.fromNode = *node;
  }
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::RebuildState>(request);
  if (!answer) return report(answer.error());
  const auto status = wait_until_rebuilt(context.admins.front(), !context.json);
  if (!status) return report(status.error());
  print(*answer, *status, context.json);
  return kExitOk;
}

}  // namespace holdfast::cli
