// txn.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/key_args.h"
#include "clients/cli/txn_script.h"

namespace holdfast::cli {
namespace {

void print_result(const api::TransactResult& result, const Context& context) {
  if (context.json) {
    nlohmann::json steps = nlohmann::json::array();
    for (const api::OperationResult& step : result.results) {
      steps.push_back({{"path", step.path}, {"version", step.version}, {"removed", step.removed}});
    }
    return print_json({{"revision", result.revision},
                       {"succeeded", static_cast<bool>(result.succeeded)},
                       {"results", steps}});
  }
  std::printf("%s: %zu step%s done\n",
              result.succeeded ? "the conditions held" : "the conditions did not hold",
              result.results.size(), result.results.size() == 1 ? "" : "s");
  for (const api::OperationResult& step : result.results) {
    if (!step.path.empty()) std::printf("%s\n", step.path.c_str());
  }
}

}  // namespace

int txn_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) {
    return report(Error{ErrorCode::kBadArgument, "one FILE is needed, or - for standard input"});
  }
  const auto text = read_file(args.words[0]);
  if (!text) return report(text.error());
  const auto request = parse_transaction(*text);
  if (!request) {
    return report(Error{ErrorCode::kBadArgument, args.words[0] + ", " + request.error().message});
  }
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::Transact>(*request);
  if (!answer) return report(answer.error());
  print_result(*answer, context);
  return answer->succeeded ? kExitOk : kExitConditions;
}

}  // namespace holdfast::cli
