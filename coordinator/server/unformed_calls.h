// What a server answers as long as it belongs to no cluster, or has no state: that, and why.
#pragma once

#include <functional>
#include <string>

#include "coordinator/server/rpc_port.h"

namespace holdfast::server {

/// Every call fails with NO_LEADER, surely not done, and says what the server waits for.
class UnformedCalls final : public CallTaker {
 public:
  enum class Asker : uint8_t {
    kOperator,  ///< who asked for this very server: not to be retried
    kClient,    ///< others may do, and so may this one later
  };
  /// All of them outlive it; `why` is asked for each call, and is one sentence.
  UnformedCalls(ReplySink& sink, Asker asker, std::function<std::string()> why);

  RpcArguments& arguments_for(const RpcMethod& method) override;
  void take(const RpcMethod& method, CallId call, size_t frame_bytes) override;
  void refuse_overloaded(CallId call, const std::string& why) override;
  void abandon(CallId) override {}  // all are answered when they are taken
  void refuse(CallId call);

 private:
  void fail(CallId call, ErrorCode code, const std::string& message);

  ReplySink& sink_;
  const Asker asker_;
  const std::function<std::string()> why_;
  RpcArguments arguments_;  ///< read and forgotten
};

}  // namespace holdfast::server
