// Engines in one process on one clock that moves by hand, with disks in memory and a network that
// the test can cut, hold and look into. Nothing happens between two lines of a test that the test
// did not ask for: settle() runs everything to rest, advance() lets time pass.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "coordinator/server/engine.h"
#include "coordinator/server/rpc_methods.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_log_writer.h"
#include "tests/support/seeded_entropy.h"

namespace holdfast::server {

/// What one server sends another.
struct AppMessage {
  raft::Lane lane;
  PeerKind kind;
  std::string bytes;
};
struct Parcel {
  NodeId from;
  NodeId to;
  std::variant<raft::Message, AppMessage> content;

  bool is(PeerKind kind) const {
    const auto* app = std::get_if<AppMessage>(&content);
    return app != nullptr && app->kind == kind;
  }
  bool is(raft::MessageType type) const {
    const auto* message = std::get_if<raft::Message>(&content);
    return message != nullptr && message->type == type;
  }
};

class TestServer;

/// A call to one server. Cheap to copy; asks the server for what it was answered.
class Call {
 public:
  Call(TestServer& server, uint32_t slot) : server_(&server), slot_(slot) {}
  bool answered() const;
  /// The result; fails the test and gives an empty one if it was not answered with one.
  template <class Result>
  Result result() const {
    const std::any* value = value_of();
    const auto* typed = value == nullptr ? nullptr : std::any_cast<Result>(value);
    EXPECT_NE(typed, nullptr) << describe();
    return typed == nullptr ? Result{} : *typed;
  }
  /// The error; fails the test if it was not answered with one.
  api::HoldfastError error() const;
  /// OK also stands for "answered with a result"; UNSPECIFIED error code for "not answered".
  std::string outcome() const;

 private:
  const std::any* value_of() const;
  std::string describe() const;
  TestServer* server_;
  uint32_t slot_;
};

/// A client's session.
struct Client {
  SessionId id;
  std::string secret;
  int64_t sequence = 0;

  api::RequestContext context(int64_t with_sequence = 0) const {
    api::RequestContext context;
    context.sessionId = static_cast<int64_t>(id.value);
    context.sessionSecret = secret;
    context.sequence = with_sequence;
    return context;
  }
  /// The context of a new command.
  api::RequestContext next() { return context(++sequence); }
};

std::string secret_of(const std::string& name);
api::AcquireRequest acquire_of(const std::string& path, int64_t wait_ms = -1, bool enqueue = false);
api::PollRequest poll_of(int64_t max_wait_ms, int64_t acknowledged = 0, bool renew_now = false);

class TestCluster;

class TestServer final : raft::Transport, ReplySink {
 public:
  TestServer(TestCluster& cluster, NodeId id);
  ~TestServer();

  /// Starts from its disk; the first time that holds the cluster's first entry only.
  void start();
  /// The process is gone with all that was not synced and all outstanding calls.
  void crash();
  bool up() const { return engine_ != nullptr; }
  Engine& engine() { return *engine_; }
  NodeId id() const { return id_; }
  int number() const { return static_cast<int>(id_.value); }
  bool serving() const { return up() && engine_->host().serving; }
  raft::testing::MemoryLogWriter& writer() { return *writer_; }
  void turn(bool all_input_handled = true);

  template <class Request>
  Call ask(void (Engine::*handler)(CallId, const api::RequestContext&, const Request&),
           const api::RequestContext& context, const Request& request) {
    const Call call = new_call();
    (engine().*handler)(id_of(next_slot_), context, request);
    return call;
  }
  /// As a port hands it over, with what it has decoded.
  Call ask(const RpcMethod& method, RpcArguments& arguments) {
    const Call call = new_call();
    method.invoke(arguments, engine(), id_of(next_slot_));
    return call;
  }
  Call open(const std::string& name, int64_t ttl_ms = 10'000);
  Call poll(const api::RequestContext& context, const api::PollRequest& request) {
    return ask(&Engine::poll, context, request);
  }
  Call keep_alive(const api::RequestContext& context) {
    return ask(&Engine::keep_alive, context, api::KeepAliveRequest{});
  }
  Call acquire(const api::RequestContext& context, const api::AcquireRequest& request) {
    return ask(&Engine::acquire, context, request);
  }
  Call release(const api::RequestContext& context, const std::string& path, int64_t holder);
  Call close(const api::RequestContext& context) {
    return ask(&Engine::close_session, context, api::CloseSessionRequest{});
  }
  Call describe(const api::RequestContext& context, const std::string& path,
                api::Consistency::type consistency = api::Consistency::LINEARIZABLE);
  /// Without a session, and therefore at most once.
  Call change_setting(const std::string& name, int64_t value, int64_t deadline_ms = 0);
  int64_t setting(const std::string& name) const;

  /// A call that its port had no room for.
  Call refused_by_port(const std::string& why) {
    const Call call = new_call();
    engine().refuse_overloaded(id_of(next_slot_), why);
    return call;
  }

  /// The client of the latest call is gone.
  void abandon_latest() { engine().abandon(id_of(next_slot_)); }

  size_t outstanding() const { return outstanding_.size(); }

  int32_t feature_level = 0;  ///< that its program knows; set before start(): an upgrade
  /// What is on its disk; to be changed only while it is down.
  raft::testing::MemoryLog& disk() { return disk_; }
  std::optional<std::string> quarantine;  ///< what it remembers of its own
  std::optional<Error> forgets;           ///< why it cannot remember one now
  int remembering = 0;                    ///< how often it has tried to
  bool disk_works = true;                 ///< settle() makes writes durable
  Duration answer_takes{0};               ///< to make each of its results
  uint64_t asking = 0;                    ///< whose client's calls the next ones are
  bool transport_full = false;            ///< its own messages to others are dropped at once
  ReplySink* ports = nullptr;  ///< takes the answers to calls of ports other than the test's own
  std::vector<std::string> audits;
  std::vector<std::string> quarantine_errors;  ///< lines
  std::vector<Error> fatal;
  /// What its disk says of itself; set before start(). Without it nobody looks.
  std::optional<raft::DiskRoom> disk_room;
  raft::LogRoom log_room{1 << 20, 1 << 20, false};
  SnapshotPorts snapshots;      ///< set before start(); without, it neither writes nor gives any
  bool lent = false;            ///< the reserve
  uint64_t snapshot_bytes = 0;  ///< of the snapshot that its disk has, and of its "-wal"
  uint64_t wal_bytes = 0;
  raft::SnapshotRoom snapshot_room;  ///< as its disk was told
  Reach reach;                       ///< whom its transport has to reach
  uint64_t seed = 0;

 private:
  friend class Call;
  struct Answer {
    std::any value;
    std::optional<api::HoldfastError> error;
  };
  RoomPorts room_ports();
  static CallId id_of(uint32_t slot) { return {0, slot, 3}; }
  MemberPorts member_ports();
  Call new_call();
  bool take(CallId call);

  bool send(const raft::Message& message) override;
  bool send_app(NodeId to, raft::Lane lane, uint8_t kind, std::string_view payload) override;
  void complete(CallId call, const ReplyView& reply) override;
  void fail(CallId call, const api::HoldfastError& error) override;
  uint64_t client_of(CallId call) const override { return asked_by_.at(call.slot); }

  TestCluster& cluster_;
  const NodeId id_;
  raft::testing::MemoryLog disk_;
  std::unique_ptr<SeededEntropy> entropy_;
  std::unique_ptr<raft::testing::MemoryLogWriter> writer_;
  std::unique_ptr<Engine> engine_;
  uint32_t next_slot_ = 100;
  std::set<uint32_t> outstanding_;
  std::map<uint32_t, uint64_t> asked_by_;
  std::map<uint32_t, Answer> answers_;
};

class TestCluster {
 public:
  /// `options` is what the servers have alike; identities are filled in.
  explicit TestCluster(int servers, EngineOptions options = {});
  ~TestCluster();

  TestServer& server(int id) { return *servers_.at(static_cast<size_t>(id - 1)); }
  /// Runs turns, disks and the network until nothing moves.
  void settle();
  void advance(Duration time, Duration step = 10ms);
  bool until(const std::function<bool()>& done, Duration limit = 20s);
  /// Waits for an election and hands leadership to `id` if another won. Returns its server.
  TestServer& lead(int id);
  TestServer* leader();

  void cut(int a, int b) { cuts_.insert({a, b}), cuts_.insert({b, a}); }
  void isolate(int id);
  void heal() { cuts_.clear(); }
  /// What matches is kept back instead of delivered; release() delivers it, drop_held() does not.
  void hold(std::function<bool(const Parcel&)> matches) { holds_ = std::move(matches); }
  void release();
  void drop_held() { held_.clear(), holds_ = nullptr; }
  const std::vector<Parcel>& held() const { return held_; }
  /// Both learn that the connection between them stands (again).
  void reconnect(int a, int b);

  /// Opens a session through a server and settles.
  Client client(int server, const std::string& name, int64_t ttl_ms = 10'000);

  ManualClock clock;
  EngineOptions options;
  /// Servers that are no members: who answers at which peer address. Nobody at any other.
  std::map<std::string, raft::IdentityReply> strangers;

 private:
  friend class TestServer;
  bool deliver();
  void hand_over(Parcel& parcel);

  std::vector<std::unique_ptr<TestServer>> servers_;
  std::vector<Parcel> network_;
  std::vector<Parcel> held_;
  std::function<bool(const Parcel&)> holds_;
  std::set<std::pair<int, int>> cuts_;
};

/// A server alone, serving.
class OneServerTest : public testing::Test {
 protected:
  explicit OneServerTest(const EngineOptions& options = {}) : cluster(1, options) {
    cluster.lead(1);
  }
  TestCluster cluster;
  TestServer& server = cluster.server(1);
};

/// Three servers; 1 leads.
class ThreeServersTest : public testing::Test {
 protected:
  explicit ThreeServersTest(const EngineOptions& options = {}) : cluster(3, options) {
    cluster.lead(1);
  }
  TestCluster cluster;
  TestServer& leader = cluster.server(1);
  TestServer& follower = cluster.server(2);
};

/// An error with this code whose message contains `text`.
MATCHER_P2(Refuses, code, text, "") {
  *result_listener << arg.codeName << ": " << arg.message;
  return arg.code == code && arg.message.find(text) != std::string::npos;
}

}  // namespace holdfast::server
