// The world of a part of the engine (Host and what it stands on), without node, log or sockets.
#pragma once

#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/server/host.h"
#include "coordinator/server/peer_codec.h"
#include "coordinator/snapshot/background.h"
#include "tests/support/manual_clock.h"

namespace holdfast::server {

struct TestEntropy final : Entropy {
  void fill(void* out, size_t size) override { std::memset(out, 7, size); }
};

/// Keeps who was answered.
struct TestSink final : ReplySink {
  void complete(CallId call, const ReplyView& reply) override {
    completed.push_back(call);
    if (on_complete) on_complete();
    if (const auto* piece = std::get_if<const api::SnapshotPieceResult*>(&reply)) {
      pieces.push_back(**piece);
    }
  }
  void fail(CallId call, const api::HoldfastError& error) override {
    failed.emplace_back(call, error);
  }
  uint64_t client_of(CallId) const override { return 0; }
  std::function<void()> on_complete;
  std::vector<CallId> completed;
  std::vector<api::SnapshotPieceResult> pieces;
  std::vector<std::pair<CallId, api::HoldfastError>> failed;
};

/// Keeps what was sent until the test delivers it.
struct TestTransport final : raft::Transport {
  struct Sent {
    NodeId to;
    uint8_t kind;
    std::string bytes;
  };
  bool send(const raft::Message&) override { return false; }
  bool send_app(NodeId to, raft::Lane, uint8_t kind, std::string_view payload) override {
    if (broken) return false;
    sent.push_back({to, kind, std::string(payload)});
    return true;
  }
  bool broken = false;
  std::vector<Sent> sent;
};

/// Works when the test says so.
struct TestBackground final : snapshot::Background {
  void run(std::function<void()> work, std::function<void()> done) override {
    waiting.emplace_back(std::move(work), std::move(done));
  }
  void deliver() override {
    while (!holds && !waiting.empty()) {
      const auto [work, done] = std::move(waiting.front());
      waiting.pop_front();
      work();
      done();
    }
  }
  bool holds = false;  ///< nothing is done meanwhile
  std::deque<std::pair<std::function<void()>, std::function<void()>>> waiting;
};

/// A host that a test builds with emplace().
struct HostFakes {
  static EngineOptions options_of(NodeId self) {
    EngineOptions options;
    options.self = self;
    return options;
  }
  ManualClock clock;
  TestEntropy entropy;
  TestSink sink;
  TestTransport transport;
  rsm::StateMachine machine{{1}};
  PeerCodec codec;
  std::optional<Host> host;
};

}  // namespace holdfast::server
