#include "coordinator/server/rpc_methods.h"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "coordinator/server/engine.h"
#include "coordinator/server/request_check.h"
#include "gen/cpp/Holdfast.h"
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/HoldfastAdmin.h"
#include "gen/cpp/HoldfastAdmin.tcc"
#include "gen/cpp/HoldfastKeys.h"
#include "gen/cpp/HoldfastKeys.tcc"
#include "gen/cpp/admin_types.tcc"
#include "gen/cpp/holdfast_types.tcc"
#include "gen/cpp/keys_types.tcc"
#include "gen/cpp/watch_types.tcc"

namespace holdfast::server {

struct RpcArguments::Objects {
  std::variant<
      std::monostate, api::Holdfast_openSession_args, api::Holdfast_poll_args,
      api::Holdfast_keepAlive_args, api::Holdfast_closeSession_args, api::Holdfast_acquire_args,
      api::Holdfast_cancelAcquire_args, api::Holdfast_acquireAll_args, api::Holdfast_release_args,
      api::Holdfast_releaseAll_args, api::Holdfast_setHolderValue_args,
      api::Holdfast_checkToken_args, api::Holdfast_describeLock_args, api::Holdfast_listLocks_args,
      api::Holdfast_revokeLock_args, api::HoldfastKeys_get_args, api::HoldfastKeys_getMany_args,
      api::HoldfastKeys_listKeys_args, api::HoldfastKeys_waitForChange_args,
      api::HoldfastKeys_put_args, api::HoldfastKeys_create_args, api::HoldfastKeys_remove_args,
      api::HoldfastKeys_transact_args, api::HoldfastKeys_watch_args, api::HoldfastKeys_unwatch_args,
      api::HoldfastAdmin_status_args, api::HoldfastAdmin_members_args,
      api::HoldfastAdmin_changeMembers_args, api::HoldfastAdmin_transferLeadership_args,
      api::HoldfastAdmin_listSessions_args, api::HoldfastAdmin_listWatches_args,
      api::HoldfastAdmin_expireSession_args, api::HoldfastAdmin_settings_args,
      api::HoldfastAdmin_snapshotPiece_args, api::HoldfastAdmin_rebuildState_args>
      one;
};

RpcArguments::RpcArguments() : objects_(std::make_unique<Objects>()) {}
RpcArguments::RpcArguments(RpcArguments&&) noexcept = default;
RpcArguments& RpcArguments::operator=(RpcArguments&&) noexcept = default;
RpcArguments::~RpcArguments() = default;

namespace {

// Generated read() leaves a field that is absent as it was, so a reused object is put back into its
// initial state first: nothing of one client's call may show up in another's. What stands in hot
// calls keeps its buffers; the rest is simply made anew.
template <class T>
void reset(T& value) {
  value = T();
}

void reset(api::RequestContext& c) {
  c.sessionId = 0;
  c.sessionSecret.clear();
  c.sequence = 0;
  c.acknowledged.clear();
  c.minRevision = 0;
  c.deadlineMs = 0;
  c.trace.clear();
  c.credentials.principal.clear();
  c.credentials.proof.clear();
}

void reset(api::AcquireRequest& r) {
  r.path.clear();
  r.mode = api::LockMode::UNSPECIFIED;
  r.permits = 0;
  r.limit = 0;
  r.waitMs = 0;
  r.value.clear();
  r.lockDelayMs = 0;
  r.maxQueue = 0;
  r.owner.clear();
  r.enqueue = false;
}

void reset(api::ReleaseRequest& r) {
  r.path.clear();
  r.holderId = 0;
  r.to = 0;
}

void reset(api::SetHolderValueRequest& r) {
  r.path.clear();
  r.holderId = 0;
  r.value.clear();
}

void reset(api::LockGuard& g) {
  g.path.clear();
  g.holderId = 0;
}

void reset(api::GetRequest& r) {
  r.path.clear();
  r.consistency = api::Consistency::UNSPECIFIED;
  r.statOnly = false;
}

void reset(api::PutRequest& r) {
  r.path.clear();
  r.value.clear();
  r.expectedVersion = 0;
  r.makeParents = false;
  reset(r.guard);
}

void reset(api::PollRequest& r) {
  r.acknowledgedDelivery = 0;
  r.maxWaitMs = 0;
  r.renewNow = false;
  r.acknowledgedNotices.clear();
  r.pollNumber = 0;
}

template <class Args>
Args& initial(RpcArguments& arguments) {
  auto& one = arguments.objects().one;
  Args* const args = std::get_if<Args>(&one);
  if (args == nullptr) return one.template emplace<Args>();
  reset(args->context);
  reset(args->request);
  return *args;
}

template <class Args>
void decode(RpcReader& reader, RpcArguments& arguments) {
  reader.read_arguments(initial<Args>(arguments));
}

template <class Args, auto Member>
void hand_over(const Args& args, Engine& engine, CallId call) {
  constexpr bool kOpens = std::is_same_v<Args, api::Holdfast_openSession_args>;
  if (engine.refuse(call, args.context, check_context(args.context, kOpens))) return;
  (engine.*Member)(call, args.context, args.request);
}

template <class Args, auto Member>
void invoke(RpcArguments& arguments, Engine& engine, CallId call) {
  hand_over<Args, Member>(std::get<Args>(arguments.objects().one), engine, call);
}

// What may be a copy of a command that is done is judged by its handler, whatever is wrong with it.
template <class Args, auto Member>
void invoke_command(RpcArguments& arguments, Engine& engine, CallId call) {
  const Args& args = std::get<Args>(arguments.objects().one);
  if (!may_be_a_copy(args.context)) return hand_over<Args, Member>(args, engine, call);
  (engine.*Member)(call, args.context, args.request);
}

template <class Args, auto Member>
RpcMethod method(const char* name) {
  return {name, &decode<Args>, &invoke<Args, Member>};
}

/// Of one that a session numbers.
template <class Args, auto Member>
RpcMethod numbered(const char* name) {
  return {name, &decode<Args>, &invoke_command<Args, Member>};
}

std::vector<RpcMethod> sorted(std::vector<RpcMethod> methods) {
  std::sort(methods.begin(), methods.end(),
            [](const RpcMethod& a, const RpcMethod& b) { return a.name < b.name; });
  return methods;
}

}  // namespace

std::span<const RpcMethod> client_methods() {
  using namespace api;  // NOLINT: the argument types of one table
  static const std::vector<RpcMethod> methods = sorted({
      method<Holdfast_openSession_args, &Engine::open_session>("openSession"),
      method<Holdfast_poll_args, &Engine::poll>("poll"),
      method<Holdfast_keepAlive_args, &Engine::keep_alive>("keepAlive"),
      numbered<Holdfast_closeSession_args, &Engine::close_session>("closeSession"),
      numbered<Holdfast_acquire_args, &Engine::acquire>("acquire"),
      numbered<Holdfast_cancelAcquire_args, &Engine::cancel_acquire>("cancelAcquire"),
      numbered<Holdfast_acquireAll_args, &Engine::acquire_all>("acquireAll"),
      numbered<Holdfast_release_args, &Engine::release>("release"),
      numbered<Holdfast_releaseAll_args, &Engine::release_all>("releaseAll"),
      numbered<Holdfast_setHolderValue_args, &Engine::set_holder_value>("setHolderValue"),
      method<Holdfast_checkToken_args, &Engine::check_token>("checkToken"),
      method<Holdfast_describeLock_args, &Engine::describe_lock>("describeLock"),
      method<Holdfast_listLocks_args, &Engine::list_locks>("listLocks"),
      numbered<Holdfast_revokeLock_args, &Engine::revoke_lock>("revokeLock"),
      method<HoldfastKeys_get_args, &Engine::get>("get"),
      method<HoldfastKeys_getMany_args, &Engine::get_many>("getMany"),
      method<HoldfastKeys_listKeys_args, &Engine::list_keys>("listKeys"),
      method<HoldfastKeys_waitForChange_args, &Engine::wait_for_change>("waitForChange"),
      numbered<HoldfastKeys_put_args, &Engine::put>("put"),
      numbered<HoldfastKeys_create_args, &Engine::create>("create"),
      numbered<HoldfastKeys_remove_args, &Engine::remove>("remove"),
      numbered<HoldfastKeys_transact_args, &Engine::transact>("transact"),
      method<HoldfastKeys_watch_args, &Engine::watch>("watch"),
      method<HoldfastKeys_unwatch_args, &Engine::unwatch>("unwatch"),
  });
  return methods;
}

std::span<const RpcMethod> admin_methods() {
  using namespace api;  // NOLINT: the argument types of one table
  static const std::vector<RpcMethod> methods = sorted({
      method<HoldfastAdmin_status_args, &Engine::status>("status"),
      method<HoldfastAdmin_members_args, &Engine::members>("members"),
      method<HoldfastAdmin_changeMembers_args, &Engine::change_members>("changeMembers"),
      method<HoldfastAdmin_transferLeadership_args, &Engine::transfer_leadership>(
          "transferLeadership"),
      method<HoldfastAdmin_listSessions_args, &Engine::list_sessions>("listSessions"),
      method<HoldfastAdmin_listWatches_args, &Engine::list_watches>("listWatches"),
      method<HoldfastAdmin_expireSession_args, &Engine::expire_session>("expireSession"),
      method<HoldfastAdmin_settings_args, &Engine::settings>("settings"),
      method<HoldfastAdmin_snapshotPiece_args, &Engine::snapshot_piece>("snapshotPiece"),
      method<HoldfastAdmin_rebuildState_args, &Engine::rebuild_state>("rebuildState"),
  });
  return methods;
}

const RpcMethod* find_method(std::span<const RpcMethod> methods, std::string_view name) {
  const auto at =
      std::lower_bound(methods.begin(), methods.end(), name,
                       [](const RpcMethod& m, std::string_view n) { return m.name < n; });
  return at != methods.end() && at->name == name ? &*at : nullptr;
}

}  // namespace holdfast::server
