// What a server answers as long as it belongs to no cluster, or has no state: that, and why.
#pragma once

#include <functional>
#include <string>

#include "base/ids.h"
#include "coordinator/server/rpc_port.h"

namespace holdfast::server {

/// Why a server serves nobody yet.
struct Unformed {
  std::string why;    ///< one sentence
  ClusterId cluster;  ///< whose state it will have without anybody's help; zero: of none
};

/// Every call fails with NO_LEADER, surely not done, and says what the server waits for.
class UnformedCalls final : public CallTaker {
 public:
  enum class Asker : uint8_t {
    kOperator,  ///< who asked for this very server: not to be retried
    kClient,    ///< others may do, and so may this one later
  };
  /// All of them outlive it; `unformed` is asked for each call.
  UnformedCalls(ReplySink& sink, Asker asker, std::function<Unformed()> unformed);

  RpcArguments& arguments_for(const RpcMethod& method) override;
  void take(const RpcMethod& method, CallId call, size_t frame_bytes) override;
  void refuse_overloaded(CallId call, const std::string& why) override;
  void abandon(CallId) override {}  // all are answered when they are taken
  void refuse(CallId call);

 private:
  void fail(CallId call, ErrorCode code, const std::string& message);

  ReplySink& sink_;
  const Asker asker_;
  const std::function<Unformed()> unformed_;
  RpcArguments arguments_;  ///< read and forgotten
};

}  // namespace holdfast::server
