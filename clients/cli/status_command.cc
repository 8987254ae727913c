// status.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/status_query.h"
#include "clients/cli/status_views.h"

namespace holdfast::cli {
namespace {

std::vector<StatusQuery::Answer> ask(const std::vector<std::string>& admins, Duration timeout) {
  SystemClock clock;
  SystemEntropy entropy;
  net::Loop loop{clock};
  StatusQuery query(loop, entropy, admins, timeout);
  while (!query.done()) loop.turn(1s);
  return query.answers();
}

}  // namespace

int status_command(const Args& args, const Context& context) {
  if (!args.words.empty()) return report(Error{ErrorCode::kBadArgument, "no word is expected"});
  Table table = status_table();
  nlohmann::json all = nlohmann::json::array();
  std::string notes;
  int exit_code = kExitOk;
  // A server that does not answer within a moment is down; the others should not be waited for.
  const Duration timeout = std::min<Duration>(context.timeout, args.has("timeout") ? 60min : 2s);
  const std::vector<StatusQuery::Answer> answers = ask(context.admins, timeout);
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string& admin = context.admins[i];
    const StatusQuery::Answer& answer = answers[i];
    if (!answer) {
      exit_code = kExitUnavailable;
      all.push_back({{"admin", admin}, {"error", answer.error().message}});
      const bool silent = answer.error().code == ErrorCode::kTimeout;
      table.add({"-", admin, silent ? "no answer" : "not serving"});
      notes += admin + ": " + answer.error().message + "\n";
      continue;
    }
    if (args.has("check") && is_degraded(*answer) && exit_code == kExitOk)
      exit_code = kExitDegraded;
    all.push_back(status_json(admin, *answer));
    add_status(table, admin, *answer);
    notes += status_notes(admin, *answer);
  }
  if (context.json) {
    print_json(all);
  } else {
    std::printf("%s", table.text().c_str());
    std::fflush(stdout);  // the sentences stand below the table in a file and a pipe too
    std::fprintf(stderr, "%s", notes.c_str());
  }
  return exit_code;
}

}  // namespace holdfast::cli
