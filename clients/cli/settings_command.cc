// settings: the replicated limits, shown or changed.
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
using Values = std::map<std::string, int64_t>;

/// As far as the server that answers knows; if none does, what follows meets that.
bool holds_after_restore(Remote& remote) {
  const auto status = remote.read<client::ServerStatus>({});
  return status && std::ranges::find(status->alarms, "RESTORE_HOLD", &api::Alarm::name) !=
                       status->alarms.end();
}

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

bool is_name(const std::string& word) { return word.find('=') == std::string::npos; }

Result<Values> changes_of(const Args& args) {
  Values changes;
  for (const std::string& word : args.words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return bad("\"" + word +
                 "\" has no value: all are NAME, to show them, or NAME=VALUE, to "
                 "change them");
    }
    if (equals == 0) return bad("\"" + word + "\" is not NAME or NAME=VALUE");
    // Every number goes to the servers, whose refusal names the setting's own bounds.
    const auto value =
        parse_number(word.substr(0, equals), word.substr(equals + 1), INT64_MIN, INT64_MAX);
    if (!value) return bad("\"" + word + "\" needs a whole number: " + value.error().message);
    if (!changes.emplace(word.substr(0, equals), *value).second) {
      return bad("\"" + word + "\" changes what was changed already");
    }
  }
  return changes;
}

json to_json(const api::Setting& s) {
  return {{"name", s.name},       {"value", s.value},     {"smallest", s.smallest},
          {"largest", s.largest}, {"initial", s.initial}, {"help", s.help}};
}

/// All of them, or those that are named.
int show(const std::vector<std::string>& names, const api::SettingsResult& answer,
         const Context& context) {
  for (const std::string& name : names) {
    if (std::ranges::find(answer.settings, name, &api::Setting::name) != answer.settings.end()) {
      continue;
    }
    return report(bad("there is no setting \"" + name + "\"; `holdfast settings` shows all"));
  }
  Table table({"NAME", "VALUE", "SMALLEST", "LARGEST", "INITIAL", "WHAT IT LIMITS"});
  json all = json::array();
  for (const auto& s : answer.settings) {
    if (!names.empty() && std::ranges::find(names, s.name) == names.end()) continue;
    table.add({s.name, std::to_string(s.value), std::to_string(s.smallest),
               std::to_string(s.largest), std::to_string(s.initial), s.help});
    all.push_back(to_json(s));
  }
  if (context.json) {
    print_json(all);
  } else {
    std::printf("%s", table.text().c_str());
  }
  return kExitOk;
}

/// Those that were named, also one that had the value already.
void show_changed(const Values& changes, const api::SettingsResult& before,
                  const api::SettingsResult& after, const Context& context) {
  Values old;
  for (const api::Setting& s : before.settings) old[s.name] = s.value;
  Table table({"NAME", "OLD", "NEW", "WHAT IT LIMITS"});
  json all = json::array();
  for (const api::Setting& s : after.settings) {
    if (!changes.contains(s.name)) continue;
    table.add({s.name, std::to_string(old[s.name]), std::to_string(s.value), s.help});
    json& shown = all.emplace_back(to_json(s));
    shown["old_value"] = old[s.name];
  }
  if (context.json) return print_json(all);
  std::printf("%s", table.text().c_str());
}

}  // namespace

int settings_command(const Args& args, const Context& context) {
  const bool only_names = std::ranges::all_of(args.words, is_name);
  auto changes = only_names ? Result<Values>(Values()) : changes_of(args);
  if (!changes) return report(changes.error());
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  const auto before = (*remote)->read<client::ChangeSettings>({});
  if (!before) return report(before.error());
  if (only_names) return show(args.words, *before, context);
  const bool ends_hold =
      changes->contains("restore_hold_until_ms") && holds_after_restore(**remote);
  api::SettingsRequest request;
  request.changes = *changes;
  const auto after = (*remote)->write<client::ChangeSettings>(request);
  if (!after) return report(after.error());
  if (ends_hold) {
    std::fprintf(stderr,
                 "holdfast: locks are granted sooner than their old holders must know that they "
                 "lost them: until then only fencing tokens protect\n");
  }
  show_changed(*changes, *before, *after, context);
  return kExitOk;
}

}  // namespace holdfast::cli
