// What the clients of a run ask and what they are answered, call by call in true time, for the
// judge of histories (tests/history): its model of sessions, locks and keys shares no code with the
// servers, nor with the checks that look into them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gen/cpp/holdfast_types.h"
#include "tests/history/history.h"
#include "tests/simulation/rpc.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

// What the judge makes of a request, without caller and time; nothing of a call it does not know.
template <class Request>
std::optional<history::Operation> operation_of(const Request&) {
  return std::nullopt;
}
std::optional<history::Operation> operation_of(const api::OpenSessionRequest& request);
std::optional<history::Operation> operation_of(const api::PollRequest& request);
std::optional<history::Operation> operation_of(const api::KeepAliveRequest& request);
std::optional<history::Operation> operation_of(const api::CloseSessionRequest& request);
std::optional<history::Operation> operation_of(const api::AcquireRequest& request);
std::optional<history::Operation> operation_of(const api::AcquireAllRequest& request);
std::optional<history::Operation> operation_of(const api::CancelAcquireRequest& request);
std::optional<history::Operation> operation_of(const api::ReleaseRequest& request);
std::optional<history::Operation> operation_of(const api::ReleaseAllRequest& request);
std::optional<history::Operation> operation_of(const api::SetHolderValueRequest& request);
std::optional<history::Operation> operation_of(const api::RevokeLockRequest& request);
std::optional<history::Operation> operation_of(const api::CheckTokenRequest& request);
std::optional<history::Operation> operation_of(const api::DescribeLockRequest& request);
// recorder_keys.cc
std::optional<history::Operation> operation_of(const api::PutRequest& request);
std::optional<history::Operation> operation_of(const api::CreateRequest& request);
std::optional<history::Operation> operation_of(const api::RemoveRequest& request);
std::optional<history::Operation> operation_of(const api::TransactRequest& request);
std::optional<history::Operation> operation_of(const api::GetRequest& request);
std::optional<history::Operation> operation_of(const api::GetManyRequest& request);
std::optional<history::Operation> operation_of(const api::ListKeysRequest& request);
std::optional<history::Operation> operation_of(const api::WaitForChangeRequest& request);

// And of a result. Of those without an overload it is enough to know that they came.
template <class Result>
history::Answer answer_of(const Result&) {
  return {};
}
history::Answer answer_of(const api::OpenSessionResult& result);
history::Answer answer_of(const api::PollResult& result);
history::Answer answer_of(const api::KeepAliveResult& result);
history::Answer answer_of(const api::AcquireResult& result);
history::Answer answer_of(const api::CancelAcquireResult& result);
history::Answer answer_of(const api::ReleaseResult& result);
history::Answer answer_of(const api::CheckTokenResult& result);
history::Answer answer_of(const api::DescribeLockResult& result);
// recorder_keys.cc
history::Answer answer_of(const api::PutResult& result);
history::Answer answer_of(const api::CreateResult& result);
history::Answer answer_of(const api::RemoveResult& result);
history::Answer answer_of(const api::TransactResult& result);
history::Answer answer_of(const api::GetResult& result);
history::Answer answer_of(const api::GetManyResult& result);
history::Answer answer_of(const api::ListKeysResult& result);
history::Answer answer_of(const api::WaitForChangeResult& result);

class Recorder {
 public:
  static constexpr size_t kNone = ~size_t{0};

  /// Keeps nothing unless `on`.
  Recorder(const World& world, bool on) : world_(world), on_(on) {}

  /// A call leaves. Returns its number for answered(), or kNone.
  template <class Request>
  size_t asked(const std::string& client, const api::RequestContext& context,
               const Request& request) {
    if (!on_) return kNone;
    auto operation = operation_of(request);
    return operation ? add(std::move(*operation), client, context) : kNone;
  }
  /// Its client reads the answer. What is never answered may have happened or not.
  template <class Result>
  void answered(size_t call, const Outcome<Result>& outcome) {
    if (call == kNone || outcome.nothing()) return;
    if (outcome.error != nullptr) return refused(call, *outcome.error);
    history::Operation& operation = calls_[call];
    operation.answer = answer_of(*outcome.result);
    operation.answer.known = true;
    operation.revision = static_cast<uint64_t>(outcome.result->header.revision);
    operation.returned = world_.now().count();
  }

  bool on() const { return on_; }
  /// An answer about a lock or a key is among them: of sessions alone nothing can be judged.
  bool anything_to_judge() const {
    return std::ranges::any_of(calls_, [](const history::Operation& operation) {
      return operation.answer.known && operation.call > history::Call::kCloseSession;
    });
  }
  const std::vector<history::Operation>& calls() const { return calls_; }

 private:
  size_t add(history::Operation operation, const std::string& client,
             const api::RequestContext& context);
  void refused(size_t call, const api::HoldfastError& error);

  const World& world_;
  const bool on_;
  std::vector<history::Operation> calls_;
};

}  // namespace holdfast::sim
