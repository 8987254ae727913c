// What the servers tell of the members. Each tells what it knows itself; who has caught up only the
// leader knows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clients/cli/remote.h"

namespace holdfast::cli {

/// A list, and how the server that tells it stands.
struct Listing {
  api::MembersResult members;
  std::string removed;  ///< how the server that tells this was removed; empty: it is a member
};

/// Who has caught up stands in the list: it is the leader's.
bool knows_progress(const std::vector<api::Member>& members);

/// The list of the leader, if `told` is not of it, and it is one of --admin.
std::optional<api::MembersResult> ask_leader(const std::vector<api::Member>& told,
                                             const Context& context);

/// The leader's list, or that of a member, or that of a server that was one; nothing if nobody
/// answers.
std::optional<Listing> best_listing(const Context& context);

/// Whether a list shows all of a change as done for good. A member that is not in it may be one
/// that the server has not heard of yet, or whose removal it has not: only what stands there
/// counts.
bool shows(const api::MembersResult& told, const api::ChangeMembersRequest& change);

/// What became of a change whose answer was lost.
struct Found {
  bool done = false;
  std::optional<Listing> listing;  ///< the last that was told
};

/// Looks until the change is done, `until` has come, or the leader has told for a while of settled
/// members without it.
Found look_for(const api::ChangeMembersRequest& change, const Context& context, Instant until);

}  // namespace holdfast::cli
