#include "clients/cli/remote.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "clients/cli/args.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/output.h"
#include "clients/cli/table.h"

namespace holdfast::cli {

client::ClientOptions client_options(Duration timeout) {
  client::ClientOptions options;
  options.call_timeout = timeout;
  options.pool.wait_for_a_cluster = false;
  return options;
}

client::Outcome<std::unique_ptr<Remote>> Remote::connect(const std::vector<std::string>& servers,
                                                         Duration timeout, bool follow_leader) {
  std::unique_ptr<Remote> remote(new Remote);
  client::ClientOptions options = client_options(timeout);
  options.servers = servers;
  options.pool.follow_leader = follow_leader;
  auto core = client::ClientCore::create(remote->loop_, remote->entropy_, options);
  if (!core) return core.error();
  remote->core_ = std::move(*core);
  return remote;
}

int report(const client::CallError& error) {
  say_on_stderr("holdfast: " + printable(error.message) + (error.message.empty() ? "" : " ") + "[" +
                error_code_name(error.code) + "]");
  switch (error.code) {
    case ErrorCode::kTimeout:
    case ErrorCode::kNoLeader:
    case ErrorCode::kShuttingDown:
    case ErrorCode::kOverloaded:
    case ErrorCode::kNoSpace:
      return kExitUnavailable;
    case ErrorCode::kLimitExceeded:  // of what there is no room for at the moment, or of a rule
      return error.retryable ? kExitUnavailable : kExitRefused;
    case ErrorCode::kOutcomeUnknown:
      return kExitUnknown;
    default:
      return kExitRefused;
  }
}

int report(const Error& error) {
  say_on_stderr("holdfast: " + printable(error.message));
  return kExitUsage;
}

client::CallError in_words_of_flags(client::CallError refusal,
                                    const std::map<std::string, std::string>& names) {
  refusal.message = renamed(std::move(refusal.message), names);
  return refusal;
}

void report_not_taken(int error) {
  say_on_stderr(std::string("holdfast: cannot write standard output") +
                (error == 0 ? "" : std::string(": ") + std::strerror(error)));
}

bool output_taken() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  report_not_taken(errno);
  return false;
}

void print_json(const nlohmann::json& document) {
  // Values are bytes of their owners' choice: what is not UTF-8 is replaced rather than refused.
  const std::string text = document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

}  // namespace holdfast::cli
