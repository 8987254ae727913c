// What a server answers to administrators while it belongs to no cluster: that, and why.
#pragma once

#include <functional>
#include <string>

#include "coordinator/server/rpc_port.h"

namespace holdfast::server {

/// Every call fails with NO_LEADER, not to be retried here, and says what the server waits for.
class UnformedCalls final : public CallTaker {
 public:
  /// All of them outlive it; `why` is asked for each call, and is one sentence.
  UnformedCalls(ReplySink& sink, std::function<std::string()> why);

  RpcArguments& arguments_for(const RpcMethod& method) override;
  void take(const RpcMethod& method, CallId call, size_t frame_bytes) override;
  void refuse_overloaded(CallId call, const std::string& why) override;

 private:
  void fail(CallId call, ErrorCode code, const std::string& message);

  ReplySink& sink_;
  const std::function<std::string()> why_;
  RpcArguments arguments_;  ///< read and forgotten
};

}  // namespace holdfast::server
