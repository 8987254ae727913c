// From the state's own structs to those of the API.
#pragma once

#include <functional>

#include "coordinator/server/host.h"
#include "gen/cpp/holdfast_types.h"
#include "lockmgr/types.h"
#include "session/session_table.h"

namespace holdfast::server {

/// How many holders a refused or waiting acquire is shown, and a lock in a list.
inline constexpr size_t kHoldersOfRefusal = 16;

/// What is left of a session's lease, -1 if not known here.
using LeaseLeft = std::function<int64_t(SessionId)>;

api::LockHolder api_holder(const lockmgr::HolderInfo& holder, int64_t lease_left_ms);
api::LockWaiter api_waiter(const lockmgr::WaiterInfo& waiter, int64_t cluster_time_ms);
api::Tenure api_tenure(const lockmgr::TenureInfo& tenure);
api::LockInfo api_lock(const lockmgr::LockInfo& lock, int64_t cluster_time_ms,
                       const LeaseLeft& lease_left);

/// Places of a session in queues: a waiting acquireAll has one in each of its locks'.
int32_t queue_places(const rsm::StateMachine& machine, const session::Session& session);

/// The error that a command came to, decided at apply: it changed nothing.
Refusal refusal_of(const rsm::CommandResult& result);

}  // namespace holdfast::server
