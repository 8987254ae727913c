// A call from its arrival to its answer. The engine knows calls by their id only; whoever feeds it
// (the client port in the server, a model in the simulator) keeps what is needed to answer.
#pragma once

#include <cstdint>
#include <variant>

#include "base/error.h"
#include "gen/cpp/admin_types.h"
#include "gen/cpp/holdfast_types.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::server {

/// Names an outstanding call; never reused, so that a late answer cannot reach another call.
struct CallId {
  uint32_t port = 0;  ///< which of the server's ports it came in by
  uint32_t slot = 0;
  uint32_t generation = 0;
  friend bool operator==(const CallId&, const CallId&) = default;
};

struct PollReply;

/// The result of any call of either service, by reference: valid during ReplySink::complete().
using ReplyView = std::variant<
    const api::OpenSessionResult*, const PollReply*, const api::KeepAliveResult*,
    const api::CloseSessionResult*, const api::AcquireResult*, const api::CancelAcquireResult*,
    const api::ReleaseResult*, const api::SetHolderValueResult*, const api::CheckTokenResult*,
    const api::DescribeLockResult*, const api::ListLocksResult*, const api::RevokeLockResult*,
    const api::GetResult*, const api::GetManyResult*, const api::ListKeysResult*,
    const api::WaitForChangeResult*, const api::PutResult*, const api::CreateResult*,
    const api::RemoveResult*, const api::TransactResult*, const api::WatchResult*,
    const api::UnwatchResult*, const api::StatusResult*, const api::MembersResult*,
    const api::ChangeMembersResult*, const api::TransferLeadershipResult*,
    const api::ListSessionsResult*, const api::ListWatchesResult*, const api::ExpireSessionResult*,
    const api::SettingsResult*, const api::SnapshotPieceResult*, const api::RebuildStateResult*>;

/// Takes answers. Each call is answered exactly once, by complete() or fail(). Loop thread.
class ReplySink {
 public:
  virtual void complete(CallId call, const ReplyView& reply) = 0;
  virtual void fail(CallId call, const api::HoldfastError& error) = 0;
  /// Calls with the same number come from one client: of its connection, in the server.
  virtual uint64_t client_of(CallId call) const = 0;

 protected:
  ~ReplySink() = default;
};

}  // namespace holdfast::server
