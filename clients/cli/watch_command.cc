// watch: from flags to a WatchJob.
#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "clients/cli/commands.h"
#include "clients/cli/key_args.h"
#include "clients/cli/watch_runner.h"

namespace holdfast::cli {
namespace {

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

Result<api::WatchScope::type> scope_of(const Args& args) {
  static const std::map<std::string, api::WatchScope::type> scopes = {
      {"node", api::WatchScope::NODE},
      {"children", api::WatchScope::CHILDREN},
      {"subtree", api::WatchScope::SUBTREE}};
  const auto at = scopes.find(args.get("scope", "node"));
  if (at != scopes.end()) return at->second;
  return bad("--scope is \"" + args.get("scope") + "\" but must be node, children or subtree");
}

api::WatchSpace::type space_of(const Args& args) {
  if (!args.has("locks")) return api::WatchSpace::KEYS;
  return args.has("keys") ? api::WatchSpace::BOTH : api::WatchSpace::LOCKS;
}

struct EventName {
  const char* name;
  api::EventType::type type;
  bool of_locks;
};

constexpr EventName kEventNames[] = {{"created", api::EventType::KEY_CREATED, false},
                                     {"changed", api::EventType::KEY_CHANGED, false},
                                     {"removed", api::EventType::KEY_REMOVED, false},
                                     {"granted", api::EventType::LOCK_GRANTED, true},
                                     {"ended", api::EventType::LOCK_ENDED, true}};

/// One that cannot happen to what is watched would never be shown: it is refused.
Result<api::EventType::type> event_type(const std::string& word, api::WatchSpace::type space) {
  const auto* const found = std::ranges::find(kEventNames, word, &EventName::name);
  if (found == std::end(kEventNames)) {
    return bad("--only has \"" + word +
               "\" but must be of created, changed, removed, granted and ended");
  }
  if (found->of_locks && space == api::WatchSpace::KEYS) {
    return bad("--only " + word + " happens to locks: it needs --locks");
  }
  if (!found->of_locks && space == api::WatchSpace::LOCKS) {
    return bad("--only " + word + " happens to keys: beside --locks it needs --keys");
  }
  return found->type;
}

Result<std::vector<api::EventType::type>> filter_of(const Args& args) {
  std::vector<api::EventType::type> filter;
  if (!args.has("only")) return filter;
  std::istringstream words(args.get("only") + ",");
  for (std::string word; std::getline(words, word, ',');) {
    const auto type = event_type(word, space_of(args));
    if (!type) return type.error();
    filter.push_back(*type);
  }
  return filter;
}

Result<WatchJob> make_job(const Args& args) {
  if (args.words.size() > 1) return bad("\"" + args.words[1] + "\" is one word too many");
  const auto path = key_path(args, true);
  if (!path) return path.error();
  const auto scope = scope_of(args);
  if (!scope) return scope.error();
  const auto since = parse_number("--since", args.get("since", "0"), 0, kNumberMax);
  if (!since) return since.error();
  const auto count = parse_number("--count", args.get("count", "0"), 0, INT64_MAX);
  if (!count) return count.error();
  auto filter = filter_of(args);
  if (!filter) return filter.error();
  WatchJob job;
  job.path = *path;
  job.options.scope = *scope;
  job.options.space = space_of(args);
  // Of the wire, 0 is from now on; revision 1 changes no key and no lock.
  job.options.since_revision = args.has("since") ? std::max<int64_t>(1, *since) : 0;
  job.options.with_values = args.has("values");
  job.options.filter = std::move(*filter);
  job.count = *count;
  job.shows_progress = args.has("progress");
  return job;
}

}  // namespace

int watch_command(const Args& args, const Context& context) {
  auto job = make_job(args);
  if (!job) return report(job.error());
  WatchRunner runner(context, std::move(*job));
  return runner.run();
}

}  // namespace holdfast::cli
