#include "coordinator/server/unformed_calls.h"

#include <utility>

namespace holdfast::server {

namespace {

/// To form a cluster, or to get a state, takes longer than an election.
constexpr int64_t kRetryAfterMs = 200;

}  // namespace

UnformedCalls::UnformedCalls(ReplySink& sink, Asker asker, std::function<Unformed()> unformed)
    : sink_(sink), asker_(asker), unformed_(std::move(unformed)) {}

RpcArguments& UnformedCalls::arguments_for(const RpcMethod&) { return arguments_; }

void UnformedCalls::take(const RpcMethod&, CallId call, size_t) { refuse(call); }

void UnformedCalls::refuse(CallId call) { fail(call, ErrorCode::kNoLeader, unformed_().why); }

void UnformedCalls::refuse_overloaded(CallId call, const std::string& why) {
  fail(call, ErrorCode::kOverloaded, why);
}

void UnformedCalls::fail(CallId call, ErrorCode code, const std::string& message) {
  api::HoldfastError error;
  error.code = static_cast<api::ErrorCode::type>(code);
  error.codeName = error_code_name(code);
  error.message = message;
  error.applied = api::Applied::NO;
  // Who waits tells by it that this ends by itself.
  error.header.clusterId = static_cast<int64_t>(unformed_().cluster.value);
  error.retryable = asker_ == Asker::kClient;
  error.retryAfterMs = error.retryable ? kRetryAfterMs : 0;
  sink_.fail(call, error);
}

}  // namespace holdfast::server
