#include "tests/simulation/rpc.h"

#include <thrift/transport/TBufferTransports.h>

#include <type_traits>
#include <utility>

#include "gen/cpp/Holdfast.h"
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/HoldfastAdmin.h"
#include "gen/cpp/HoldfastAdmin.tcc"
#include "gen/cpp/HoldfastKeys.h"
#include "gen/cpp/HoldfastKeys.tcc"
#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace tp = apache::thrift::protocol;
using apache::thrift::transport::TMemoryBuffer;
using server::Engine;

namespace {

/// Everything that differs between methods: how a stock client sends and reads it, and the engine's
/// member for it.
template <class Request>
struct Ways;
#define HF_WAYS(request, client, name, handler)                                           \
  template <>                                                                             \
  struct Ways<api::request> {                                                             \
    using Stub = api::client;                                                             \
    static constexpr auto kSend = &Stub::send_##name;                                     \
    static constexpr auto kReceive = &Stub::recv_##name;                                  \
    static constexpr auto kHandler = &Engine::handler;                                    \
    static constexpr bool kAdmin = std::is_same_v<api::client, api::HoldfastAdminClient>; \
  }
HF_WAYS(OpenSessionRequest, HoldfastClient, openSession, open_session);
HF_WAYS(PollRequest, HoldfastClient, poll, poll);
HF_WAYS(KeepAliveRequest, HoldfastClient, keepAlive, keep_alive);
HF_WAYS(CloseSessionRequest, HoldfastClient, closeSession, close_session);
HF_WAYS(AcquireRequest, HoldfastClient, acquire, acquire);
HF_WAYS(CancelAcquireRequest, HoldfastClient, cancelAcquire, cancel_acquire);
HF_WAYS(AcquireAllRequest, HoldfastClient, acquireAll, acquire_all);
HF_WAYS(ReleaseRequest, HoldfastClient, release, release);
HF_WAYS(ReleaseAllRequest, HoldfastClient, releaseAll, release_all);
HF_WAYS(SetHolderValueRequest, HoldfastClient, setHolderValue, set_holder_value);
HF_WAYS(CheckTokenRequest, HoldfastClient, checkToken, check_token);
HF_WAYS(DescribeLockRequest, HoldfastClient, describeLock, describe_lock);
HF_WAYS(ListLocksRequest, HoldfastClient, listLocks, list_locks);
HF_WAYS(RevokeLockRequest, HoldfastClient, revokeLock, revoke_lock);
HF_WAYS(GetRequest, HoldfastKeysClient, get, get);
HF_WAYS(GetManyRequest, HoldfastKeysClient, getMany, get_many);
HF_WAYS(ListKeysRequest, HoldfastKeysClient, listKeys, list_keys);
HF_WAYS(WaitForChangeRequest, HoldfastKeysClient, waitForChange, wait_for_change);
HF_WAYS(PutRequest, HoldfastKeysClient, put, put);
HF_WAYS(CreateRequest, HoldfastKeysClient, create, create);
HF_WAYS(RemoveRequest, HoldfastKeysClient, remove, remove);
HF_WAYS(TransactRequest, HoldfastKeysClient, transact, transact);
HF_WAYS(WatchRequest, HoldfastKeysClient, watch, watch);
HF_WAYS(UnwatchRequest, HoldfastKeysClient, unwatch, unwatch);
HF_WAYS(TransferLeadershipRequest, HoldfastAdminClient, transferLeadership, transfer_leadership);
HF_WAYS(ExpireSessionRequest, HoldfastAdminClient, expireSession, expire_session);
HF_WAYS(SettingsRequest, HoldfastAdminClient, settings, settings);
#undef HF_WAYS

}  // namespace

struct RpcClient::Stubs {
  explicit Stubs(bool compact)
      : out(std::make_shared<TMemoryBuffer>()),
        in(std::make_shared<TMemoryBuffer>()),
        client(protocol(in, compact), protocol(out, compact)),
        admin(protocol(in, compact), protocol(out, compact)) {}
  static std::shared_ptr<tp::TProtocol> protocol(const std::shared_ptr<TMemoryBuffer>& buffer,
                                                 bool compact) {
    if (compact) return std::make_shared<tp::TCompactProtocol>(buffer);
    return std::make_shared<tp::TBinaryProtocol>(buffer);
  }
  template <class Stub>
  Stub& stub() {
    if constexpr (std::is_same_v<Stub, api::HoldfastAdminClient>) {
      return admin;
    } else {
      return client;
    }
  }
  std::shared_ptr<TMemoryBuffer> out;
  std::shared_ptr<TMemoryBuffer> in;
  api::HoldfastKeysClient client;  // every call of both services
  api::HoldfastAdminClient admin;
};

RpcClient::RpcClient(bool full, bool compact) : full_(full) {
  if (full) stubs_ = std::make_unique<Stubs>(compact);
}
RpcClient::~RpcClient() = default;

template <class Request>
Call RpcClient::call(const api::RequestContext& context, const Request& request) {
  using W = Ways<Request>;
  Call call;
  call.admin = W::kAdmin;
  if constexpr (std::is_same_v<Request, api::PollRequest>) {
    call.polls = SessionId(static_cast<uint64_t>(context.sessionId));
  }
  if (full_) {
    stubs_->out->resetBuffer();
    (stubs_->stub<typename W::Stub>().*W::kSend)(context, request);
    call.frame = stubs_->out->getBufferAsString();
  } else {
    call.direct = [context, request](Engine& engine, server::CallId id) {
      (engine.*W::kHandler)(id, context, request);
    };
  }
  return call;
}

template <class Request>
Outcome<ResultOf<Request>> RpcClient::read(const Answer& answer) {
  using W = Ways<Request>;
  Outcome<ResultOf<Request>> outcome;
  if (!full_) {
    outcome.result = std::static_pointer_cast<const ResultOf<Request>>(answer.result);
    outcome.error = answer.error;
    return outcome;
  }
  auto result = std::make_shared<ResultOf<Request>>();
  std::string bytes = answer.frame;
  stubs_->in->resetBuffer(reinterpret_cast<uint8_t*>(bytes.data()),
                          static_cast<uint32_t>(bytes.size()));
  try {
    (stubs_->stub<typename W::Stub>().*W::kReceive)(*result);
    outcome.result = std::move(result);
  } catch (const api::HoldfastError& error) {
    outcome.error = std::make_shared<api::HoldfastError>(error);
  }
  return outcome;
}

// One instance of both for every method: the definitions above are nobody else's affair.
#define HF_INSTANCE(request)                                                      \
  template Call RpcClient::call(const api::RequestContext&, const api::request&); \
  template Outcome<ResultOf<api::request>> RpcClient::read<api::request>(const Answer&)
HF_INSTANCE(OpenSessionRequest);
HF_INSTANCE(PollRequest);
HF_INSTANCE(KeepAliveRequest);
HF_INSTANCE(CloseSessionRequest);
HF_INSTANCE(AcquireRequest);
HF_INSTANCE(CancelAcquireRequest);
HF_INSTANCE(AcquireAllRequest);
HF_INSTANCE(ReleaseRequest);
HF_INSTANCE(ReleaseAllRequest);
HF_INSTANCE(SetHolderValueRequest);
HF_INSTANCE(CheckTokenRequest);
HF_INSTANCE(DescribeLockRequest);
HF_INSTANCE(ListLocksRequest);
HF_INSTANCE(RevokeLockRequest);
HF_INSTANCE(GetRequest);
HF_INSTANCE(GetManyRequest);
HF_INSTANCE(ListKeysRequest);
HF_INSTANCE(WaitForChangeRequest);
HF_INSTANCE(PutRequest);
HF_INSTANCE(CreateRequest);
HF_INSTANCE(RemoveRequest);
HF_INSTANCE(TransactRequest);
HF_INSTANCE(WatchRequest);
HF_INSTANCE(UnwatchRequest);
HF_INSTANCE(TransferLeadershipRequest);
HF_INSTANCE(ExpireSessionRequest);
HF_INSTANCE(SettingsRequest);
#undef HF_INSTANCE

// ------------------------------------------------------------------------------------- server

void RpcServer::take(const Call& call, Engine* engine, server::CallId id) {
  if (call.direct) {
    open_[id.slot] = {};
    return call.direct(*engine, id);
  }
  const auto protocol = server::detect_protocol(call.frame);
  if (!protocol) throw Broken(Rule::kStops, "a client's bytes are of no known protocol");
  reader_.reset(call.frame, *protocol);
  server::MessageHead head;
  reader_.read_head(head);
  const auto methods = call.admin ? server::admin_methods() : server::client_methods();
  const server::RpcMethod* method = server::find_method(methods, head.name);
  if (method == nullptr) throw Broken(Rule::kStops, "no method is called " + head.name);
  method->decode(reader_, arguments_);
  open_[id.slot] = {method, *protocol, head.seqid};
  method->invoke(arguments_, *engine, id);
}

RpcServer::Open RpcServer::close(server::CallId id) {
  const auto at = open_.find(id.slot);
  if (at == open_.end()) throw Broken(Rule::kStops, "a call was answered twice");
  const Open open = at->second;
  open_.erase(at);
  return open;
}

Answer RpcServer::answer(server::CallId id, const server::ReplyView& reply) {
  const Open open = close(id);
  Answer answer;
  if (open.method != nullptr) {
    writer_.write_reply(answer.frame, open.protocol, open.method->name, open.seqid, reply);
  } else {
    std::visit(
        [&](const auto* value) {
          using Result = std::remove_cvref_t<decltype(server::plain(*value))>;
          answer.result = std::make_shared<const Result>(server::plain(*value));
        },
        reply);
  }
  return answer;
}

Answer RpcServer::answer(server::CallId id, const api::HoldfastError& error) {
  const Open open = close(id);
  Answer answer;
  if (open.method != nullptr) {
    writer_.write_error(answer.frame, open.protocol, open.method->name, open.seqid, error);
  } else {
    answer.error = std::make_shared<const api::HoldfastError>(error);
  }
  return answer;
}

}  // namespace holdfast::sim
