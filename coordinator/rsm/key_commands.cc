// Commands on keys. The numbers of the API, where an absent one is zero, become those of the tree
// here; a transaction's conditions are judged here, where locks and keys meet.
#include <algorithm>
#include <utility>

#include "coordinator/rsm/core.h"
#include "coordinator/rsm/path.h"
#include "gen/cpp/command_types.h"

namespace holdfast::rsm {

namespace {

/// What is kept of a transaction's results for a retry (PROMISE 4), in encoded bytes at most.
constexpr size_t kOutcomeBytesMax = 65'536;
/// And of one step besides its path.
constexpr size_t kStepBytesMax = 32;
constexpr size_t kSequenceDigits = 20;

/// The API's expected version (0 any, -1 none) as the tree has it (-1 any, 0 none).
int64_t expected(int64_t version) {
  if (version == 0) return tree::kAnyVersion;
  return version == -1 ? 0 : version;
}

tree::Compare compare_of(const command::KeyCompare& body) {
  tree::Compare compare;
  compare.path = body.path;
  compare.relation = static_cast<tree::Relation>(body.relation);
  compare.number = static_cast<uint64_t>(body.number);
  compare.value = body.value;
  switch (body.target) {
    case api::CompareTarget::VERSION:
      compare.target = tree::CompareTarget::kVersion;
      break;
    case api::CompareTarget::VALUE:
      compare.target = tree::CompareTarget::kValue;
      break;
    case api::CompareTarget::MODIFY_REVISION:
      compare.target = tree::CompareTarget::kModifyRevision;
      break;
    case api::CompareTarget::CREATE_REVISION:
      compare.target = tree::CompareTarget::kCreateRevision;
      break;
    default:
      compare.target = tree::CompareTarget::kExists;
  }
  return compare;
}

}  // namespace

tree::Limits StateMachine::Core::key_limits() const {
  return {.path_bytes = settings_.limit(SettingId::kPathBytesMax),
          .path_depth = settings_.limit(SettingId::kPathDepthMax),
          .value_bytes = settings_.limit(SettingId::kValueBytesMax),
          .keys = settings_.limit(SettingId::kKeysMax),
          .bytes = settings_.limit(SettingId::kKeyBytesMax),
          .ephemerals_of_a_session = settings_.limit(SettingId::kEphemeralsPerSessionMax)};
}

// ---- one write ------------------------------------------------------------------------------

/// The named holder must hold the lock now, and be of this command's session (PROMISE 2).
bool StateMachine::Core::check_guard(const command::Guard& guard) {
  if (guard.path.empty()) return true;
  if (session_ == nullptr) {
    reject(ErrorCode::kBadArgument,
           "a guard needs a session, whose lock " + quote(guard.path) + " is");
    return false;
  }
  if (!check_id("guard.holderId", guard.holderId)) return false;
  const Revision holder(static_cast<uint64_t>(guard.holderId));
  if (locks_.holds(guard.path, holder, session_->id)) return true;
  reject(ErrorCode::kNotHeld, "holder " + std::to_string(guard.holderId) + " of session " +
                                  std::to_string(session_->id.value) + " does not hold " +
                                  quote(guard.path) + ": nothing was written");
  return false;
}

bool StateMachine::Core::take(const command::PutKey& body) {
  if (!check_form(body.path) || !check_guard(body.guard)) return false;
  if (!check_range("expectedVersion", body.expectedVersion, -1, (int64_t{1} << 53) - 1)) {
    return false;
  }
  tree::Operation operation;
  operation.kind = tree::OperationKind::kPut;
  operation.path = body.path;
  operation.value = body.value;
  operation.expected_version = expected(body.expectedVersion);
  operation.make_parents = body.makeParents;
  operations_.push_back(operation);
  return true;
}

bool StateMachine::Core::check_key_kind(const command::CreateKey& body) {
  if (body.kind < api::KeyKind::PERSISTENT || body.kind > api::KeyKind::TTL) {
    reject(ErrorCode::kUnsupported, "there is no kind of key " + std::to_string(body.kind));
    return false;
  }
  if (body.kind == api::KeyKind::EPHEMERAL && session_ == nullptr) {
    reject(ErrorCode::kBadArgument, "an ephemeral key needs a session to go with");
    return false;
  }
  if (body.kind != api::KeyKind::TTL) return check_range("ttlMs", body.ttlMs, 0, 0);
  return check_range("ttlMs", body.ttlMs, settings_.get(SettingId::kKeyTtlMsMin),
                     settings_.get(SettingId::kKeyTtlMsMax));
}

bool StateMachine::Core::take(const command::CreateKey& body) {
  if (!check_path(body.path) || !check_guard(body.guard) || !check_key_kind(body)) return false;
  tree::Operation operation;
  operation.kind = tree::OperationKind::kCreate;
  operation.path = body.path;
  operation.value = body.value;
  operation.make_parents = body.makeParents;
  operation.key_kind = static_cast<tree::KeyKind>(body.kind);
  operation.sequential = body.sequential;
  if (body.kind == api::KeyKind::EPHEMERAL) operation.session = session_->id;
  operation.ttl_ms = body.ttlMs;
  operations_.push_back(operation);
  return true;
}

bool StateMachine::Core::take(const command::RemoveKey& body) {
  if (!check_form(body.path) || !check_guard(body.guard)) return false;
  if (!check_range("expectedVersion", body.expectedVersion, 0, (int64_t{1} << 53) - 1)) {
    return false;
  }
  tree::Operation operation;
  operation.kind = tree::OperationKind::kRemove;
  operation.path = body.path;
  operation.expected_version = expected(body.expectedVersion);
  operation.recursive = body.recursive;
  operations_.push_back(operation);
  return true;
}

void StateMachine::Core::put_key() {
  operations_.clear();
  if (!decode(put_body_) || !take(put_body_) || !apply_operations(nullptr)) return;
  result_.id = applied_;
  result_.version = outcomes_.front().version;
}

void StateMachine::Core::create_key() {
  operations_.clear();
  if (!decode(create_body_) || !take(create_body_) || !apply_operations(nullptr)) return;
  result_.id = applied_;
  result_.version = outcomes_.front().version;
  if (create_body_.sequential) result_.payload = outcomes_.front().path;
}

void StateMachine::Core::remove_key() {
  operations_.clear();
  if (!decode(remove_body_) || !take(remove_body_) || !apply_operations(nullptr)) return;
  result_.id = applied_;
  result_.count = static_cast<uint32_t>(outcomes_.front().keys);
}

/// All of operations_, or none and the command is rejected; of a transaction the step is named.
bool StateMachine::Core::apply_operations(const char* which) {
  const std::optional<tree::Failure> failure = keys_.apply(operations_, key_limits(), outcomes_);
  if (!failure) return true;
  std::string message = failure->error.message;
  if (which != nullptr) {
    message = std::string(which) + "[" + std::to_string(failure->index) + "]: " + message;
  }
  reject(failure->error.code, std::move(message));
  return false;
}

// ---- transactions ---------------------------------------------------------------------------

void StateMachine::Core::transact() {
  command::Transact body;
  if (!decode(body) || !check_transaction(body)) return;
  const bool succeeded = std::all_of(body.compares.begin(), body.compares.end(),
                                     [this](const auto& compare) { return holds(compare); });
  const char* which = succeeded ? "thenOperations" : "otherwiseOperations";
  const auto& chosen = succeeded ? body.thenOperations : body.otherwiseOperations;
  if (!take_operations(which, chosen) || !apply_operations(which)) return;
  result_.id = applied_;
  result_.status = succeeded ? 1 : 0;
  keep_outcome(succeeded);
}

bool StateMachine::Core::check_transaction(const command::Transact& body) {
  const size_t steps =
      body.compares.size() + body.thenOperations.size() + body.otherwiseOperations.size();
  const uint64_t most = settings_.limit(SettingId::kTransactionStepsMax);
  if (steps > most) {
    reject(ErrorCode::kTooLarge, "the transaction has " + std::to_string(steps) +
                                     " compares and operations, the limit is " +
                                     std::to_string(most));
    return false;
  }
  return std::all_of(body.compares.begin(), body.compares.end(),
                     [this](const auto& compare) { return check_compare(compare); });
}

bool StateMachine::Core::check_compare(const command::KeyCompare& compare) {
  using api::CompareRelation;
  using api::CompareTarget;
  if (compare.target < CompareTarget::EXISTS || compare.target > CompareTarget::CREATE_REVISION) {
    reject(ErrorCode::kUnsupported,
           "there is no target of a compare " + std::to_string(compare.target));
    return false;
  }
  if (compare.relation < CompareRelation::EQUAL || compare.relation > CompareRelation::GREATER) {
    reject(ErrorCode::kUnsupported,
           "there is no relation of a compare " + std::to_string(compare.relation));
    return false;
  }
  if (!check_form(compare.path)) return false;
  if (compare.target != CompareTarget::HOLDS) {
    return check_range("a compare's number", compare.number, 0, (int64_t{1} << 53) - 1);
  }
  if (session_ == nullptr || compare.relation != CompareRelation::EQUAL) {
    reject(ErrorCode::kBadArgument,
           "HOLDS of " + quote(compare.path) + " needs a session and the relation EQUAL");
    return false;
  }
  return check_id("HOLDS.number", compare.number);
}

bool StateMachine::Core::holds(const command::KeyCompare& compare) const {
  if (compare.target != api::CompareTarget::HOLDS) return keys_.holds(compare_of(compare));
  return locks_.holds(compare.path, Revision(static_cast<uint64_t>(compare.number)), session_->id);
}

bool StateMachine::Core::take(const command::KeyOperation& operation) {
  const auto& set = operation.__isset;
  if (int{set.put} + int{set.create} + int{set.remove} != 1) {
    reject(ErrorCode::kBadArgument, "an operation is one of put, create and remove");
    return false;
  }
  if (set.put) return take(operation.put);
  return set.create ? take(operation.create) : take(operation.remove);
}

bool StateMachine::Core::take_operations(const char* which,
                                         const std::vector<command::KeyOperation>& operations) {
  operations_.clear();
  size_t outcome_bytes = 0;
  for (size_t i = 0; i < operations.size(); ++i) {
    const command::KeyOperation& operation = operations[i];
    if (!take(operation)) {
      reject(result_.code, std::string(which) + "[" + std::to_string(i) + "]: " + result_.message);
      return false;
    }
    const bool numbered = operation.__isset.create && operation.create.sequential;
    outcome_bytes +=
        kStepBytesMax + (numbered ? operation.create.path.size() + kSequenceDigits : 0);
  }
  if (outcome_bytes <= kOutcomeBytesMax) return true;
  reject(ErrorCode::kTooLarge, "the paths of its sequential keys and other results may have " +
                                   std::to_string(outcome_bytes) + " bytes, the limit is " +
                                   std::to_string(kOutcomeBytesMax));
  return false;
}

void StateMachine::Core::keep_outcome(bool succeeded) {
  command::TransactOutcome outcome;
  outcome.succeeded = succeeded;
  for (size_t i = 0; i < outcomes_.size(); ++i) {
    const tree::Operation& operation = operations_[i];
    api::OperationResult step;
    if (operation.sequential) step.path = outcomes_[i].path;
    step.version = static_cast<int64_t>(outcomes_[i].version);
    if (operation.kind == tree::OperationKind::kRemove) {
      step.removed = static_cast<int64_t>(outcomes_[i].keys);
    }
    outcome.results.push_back(std::move(step));
  }
  result_.payload = encoder_.body(outcome);
}

}  // namespace holdfast::rsm
