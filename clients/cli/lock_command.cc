// lock and elect: from flags to a LockJob.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/lock_runner.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

std::string default_name(const std::string& command) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string program = command.substr(command.find_last_of('/') + 1);
  return (program + "@" + host + ":" + std::to_string(getpid())).substr(0, 256);
}

Status read_mode(const Args& args, client::LockOptions& lock) {
  if (args.has("shared") && args.has("semaphore")) {
    return bad("--shared and --semaphore exclude each other");
  }
  if (args.has("shared")) lock.mode = api::LockMode::SHARED;
  if (!args.has("semaphore")) return ok_status();
  const std::string text = args.get("semaphore");
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return bad("--semaphore needs PERMITS/LIMIT, e.g. 1/4");
  const auto permits = parse_number("PERMITS", text.substr(0, slash), 1, INT32_MAX);
  if (!permits) return permits.error();
  const auto limit = parse_number("LIMIT", text.substr(slash + 1), 1, INT32_MAX);
  if (!limit) return limit.error();
  if (*permits > *limit) {
    return bad(std::to_string(*permits) + " permits are more than the limit " +
               std::to_string(*limit));
  }
  lock.mode = api::LockMode::SEMAPHORE;
  lock.permits = static_cast<int32_t>(*permits);
  lock.limit = static_cast<int32_t>(*limit);
  return ok_status();
}

Status read_wait(const Args& args, client::LockOptions& lock) {
  if (args.has("try") && args.has("wait")) return bad("--try and --wait exclude each other");
  if (args.has("try")) lock.wait_ms = 0;
  if (!args.has("wait")) return ok_status();
  const auto wait = parse_duration("--wait", args.get("wait"));
  if (!wait) return wait.error();
  lock.wait_ms = to_ms(*wait);
  return ok_status();
}

Status read_words(const Args& args) {
  if (args.words.size() > 1 && !args.has_command) {
    // A command like `lock describe`, misspelt, has the path in the place of what is to be run.
    if (!args.words[0].starts_with('/')) return check_lock_path(args.words[0]);
    return bad("put -- before the command: " + args.words[0] + " -- " + args.words[1] + " ...");
  }
  if (args.words.size() != 1) return bad("one PATH is needed, such as /jobs/nightly");
  if (args.command.empty()) return bad("a command is needed behind --");
  return check_lock_path(args.words[0]);
}

Result<LockJob> make_job(const Args& args) {
  if (const Status status = read_words(args); !status) return status.error();
  LockJob job;
  job.path = args.words[0];
  job.command = args.command;
  job.quiet = args.has("quiet");
  for (const Status& status : {read_mode(args, job.lock), read_wait(args, job.lock)}) {
    if (!status) return status.error();
  }
  const auto ttl = parse_duration("--ttl", args.get("ttl", "10s"));
  if (!ttl) return ttl.error();
  const auto delay = parse_duration("--delay", args.get("delay", "0"));
  if (!delay) return delay.error();
  job.session.ttl = *ttl;
  job.margin = *ttl / 4;
  if (args.has("margin")) {
    const auto margin = parse_duration("--margin", args.get("margin"));
    if (!margin) return margin.error();
    // A parked poll leaves down to half the TTL on a healthy lease.
    if (*margin > *ttl / 3) {
      return bad("--margin is " + std::to_string(to_ms(*margin)) + " ms, at most " +
                 std::to_string(to_ms(*ttl / 3)) + " are allowed, a third of --ttl");
    }
    job.margin = *margin;
  }
  job.lock.value = args.get("value");
  job.lock.lock_delay_ms = to_ms(*delay);
  job.session.name = args.get("name", default_name(args.command.front()));
  job.session.attributes = {{"pid", std::to_string(getpid())}};
  return job;
}

int run_job(const Args& args, const Context& context) {
  auto job = make_job(args);
  if (!job) return report(job.error());
  LockRunner runner(context, std::move(*job));
  return runner.run();
}

int show_leader(const Args& args, const Context& context) {
  for (const char* flag : {"value", "wait", "ttl", "margin", "name", "quiet"}) {
    if (args.has(flag)) return report(bad(std::string("--") + flag + " needs a command behind --"));
  }
  const auto path = one_path(args);
  if (!path) return report(path.error());
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::DescribeLockRequest request;
  request.path = *path;
  const auto answer = (*remote)->read<client::DescribeLock>(request);
  if (!answer) return report(answer.error());
  const auto& lock = answer->lock;
  const auto* leader = lock.holders.empty() ? nullptr : &lock.holders[0];
  if (context.json) {
    nlohmann::json document = {{"path", lock.path}, {"leader", nullptr}};
    if (leader != nullptr) {
      document["leader"] = {{"value", leader->value},
                            {"token", leader->token},
                            {"session", leader->sessionName},
                            {"since_unix_ms", leader->sinceUnixMs}};
    }
    print_json(document);
  } else if (leader != nullptr) {
    std::printf("%s\n", printable(leader->value).c_str());
  } else {
    std::fprintf(stderr, "holdfast: nobody leads %s\n", path->c_str());
  }
  return leader != nullptr ? kExitOk : kExitNotGranted;
}

}  // namespace

int lock_command(const Args& args, const Context& context) { return run_job(args, context); }

int elect_command(const Args& args, const Context& context) {
  if (!args.has_command) return show_leader(args, context);
  if (!args.has("value"))
    return report(
        bad("with a command --value is needed, such as --value 10.0.0.7:8080: what it publishes as "
            "leader"));
  return run_job(args, context);
}

}  // namespace holdfast::cli
