#include "tests/simulation/sim_node.h"

#include <algorithm>

#include "raft/transport/codec.h"

namespace holdfast::sim {

namespace {
constexpr char kDirectory[] = "/data";

SimClock make_clock(World& world) {
  const int64_t half = world.weather.drift_ppm / 2;
  const int64_t rate = half == 0 ? 0 : world.clocks.between(-half, half);
  return {world, rate, Duration(std::chrono::seconds(world.clocks.between(1, 100'000)))};
}
}  // namespace

SimNode::SimNode(World& world, NodeId id, const raft::Genesis& genesis,
                 std::vector<SimNode*>& nodes, NodeWatcher watcher, uint64_t seed)
    : world_(world),
      id_(id),
      genesis_(genesis),
      nodes_(nodes),
      watcher_(std::move(watcher)),
      disk_(seed),
      clock_(make_clock(world)),
      entropy_(seed ^ 0x5eed) {}

SimNode::~SimNode() = default;

void SimNode::start() {
  ++life_;
  auto directory = raft::DataDirectory::open(disk_, entropy_, kDirectory, id_);
  if (!directory.ok()) throw Broken("node does not start: " + directory.error().message);
  directory_ = std::move(*directory);
  const auto log_directory = directory_->log_directory(kDefaultGroup);
  if (!log_directory.ok()) throw Broken("node does not start: " + log_directory.error().message);
  raft::LogOptions options;
  options.directory = *log_directory;
  options.store = directory_->store();
  options.segment_bytes = world_.weather.segment_bytes;
  auto log = raft::LogStore::open(disk_, entropy_, options);
  if (!log.ok()) throw Broken("node does not start: " + log.error().message);
  log_ = std::move(*log);
  if (!log_->recovered().genesis) write_genesis();
  reader_ = std::make_unique<raft::StoredLogReader>(*log_);
  writer_ = std::make_unique<raft::InlineLogWriter>(*log_);
  server::EngineOptions engine;
  engine.self = id_;
  engine.cluster = genesis_.cluster;
  engine.members = genesis_.configuration.members;
  engine.raft.id = id_;
  engine.raft.seed = entropy_.next_u64();
  engine_ = std::make_unique<server::Engine>(
      engine, initial_state(),
      server::EnginePorts{clock_,
                          entropy_,
                          *reader_,
                          *writer_,
                          *this,
                          *this,
                          [](const std::string&) {},
                          [this](const Error& e) {
                            throw Broken("node " + std::to_string(id_.value) +
                                         " stopped: " + e.message);
                          },
                          {}});
  world_.log("node " + std::to_string(id_.value) + " starts with entries to " +
             std::to_string(log_->recovered().last_index.value) +
             (log_->recovered().torn_tail.empty() ? "" : ": " + log_->recovered().torn_tail));
  for (SimNode* peer : nodes_) {
    if (peer == this || !peer->up()) continue;
    peer->peer_event(id_, raft::PeerEvent::kNewIncarnation);
    peer->peer_event(id_, raft::PeerEvent::kConnected);
  }
  act([] {});
}

void SimNode::write_genesis() {
  raft::Write write;
  write.number = 1;
  write.hard_state = raft::HardState{Term(1), NodeId{}};
  write.entries.push_back(
      {Term(1), LogIndex(1), raft::EntryType::kGenesis, Blob(raft::encode_genesis(genesis_))});
  const auto appended = log_->append(std::span(&write, 1));
  if (!appended.ok()) throw Broken("entry 1 cannot be written: " + appended.error().message);
  log_->publish(*appended);
}

raft::InitialState SimNode::initial_state() const {
  const raft::RecoveredLog& recovered = log_->recovered();
  raft::InitialState initial;
  initial.configuration = genesis_.configuration;
  initial.hard_state =
      recovered.genesis ? recovered.hard_state : raft::HardState{Term(1), NodeId{}};
  initial.last_index = recovered.genesis ? recovered.last_index : LogIndex(1);
  initial.term_runs = recovered.term_runs;
  if (!recovered.genesis) initial.term_runs = {{LogIndex(1), Term(1)}};
  return initial;
}

void SimNode::crash(bool power_loss) {
  if (!up()) return;
  world_.log("node " + std::to_string(id_.value) + (power_loss ? " loses power" : " is killed"));
  ++life_;
  if (power_loss && world_.faults.chance(700)) {
    // In the middle of a write or a sync.
    disk_.crash_at(disk_.operations() + 1 + world_.faults.below(2));
    ++world_.sometimes[writer_->run_one() ? "power loss around a batch" : "power loss when idle"];
  }
  engine_.reset();
  writer_.reset();
  reader_.reset();
  log_.reset();
  directory_.reset();
  calls_.clear();
  held_.clear();
  lanes_.clear();
  paused_ = false;
  disk_busy_ = false;
  if (power_loss) {
    disk_.power_loss();
  } else {
    disk_.process_crash();
  }
  for (SimNode* peer : nodes_) {
    if (peer == this || !peer->up() || world_.is_cut(number(), peer->number())) continue;
    peer->peer_event(id_, raft::PeerEvent::kLost);
    if (!power_loss) peer->peer_event(id_, raft::PeerEvent::kRefused);
  }
}

void SimNode::pause() {
  if (!up() || paused_) return;
  world_.log("node " + std::to_string(id_.value) + " is paused");
  paused_ = true;
  paused_at_ = clock_.now();
}

// What the loop does: the gap is told before anything that came in meanwhile is handled.
void SimNode::resume() {
  if (!up() || !paused_) return;
  world_.log("node " + std::to_string(id_.value) + " runs again");
  paused_ = false;
  engine_->on_pause(clock_.now() - paused_at_);
  std::vector<std::function<void()>> held = std::move(held_);
  held_.clear();
  for (const auto& input : held) input();
  disk_busy_ = false;
  turn();
}

void SimNode::act(std::function<void()> input) {
  if (!up()) return;
  if (paused_) return held_.push_back(std::move(input));
  input();
  turn();
}

void SimNode::turn() {
  while (engine_->turn_end(/*all_input_handled=*/true)) {
  }
  watcher_(*this);
  schedule_disk();
  schedule_wakeup();
}

void SimNode::schedule_wakeup() {
  const Instant next = engine_->next_wakeup();
  const uint64_t number = ++wakeup_;
  if (next == Instant::max()) return;
  const Duration wait = std::max<Duration>(clock_.true_time(next - clock_.now()), 1us);
  world_.after(wait, [this, number, life = life_] {
    if (life == life_ && number == wakeup_ && !paused_) act([] {});
  });
}

void SimNode::schedule_disk() {
  static_cast<void>(writer_->prepare_one());
  if (disk_busy_) return;
  disk_busy_ = true;
  const Duration delay =
      std::chrono::microseconds(world_.disk.between(50, world_.weather.disk_us_max));
  world_.after(delay, [this, life = life_] {
    if (life != life_) return;
    // The sync thread of a paused process stands still too; resume() starts it anew.
    if (paused_) return;
    disk_busy_ = false;
    if (writer_->run_one()) act([] {});
  });
}

void SimNode::deliver(NodeId to, int lane, std::function<void(SimNode&)> arrival) {
  const auto n = static_cast<int>(to.value);
  SimNode* target = nodes_[static_cast<size_t>(n - 1)];
  if (world_.is_cut(number(), n) || world_.net.chance(world_.weather.loss_permille)) return;
  const Weather& w = world_.weather;
  const int copies = world_.net.chance(w.duplicate_permille) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    Duration at = world_.now() + std::chrono::microseconds(world_.net.between(20, w.delay_us_max));
    Duration& last = lanes_[{to.value, lane}];
    if (!world_.net.chance(w.reorder_permille)) {
      at = std::max(at, last + 1ns);
      last = at;
    }
    world_.after(at - world_.now(), [this, target, n, arrival] {
      // A cut that came meanwhile loses what is on its way too.
      if (world_.is_cut(number(), n) || !target->up()) return;
      target->act([target, arrival] { arrival(*target); });
    });
  }
}

bool SimNode::send(const raft::Message& message) {
  // Through the real bytes: nothing is shared between two servers.
  std::string bytes;
  raft::encode_message(genesis_.cluster, message, bytes);
  deliver(message.to, static_cast<int>(raft::lane_of(message.type)), [bytes](SimNode& node) {
    auto frame = raft::decode_frame(bytes);
    if (!frame.ok()) throw Broken("a peer message does not decode: " + frame.error().message);
    node.engine_->on_message(std::move(std::get<raft::MessageFrame>(*frame).message));
  });
  return true;
}

bool SimNode::send_app(NodeId to, raft::Lane lane, uint8_t kind, std::string_view payload) {
  deliver(to, static_cast<int>(lane),
          [from = id_, kind, bytes = std::string(payload)](SimNode& node) {
            node.engine_->on_app(from, kind, bytes);
          });
  return true;
}

void SimNode::peer_event(NodeId peer, raft::PeerEvent event) {
  world_.after(200us, [this, peer, event] {
    act([this, peer, event] { engine_->on_peer_event(peer, event); });
  });
}

void SimNode::call(const Ask& ask, Answer answer) {
  if (!up()) return;
  act([this, ask, answer] {
    const uint32_t number = next_call_++;
    calls_.emplace(number, answer);
    ask(*engine_, server::CallId{0, number, 0});
  });
}

void SimNode::complete(server::CallId call, const server::ReplyView& reply) {
  const auto at = calls_.find(call.slot);
  if (at == calls_.end()) throw Broken("a call was answered twice");
  const Answer answer = std::move(at->second);
  calls_.erase(at);
  answer(&reply, nullptr);
}

void SimNode::fail(server::CallId call, const api::HoldfastError& error) {
  const auto at = calls_.find(call.slot);
  if (at == calls_.end()) throw Broken("a call was answered twice");
  const Answer answer = std::move(at->second);
  calls_.erase(at);
  answer(nullptr, &error);
}

}  // namespace holdfast::sim
