// A server in the simulated world: the real engine, node, core, state machine and log store, on a
// fake disk, a drifting clock and the world's network. It can crash at any point, lose what was not
// synced, be paused, and start again.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/server/engine.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_store.h"
#include "raft/storage/log_writer.h"
#include "raft/transport/genesis.h"
#include "tests/simulation/world.h"
#include "tests/support/fake_file_system.h"

namespace holdfast::sim {

class SimNode;

/// Looks at a node after each of its steps.
using NodeWatcher = std::function<void(SimNode&)>;

class SimNode final : raft::Transport, server::ReplySink {
 public:
  using Answer = std::function<void(const server::ReplyView*, const api::HoldfastError*)>;
  using Ask = std::function<void(server::Engine&, server::CallId)>;

  SimNode(World& world, NodeId id, const raft::Genesis& genesis, std::vector<SimNode*>& nodes,
          NodeWatcher watcher, uint64_t seed);
  ~SimNode();

  void start();
  /// The process dies; with `power_loss` also what was not synced, in part.
  void crash(bool power_loss);
  void pause();
  void resume();

  bool up() const { return engine_ != nullptr; }
  bool paused() const { return paused_; }
  server::Engine& engine() { return *engine_; }
  NodeId id() const { return id_; }
  int number() const { return static_cast<int>(id_.value); }
  uint64_t life() const { return life_; }

  /// A client's call has arrived. `answer` is called when it is answered, unless the node dies
  /// first.
  void call(const Ask& ask, Answer answer);
  void peer_event(NodeId peer, raft::PeerEvent event);

 private:
  // raft::Transport
  bool send(const raft::Message& message) override;
  bool send_app(NodeId to, raft::Lane lane, uint8_t kind, std::string_view payload) override;
  // server::ReplySink
  void complete(server::CallId call, const server::ReplyView& reply) override;
  void fail(server::CallId call, const api::HoldfastError& error) override;

  void deliver(NodeId to, int lane, std::function<void(SimNode&)> arrival);
  /// Runs `input` now, or when the pause is over, and then a turn; dropped if the process died.
  void act(std::function<void()> input);
  void turn();
  void schedule_wakeup();
  void schedule_disk();
  raft::InitialState initial_state() const;
  void write_genesis();

  World& world_;
  const NodeId id_;
  const raft::Genesis& genesis_;
  std::vector<SimNode*>& nodes_;
  NodeWatcher watcher_;
  raft::FakeFileSystem disk_;
  SimClock clock_;
  SimEntropy entropy_;
  uint64_t life_ = 0;
  bool paused_ = false;
  Instant paused_at_;
  std::vector<std::function<void()>> held_;  ///< inputs of a paused process
  bool disk_busy_ = false;
  uint64_t wakeup_ = 0;
  uint32_t next_call_ = 1;
  std::map<uint32_t, Answer> calls_;
  std::map<std::pair<uint64_t, int>, Duration> lanes_;  ///< when the last message arrives

  std::unique_ptr<raft::DataDirectory> directory_;
  std::unique_ptr<raft::LogStore> log_;
  std::unique_ptr<raft::StoredLogReader> reader_;
  std::unique_ptr<raft::InlineLogWriter> writer_;
  std::unique_ptr<server::Engine> engine_;
};

}  // namespace holdfast::sim
