#include "coordinator/server/api_views.h"

#include <algorithm>

#include "lockmgr/lock_table.h"

namespace holdfast::server {

namespace {
template <class Ordinal>
int64_t number(Ordinal value) {
  return static_cast<int64_t>(value.value);
}
}  // namespace

api::LockHolder api_holder(const lockmgr::HolderInfo& holder, int64_t lease_left_ms) {
  api::LockHolder out;
  out.holderId = number(holder.holder_id);
  out.token = number(holder.token);
  out.sessionId = number(holder.session);
  out.sessionName.assign(holder.session_name);
  out.owner.assign(holder.owner);
  out.mode = static_cast<api::LockMode::type>(holder.mode);
  out.permits = static_cast<int32_t>(holder.permits);
  out.value.assign(holder.value);
  out.sinceUnixMs = holder.since_unix_ms;
  out.leaseLeftMs = lease_left_ms;
  out.revoking = holder.revoking;
  return out;
}

api::LockWaiter api_waiter(const lockmgr::WaiterInfo& waiter, int64_t cluster_time_ms,
                           int64_t lease_left_ms) {
  api::LockWaiter out;
  out.holderId = number(waiter.holder_id);
  out.position = static_cast<int32_t>(waiter.position);
  out.sessionId = number(waiter.session);
  out.sessionName.assign(waiter.session_name);
  out.owner.assign(waiter.owner);
  out.mode = static_cast<api::LockMode::type>(waiter.mode);
  out.permits = static_cast<int32_t>(waiter.permits);
  out.sinceUnixMs = waiter.since_unix_ms;
  out.waitLeftMs =
      waiter.deadline_ms == 0 ? -1 : std::max<int64_t>(0, waiter.deadline_ms - cluster_time_ms);
  out.locksWanted = static_cast<int32_t>(waiter.locks_wanted);
  out.leaseLeftMs = lease_left_ms;
  return out;
}

api::Tenure api_tenure(const lockmgr::TenureInfo& tenure) {
  api::Tenure out;
  out.holderId = number(tenure.holder_id);
  out.token = number(tenure.token);
  out.sessionId = number(tenure.session);
  out.sessionName.assign(tenure.session_name);
  out.owner.assign(tenure.owner);
  out.sinceUnixMs = tenure.since_unix_ms;
  out.endedUnixMs = tenure.ended_unix_ms;
  out.endRevision = number(tenure.end_revision);
  out.reason = static_cast<api::EndReason::type>(tenure.reason);
  out.note.assign(tenure.note);
  return out;
}

api::LockInfo api_lock(const lockmgr::LockInfo& lock, const LeaderView& view,
                       int64_t held_until_ms) {
  api::LockInfo out;
  out.path.assign(lock.path);
  out.limit = static_cast<int32_t>(lock.limit);
  out.holderCount = static_cast<int32_t>(lock.holder_count);
  out.waiterCount = static_cast<int32_t>(lock.waiter_count);
  if (lock.closed_until_ms != 0) {
    out.closedForMs = std::max<int64_t>(0, lock.closed_until_ms - view.cluster_time_ms);
  }
  const int64_t held_ms = held_until_ms - view.cluster_time_ms;
  if (held_ms > 0 && held_ms >= out.closedForMs) {
    out.closedForMs = held_ms;
    out.restoreHold = true;
  }
  for (const auto& h : lock.holders) {
    out.holders.push_back(api_holder(h, view.lease_left(h.session)));
  }
  for (const auto& w : lock.waiters) {
    out.waiters.push_back(api_waiter(w, view.cluster_time_ms, view.lease_left(w.session)));
  }
  for (const auto& t : lock.tenures) out.tenures.push_back(api_tenure(t));
  return out;
}

api::KeyStat api_stat(const tree::Stat& stat) {
  api::KeyStat out;
  out.kind = static_cast<api::KeyKind::type>(stat.kind);
  out.version = static_cast<int64_t>(stat.version);
  out.createRevision = number(stat.create_revision);
  out.modifyRevision = number(stat.modify_revision);
  out.childrenVersion = static_cast<int64_t>(stat.children_version);
  out.childrenRevision = number(stat.children_revision);
  out.childCount = static_cast<int64_t>(stat.child_count);
  out.ephemeralOwner = number(stat.ephemeral_owner);
  out.createdUnixMs = stat.created_unix_ms;
  out.modifiedUnixMs = stat.modified_unix_ms;
  out.valueBytes = static_cast<int64_t>(stat.value_bytes);
  out.ttlMs = stat.ttl_ms;
  return out;
}

api::KeyEntry api_key(std::string_view path, const tree::KeyView& key, bool with_value) {
  api::KeyEntry out;
  out.path = path;
  if (with_value) out.value = key.value;
  out.stat = api_stat(key.stat);
  return out;
}

Refusal refusal_of(const rsm::CommandResult& result) {
  // Once something was acknowledged the same command has room.
  const bool later = result.code == ErrorCode::kOverloaded || result.window_full;
  return {result.code, result.message, /*maybe_applied=*/false, /*retryable=*/later,
          later ? 20 : 0};
}

}  // namespace holdfast::server
