// txn.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/key_args.h"
#include "clients/cli/txn_script.h"

namespace holdfast::cli {
namespace {

/// Servers name the path of a sequential key alone, as only they know it, and no version of what is
/// gone.
nlohmann::json to_json(const api::OperationResult& done, const api::Operation& asked) {
  return {{"path", done.path.empty() ? path_of(asked) : done.path},
          {"version", asked.__isset.remove ? 0 : done.version},
          {"removed", done.removed}};
}

void print_result(const api::TransactResult& result, const api::TransactRequest& request,
                  const Context& context) {
  if (context.json) {
    const auto& asked = result.succeeded ? request.thenOperations : request.otherwiseOperations;
    nlohmann::json steps = nlohmann::json::array();
    for (size_t i = 0; i < std::min(asked.size(), result.results.size()); ++i) {
      steps.push_back(to_json(result.results[i], asked[i]));
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
  const auto script = parse_transaction(*text);
  const std::string file = args.words[0] == "-" ? "standard input" : args.words[0];
  if (!script) {
    return report(Error{ErrorCode::kBadArgument, file + ", " + script.error().message});
  }
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::Transact>(script->request);
  if (!answer) {
    client::CallError refusal = answer.error();
    refusal.message = in_words_of(*script, file, refusal.message);
    return report(refusal);
  }
  print_result(*answer, script->request, context);
  return answer->succeeded ? kExitOk : kExitConditions;
}

}  // namespace holdfast::cli
