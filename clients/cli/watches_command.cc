// watches.
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

constexpr int32_t kPageSize = 1'000;

template <class Key>
const char* name_in(const std::map<Key, const char*>& names, Key key) {
  const auto at = names.find(key);
  return at == names.end() ? "unknown" : at->second;
}

const char* scope_name(api::WatchScope::type scope) {
  static const std::map<api::WatchScope::type, const char*> kNames = {
      {api::WatchScope::NODE, "node"},
      {api::WatchScope::CHILDREN, "children"},
      {api::WatchScope::SUBTREE, "subtree"}};
  return name_in(kNames, scope);
}

const char* space_name(api::WatchSpace::type space) {
  static const std::map<api::WatchSpace::type, const char*> kNames = {
      {api::WatchSpace::KEYS, "keys"},
      {api::WatchSpace::LOCKS, "locks"},
      {api::WatchSpace::BOTH, "both"}};
  return name_in(kNames, space);
}

/// As --only of `watch` has them.
std::vector<std::string> only(const api::WatchInfo& watch) {
  static const std::map<api::EventType::type, const char*> kNames = {
      {api::EventType::KEY_CREATED, "created"},
      {api::EventType::KEY_CHANGED, "changed"},
      {api::EventType::KEY_REMOVED, "removed"},
      {api::EventType::LOCK_GRANTED, "granted"},
      {api::EventType::LOCK_ENDED, "ended"}};
  std::vector<std::string> names;
  for (const api::EventType::type type : watch.filter) names.emplace_back(name_in(kNames, type));
  return names;
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

json to_json(const std::string& admin, const api::WatchInfo& watch) {
  return {{"admin", admin},
          {"watch_id", watch.watchId},
          {"session_id", watch.sessionId},
          {"session", watch.sessionName},
          {"path", watch.path},
          {"scope", scope_name(watch.scope)},
          {"space", space_name(watch.space)},
          {"only", only(watch)},
          {"values", watch.withValues},
          {"behind", watch.behind},
          {"resyncing", watch.resyncing}};
}

std::vector<std::string> row(const std::string& admin, const api::WatchInfo& watch) {
  const char* state = watch.resyncing ? "resync" : watch.behind ? "behind" : "";
  return {admin,
          std::to_string(watch.sessionId),
          printable(watch.sessionName),
          printable(watch.path),
          scope_name(watch.scope),
          space_name(watch.space),
          listed(only(watch)),
          state};
}

/// What is shown of all servers.
struct Shown {
  std::string prefix;
  json all = json::array();
  Table table{{"ADMIN", "SESSION", "NAME", "PATH", "SCOPE", "OF", "ONLY", "STATE"}};
};

/// Those of one server; the exit code.
int show(const std::string& admin, Duration timeout, Shown& shown) {
  auto remote = Remote::connect({admin}, timeout, false);
  if (!remote) return report(remote.error());
  api::ListWatchesRequest request;
  request.pageSize = kPageSize;
  do {
    const auto page = (*remote)->read<client::ListWatches>(request);
    if (!page) return report(page.error());
    for (const api::WatchInfo& watch : page->watches) {
      if (!watch.path.starts_with(shown.prefix)) continue;
      shown.all.push_back(to_json(admin, watch));
      shown.table.add(row(admin, watch));
    }
    request.page = page->nextPage;
  } while (request.page != 0);
  return kExitOk;
}

}  // namespace

int watches_command(const Args& args, const Context& context) {
  if (args.words.size() > 1) return report(Error{ErrorCode::kBadArgument, "one PREFIX at most"});
  if (!args.words.empty() && !args.words[0].starts_with('/')) {
    return report(Error{ErrorCode::kBadArgument,
                        "PREFIX \"" + args.words[0] + "\" does not begin with /: no path has it"});
  }
  Shown shown{.prefix = args.words.empty() ? "" : args.words[0]};
  // As for `status`: who is down should not keep the others from being seen.
  const Duration timeout = args.has("timeout") ? context.timeout : Duration(2s);
  int exit_code = kExitOk;
  for (const std::string& admin : context.admins) {
    if (const int code = show(admin, timeout, shown); code != kExitOk) exit_code = code;
  }
  if (context.json) {
    print_json(shown.all);
  } else if (!shown.table.empty()) {
    std::printf("%s", shown.table.text().c_str());
  } else if (exit_code == kExitOk) {
    std::printf("no watches%s are there\n",
                shown.prefix.empty() ? "" : (" with the prefix " + shown.prefix).c_str());
  }
  return exit_code;
}

}  // namespace holdfast::cli
