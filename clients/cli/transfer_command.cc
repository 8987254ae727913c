// transfer-leader.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/status_query.h"
#include "clients/cli/status_views.h"

namespace holdfast::cli {
namespace {

constexpr Duration kAnswer = 2s;

// What was asked for is known here, and who can be reached to its leader: the answer comes from
// whichever server was asked.
int report_not_taken_over(client::CallError error, int32_t node, const Context& context) {
  SystemClock clock;
  SystemEntropy entropy;
  net::Loop loop{clock};
  StatusQuery query(loop, entropy, context.admins, kAnswer);
  while (!query.done()) loop.turn(1s);
  std::vector<api::StatusResult> statuses;
  for (const StatusQuery::Answer& answer : query.answers()) {
    if (answer) statuses.push_back(*answer);
  }
  error.message += "; " + why_not_taken_over(node, statuses);
  return report(error);
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
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::TransferLeadership>(request);
  if (!answer && answer.error().code == ErrorCode::kTimeout && request.nodeId != 0) {
    return report_not_taken_over(answer.error(), request.nodeId, context);
  }
  if (!answer) return report(answer.error());
  if (context.json) {
    print_json({{"changed", !answer->ledAlready},
                {"leader_id", answer->header.leaderId},
                {"term", answer->header.term}});
  } else {
    std::printf("node %d leads %sin term %lld\n", answer->header.leaderId,
                answer->ledAlready ? "already, " : "", static_cast<long long>(answer->header.term));
  }
  return kExitOk;
}

}  // namespace holdfast::cli
