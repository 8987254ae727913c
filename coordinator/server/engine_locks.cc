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

/// Fills a claim from any struct of the API that wants a lock. False if the mode is unknown.
template <class Wanted>
bool fill_claim(const Wanted& wanted, command::LockClaim& claim) {
  const auto mode = known_mode(wanted.mode);
  if (!mode) return false;
  claim.path = wanted.path;
  claim.mode = *mode;
  const bool semaphore = *mode == api::LockMode::SEMAPHORE;
  claim.permits = !semaphore ? 0 : wanted.permits == 0 ? 1 : wanted.permits;
  claim.limit = semaphore ? wanted.limit : 0;
  return true;
}

/// Only a semaphore's get into the command: of other modes the state would see neither.
template <class Wanted>
std::optional<Refusal> check_permits(const Wanted& wanted) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  if (auto bad = check_number("permits", wanted.permits, 0, kMost)) return bad;
  return check_number("limit", wanted.limit, 0, kMost);
}

template <class Request, class Body>
void fill_wait(const Request& request, Body& body) {
  body.waitMs = request.waitMs;
  body.value = request.value;
  body.lockDelayMs = request.lockDelayMs;
  body.maxQueue = request.maxQueue;
  body.owner = request.owner;
}

Refusal unknown_mode(int mode) {
  return {ErrorCode::kUnsupported, "lock mode " + std::to_string(mode) + " is not known here",
          false, false, 0};
}

}  // namespace

void Engine::acquire(CallId call, const api::RequestContext& context,
                     const api::AcquireRequest& request) {
  if (refuse(call, context, check_permits(request))) return;
  if (!admit_command<&Engine::acquire>(call, context, request)) return;
  command::Acquire body;
  if (!fill_claim(request, body.claim)) {
    return host_.fail(call, unknown_mode(request.mode), context.sequence);
  }
  fill_wait(request, body);
  PendingCommand pending;
  pending.parks = !request.enqueue && request.waitMs != 0;
  if (context.deadlineMs > 0) pending.park_until = deadline_of(context);
  pending.path = request.path;
  submit(call, context, CommandKind::ACQUIRE, body, std::move(pending));
}

void Engine::acquire_all(CallId call, const api::RequestContext& context,
                         const api::AcquireAllRequest& request) {
  for (const api::LockWanted& wanted : request.locks) {
    if (refuse(call, context, check_permits(wanted))) return;
  }
  if (!admit_command<&Engine::acquire_all>(call, context, request)) return;
  command::AcquireAll body;
  for (const api::LockWanted& wanted : request.locks) {
    command::LockClaim claim;
    if (!fill_claim(wanted, claim)) {
      return host_.fail(call, unknown_mode(wanted.mode), context.sequence);
    }
    body.claims.push_back(std::move(claim));
  }
  fill_wait(request, body);
  PendingCommand pending;
  pending.parks = !request.enqueue && request.waitMs != 0;
  if (context.deadlineMs > 0) pending.park_until = deadline_of(context);
  if (!request.locks.empty()) pending.path = request.locks.front().path;
  submit(call, context, CommandKind::ACQUIRE_ALL, body, std::move(pending));
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
  if (!admit_command<&Engine::cancel_acquire>(call, context, request)) return;
  command::CancelAcquire body;
  body.path = request.path;
  body.acquireSequence = request.acquireSequence;
  submit(call, context, CommandKind::CANCEL_ACQUIRE, body);
}

void Engine::release(CallId call, const api::RequestContext& context,
                     const api::ReleaseRequest& request) {
  if (!admit_command<&Engine::release>(call, context, request)) return;
  command::Release body;
  body.path = request.path;
  body.holderId = request.holderId;
  body.to = request.to;
  submit(call, context, CommandKind::RELEASE, body);
}

void Engine::release_all(CallId call, const api::RequestContext& context,
                         const api::ReleaseAllRequest& request) {
  if (!admit_command<&Engine::release_all>(call, context, request)) return;
  command::ReleaseAll body;
  body.holderId = request.holderId;
  submit(call, context, CommandKind::RELEASE_ALL, body);
}

void Engine::set_holder_value(CallId call, const api::RequestContext& context,
                              const api::SetHolderValueRequest& request) {
  if (!admit_command<&Engine::set_holder_value>(call, context, request)) return;
  command::SetHolderValue body;
  body.path = request.path;
  body.holderId = request.holderId;
  body.value = request.value;
  submit(call, context, CommandKind::SET_HOLDER_VALUE, body);
}

void Engine::revoke_lock(CallId call, const api::RequestContext& context,
                         const api::RevokeLockRequest& request) {
  audit(context, "revokeLock path=" + rsm::quote(request.path) +
                     " holder=" + std::to_string(request.holderId) +
                     " noticeMs=" + std::to_string(request.noticeMs) +
                     (request.force ? " force" : "") + " reason=" + rsm::quote(request.reason));
  command::RevokeLock body;
  body.path = request.path;
  body.holderId = request.holderId;
  body.noticeMs = request.noticeMs;
  body.reason = request.reason;
  body.force = request.force;
  if (context.sessionId == 0) {
    return submit_sessionless(call, context, CommandKind::REVOKE_LOCK, body);
  }
  if (!admit_command<&Engine::revoke_lock>(call, context, request)) return;
  submit(call, context, CommandKind::REVOKE_LOCK, body);
}

void Engine::read(CallId call, const api::RequestContext& context,
                  api::Consistency::type consistency, std::function<void()> run) {
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
  PendingRead read{call, context.sequence, deadline_of(context), at_least, std::move(run)};
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
  read(call, context, request.consistency,
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
