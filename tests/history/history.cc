#include "tests/history/history.h"

namespace holdfast::history {

const char* name_of(Call call) {
  switch (call) {
    case Call::kOpenSession:
      return "openSession";
    case Call::kRenew:
      return "renew";
    case Call::kCloseSession:
      return "closeSession";
    case Call::kAcquire:
      return "acquire";
    case Call::kCancelAcquire:
      return "cancelAcquire";
    case Call::kRelease:
      return "release";
    case Call::kSetHolderValue:
      return "setHolderValue";
    case Call::kRevokeLock:
      return "revokeLock";
    case Call::kCheckToken:
      return "checkToken";
    case Call::kDescribeLock:
      return "describeLock";
    case Call::kListLocks:
      return "listLocks";
    case Call::kGet:
      return "get";
    case Call::kGetMany:
      return "getMany";
    case Call::kListKeys:
      return "listKeys";
    case Call::kPut:
      return "put";
    case Call::kCreate:
      return "create";
    case Call::kRemove:
      return "remove";
    case Call::kTransact:
      return "transact";
    case Call::kAcquireAll:
      return "acquireAll";
    case Call::kReleaseAll:
      return "releaseAll";
    case Call::kGuard:
      return "guarded write";
  }
  return "?";
}

std::string name_of(const Operation& operation) {
  return std::string(name_of(operation.call)) + " by " + operation.client + " (line " +
         std::to_string(operation.line) + ")";
}

bool writes_keys(Call call) {
  return call == Call::kPut || call == Call::kCreate || call == Call::kRemove ||
         call == Call::kTransact;
}

namespace {

bool on_a_path(Call call) {
  return call != Call::kOpenSession && call != Call::kRenew && call != Call::kCloseSession &&
         call != Call::kListLocks && call != Call::kGetMany && call != Call::kAcquireAll &&
         call != Call::kReleaseAll && !writes_keys(call);
}

bool is_numbered(Call call) {
  return call == Call::kAcquire || call == Call::kCancelAcquire || call == Call::kRelease ||
         call == Call::kSetHolderValue || call == Call::kAcquireAll || call == Call::kReleaseAll;
}

std::optional<std::string> fault_of_arguments(const Operation& op) {
  const Arguments& a = op.arguments;
  if (on_a_path(op.call) && a.path.empty()) return "has no path";
  if (is_numbered(op.call) && (a.session == 0 || a.sequence == 0)) {
    return "is a command without session or sequence";
  }
  if ((op.call == Call::kRenew || op.call == Call::kCloseSession) && a.session == 0) {
    return "has no session";
  }
  if (op.call == Call::kOpenSession && a.secret.empty()) return "has no secret";
  if (writes_keys(op.call) && (a.session == 0) != (a.sequence == 0)) {
    return "has a session or a sequence, but not both";
  }
  if (op.call == Call::kCancelAcquire && a.acquire_sequence == 0) return "has no acquireSequence";
  if (op.call == Call::kAcquireAll && a.locks.empty()) return "names no locks";
  if (op.call == Call::kReleaseAll && a.holder_id == 0) return "has no holderId";
  if (op.call == Call::kAcquire && a.mode == Mode::kSemaphore &&
      (a.permits == 0 || a.permits > a.limit)) {
    return "wants " + std::to_string(a.permits) + " permits of " + std::to_string(a.limit);
  }
  return std::nullopt;
}

std::optional<std::string> fault_of_times(const Operation& op) {
  if (op.returned < op.invoked) {
    return "returned at " + std::to_string(op.returned) + ", before it was invoked at " +
           std::to_string(op.invoked);
  }
  if (!op.answer.known) return std::nullopt;
  if (op.returned == kNever) return "has a result but no time at which it returned";
  // A server that has just begun to read its log answers local reads from an empty state.
  if (op.answer.error.empty() && op.revision == 0 && !op.arguments.local) {
    return "has a result without a revision";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> History::record(Operation operation) {
  if (operation.line == 0) operation.line = operations_.size() + 1;
  for (const auto& fault : {fault_of_arguments(operation), fault_of_times(operation)}) {
    if (fault) return std::string(name_of(operation.call)) + " " + *fault;
  }
  operations_.push_back(std::move(operation));
  return std::nullopt;
}

}  // namespace holdfast::history
