// How the simulated clients call the servers. In the full mode a call is the bytes that a stock
// Thrift client sends, decoded and dispatched by the server's own code, and its answer the bytes
// that the server would send back; in the fast mode the structs are handed over as they are.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "coordinator/server/engine.h"
#include "coordinator/server/rpc_codec.h"
#include "coordinator/server/rpc_methods.h"
#include "coordinator/server/watch_codec.h"

namespace holdfast::sim {

/// The answer to a call, on its way to the client.
struct Answer {
  std::string frame;                                ///< full mode
  std::shared_ptr<const void> result;               ///< fast mode
  std::shared_ptr<const api::HoldfastError> error;  ///< fast mode
};
using AnswerTaker = std::function<void(Answer)>;

/// A call on its way to a server.
struct Call {
  std::string frame;                                            ///< full mode
  std::function<void(server::Engine&, server::CallId)> direct;  ///< fast mode
  bool admin = false;
  SessionId polls;      ///< of whom it is the poll
  int client = 0;       ///< who calls; 0: an operator
  uint64_t number = 0;  ///< of the client's calls
};

/// Either a result or an error of the server; neither: nothing came in time.
template <class Result>
struct Outcome {
  std::shared_ptr<const Result> result;
  std::shared_ptr<const api::HoldfastError> error;
  bool nothing() const { return result == nullptr && error == nullptr; }
};

/// What a request's method is called and answers; defined for every request in rpc.cc.
template <class Request>
struct Method;
#define HF_METHOD(request, answer) \
  template <>                      \
  struct Method<api::request> {    \
    using Result = api::answer;    \
  }
HF_METHOD(OpenSessionRequest, OpenSessionResult);
HF_METHOD(PollRequest, PollResult);
HF_METHOD(KeepAliveRequest, KeepAliveResult);
HF_METHOD(CloseSessionRequest, CloseSessionResult);
HF_METHOD(AcquireRequest, AcquireResult);
HF_METHOD(CancelAcquireRequest, CancelAcquireResult);
HF_METHOD(AcquireAllRequest, AcquireResult);
HF_METHOD(ReleaseRequest, ReleaseResult);
HF_METHOD(ReleaseAllRequest, ReleaseResult);
HF_METHOD(SetHolderValueRequest, SetHolderValueResult);
HF_METHOD(CheckTokenRequest, CheckTokenResult);
HF_METHOD(DescribeLockRequest, DescribeLockResult);
HF_METHOD(ListLocksRequest, ListLocksResult);
HF_METHOD(RevokeLockRequest, RevokeLockResult);
HF_METHOD(GetRequest, GetResult);
HF_METHOD(GetManyRequest, GetManyResult);
HF_METHOD(ListKeysRequest, ListKeysResult);
HF_METHOD(WaitForChangeRequest, WaitForChangeResult);
HF_METHOD(PutRequest, PutResult);
HF_METHOD(CreateRequest, CreateResult);
HF_METHOD(RemoveRequest, RemoveResult);
HF_METHOD(TransactRequest, TransactResult);
HF_METHOD(WatchRequest, WatchResult);
HF_METHOD(UnwatchRequest, UnwatchResult);
HF_METHOD(TransferLeadershipRequest, TransferLeadershipResult);
HF_METHOD(ExpireSessionRequest, ExpireSessionResult);
HF_METHOD(SettingsRequest, SettingsResult);
#undef HF_METHOD

template <class Request>
using ResultOf = typename Method<Request>::Result;

/// The client's side of one connection.
class RpcClient {
 public:
  /// `full`: through bytes; `compact` says in which protocol.
  RpcClient(bool full, bool compact);
  ~RpcClient();
  template <class Request>
  Call call(const api::RequestContext& context, const Request& request);
  template <class Request>
  Outcome<ResultOf<Request>> read(const Answer& answer);

 private:
  struct Stubs;
  const bool full_;
  std::unique_ptr<Stubs> stubs_;
};

/// The server's side: what stands in RpcPort, without its sockets.
class RpcServer {
 public:
  /// Calls the engine. Bytes that are no call are our own bug here: throws Broken.
  void take(const Call& call, server::Engine* engine, server::CallId id);
  /// How the call `id` is to be answered.
  Answer answer(server::CallId id, const server::ReplyView& reply);
  Answer answer(server::CallId id, const api::HoldfastError& error);

 private:
  struct Open {
    const server::RpcMethod* method = nullptr;  ///< null: fast mode
    server::WireProtocol protocol = server::WireProtocol::kBinary;
    int32_t seqid = 0;
  };
  Open close(server::CallId id);

  server::RpcReader reader_;
  server::RpcWriter writer_;
  server::RpcArguments arguments_;
  std::map<uint32_t, Open> open_;
};

}  // namespace holdfast::sim
