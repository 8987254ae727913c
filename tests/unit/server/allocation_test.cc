// What a call costs on the heap once everything has its size: the path of a renewal and that of a
// command, through the engine and through the codec.
#include "coordinator/server/watch_codec.h"
#include "gen/cpp/Holdfast.h"
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/holdfast_types.tcc"
#include "tests/counting/counted_new.h"
#include "tests/unit/server/rpc_fixture.h"

namespace holdfast::server {
namespace {

using holdfast::counting::allocations;

/// A server alone whose surroundings allocate nothing themselves.
class Lean final : raft::LogWriter, raft::LogReader, raft::Transport, ReplySink {
 public:
  Lean() : entropy_(1) {
    EngineOptions options;
    options.self = options.raft.id = NodeId(1);
    raft::Configuration configuration;
    configuration.voters = {NodeId(1)};
    raft::InitialState initial;
    initial.configuration = configuration;
    initial.hard_state.term = Term(1);
    engine = std::make_unique<Engine>(
        options, std::move(initial),
        EnginePorts{clock,
                    entropy_,
                    *this,
                    *this,
                    *this,
                    *this,
                    [](const std::string&) {},
                    [](const Error& error) { ADD_FAILURE() << error.message; },
                    {}});
    while (!engine->host().serving) turn();
    api::OpenSessionRequest open;
    open.secret = secret_of("client");
    open.ttlMs = 60'000;
    engine->open_session({}, api::RequestContext{}, open);
    turn();
    context.sessionId = session;
    context.sessionSecret = open.secret;
  }

  void turn() {
    clock.advance(1ms);
    for (int i = 0; i < 3; ++i) {
      while (engine->turn_end(true)) {
      }
    }
  }
  void keep_alive() {
    engine->keep_alive({}, context, api::KeepAliveRequest{});
    await();
  }
  void acquire(const api::AcquireRequest& request) {
    begin_command();
    engine->acquire({}, context, request);
    await();
  }
  void release(api::ReleaseRequest& request) {
    begin_command();
    request.holderId = holder;
    engine->release({}, context, request);
    await();
  }

  ManualClock clock;
  std::unique_ptr<Engine> engine;
  api::RequestContext context;
  int64_t session = 0;
  int64_t holder = 0;
  uint64_t answers = 0;

 private:
  void begin_command() {
    ++context.sequence;
    context.acknowledged.resize(context.sequence > 1 ? 1 : 0);
    if (context.acknowledged.empty()) return;
    context.acknowledged[0].first = 1;
    context.acknowledged[0].last = context.sequence - 1;
  }
  /// Turns until the call just made is answered.
  void await() {
    for (const uint64_t before = answers; answers == before;) turn();
  }
  void submit(raft::Write write) override { submitted_ = write.number; }
  std::optional<Result<uint64_t>> collect() override {
    if (durable_ == submitted_) return std::nullopt;
    durable_ = submitted_;
    return Result<uint64_t>(durable_);
  }
  uint64_t waiting_bytes() const override { return 0; }
  Outcome entries(LogIndex, LogIndex, size_t, std::vector<raft::Entry>&) override {
    return Outcome::kUnavailable;
  }
  bool send(const raft::Message&) override { return false; }
  bool send_app(NodeId, raft::Lane, uint8_t, std::string_view) override { return false; }
  void complete(CallId, const ReplyView& reply) override {
    ++answers;
    if (const auto* opened = std::get_if<const api::OpenSessionResult*>(&reply)) {
      session = (*opened)->sessionId;
    }
    if (const auto* acquired = std::get_if<const api::AcquireResult*>(&reply)) {
      holder = (*acquired)->holderId;
    }
  }
  void fail(CallId, const api::HoldfastError& error) override { ADD_FAILURE() << error.message; }
  uint64_t client_of(CallId) const override { return 0; }

  SeededEntropy entropy_;
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
};

constexpr uint64_t kWarm = 12'000;  // the ring of tenures is full by then
constexpr uint64_t kCalls = 1'000;

TEST(Allocations, ARenewalAllocatesLittleInSteadyState) {
  Lean lean;
  uint64_t before = 0;
  for (uint64_t i = 0; i < kWarm + kCalls; ++i) {
    if (i == kWarm) before = allocations;
    lean.keep_alive();
  }
  EXPECT_EQ(lean.answers, kWarm + kCalls + 1);
  const double each = static_cast<double>(allocations - before) / kCalls;
  RecordProperty("per_renewal", std::to_string(each));
  EXPECT_LE(each, 2);
}

TEST(Allocations, AnAcquireAndItsReleaseAllocateLittleInSteadyState) {
  Lean lean;
  const api::AcquireRequest acquire = acquire_of("/services/billing/leader");
  api::ReleaseRequest release;
  release.path = acquire.path;
  uint64_t before = 0;
  for (uint64_t i = 0; i < kWarm + kCalls; ++i) {
    if (i == kWarm) before = allocations;
    lean.acquire(acquire);
    lean.release(release);
  }
  EXPECT_EQ(lean.answers, 2 * (kWarm + kCalls) + 1);
  const double each = static_cast<double>(allocations - before) / kCalls;
  RecordProperty("per_pair", std::to_string(each));
  // Two of them are the events, the grant and its end, which the history keeps for watches.
  EXPECT_LE(each, 17);
}

class CodecAllocations : public RpcPortTest {
 protected:
  /// Allocations of decoding this call `kCalls` times.
  uint64_t decoding(const std::string& method, const std::string& frame) {
    RpcReader reader;
    RpcArguments arguments;
    MessageHead head;
    const RpcMethod* found = find_method(client_methods(), method);
    const WireProtocol protocol = *detect_protocol(frame);
    uint64_t before = 0;
    for (uint64_t i = 0; i < 10 + kCalls; ++i) {
      if (i == 10) before = allocations;
      reader.reset(frame, protocol);
      reader.read_head(head);
      found->decode(reader, arguments);
    }
    return allocations - before;
  }
  template <class Result>
  uint64_t encoding(const std::string& method, const Result& result) {
    RpcWriter writer;
    std::string out;
    uint64_t before = 0;
    for (uint64_t i = 0; i < 10 + kCalls; ++i) {
      if (i == 10) before = allocations;
      out.clear();
      writer.write_reply(out, WireProtocol::kCompact, method, 3, &result);
    }
    return allocations - before;
  }
};

TEST_F(CodecAllocations, HotCallsAreDecodedWithoutAny) {
  for (const WireProtocol protocol : {WireProtocol::kBinary, WireProtocol::kCompact}) {
    EXPECT_EQ(decoding("keepAlive", keep_alive(protocol, 3)), 0u);
    api::Holdfast_acquire_args acquire;
    acquire.context = client.context(9);
    acquire.context.acknowledged.resize(1);
    acquire.request = acquire_of("/services/billing/leader");
    acquire.request.value = "10.0.0.17:9000, longer than a string object holds itself";
    EXPECT_EQ(decoding("acquire", call(protocol, "acquire", 3, acquire)), 0u);
    api::Holdfast_poll_args poll;
    poll.context = client.context();
    poll.request = poll_of(10'000, 4);
    EXPECT_EQ(decoding("poll", call(protocol, "poll", 3, poll)), 0u);
  }
}

TEST_F(CodecAllocations, HotRepliesAreEncodedWithoutAny) {
  PollReply poll;
  poll.head.grants.resize(3);
  poll.head.header.leaderAddress = "server-one.example.internal:7411";
  std::string event;
  EventEncoder encoder;
  encoder.encode(std::vector<api::WatchEvent>(1), event);
  SplicedDelivery& delivery = poll.add();
  delivery.events = 3;
  delivery.bytes.assign(3, WireEvents(Blob(event)));
  EXPECT_EQ(encoding("poll", poll), 0u);
  EXPECT_EQ(encoding("keepAlive", api::KeepAliveResult{}), 0u);
  api::AcquireResult acquire;
  acquire.holders.resize(2);
  EXPECT_EQ(encoding("acquire", acquire), 0u);
}

}  // namespace
}  // namespace holdfast::server
