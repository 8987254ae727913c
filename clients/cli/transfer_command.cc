// transfer-leader.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/status_query.h"
#include "clients/cli/status_views.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

constexpr Duration kAnswer = 2s;
constexpr Duration kLookAgain = 200ms;
/// After an answer was lost, though the time that the command has is over.
constexpr Duration kLookAtLeast = 2s;

struct Leader {
  int32_t node = 0;
  int64_t term = 0;
};

/// As any of the servers tells. One that was cut off may not know of it: the latest term counts.
std::optional<Leader> leader_of(const std::vector<api::StatusResult>& statuses) {
  std::optional<Leader> latest;
  for (const api::StatusResult& status : statuses) {
    if (status.leaderId == 0) continue;
    if (!latest || status.term > latest->term) latest = {status.leaderId, status.term};
  }
  return latest;
}

std::string leads(const Leader& leader) {
  return "node " + std::to_string(leader.node) + " leads in term " + std::to_string(leader.term);
}

int tell(const Leader& leader, json changed, const Context& context) {
  if (context.json) {
    print_json(
        {{"changed", std::move(changed)}, {"leader_id", leader.node}, {"term", leader.term}});
  } else {
    std::printf("%s\n", leads(leader).c_str());
  }
  return kExitOk;
}

int tell(const api::TransferLeadershipResult& answer, const Context& context) {
  const Leader leader{answer.header.leaderId, answer.header.term};
  if (!answer.ledAlready || context.json) return tell(leader, !answer.ledAlready, context);
  std::printf("node %d leads already, in term %lld\n", leader.node,
              static_cast<long long>(leader.term));
  return kExitOk;
}

int tell_found(const client::CallError& lost, const Leader& leader, const Context& context) {
  std::fprintf(stderr, "holdfast: %s; the status of the servers shows who leads\n",
               printable(lost.message).c_str());
  return tell(leader, nullptr, context);
}

// What was asked for is known here, and who can be reached to its leader: the answer comes from
// whichever server was asked.
int report_not_taken_over(client::CallError error, int32_t node, const Context& context) {
  const auto statuses = statuses_of(context.admins, kAnswer);
  const auto leader = leader_of(statuses);
  if (leader && leader->node == node) return tell_found(error, *leader, context);
  error.message += "; " + why_not_taken_over(node, statuses);
  return report(error);
}

/// Who leads says more than that the answer was lost.
int look_up(client::CallError lost, int32_t node, Instant until, const Context& context) {
  SystemClock clock;
  net::Loop loop{clock};
  std::optional<Leader> leader;
  for (;; loop.turn(kLookAgain)) {
    leader = leader_of(statuses_of(context.admins, kAnswer));
    if (leader && leader->node == node) return tell_found(lost, *leader, context);
    if (clock.now() >= until || (leader && node == 0)) break;
  }
  lost.message += leader ? "; " + leads(*leader) : "; no server tells who leads";
  return report(lost);
}

/// Another one may have been elected while leadership was handed over.
int report_another(const api::TransferLeadershipResult& answer, int32_t node) {
  return report(client::CallError{
      .code = ErrorCode::kTimeout,
      .message = "node " + std::to_string(node) +
                 " did not take over: " + leads({answer.header.leaderId, answer.header.term})});
}

}  // namespace

int transfer_command(const Args& args, const Context& context) {
  if (args.words.size() > 1) return report(Error{ErrorCode::kBadArgument, "one NODE at most"});
  api::TransferLeadershipRequest request;
  if (!args.words.empty()) {
    const auto node = parse_node("NODE", args.words[0]);
    if (!node) return report(node.error());
    request.nodeId = *node;
  }
  SystemClock clock;
  const Instant until = clock.now() + context.timeout;
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  const int32_t node = request.nodeId;
  const auto answer = (*remote)->write<client::TransferLeadership>(request);
  if (answer) {
    const bool another = node != 0 && answer->header.leaderId != node;
    return another ? report_another(*answer, node) : tell(*answer, context);
  }
  const client::CallError& error = answer.error();
  if (error.code == ErrorCode::kTimeout && node != 0) {
    return report_not_taken_over(error, node, context);
  }
  if (error.code != ErrorCode::kOutcomeUnknown) return report(error);
  return look_up(error, node, std::max(until, clock.now() + kLookAtLeast), context);
}

}  // namespace holdfast::cli
