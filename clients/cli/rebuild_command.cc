// rebuild: another server's state in place of a quarantined one.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/status_query.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

constexpr Duration kLookEvery = 200ms;
/// Its ports are closed while it puts a state in force; for longer, it is gone.
constexpr Duration kAway = 120s;
constexpr Duration kAnswer = 2s;

const api::Alarm* alarm_of(const api::StatusResult& status, const std::string& name) {
  const auto at = std::ranges::find(status.alarms, name, &api::Alarm::name);
  return at == status.alarms.end() ? nullptr : &*at;
}

/// Waits until the server is there without the alarm, and says meanwhile what it waits for.
class RebuildWait {
 public:
  /// Silent for longer than `away`, the server is given up.
  RebuildWait(std::string admin, Duration away, bool tell)
      : admin_(std::move(admin)), away_(away), tell_(tell) {}
  client::Outcome<api::StatusResult> run();

 private:
  StatusQuery::Answer ask();
  void say(const std::string& line);
  client::CallError given_up(client::CallError error) const;
  client::CallError started_anew() const;
  client::CallError removed(const api::Alarm& alarm) const;

  const std::string admin_;
  const Duration away_;
  const bool tell_;
  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
  const Instant began_ = clock_.now();
  std::string told_;
  std::string seen_ = "nothing";  ///< of the server, last
};

client::Outcome<api::StatusResult> RebuildWait::run() {
  for (Instant heard = began_;; loop_.turn(kLookEvery)) {
    const Duration waited = clock_.now() - began_;
    auto status = ask();
    const api::Alarm* alarm = status ? alarm_of(*status, "QUARANTINED") : nullptr;
    if (const auto* gone = status ? alarm_of(*status, "REMOVED") : nullptr) return removed(*gone);
    if (status && alarm == nullptr) return status;
    const bool loads = !status && status.error().code == ErrorCode::kNoLeader;
    if (alarm != nullptr || loads) {
      heard = clock_.now();
      say(seen_ = loads ? status.error().message : alarm->message);
      // What it was told does not outlast the process.
      if (!loads && status->uptimeMs < to_ms(waited)) return started_anew();
    } else if (clock_.now() - heard >= away_) {
      return given_up(status.error());
    } else {
      say("waiting for " + admin_ + ", which does not answer");
    }
  }
}

StatusQuery::Answer RebuildWait::ask() {
  StatusQuery query(loop_, entropy_, {admin_}, std::min<Duration>(kAnswer, away_));
  while (!query.done()) loop_.turn(1s);
  return query.answers().front();
}

void RebuildWait::say(const std::string& line) {
  if (tell_ && line != told_) std::fprintf(stderr, "%s\n", printable(line).c_str());
  told_ = line;
}

client::CallError RebuildWait::given_up(client::CallError error) const {
  error.message =
      "the server at " + admin_ + " has not answered for " + std::to_string(to_ms(away_)) +
      " ms, and may not be rebuilt; seen of it last: " + seen_ + "; now: " + error.message;
  return error;
}

client::CallError RebuildWait::started_anew() const {
  return {ErrorCode::kShuttingDown,
          "the server at " + admin_ +
              " ended before it was rebuilt, runs again, and is to be told again: " + seen_};
}

// It stays quarantined then, and nobody gives it a state.
client::CallError RebuildWait::removed(const api::Alarm& alarm) const {
  return {ErrorCode::kShuttingDown,
          "the server at " + admin_ + " was removed before it was rebuilt: " + alarm.message};
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
  if (!answer) return report(in_words_of_flags(answer.error(), {{"force", "--force"}}));
  const Duration away = args.has("timeout") ? context.timeout : kAway;
  const auto status = RebuildWait(context.admins.front(), away, !context.json).run();
  if (!status) return report(status.error());
  print(*answer, *status, context.json);
  return kExitOk;
}

}  // namespace holdfast::cli
