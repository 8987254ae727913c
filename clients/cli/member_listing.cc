#include "clients/cli/member_listing.h"

#include <algorithm>
#include <utility>

namespace holdfast::cli {
namespace {

/// As for `status`: one that does not answer within a moment is down.
constexpr Duration kAskEach = 2s;
constexpr Duration kLookAgain = 200ms;
/// A change that a lost server had passed on reaches the leader within this, or never.
constexpr Duration kMayBeOnItsWay = 2s;

const api::Member* find(const api::MembersResult& told, int32_t node) {
  const auto at = std::ranges::find(told.members, node, &api::Member::nodeId);
  return at == told.members.end() ? nullptr : &*at;
}

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

}  // namespace

bool knows_progress(const std::vector<api::Member>& members) {
  return std::ranges::any_of(
      members, [](const api::Member& m) { return m.progress != api::MemberProgress::UNSPECIFIED; });
}

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

std::optional<Listing> best_listing(const Context& context) {
  std::optional<Listing> best;
  for (const std::string& admin : context.admins) {
    auto listing = ask_one(admin, context);
    if (!listing) continue;
    if (knows_progress(listing->members.members)) return listing;
    if (!best || (!best->removed.empty() && listing->removed.empty())) best = std::move(listing);
  }
  return best;
}

bool shows(const api::MembersResult& told, const api::ChangeMembersRequest& change) {
  const auto added = [&](const api::NewMember& wanted) {
    const api::Member* const member = find(told, wanted.nodeId);
    return member != nullptr && member->peerAddress == wanted.peerAddress;
  };
  const auto promoted = [&](int32_t node) {
    const api::Member* const member = find(told, node);
    return member != nullptr && member->voter;
  };
  const auto removed = [&](int32_t node) {
    return std::ranges::find(told.removed, node, &api::RemovedMember::nodeId) != told.removed.end();
  };
  return told.settled && std::ranges::all_of(change.added, added) &&
         std::ranges::all_of(change.promoted, promoted) &&
         std::ranges::all_of(change.removed, removed);
}

Found look_for(const api::ChangeMembersRequest& change, const Context& context, Instant until) {
  SystemClock clock;
  net::Loop loop{clock};
  const Instant began = clock.now();
  Found found;
  for (;; loop.turn(kLookAgain)) {
    if (auto listing = best_listing(context)) found.listing = std::move(listing);
    const api::MembersResult* const told = found.listing ? &found.listing->members : nullptr;
    found.done = told != nullptr && shows(*told, change);
    const bool settled = told != nullptr && told->settled && knows_progress(told->members);
    const Instant now = clock.now();
    if (found.done || now >= until || (settled && now >= began + kMayBeOnItsWay)) return found;
  }
}

}  // namespace holdfast::cli
