// member list, add, promote, remove, replace; raise-level.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

/// As for `status`: one that does not answer within a moment is down.
constexpr Duration kAskEach = 2s;

const char* name_of(api::MemberRole::type role) {
  switch (role) {
    case api::MemberRole::VOTER:
      return "voter";
    case api::MemberRole::LEARNER:
      return "learner";
    case api::MemberRole::JOINING:
      return "joining";
    case api::MemberRole::LEAVING:
      return "leaving";
    default:
      return "unknown";
  }
}

const char* name_of(api::MemberProgress::type progress) {
  switch (progress) {
    case api::MemberProgress::CAUGHT_UP:
      return "yes";
    case api::MemberProgress::BEHIND:
      return "no";
    default:
      return "-";
  }
}

json to_json(const api::Member& m) {
  json out{{"node_id", m.nodeId},
           {"role", name_of(m.role)},
           {"voter", m.voter},
           {"promoted_when_caught_up", m.promote},
           {"client_address", m.clientAddress},
           {"peer_address", m.peerAddress},
           {"store_id", m.storeId},
           {"feature_level", m.featureLevel}};
  if (m.progress != api::MemberProgress::UNSPECIFIED) {
    out["caught_up"] = m.progress == api::MemberProgress::CAUGHT_UP;
  }
  return out;
}

json to_json(const api::RemovedMember& gone) {
  return {{"node_id", gone.nodeId},
          {"role", "removed"},
          {"voter", false},
          {"store_id", gone.storeId},
          {"removed_at", gone.index}};
}

json to_json(const std::vector<api::Member>& members) {
  json all = json::array();
  for (const api::Member& m : members) all.push_back(to_json(m));
  return all;
}

bool knows_progress(const std::vector<api::Member>& members) {
  return std::ranges::any_of(
      members, [](const api::Member& m) { return m.progress != api::MemberProgress::UNSPECIFIED; });
}

/// Each server tells of the members what it knows itself, and who has caught up only the leader
/// knows: its answer, if `told` is not of it, and it is one of --admin.
std::optional<api::MembersResult> ask_leader(const std::vector<api::Member>& told,
                                             const Context& context) {
  if (knows_progress(told) || context.admins.size() == 1) return std::nullopt;
  for (const std::string& admin : context.admins) {
    auto remote = Remote::connect({admin}, std::min<Duration>(context.timeout, kAskEach), false);
    if (!remote) continue;
    const auto answer = (*remote)->read<client::ListMembers>({});
    if (answer && knows_progress(answer->members)) return *answer;
  }
  return std::nullopt;
}

struct Listing {
  api::MembersResult members;
  std::string removed;  ///< how the server that tells this was removed; empty: it is a member
};

/// What one server tells; a removed one knows of no change after its own removal.
std::optional<Listing> ask_one(const std::string& admin, const Context& context) {
  auto remote = Remote::connect({admin}, std::min<Duration>(context.timeout, kAskEach), false);
  if (!remote) return std::nullopt;
  const auto members = (*remote)->read<client::ListMembers>({});
  if (!members) return std::nullopt;
  Listing listing{*members, {}};
  if (knows_progress(members->members)) return listing;  // it leads
  const auto status = (*remote)->read<client::ServerStatus>({});
  if (!status) return listing;
  for (const api::Alarm& alarm : status->alarms) {
    if (alarm.name == "REMOVED") listing.removed = alarm.message;
  }
  return listing;
}

/// The leader's list, or that of a member, or that of a server that was one.
Listing best_listing(api::MembersResult first, const Context& context) {
  if (knows_progress(first.members)) return {std::move(first), {}};
  std::optional<Listing> best;
  for (const std::string& admin : context.admins) {
    auto listing = ask_one(admin, context);
    if (!listing) continue;
    if (knows_progress(listing->members.members)) return std::move(*listing);
    if (!best || (!best->removed.empty() && listing->removed.empty())) best = std::move(listing);
  }
  return best ? std::move(*best) : Listing{std::move(first), {}};
}

/// On standard error: with --json standard output is the list alone.
void warn_of_removed(const Listing& listing) {
  std::fprintf(stderr,
               "holdfast: warning: %s: its list is as of entry %lld, and what was changed since it "
               "does not know; ask another server\n",
               printable(listing.removed).c_str(), static_cast<long long>(listing.members.index));
}

void print_member_table(const std::vector<api::Member>& members, int32_t leader) {
  Table table({"NODE", "ROLE", "CAUGHT UP", "CLIENTS", "PEERS", "STORE", "FEATURES"});
  for (const api::Member& m : members) {
    std::string role = name_of(m.role);
    if (m.nodeId == leader) role += ", leads";
    table.add({std::to_string(m.nodeId), role, name_of(m.progress), m.clientAddress, m.peerAddress,
               std::to_string(m.storeId), std::to_string(m.featureLevel)});
  }
  std::printf("%s", table.text().c_str());
}

void print_members(const std::vector<api::Member>& members, int32_t leader) {
  print_member_table(members, leader);
  if (knows_progress(members)) return;
  if (leader == 0) {
    std::printf("CAUGHT UP: only the leader knows, and no server leads\n");
  } else {
    std::printf(
        "CAUGHT UP: only the leader, node %d, knows, and it answered at no --admin address\n",
        leader);
  }
}

Error wrong_words(const std::string& wanted, const Args& args) {
  const size_t words = args.words.size();
  return {ErrorCode::kBadArgument,
          wanted + " " + (wanted.find(' ') == std::string::npos ? "is" : "are") +
              " expected, not " + std::to_string(words) + (words == 1 ? " word" : " words")};
}

/// What a change did, in words for people.
struct Told {
  std::string done;     ///< after a change
  std::string already;  ///< if there was nothing to do
};

client::Outcome<api::ChangeMembersResult> ask_for(const api::ChangeMembersRequest& request,
                                                  const Context& context) {
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return remote.error();
  return (*remote)->write<client::ChangeMembers>(request);
}

void print_change(api::ChangeMembersResult answer, const Context& context, const Told& told) {
  if (const auto leader = ask_leader(answer.members, context)) answer.members = leader->members;
  if (context.json) {
    return print_json({{"changed", answer.changed},
                       {"leader_id", answer.header.leaderId},
                       {"members", to_json(answer.members)},
                       {"feature_level", answer.featureLevel}});
  }
  std::printf("%s\n", answer.changed ? told.done.c_str() : told.already.c_str());
  print_members(answer.members, answer.header.leaderId);
}

int change(const api::ChangeMembersRequest& request, const Context& context, const Told& told) {
  const auto answer = ask_for(request, context);
  if (!answer) return report(answer.error());
  print_change(*answer, context, told);
  return kExitOk;
}

/// A voter in the place of another one would be that one's removal, and NEW most likely a wrong
/// word. While OLD is leaving, the command is a repetition.
std::optional<std::string> why_no_replacement(const std::vector<api::Member>& members,
                                              int32_t old_node, int32_t new_node) {
  const auto has = [&](int32_t node, bool (*fits)(api::MemberRole::type)) {
    return std::any_of(members.begin(), members.end(),
                       [&](const api::Member& m) { return m.nodeId == node && fits(m.role); });
  };
  const bool votes = has(new_node, [](auto role) { return role == api::MemberRole::VOTER; });
  const bool stays = has(old_node, [](auto role) { return role != api::MemberRole::LEAVING; });
  if (!votes || !stays) return {};
  return "node " + std::to_string(new_node) + " votes already and replaces nobody: name a new " +
         "server, or run `holdfast member remove " + std::to_string(old_node) + "`";
}

}  // namespace

int members_command(const Args& args, const Context& context) {
  if (!args.words.empty()) return report(Error{ErrorCode::kBadArgument, "no word is expected"});
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  auto answer = (*remote)->read<client::ListMembers>({});
  if (!answer) return report(answer.error());
  const Listing listing = best_listing(std::move(*answer), context);
  const api::MembersResult& told = listing.members;
  if (!listing.removed.empty()) warn_of_removed(listing);
  if (context.json) {
    json all = to_json(told.members);
    for (const api::RemovedMember& gone : told.removed) all.push_back(to_json(gone));
    print_json(all);
    return kExitOk;
  }
  if (listing.removed.empty()) {
    print_members(told.members, told.header.leaderId);
  } else {
    print_member_table(told.members, 0);
  }
  if (!told.settled) std::printf("a change of the members is under way\n");
  for (const api::RemovedMember& gone : told.removed) {
    std::printf("node %d (store %lld) was removed at entry %lld\n", gone.nodeId,
                static_cast<long long>(gone.storeId), static_cast<long long>(gone.index));
  }
  return kExitOk;
}

int member_add_command(const Args& args, const Context& context) {
  if (args.words.size() != 2) return report(wrong_words("NODE and ADDRESS", args));
  const auto node = parse_node("NODE", args.words[0]);
  if (!node) return report(node.error());
  const bool learns = args.has("learner");
  api::ChangeMembersRequest request;
  api::NewMember& added = request.added.emplace_back();
  added.nodeId = *node;
  added.peerAddress = args.words[1];
  added.role = learns ? api::MemberRole::LEARNER : api::MemberRole::JOINING;
  const std::string who = "node " + args.words[0];
  return change(request, context,
                {who + (learns ? " is a learner" : " was added and votes once it has caught up"),
                 who + " is a member already" +
                     (learns ? "" : "; `member promote` makes a learner a voter")});
}

int member_promote_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) return report(wrong_words("NODE", args));
  const auto node = parse_node("NODE", args.words[0]);
  if (!node) return report(node.error());
  api::ChangeMembersRequest request;
  request.promoted = {*node};
  request.force = args.has("force");
  const std::string who = "node " + args.words[0];
  return change(request, context, {who + " votes", who + " votes already"});
}

int member_remove_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) return report(wrong_words("NODE", args));
  const auto node = parse_node("NODE", args.words[0]);
  if (!node) return report(node.error());
  api::ChangeMembersRequest request;
  request.removed = {*node};
  request.force = args.has("force");
  const std::string who = "node " + args.words[0];
  return change(request, context, {who + " was removed", who + " was removed already"});
}

// The role of OLD is looked up first; OLD and NEW cannot change it in between by any other command
// than one that this one then contradicts.
int member_replace_command(const Args& args, const Context& context) {
  if (args.words.size() != 3) return report(wrong_words("OLD, NEW and ADDRESS", args));
  const auto old_node = parse_node("OLD", args.words[0]);
  if (!old_node) return report(old_node.error());
  const auto new_node = parse_node("NEW", args.words[1]);
  if (!new_node) return report(new_node.error());
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  const auto members = (*remote)->read<client::ListMembers>({});
  if (!members) return report(members.error());
  if (const auto why = why_no_replacement(members->members, *old_node, *new_node)) {
    return report(client::CallError{.code = ErrorCode::kBadArgument, .message = *why});
  }
  api::ChangeMembersRequest request;
  api::NewMember& added = request.added.emplace_back();
  added.nodeId = *new_node;
  added.peerAddress = args.words[2];
  added.role = api::MemberRole::VOTER;
  bool promotes = false;
  for (const api::Member& m : members->members) {
    const bool learns = m.role == api::MemberRole::LEARNER || m.role == api::MemberRole::JOINING;
    if (m.nodeId == *old_node && learns) added.role = m.role;  // one that is leaving was a voter
    promotes |= m.nodeId == *new_node && learns && m.peerAddress == added.peerAddress;
  }
  if (promotes && added.role == api::MemberRole::VOTER) {  // it is there already, and is to vote
    request.added.clear();
    request.promoted = {*new_node};
  }
  request.removed = {*old_node};
  request.force = args.has("force");
  const std::string what = "node " + args.words[1] + " in place of node " + args.words[0];
  return change(request, context, {what, what + " already"});
}

// Without LEVEL it is what any member knows, so that one that was left out is named.
int raise_level_command(const Args& args, const Context& context) {
  if (args.words.size() > 1) return report(wrong_words("one LEVEL at most", args));
  api::ChangeMembersRequest request;
  if (!args.words.empty()) {
    const auto level = parse_number("LEVEL", args.words[0], 1, 1'000'000);
    if (!level) return report(level.error());
    request.raiseLevel = static_cast<int32_t>(*level);
  } else {
    auto remote = Remote::connect(context.admins, context.timeout, false);
    if (!remote) return report(remote.error());
    const auto members = (*remote)->read<client::ListMembers>({});
    if (!members) return report(members.error());
    for (const api::Member& m : members->members) {
      request.raiseLevel = std::max(request.raiseLevel, m.featureLevel);
    }
  }
  const auto answer = ask_for(request, context);
  if (!answer) return report(answer.error());
  const std::string level = "feature level " +
                            std::to_string(std::max(request.raiseLevel, answer->featureLevel)) +
                            " is in force";
  const bool above = answer->featureLevel > request.raiseLevel;
  print_change(*answer, context,
               {level, level + " already" + (above ? "; levels are never lowered" : "")});
  return kExitOk;
}

}  // namespace holdfast::cli
