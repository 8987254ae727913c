// Writes of keys: what the state would refuse of them in every state and under all settings. Its
// words for it are used here, so that it does not matter to a client which of the two has looked.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/rsm/path.h"
#include "coordinator/rsm/settings.h"
#include "coordinator/server/request_check.h"

namespace holdfast::server {
namespace {

using Fault = std::optional<Refusal>;

Fault refused(ErrorCode code, std::string message) {
  return Refusal{code, std::move(message), false, false, 0};
}

Fault within(const std::string& where, Fault fault) {
  if (fault) fault->message = where + ": " + fault->message;
  return fault;
}

Fault check_form(const std::string& path) {
  const Status form = rsm::check_form(path);
  return form.ok() ? Fault() : refused(form.error().code, form.error().message);
}

const rsm::SettingInfo& bounds_of(rsm::SettingId id) {
  return *std::ranges::find(rsm::setting_infos(), id, &rsm::SettingInfo::id);
}

/// One that names a holder and no lock would guard nothing, and its writer would not know.
Fault check_guard(const api::LockGuard& guard, bool in_session) {
  if (guard.path.empty()) {
    if (guard.holderId == 0) return std::nullopt;
    return refused(ErrorCode::kBadArgument,
                   "guard.holderId is " + std::to_string(guard.holderId) +
                       " and guard.path is empty: a guard names the lock that the holder holds");
  }
  if (auto fault = within("guard", check_form(guard.path))) return fault;
  if (!in_session) {
    return refused(ErrorCode::kBadArgument,
                   "a guard needs a session, whose lock " + rsm::quote(guard.path) + " is");
  }
  return check_number("guard.holderId", guard.holderId, 1);
}

Fault check_value(const std::string& path, const std::string& value) {
  const auto most = static_cast<size_t>(bounds_of(rsm::SettingId::kValueBytesMax).largest);
  if (value.size() <= most) return std::nullopt;
  return refused(ErrorCode::kTooLarge, "the value of key " + rsm::quote(path) + " has " +
                                           std::to_string(value.size()) + " bytes, the limit is " +
                                           std::to_string(most));
}

Fault check_kind(const api::CreateRequest& create, bool in_session) {
  if (create.kind < api::KeyKind::UNSPECIFIED || create.kind > api::KeyKind::TTL) {
    return refused(ErrorCode::kUnsupported,
                   "there is no kind of key " + std::to_string(create.kind));
  }
  if (create.kind == api::KeyKind::EPHEMERAL && !in_session) {
    return refused(ErrorCode::kBadArgument, "an ephemeral key needs a session to go with");
  }
  if (create.kind != api::KeyKind::TTL) return check_number("ttlMs", create.ttlMs, 0, 0);
  return check_number("ttlMs", create.ttlMs, bounds_of(rsm::SettingId::kKeyTtlMsMin).smallest,
                      bounds_of(rsm::SettingId::kKeyTtlMsMax).largest);
}

Fault check_step(const api::PutRequest& put, bool in_session) {
  if (auto fault = check_form(put.path)) return fault;
  if (auto fault = check_guard(put.guard, in_session)) return fault;
  if (auto fault = check_number("expectedVersion", put.expectedVersion, -1)) return fault;
  return check_value(put.path, put.value);
}

Fault check_step(const api::CreateRequest& create, bool in_session) {
  if (auto fault = check_form(create.path)) return fault;
  if (auto fault = check_guard(create.guard, in_session)) return fault;
  if (auto fault = check_kind(create, in_session)) return fault;
  return check_value(create.path, create.value);
}

Fault check_step(const api::RemoveRequest& remove, bool in_session) {
  if (auto fault = check_form(remove.path)) return fault;
  if (auto fault = check_guard(remove.guard, in_session)) return fault;
  return check_number("expectedVersion", remove.expectedVersion, 0);
}

Fault check_step(const api::Operation& operation, bool in_session) {
  const auto& set = operation.__isset;
  if (int{set.put} + int{set.create} + int{set.remove} != 1) {
    return refused(ErrorCode::kBadArgument, "an operation is one of put, create and remove");
  }
  if (set.put) return check_step(operation.put, in_session);
  if (set.create) return check_step(operation.create, in_session);
  return check_step(operation.remove, in_session);
}

Fault check_steps(const char* list, const std::vector<api::Operation>& operations,
                  bool in_session) {
  for (size_t i = 0; i < operations.size(); ++i) {
    auto fault = check_step(operations[i], in_session);
    if (fault) return within(std::string(list) + "[" + std::to_string(i) + "]", std::move(fault));
  }
  return std::nullopt;
}

/// A key is there or is not: nothing is less or greater than that.
Fault check_compare(const api::Compare& compare) {
  using Relation = api::CompareRelation;
  if (compare.target != api::CompareTarget::EXISTS) return std::nullopt;
  const bool less = compare.relation == Relation::LESS;
  if (less || compare.relation == Relation::GREATER) {
    return refused(ErrorCode::kBadArgument, "EXISTS of " + rsm::quote(compare.path) +
                                                " has the relation " + (less ? "LESS" : "GREATER") +
                                                ", allowed are EQUAL and NOT_EQUAL");
  }
  return check_number("EXISTS.number", compare.number, 0, 1);
}

}  // namespace

std::optional<Refusal> check_request(const api::PutRequest& request, bool in_session) {
  return check_guard(request.guard, in_session);
}

std::optional<Refusal> check_request(const api::CreateRequest& request, bool in_session) {
  return check_guard(request.guard, in_session);
}

std::optional<Refusal> check_request(const api::RemoveRequest& request, bool in_session) {
  return check_guard(request.guard, in_session);
}

std::optional<Refusal> check_request(const api::TransactRequest& request, bool in_session) {
  for (size_t i = 0; i < request.compares.size(); ++i) {
    auto fault = check_compare(request.compares[i]);
    if (fault) return within("compares[" + std::to_string(i) + "]", std::move(fault));
  }
  if (auto fault = check_steps("thenOperations", request.thenOperations, in_session)) return fault;
  return check_steps("otherwiseOperations", request.otherwiseOperations, in_session);
}

}  // namespace holdfast::server
