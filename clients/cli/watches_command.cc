// watches.
#include <algorithm>
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
  static const std::map<api::WatchScope::type, const char*> known = {
      {api::WatchScope::NODE, "node"},
      {api::WatchScope::CHILDREN, "children"},
      {api::WatchScope::SUBTREE, "subtree"}};
  return name_in(known, scope);
}

const char* space_name(api::WatchSpace::type space) {
  static const std::map<api::WatchSpace::type, const char*> known = {
      {api::WatchSpace::KEYS, "keys"},
      {api::WatchSpace::LOCKS, "locks"},
      {api::WatchSpace::BOTH, "both"}};
  return name_in(known, space);
}

/// As --only of `watch` has them.
std::vector<std::string> only(const api::WatchInfo& watch) {
  static const std::map<api::EventType::type, const char*> known = {
      {api::EventType::KEY_CREATED, "created"},
      {api::EventType::KEY_CHANGED, "changed"},
      {api::EventType::KEY_REMOVED, "removed"},
      {api::EventType::LOCK_GRANTED, "granted"},
      {api::EventType::LOCK_ENDED, "ended"}};
  std::vector<std::string> names;
  for (const api::EventType::type type : watch.filter) names.emplace_back(name_in(known, type));
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

/// What one server says.
struct Asked {
  std::string admin;
  std::unique_ptr<client::ClientCore> client;
  std::vector<api::WatchInfo> watches;
  std::optional<client::CallError> error;
  bool done = false;
};

void ask_page(Asked& asked, int32_t page) {
  api::ListWatchesRequest request;
  request.page = page;
  request.pageSize = kPageSize;
  asked.client->read<client::ListWatches>(
      request, [&asked](const client::Outcome<api::ListWatchesResult>& answer, const auto&) {
        if (!answer) {
          asked.error = answer.error();
        } else {
          asked.watches.insert(asked.watches.end(), answer->watches.begin(), answer->watches.end());
          if (answer->nextPage != 0) return ask_page(asked, answer->nextPage);
        }
        asked.done = true;
      });
}

/// Asks all at the same time, as `status` does: those that are down are waited for once.
class Question {
 public:
  Question(const std::vector<std::string>& admins, Duration timeout) {
    client::ClientOptions options = client_options(timeout);
    options.pool.follow_leader = false;
    for (const std::string& admin : admins) {
      asked_.push_back({.admin = admin});
      options.servers = {admin};
      auto client = client::ClientCore::create(loop_, entropy_, options);
      if (client) {
        asked_.back().client = std::move(*client);
      } else {
        asked_.back().error = client.error();
      }
    }
  }

  const std::vector<Asked>& answers() {
    for (Asked& asked : asked_) {
      if (asked.client) ask_page(asked, 0);
    }
    while (!std::ranges::all_of(asked_, [](const Asked& one) { return one.done || one.error; })) {
      loop_.turn(1s);
    }
    return asked_;
  }

 private:
  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
  std::vector<Asked> asked_;  ///< does not grow once they are asked: callbacks point into it
};

/// Those of one server; the exit code. Of one that failed in the midst what it told before, too.
int show(const Asked& asked, Shown& shown) {
  for (const api::WatchInfo& watch : asked.watches) {
    if (!watch.path.starts_with(shown.prefix)) continue;
    shown.all.push_back(to_json(asked.admin, watch));
    shown.table.add(row(asked.admin, watch));
  }
  if (!asked.error) return kExitOk;
  shown.all.push_back({{"admin", asked.admin}, {"error", asked.error->message}});
  client::CallError named = *asked.error;
  named.message = asked.admin + ": " + named.message;
  return report(named);
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
  Question question(context.admins, timeout);
  for (const Asked& asked : question.answers()) {
    const int code = show(asked, shown);
    if (code != kExitOk && exit_code != kExitUnavailable) exit_code = code;
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
