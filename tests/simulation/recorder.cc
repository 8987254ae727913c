#include "tests/simulation/recorder.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {

using history::Operation;
using Asked = history::Call;
using Said = history::Answer;

namespace {

uint64_t number(int64_t value) { return static_cast<uint64_t>(value); }

Operation on_path(Asked call, const std::string& path) {
  Operation operation{.call = call};
  operation.arguments.path = path;
  return operation;
}

Said lease(int64_t lease_ms) {
  Said answer;
  answer.lease_ms = lease_ms;
  return answer;
}

bool is_read(Asked call) {
  return call == Asked::kCheckToken || call == Asked::kDescribeLock || call == Asked::kGet ||
         call == Asked::kGetMany || call == Asked::kListKeys;
}

// Enumerators of the judge have the numbers of the client IDL.
template <class To, class From>
To same(From value) {
  return static_cast<To>(value);
}

}  // namespace

// ----------------------------------------------------------------------------------- requests

std::optional<Operation> operation_of(const api::OpenSessionRequest& request) {
  Operation operation{.call = Asked::kOpenSession};
  operation.arguments.secret = request.secret;
  return operation;
}

std::optional<Operation> operation_of(const api::PollRequest&) {
  return Operation{.call = Asked::kRenew};
}

std::optional<Operation> operation_of(const api::KeepAliveRequest&) {
  return Operation{.call = Asked::kRenew};
}

std::optional<Operation> operation_of(const api::CloseSessionRequest&) {
  return Operation{.call = Asked::kCloseSession};
}

std::optional<Operation> operation_of(const api::AcquireRequest& request) {
  Operation operation = on_path(Asked::kAcquire, request.path);
  history::Arguments& arguments = operation.arguments;
  arguments.mode = same<history::Mode>(request.mode);
  arguments.permits = static_cast<uint32_t>(request.permits);
  arguments.limit = static_cast<uint32_t>(request.limit);
  arguments.wait_ms = request.waitMs;
  arguments.lock_delay_ms = request.lockDelayMs;
  arguments.max_queue = request.maxQueue;
  arguments.value = request.value;
  arguments.owner = request.owner;
  return operation;
}

std::optional<Operation> operation_of(const api::AcquireAllRequest& request) {
  Operation operation{.call = Asked::kAcquireAll};
  history::Arguments& arguments = operation.arguments;
  for (const api::LockWanted& lock : request.locks) {
    arguments.locks.push_back({.path = lock.path,
                               .mode = same<history::Mode>(lock.mode),
                               .permits = static_cast<uint32_t>(lock.permits),
                               .limit = static_cast<uint32_t>(lock.limit)});
  }
  arguments.wait_ms = request.waitMs;
  arguments.lock_delay_ms = request.lockDelayMs;
  arguments.max_queue = request.maxQueue;
  arguments.value = request.value;
  arguments.owner = request.owner;
  return operation;
}

std::optional<Operation> operation_of(const api::CancelAcquireRequest& request) {
  Operation operation = on_path(Asked::kCancelAcquire, request.path);
  operation.arguments.acquire_sequence = number(request.acquireSequence);
  return operation;
}

std::optional<Operation> operation_of(const api::ReleaseRequest& request) {
  Operation operation = on_path(Asked::kRelease, request.path);
  operation.arguments.holder_id = number(request.holderId);
  operation.arguments.to = number(request.to);
  return operation;
}

std::optional<Operation> operation_of(const api::ReleaseAllRequest& request) {
  Operation operation{.call = Asked::kReleaseAll};
  operation.arguments.holder_id = number(request.holderId);
  return operation;
}

std::optional<Operation> operation_of(const api::SetHolderValueRequest& request) {
  Operation operation = on_path(Asked::kSetHolderValue, request.path);
  operation.arguments.holder_id = number(request.holderId);
  operation.arguments.value = request.value;
  return operation;
}

std::optional<Operation> operation_of(const api::RevokeLockRequest& request) {
  Operation operation = on_path(Asked::kRevokeLock, request.path);
  operation.arguments.holder_id = number(request.holderId);
  operation.arguments.force = request.force;
  return operation;
}

std::optional<Operation> operation_of(const api::CheckTokenRequest& request) {
  Operation operation = on_path(Asked::kCheckToken, request.path);
  operation.arguments.token = number(request.token);
  operation.arguments.local = request.consistency == api::Consistency::LOCAL;
  return operation;
}

std::optional<Operation> operation_of(const api::DescribeLockRequest& request) {
  Operation operation = on_path(Asked::kDescribeLock, request.path);
  operation.arguments.local = request.consistency == api::Consistency::LOCAL;
  return operation;
}

// ------------------------------------------------------------------------------------ answers

Said answer_of(const api::OpenSessionResult& result) {
  Said answer = lease(result.leaseMs);
  answer.session = number(result.sessionId);
  return answer;
}

Said answer_of(const api::PollResult& result) { return lease(result.leaseMs); }
Said answer_of(const api::KeepAliveResult& result) { return lease(result.leaseMs); }

Said answer_of(const api::AcquireResult& result) {
  Said answer;
  answer.status = same<history::Status>(result.status);
  answer.reason = same<history::Reason>(result.reason);
  answer.end_reason = same<history::EndReason>(result.endReason);
  answer.holder_id = number(result.holderId);
  answer.token = number(result.token);
  answer.position = static_cast<uint32_t>(result.position);
  return answer;
}

Said answer_of(const api::CancelAcquireResult& result) {
  Said answer;
  answer.status = same<history::Status>(result.status);
  answer.reason = same<history::Reason>(result.reason);
  answer.holder_id = number(result.holderId);
  answer.token = number(result.token);
  return answer;
}

Said answer_of(const api::ReleaseResult& result) {
  Said answer;
  answer.release = same<history::ReleaseStatus>(result.status);
  return answer;
}

Said answer_of(const api::CheckTokenResult& result) {
  Said answer;
  answer.current = result.current;
  answer.token = number(result.latestToken);
  return answer;
}

Said answer_of(const api::DescribeLockResult& result) {
  Said answer;
  answer.closed = result.lock.closedForMs != 0;
  for (const api::LockHolder& each : result.lock.holders) {
    answer.holders.push_back({.holder_id = number(each.holderId),
                              .session = number(each.sessionId),
                              .token = number(each.token),
                              .value = each.value,
                              .owner = each.owner});
  }
  for (const api::LockWaiter& each : result.lock.waiters) {
    answer.waiters.push_back({.holder_id = number(each.holderId),
                              .session = number(each.sessionId),
                              .owner = each.owner});
  }
  for (const api::Tenure& each : result.lock.tenures) {
    answer.tenures.push_back({.holder_id = number(each.holderId),
                              .session = number(each.sessionId),
                              .token = number(each.token),
                              .end_revision = number(each.endRevision),
                              .end_reason = same<history::EndReason>(each.reason),
                              .owner = each.owner});
  }
  return answer;
}

// ----------------------------------------------------------------------------------- recorder

size_t Recorder::add(Operation operation, const std::string& client,
                     const api::RequestContext& context) {
  operation.client = client;
  operation.invoked = world_.now().count();
  history::Arguments& arguments = operation.arguments;
  if (!is_read(operation.call)) arguments.session = number(context.sessionId);
  arguments.sequence = number(context.sequence);
  arguments.min_revision = std::max(arguments.min_revision, number(context.minRevision));
  calls_.push_back(std::move(operation));
  return calls_.size() - 1;
}

void Recorder::refused(size_t call, const api::HoldfastError& error) {
  Operation& operation = calls_[call];
  operation.answer.error = error.codeName;
  operation.answer.known = error.applied == api::Applied::NO;
  operation.revision = number(error.header.revision);
  operation.returned = world_.now().count();
}

}  // namespace holdfast::sim
