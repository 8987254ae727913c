// member list, add, promote, remove, replace; raise-level.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/net/address.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/member_listing.h"
#include "clients/cli/status_query.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

/// After an answer was lost, though the time that the command has is over.
constexpr Duration kLookAtLeast = 2s;
constexpr Duration kLookAgain = 200ms;
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

/// The leader judges the rest: it asks the server there who it is.
Status check_address(const std::string& text) {
  const auto address = net::parse_address(text);
  if (address) return ok_status();
  return Error{ErrorCode::kBadArgument, "ADDRESS: " + address.error().message};
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

/// The highest that one of the servers knows to be in force: levels are never lowered.
int32_t level_in_force(const Context& context) {
  int32_t level = 0;
  for (const api::StatusResult& status : statuses_of(context.admins, kAskEach)) {
    level = std::max(level, status.featureLevel);
  }
  return level;
}

/// Of a change whose answer was lost: it is so, whoever did it.
void print_found(const Listing& listing, const Context& context, const Told& told) {
  const api::MembersResult& members = listing.members;
  if (!context.json) {
    std::printf("%s\n", told.done.c_str());
    return print_members(members.members, members.header.leaderId);
  }
  print_json({{"changed", nullptr},
              {"leader_id", members.header.leaderId},
              {"members", to_json(members.members)},
              {"feature_level", level_in_force(context)}});
}

/// What the members are says more than that the answer was lost.
int look_up(const api::ChangeMembersRequest& request, client::CallError lost, Instant until,
            const Context& context, const Told& told) {
  const Found found = look_for(request, context, until);
  if (found.done) {
    std::fprintf(stderr, "holdfast: %s; the list of the members shows the change\n",
                 printable(lost.message).c_str());
    print_found(*found.listing, context, told);
    return kExitOk;
  }
  if (found.listing) {
    lost.message += "; the list of the members as of entry " +
                    std::to_string(found.listing->members.index) +
                    " does not show the change, which may be done yet";
  } else {
    lost.message += "; no server tells who the members are";
  }
  lost.message += ": look with `holdfast member list`, or give the same command again";
  return report(lost);
}

int look_up_level(client::CallError lost, int32_t level, Instant until, const Context& context) {
  SystemClock clock;
  net::Loop loop{clock};
  int32_t found = level_in_force(context);
  while (found < level && clock.now() < until) {
    loop.turn(kLookAgain);
    found = level_in_force(context);
  }
  if (found >= level) {
    std::fprintf(stderr, "holdfast: %s; the status of the servers shows the level\n",
                 printable(lost.message).c_str());
    print_found(best_listing(context).value_or(Listing{}), context,
                {"feature level " + std::to_string(found) + " is in force", {}});
    return kExitOk;
  }
  lost.message += found > 0 ? "; feature level " + std::to_string(found) +
                                  " is in force yet, and may still be raised"
                            : "; no server tells which level is in force";
  lost.message += ": look with `holdfast status --json`, or give the same command again";
  return report(lost);
}

int change(const api::ChangeMembersRequest& request, const Context& context, const Told& told) {
  SystemClock clock;
  const Instant until = clock.now() + context.timeout;
  const auto answer = ask_for(request, context);
  if (!answer && answer.error().maybe_applied) {
    return look_up(request, answer.error(), std::max(until, clock.now() + kLookAtLeast), context,
                   told);
  }
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
  Listing listing{std::move(*answer), {}};
  if (!knows_progress(listing.members.members)) {
    if (auto best = best_listing(context)) listing = std::move(*best);
  }
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
  if (const Status at = check_address(args.words[1]); !at) return report(at.error());
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
  if (const Status at = check_address(args.words[2]); !at) return report(at.error());
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
  SystemClock clock;
  const Instant until = clock.now() + context.timeout;
  const auto answer = ask_for(request, context);
  if (!answer && answer.error().maybe_applied) {
    return look_up_level(answer.error(), request.raiseLevel,
                         std::max(until, clock.now() + kLookAtLeast), context);
  }
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
