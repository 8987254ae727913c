// The calls of the services as types: request, result, name on the wire. Everything that sends a
// call is a template over one of these.
#pragma once

#include "gen/cpp/admin_types.h"
#include "gen/cpp/holdfast_types.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::client {

template <class RequestType, class ResultType>
struct CallOf {
  using Request = RequestType;
  using Result = ResultType;
};

// Service Holdfast (client port).
struct OpenSession : CallOf<api::OpenSessionRequest, api::OpenSessionResult> {
  static constexpr char kName[] = "openSession";
};
struct Poll : CallOf<api::PollRequest, api::PollResult> {
  static constexpr char kName[] = "poll";
};
struct KeepAlive : CallOf<api::KeepAliveRequest, api::KeepAliveResult> {
  static constexpr char kName[] = "keepAlive";
};
struct CloseSession : CallOf<api::CloseSessionRequest, api::CloseSessionResult> {
  static constexpr char kName[] = "closeSession";
};
struct Acquire : CallOf<api::AcquireRequest, api::AcquireResult> {
  static constexpr char kName[] = "acquire";
};
struct CancelAcquire : CallOf<api::CancelAcquireRequest, api::CancelAcquireResult> {
  static constexpr char kName[] = "cancelAcquire";
};
struct AcquireAll : CallOf<api::AcquireAllRequest, api::AcquireResult> {
  static constexpr char kName[] = "acquireAll";
};
struct Release : CallOf<api::ReleaseRequest, api::ReleaseResult> {
  static constexpr char kName[] = "release";
};
struct ReleaseAll : CallOf<api::ReleaseAllRequest, api::ReleaseResult> {
  static constexpr char kName[] = "releaseAll";
};
struct SetHolderValue : CallOf<api::SetHolderValueRequest, api::SetHolderValueResult> {
  static constexpr char kName[] = "setHolderValue";
};
struct CheckToken : CallOf<api::CheckTokenRequest, api::CheckTokenResult> {
  static constexpr char kName[] = "checkToken";
};
struct DescribeLock : CallOf<api::DescribeLockRequest, api::DescribeLockResult> {
  static constexpr char kName[] = "describeLock";
};
struct ListLocks : CallOf<api::ListLocksRequest, api::ListLocksResult> {
  static constexpr char kName[] = "listLocks";
};
struct RevokeLock : CallOf<api::RevokeLockRequest, api::RevokeLockResult> {
  static constexpr char kName[] = "revokeLock";
};

// Service HoldfastKeys (client port).
struct GetKey : CallOf<api::GetRequest, api::GetResult> {
  static constexpr char kName[] = "get";
};
struct GetKeys : CallOf<api::GetManyRequest, api::GetManyResult> {
  static constexpr char kName[] = "getMany";
};
struct ListKeys : CallOf<api::ListKeysRequest, api::ListKeysResult> {
  static constexpr char kName[] = "listKeys";
};
struct WaitForChange : CallOf<api::WaitForChangeRequest, api::WaitForChangeResult> {
  static constexpr char kName[] = "waitForChange";
};
struct PutKey : CallOf<api::PutRequest, api::PutResult> {
  static constexpr char kName[] = "put";
};
struct CreateKey : CallOf<api::CreateRequest, api::CreateResult> {
  static constexpr char kName[] = "create";
};
struct RemoveKey : CallOf<api::RemoveRequest, api::RemoveResult> {
  static constexpr char kName[] = "remove";
};
struct Transact : CallOf<api::TransactRequest, api::TransactResult> {
  static constexpr char kName[] = "transact";
};
struct StartWatch : CallOf<api::WatchRequest, api::WatchResult> {
  static constexpr char kName[] = "watch";
};
struct StopWatch : CallOf<api::UnwatchRequest, api::UnwatchResult> {
  static constexpr char kName[] = "unwatch";
};

// Service HoldfastAdmin (administration port).
struct ServerStatus : CallOf<api::StatusRequest, api::StatusResult> {
  static constexpr char kName[] = "status";
};
struct ListMembers : CallOf<api::MembersRequest, api::MembersResult> {
  static constexpr char kName[] = "members";
};
struct ChangeMembers : CallOf<api::ChangeMembersRequest, api::ChangeMembersResult> {
  static constexpr char kName[] = "changeMembers";
};
struct TransferLeadership : CallOf<api::TransferLeadershipRequest, api::TransferLeadershipResult> {
  static constexpr char kName[] = "transferLeadership";
};
struct ListSessions : CallOf<api::ListSessionsRequest, api::ListSessionsResult> {
  static constexpr char kName[] = "listSessions";
};
struct ListWatches : CallOf<api::ListWatchesRequest, api::ListWatchesResult> {
  static constexpr char kName[] = "listWatches";
};
struct ExpireSession : CallOf<api::ExpireSessionRequest, api::ExpireSessionResult> {
  static constexpr char kName[] = "expireSession";
};
struct ChangeSettings : CallOf<api::SettingsRequest, api::SettingsResult> {
  static constexpr char kName[] = "settings";
};
struct RebuildState : CallOf<api::RebuildStateRequest, api::RebuildStateResult> {
  static constexpr char kName[] = "rebuildState";
};
struct SnapshotPiece : CallOf<api::SnapshotPieceRequest, api::SnapshotPieceResult> {
  static constexpr char kName[] = "snapshotPiece";
};

}  // namespace holdfast::client
