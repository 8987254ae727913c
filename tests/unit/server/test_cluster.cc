#include "tests/unit/server/test_cluster.h"

#include "coordinator/server/watch_codec.h"
#include "session/session_table.h"

namespace holdfast::server {

namespace {
constexpr int kRoundsMax = 10'000;
}  // namespace

// ---- calls -----------------------------------------------------------------------------------

bool Call::answered() const { return server_->answers_.contains(slot_); }

const std::any* Call::value_of() const {
  const auto at = server_->answers_.find(slot_);
  return at == server_->answers_.end() || at->second.error ? nullptr : &at->second.value;
}

std::string Call::describe() const {
  const auto at = server_->answers_.find(slot_);
  if (at == server_->answers_.end()) return "not answered";
  const auto& error = at->second.error;
  return error ? error->codeName + ": " + error->message : "a result of another type";
}

api::HoldfastError Call::error() const {
  const auto at = server_->answers_.find(slot_);
  const bool refused = at != server_->answers_.end() && at->second.error;
  EXPECT_TRUE(refused) << (answered() ? "answered with a result" : "not answered");
  return refused ? *at->second.error : api::HoldfastError{};
}

std::string Call::outcome() const {
  if (!answered()) return "not answered";
  return value_of() != nullptr ? "OK" : error().codeName;
}

std::string secret_of(const std::string& name) {
  std::string secret = name;
  secret.resize(16, '.');
  return secret;
}

api::AcquireRequest acquire_of(const std::string& path, int64_t wait_ms, bool enqueue) {
  api::AcquireRequest request;
  request.path = path;
  request.waitMs = wait_ms;
  request.enqueue = enqueue;
  return request;
}

api::PollRequest poll_of(int64_t max_wait_ms, int64_t acknowledged, bool renew_now) {
  api::PollRequest request;
  request.maxWaitMs = max_wait_ms;
  request.acknowledgedDelivery = acknowledged;
  request.renewNow = renew_now;
  return request;
}

// ---- a server --------------------------------------------------------------------------------

TestServer::TestServer(TestCluster& cluster, NodeId id) : cluster_(cluster), id_(id) {
  disk_.hard_state = {Term(1), NodeId{}};
  disk_.log.push_back({Term(1), LogIndex(1), raft::EntryType::kGenesis, Blob("genesis")});
  seed = id.value * 7919;
}

TestServer::~TestServer() = default;

void TestServer::start() {
  entropy_ = std::make_unique<SeededEntropy>(++seed);
  writer_ = std::make_unique<raft::testing::MemoryLogWriter>(disk_);
  EngineOptions options = cluster_.options;
  options.self = options.raft.id = id_;
  options.feature_level = feature_level;
  options.store = StoreId(1000 + id_.value);
  options.raft.seed = seed;
  raft::Configuration configuration;
  configuration.members = options.members;
  for (const raft::Member& member : options.members) configuration.voters.push_back(member.id);
  engine_ = std::make_unique<Engine>(
      options, disk_.recover(configuration),
      EnginePorts{cluster_.clock,
                  *entropy_,
                  disk_,
                  *writer_,
                  *this,
                  *this,
                  [this](const std::string& act) { audits.push_back(act); },
                  [this](const Error& error) { fatal.push_back(error); },
                  {},
                  {},
                  {},
                  snapshots,
                  member_ports(),
                  {},
                  {quarantine,
                   [this](const std::string& why) -> Status {
                     ++remembering;
                     if (forgets) return *forgets;
                     quarantine = why;
                     return ok_status();
                   },
                   [this](const std::string& line) { quarantine_errors.push_back(line); }},
                  room_ports()},
      StoredState{std::make_unique<rsm::StateMachine>(rsm::StateMachine::Options{
                      .hash_seed = entropy_->next_u64(), .feature_level = feature_level}),
                  Term{},
                  snapshot_bytes,
                  false,
                  {},
                  wal_bytes});
}

RoomPorts TestServer::room_ports() {
  if (!disk_room) return {};
  return {[this] { return *disk_room; },
          [this](bool on) { lent = on; },
          [this](const raft::SnapshotRoom& room) { snapshot_room = room; },
          [this] { return log_room; },
          2'000,
          1'000};
}

MemberPorts TestServer::member_ports() {
  return {[this](const std::string& address, const MemberPorts::Identified& done) {
            const auto at = cluster_.strangers.find(address);
            if (at == cluster_.strangers.end()) {
              return done(Error{ErrorCode::kTimeout, "nobody is there"});
            }
            done(at->second);
          },
          [this](const Reach& members) { reach = members; },
          [this](NodeId peer) {
            if (peer.value > cluster_.servers_.size()) return 0U;
            const TestServer& each = *cluster_.servers_[peer.value - 1];
            return each.up() ? static_cast<uint32_t>(each.feature_level) : 0U;
          }};
}

void TestServer::crash() {
  engine_.reset();
  outstanding_.clear();
}

void TestServer::turn(bool all_input_handled) {
  while (engine_->turn_end(all_input_handled)) {
  }
}

Call TestServer::new_call() {
  outstanding_.insert(++next_slot_);
  asked_by_[next_slot_] = asking;
  return {*this, next_slot_};
}

bool TestServer::take(CallId call) {
  const bool known = call == id_of(call.slot) && outstanding_.erase(call.slot) == 1;
  EXPECT_TRUE(known) << "slot " << call.slot << " of port " << call.port
                     << " is answered, but no such call is outstanding";
  return known;
}

void TestServer::complete(CallId call, const ReplyView& reply) {
  if (call.port != 0) return ports->complete(call, reply);
  if (!take(call)) return;
  cluster_.clock.advance(answer_takes);
  std::visit([&](const auto* value) { answers_[call.slot].value = plain(*value); }, reply);
}

void TestServer::fail(CallId call, const api::HoldfastError& error) {
  if (call.port != 0) return ports->fail(call, error);
  if (take(call)) answers_[call.slot].error = error;
}

bool TestServer::send(const raft::Message& message) {
  if (cluster_.cuts_.contains({number(), static_cast<int>(message.to.value)})) return false;
  cluster_.network_.push_back({id_, message.to, message});
  return true;
}

bool TestServer::send_app(NodeId to, raft::Lane lane, uint8_t kind, std::string_view payload) {
  if (transport_full || cluster_.cuts_.contains({number(), static_cast<int>(to.value)})) {
    return false;
  }
  cluster_.network_.push_back(
      {id_, to, AppMessage{lane, static_cast<PeerKind>(kind), std::string(payload)}});
  return true;
}

Call TestServer::open(const std::string& name, int64_t ttl_ms) {
  api::OpenSessionRequest request;
  request.secret = secret_of(name);
  request.ttlMs = ttl_ms;
  request.name = name;
  return ask(&Engine::open_session, api::RequestContext{}, request);
}

Call TestServer::release(const api::RequestContext& context, const std::string& path,
                         int64_t holder) {
  api::ReleaseRequest request;
  request.path = path;
  request.holderId = holder;
  return ask(&Engine::release, context, request);
}

Call TestServer::describe(const api::RequestContext& context, const std::string& path,
                          api::Consistency::type consistency) {
  api::DescribeLockRequest request;
  request.path = path;
  request.consistency = consistency;
  return ask(&Engine::describe_lock, context, request);
}

Call TestServer::change_setting(const std::string& name, int64_t value, int64_t deadline_ms) {
  api::SettingsRequest request;
  request.changes[name] = value;
  api::RequestContext context;
  context.deadlineMs = deadline_ms;
  return ask(&Engine::settings, context, request);
}

int64_t TestServer::setting(const std::string& name) const {
  for (const rsm::SettingInfo& info : rsm::setting_infos()) {
    if (info.name == name) return engine_->machine().settings().get(info.id);
  }
  return -1;
}

// ---- the cluster -----------------------------------------------------------------------------

TestCluster::TestCluster(int servers, EngineOptions with) : options(std::move(with)) {
  options.cluster = ClusterId(77);
  for (int id = 1; id <= servers; ++id) {
    raft::Member member;
    member.id = NodeId(static_cast<uint64_t>(id));
    member.store = StoreId(1000 + member.id.value);
    member.client_address = "client" + std::to_string(id) + ":1";
    member.peer_address = "peer" + std::to_string(id) + ":1";
    member.feature_level = static_cast<uint32_t>(options.feature_level);
    options.members.push_back(member);
    servers_.push_back(std::make_unique<TestServer>(*this, member.id));
    servers_.back()->feature_level = options.feature_level;
  }
  for (const auto& each : servers_) each->start();
}

TestCluster::~TestCluster() {
  for (const auto& each : servers_) {
    if (!each->up()) continue;
    EXPECT_EQ(each->engine().machine().check_invariants(), "");
  }
}

void TestCluster::settle() {
  for (int round = 0; round < kRoundsMax; ++round) {
    bool moved = false;
    for (const auto& each : servers_) {
      if (!each->up()) continue;
      each->turn();
      if (each->disk_works && each->writer().sync()) moved = true;
    }
    if (deliver()) moved = true;
    if (!moved) return;
  }
  ADD_FAILURE() << "the cluster never comes to rest";
}

bool TestCluster::deliver() {
  std::vector<Parcel> parcels = std::exchange(network_, {});
  bool moved = false;
  for (Parcel& parcel : parcels) {
    if (holds_ && holds_(parcel)) {
      held_.push_back(std::move(parcel));
      continue;
    }
    hand_over(parcel);
    moved = true;
  }
  return moved;
}

void TestCluster::hand_over(Parcel& parcel) {
  const std::pair<int, int> link(parcel.from.value, parcel.to.value);
  if (static_cast<size_t>(link.second) > servers_.size()) return;  // a member that does not run
  TestServer& to = server(link.second);
  if (!to.up() || cuts_.contains(link)) return;
  if (auto* message = std::get_if<raft::Message>(&parcel.content)) {
    to.engine().on_message(std::move(*message));
  } else {
    const auto& app = std::get<AppMessage>(parcel.content);
    to.engine().on_app(parcel.from, static_cast<uint8_t>(app.kind), app.bytes);
  }
}

void TestCluster::release() {
  holds_ = nullptr;
  for (Parcel& parcel : std::exchange(held_, {})) hand_over(parcel);
}

void TestCluster::advance(Duration time, Duration step) {
  for (Duration passed{0}; passed < time; passed += step) {
    clock.advance(std::min(step, time - passed));
    settle();
  }
}

bool TestCluster::until(const std::function<bool()>& done, Duration limit) {
  settle();
  for (Duration passed{0}; !done() && passed < limit; passed += 10ms) advance(10ms);
  return done();
}

TestServer* TestCluster::leader() {
  TestServer* found = nullptr;
  for (const auto& each : servers_) {
    if (!each->serving()) continue;
    const bool later =
        found == nullptr || each->engine().host().soft.term > found->engine().host().soft.term;
    if (later) found = each.get();
  }
  return found;
}

TestServer& TestCluster::lead(int id) {
  EXPECT_TRUE(until([&] { return leader() != nullptr; }));
  if (leader() != &server(id)) {
    api::TransferLeadershipRequest request;
    request.nodeId = id;
    leader()->ask(&Engine::transfer_leadership, api::RequestContext{}, request);
    EXPECT_TRUE(until([&] { return leader() == &server(id); }));
  }
  advance(200ms);  // everybody has heard of it
  return server(id);
}

void TestCluster::isolate(int id) {
  for (const auto& each : servers_) {
    if (each->number() != id) cut(each->number(), id);
  }
}

void TestCluster::reconnect(int a, int b) {
  server(a).engine().on_peer_event(server(b).id(), raft::PeerEvent::kConnected);
  server(b).engine().on_peer_event(server(a).id(), raft::PeerEvent::kConnected);
}

Client TestCluster::client(int through, const std::string& name, int64_t ttl_ms) {
  const Call call = server(through).open(name, ttl_ms);
  settle();
  const auto opened = call.result<api::OpenSessionResult>();
  EXPECT_GT(opened.sessionId, 0);
  return {SessionId(static_cast<uint64_t>(opened.sessionId)), secret_of(name)};
}

}  // namespace holdfast::server
