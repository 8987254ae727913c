// Locks: commands that change them and reads that explain them.
#include <algorithm>
#include <limits>

#include "coordinator/rsm/path.h"
#include "coordinator/server/api_views.h"
#include "coordinator/server/engine_calls.h"
#include "lockmgr/lock_table.h"

namespace holdfast::server {

using command::CommandKind;

namespace {

/// The mode as it is replicated; nothing if this build does not know it.
std::optional<api::LockMode::type> known_mode(api::LockMode::type mode) {
  switch (mode) {
    case api::LockMode::UNSPECIFIED:
    case api::LockMode::EXCLUSIVE:
      return api::LockMode::EXCLUSIVE;
    case api::LockMode::SHARED:
    case api::LockMode::SEMAPHORE:
      return mode;
  }
  return std::nullopt;
}

/// The claim of any struct of the API that wants a lock. A mode that is not known here stays as it
/// is: the content of a command is what its caller gave.
template <class Wanted>
command::LockClaim claim_of(const Wanted& wanted) {
  command::LockClaim claim;
  claim.path = wanted.path;
  claim.mode = known_mode(wanted.mode).value_or(wanted.mode);
  const bool semaphore = claim.mode == api::LockMode::SEMAPHORE;
  claim.permits = !semaphore ? 0 : wanted.permits == 0 ? 1 : wanted.permits;
  claim.limit = semaphore ? wanted.limit : 0;
  return claim;
}

/// Of permits only a semaphore's get into the command: of other modes the state would see neither.
template <class Wanted>
std::optional<Refusal> check_wanted(const Wanted& wanted) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  if (auto bad = check_number("permits", wanted.permits, 0, kMost)) return bad;
  if (auto bad = check_number("limit", wanted.limit, 0, kMost)) return bad;
  if (known_mode(wanted.mode)) return std::nullopt;
  return Refusal{ErrorCode::kUnsupported,
                 "lock mode " + std::to_string(wanted.mode) + " is not known here", false, false,
                 0};
}

template <class Request, class Body>
void fill_wait(const Request& request, Body& body) {
  body.waitMs = request.waitMs;
  body.value = request.value;
  body.lockDelayMs = request.lockDelayMs;
  body.maxQueue = request.maxQueue;
  body.owner = request.owner;
}

}  // namespace

void Engine::acquire(CallId call, const api::RequestContext& context,
                     const api::AcquireRequest& request) {
  command::Acquire body;
  body.claim = claim_of(request);
  fill_wait(request, body);
  PendingCommand pending;
  pending.parks = !request.enqueue && request.waitMs != 0;
  if (context.deadlineMs > 0) pending.park_until = deadline_of(context);
  pending.path = request.path;
  submit<&Engine::acquire>(call, context, request, CommandKind::ACQUIRE, body,
                           check_wanted(request), std::move(pending));
}

void Engine::acquire_all(CallId call, const api::RequestContext& context,
                         const api::AcquireAllRequest& request) {
  command::AcquireAll body;
  Fault fault;
  for (const api::LockWanted& wanted : request.locks) {
    if (!fault) fault = check_wanted(wanted);
    body.claims.push_back(claim_of(wanted));
  }
  fill_wait(request, body);
  PendingCommand pending;
  pending.parks = !request.enqueue && request.waitMs != 0;
  if (context.deadlineMs > 0) pending.park_until = deadline_of(context);
  if (!request.locks.empty()) pending.path = request.locks.front().path;
  submit<&Engine::acquire_all>(call, context, request, CommandKind::ACQUIRE_ALL, body, fault,
                               std::move(pending));
}

void Engine::finish_acquire(const PendingCommand& command, const rsm::CommandResult& result) {
  const SessionId session(static_cast<uint64_t>(command.header.sessionId));
  const Sequence sequence(static_cast<uint64_t>(command.header.sequence));
  const bool waits = result.code == ErrorCode::kOk &&
                     result.status == static_cast<uint8_t>(rsm::AcquireStatus::kWaiting);
  if (waits && command.parks && waits_.park(command.call, session, sequence, command.park_until)) {
    return;
  }
  answer_acquire(host_, command.call, sequence, command.path, result);
}

void Engine::cancel_acquire(CallId call, const api::RequestContext& context,
                            const api::CancelAcquireRequest& request) {
  command::CancelAcquire body;
  body.path = request.path;
  body.acquireSequence = request.acquireSequence;
  submit<&Engine::cancel_acquire>(call, context, request, CommandKind::CANCEL_ACQUIRE, body);
}

void Engine::release(CallId call, const api::RequestContext& context,
                     const api::ReleaseRequest& request) {
  command::Release body;
  body.path = request.path;
  body.holderId = request.holderId;
  body.to = request.to;
  submit<&Engine::release>(call, context, request, CommandKind::RELEASE, body);
}

void Engine::release_all(CallId call, const api::RequestContext& context,
                         const api::ReleaseAllRequest& request) {
  command::ReleaseAll body;
  body.holderId = request.holderId;
  submit<&Engine::release_all>(call, context, request, CommandKind::RELEASE_ALL, body);
}

void Engine::set_holder_value(CallId call, const api::RequestContext& context,
                              const api::SetHolderValueRequest& request) {
  command::SetHolderValue body;
  body.path = request.path;
  body.holderId = request.holderId;
  body.value = request.value;
  submit<&Engine::set_holder_value>(call, context, request, CommandKind::SET_HOLDER_VALUE, body);
}

void Engine::revoke_lock(CallId call, const api::RequestContext& context,
                         const api::RevokeLockRequest& request) {
  // What is wrong with the context is judged with the command, whose copy it may be.
  if (!check_context(context, /*opens_session=*/false)) {
    audit(context, "revokeLock path=" + rsm::quote(request.path) +
                       " holder=" + std::to_string(request.holderId) +
                       " noticeMs=" + std::to_string(request.noticeMs) +
                       (request.force ? " force" : "") + " reason=" + rsm::quote(request.reason));
  }
  command::RevokeLock body;
  body.path = request.path;
  body.holderId = request.holderId;
  body.noticeMs = request.noticeMs;
  body.reason = request.reason;
  body.force = request.force;
  if (context.sessionId == 0) {
    return submit_sessionless(call, context, CommandKind::REVOKE_LOCK, body);
  }
  submit<&Engine::revoke_lock>(call, context, request, CommandKind::REVOKE_LOCK, body);
}

void Engine::read(CallId call, const api::RequestContext& context,
                  api::Consistency::type consistency, size_t bytes, std::function<void()> run) {
  if (refuse_stopping(call, context)) return;
  if (consistency < api::Consistency::UNSPECIFIED || consistency > api::Consistency::LOCAL) {
    return host_.fail(
        call,
        {ErrorCode::kUnsupported,
         "consistency " + std::to_string(consistency) + " is not known here", false, false, 0},
        context.sequence);
  }
  const LogIndex at_least = min_revision_of(context);
  if (consistency == api::Consistency::LOCAL && std::max(at_least, host_.applied) == LogIndex()) {
    return host_.fail(call,
                      Host::no_leader("this server has no state yet, it waits for the others'"),
                      context.sequence);
  }
  PendingRead read{.call = call,
                   .sequence = context.sequence,
                   .deadline = deadline_of(context),
                   .min_revision = at_least,
                   .run = std::move(run),
                   .bytes = bytes};
  if (consistency == api::Consistency::LOCAL) {
    reads_.local(std::move(read));
  } else {
    reads_.linearizable(std::move(read));
  }
}

bool Engine::good_path(CallId call, const api::RequestContext& context, const std::string& path) {
  const Status status = rsm::check_form(path);
  if (status.ok()) return true;
  host_.fail(call, {status.error().code, status.error().message, false, false, 0},
             context.sequence);
  return false;
}

void Engine::check_token(CallId call, const api::RequestContext& context,
                         const api::CheckTokenRequest& request) {
  if (!good_path(call, context, request.path)) return;
  read(call, context, request.consistency, request.path.size(),
       [this, call, sequence = context.sequence, path = request.path, token = request.token] {
         api::CheckTokenResult reply;
         host_.fill(reply.header, sequence);
         const Revision shown(static_cast<uint64_t>(std::max<int64_t>(0, token)));
         reply.current = machine_.locks().check_token(path, shown);
         reply.latestToken = static_cast<int64_t>(machine_.locks().latest_token(path).value);
         host_.complete(call, &reply);
       });
}

}  // namespace holdfast::server
