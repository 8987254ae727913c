// From the state's own structs to those of the API.
#pragma once

#include <functional>

#include "coordinator/server/host.h"
#include "coordinator/tree/types.h"
#include "gen/cpp/holdfast_types.h"
#include "lockmgr/types.h"
#include "session/session_table.h"

namespace holdfast::server {

/// How many holders a refused or waiting acquire is shown, and a lock in a list.
inline constexpr size_t kHoldersOfRefusal = 16;

/// Entries of a page: what is asked for, or without that so many.
inline int32_t page_size(int32_t asked) { return asked == 0 ? 100 : asked; }
inline constexpr int32_t kPageSizeMax = 1'000;
/// A page ends here though it has fewer entries (docs: limits), so that any client can take it.
inline constexpr size_t kPageBytesMax = 1 << 20;

/// What is left of a session's lease, -1 if not known here.
using LeaseLeft = std::function<int64_t(SessionId)>;

/// What only the leader knows of a lock's holders and waiters, as far as it could be learnt.
struct LeaderView {
  LeaseLeft lease_left;
  int64_t cluster_time_ms = 0;  ///< else that of the last entry applied here
};

api::LockHolder api_holder(const lockmgr::HolderInfo& holder, int64_t lease_left_ms);
api::LockWaiter api_waiter(const lockmgr::WaiterInfo& waiter, int64_t cluster_time_ms,
                           int64_t lease_left_ms);
api::Tenure api_tenure(const lockmgr::TenureInfo& tenure);
/// `held_until_ms`: cluster time until which a restore holds all locks back; may have passed.
api::LockInfo api_lock(const lockmgr::LockInfo& lock, const LeaderView& view,
                       int64_t held_until_ms);

api::KeyStat api_stat(const tree::Stat& stat);
api::KeyEntry api_key(std::string_view path, const tree::KeyView& key, bool with_value = true);

/// The error that a command came to, decided at apply: it changed nothing.
Refusal refusal_of(const rsm::CommandResult& result);

}  // namespace holdfast::server
