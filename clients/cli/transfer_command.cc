// transfer-leader.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"

namespace holdfast::cli {

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
