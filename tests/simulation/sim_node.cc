// The life of a simulated server: start, stop, death, and what its disk did to it.
#include "tests/simulation/sim_node.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {

SimNode::SimNode(World& world, Net& net, NodeId id, std::vector<SimNode*>& nodes,
                 NodeWatcher& watcher)
    : world_(world),
      net_(net),
      id_(id),
      name_("node " + std::to_string(id.value)),
      nodes_(nodes),
      watcher_(watcher),
      feature_level_(world.weather().old_level == 0
                         ? rsm::kFeatureLevel
                         : static_cast<int32_t>(world.weather().old_level)),
      disk_draws_(world.stream("disk/" + std::to_string(id.value))),
      snapshot_draws_(world.stream("snapshot/" + std::to_string(id.value))),
      draws_(world.stream("node/" + std::to_string(id.value))),
      loading_draws_(world.stream("loading/" + std::to_string(id.value))),
      clock_(draw_clock(world, std::to_string(id.value), world.weather().clock_ppm)),
      entropy_(static_cast<uint64_t>(world.weather().entropy) * 64 + id.value),
      disk_(std::make_unique<raft::FakeFileSystem>(entropy_.next_u64())),
      polls_(world) {}

SimNode::~SimNode() {
  // The engine refers to the writer and this object's ports; and nothing is closed in good order.
  disk_->halt();
  drop_engine();
}

raft::Member SimNode::introduce() {
  if (const auto failed = open_storage()) throw Broken(Rule::kStops, failed->message);
  raft::Member member;
  member.id = id_;
  member.store = member_store_ = directory_->store();
  member.peer_address = member.client_address = address();
  member.feature_level = static_cast<uint32_t>(feature_level_);
  operations_before_ = disk_->operations();
  return member;
}

std::optional<Error> SimNode::open_storage() {
  auto directory = raft::DataDirectory::open(*disk_, entropy_, kDataDirectory, id_);
  if (!directory.ok()) return directory.error();
  directory_ = std::move(*directory);
  if (auto failed = open_snapshots()) return failed;
  return open_log();
}

std::optional<Error> SimNode::open_log() {
  const auto log_directory = directory_->log_directory(kDefaultGroup);
  if (!log_directory.ok()) return log_directory.error();
  raft::LogOptions options;
  options.directory = *log_directory;
  options.store = directory_->store();
  options.segment_bytes = static_cast<uint64_t>(world_.weather().segment_bytes);
  if (world_.weather().room_bytes != 0) options.segments_ahead = 2;
  if (world_.weather().unequal != 0) options.segment_bytes = uint64_t{4096} << id_.value;
  if (snapshots_ != nullptr) {
    const server::StoredStateQuestion question{.cluster = genesis_.cluster, .node = id_};
    if (Status placed = server::place_snapshot(*snapshots_, question, options); !placed.ok()) {
      return placed.error();
    }
  }
  auto log = raft::LogStore::open(*disk_, entropy_, options);
  if (!log.ok()) return log.error();
  log_ = std::move(*log);
  // As the server does it. Where nothing was lost there is nothing to remove.
  if (lost_current_) {
    if (Status removed = snapshots_->remove_unnamed(); !removed.ok()) return removed.error();
  }
  reader_ = std::make_unique<raft::StoredLogReader>(*log_);
  writer_ = std::make_unique<WatchedWriter>(*log_, model_);
  return std::nullopt;
}

void SimNode::start() {
  if (up() || seeks() || loads() || retired_ || !formed_) return;
  ++life_;
  if (const auto failed = open_storage()) return start_failed(*failed);
  if (disk_->crashed()) {
    died_at_disk(Mark::kCrashInRecovery);
    return start_after(kRestart);
  }
  if (directory_->store() != member_store_) {
    // Begin of service: the first entry does not name this store, and peers refuse it.
    world_.mark(Mark::kWipedRefused);
    return retire("its disk is another than the member's");
  }
  if (!find_genesis()) return;
  disk_->observe(true);
  judge_recovery();
  disk_->observe(false);
  if (retired_ || !keep_genesis()) return;
  std::optional<server::StoredState> state;
  if (snapshots_ != nullptr) {
    const auto unaltered = alter_stored_state();
    if (died_at_disk(Mark::kCrashInLoad)) return start_after(kRestart);
    if (unaltered) return start_failed(*unaltered);
    auto loaded = load_state();
    if (died_at_disk(Mark::kCrashInLoad)) return start_after(kRestart);
    if (!loaded.ok()) return start_failed(loaded.error());
    if (loaded->lost) return seek_state();
    state = std::move(*loaded);
  }
  if (was_full_) world_.mark(Mark::kRoomAgain);
  was_full_ = false;
  if (takes_time_to_load(state)) return vote_meanwhile(std::move(*state));
  run_engine(std::move(state));
}

void SimNode::check_log() {
  disk_->observe(true);
  if (!damaged_) model_.check_whole(*log_);
  disk_->observe(false);
}

raft::Entry SimNode::read_back(LogIndex index) {
  std::vector<raft::Entry> entries;
  disk_->observe(true);
  const Status read = log_->read(index, index.next(), 1, entries);
  disk_->observe(false);
  if (!read.ok()) throw Broken(Rule::kI10, read.error().message);
  return entries.front();
}

void SimNode::judge_discarded(const raft::RecoveredLog& recovered) {
  world_.mark(Mark::kLogDiscarded);
  const LogIndex last = recovered.last_index;
  model_.discarded(last, *log_->term(last), recovered.hard_state, damaged_ || old_image_);
}

// What the disk holds is what the node had acknowledged, unless something was done to it.
void SimNode::judge_recovery() {
  const raft::RecoveredLog& recovered = log_->recovered();
  if (!recovered.torn_tail.empty()) world_.mark(Mark::kTornTail);
  // It may have been discarded by the life before, which ended before it could say so.
  const bool behind_state =
      adopting_ && recovered.last_index == adopting_ && recovered.first_index == adopting_.next();
  adopting_ = LogIndex();
  if (behind_state || !recovered.discarded.empty()) return judge_discarded(recovered);
  if (damaged_ || old_image_) {
    const bool given = model_.adopt(recovered.hard_state, *log_);
    if (damaged_) {
      if (!given) throw Broken(Rule::kI10, name_ + " starts on data that it was never given");
      // Its word is broken: it counts as down for good, for nobody can tell.
      world_.mark(Mark::kDamageCut);
      return retire("its last batch was damaged");
    }
    world_.mark(Mark::kOldImageStarted);
    return;
  }
  const auto outcome = model_.restarted(recovered.hard_state, *log_);
  if (outcome.unsynced_kept) world_.mark(Mark::kUnsyncedKept);
  if (outcome.unsynced_lost) world_.mark(Mark::kUnsyncedLost);
}

server::EngineOptions SimNode::engine_options() {
  const Weather& w = world_.weather();
  const auto n = static_cast<uint64_t>(w.unequal != 0 ? id_.value : 1);
  server::EngineOptions engine;
  engine.self = id_;
  engine.cluster = genesis_.cluster;
  engine.store = member_store_;
  engine.feature_level = feature_level_;
  engine.members = genesis_.configuration.members;
  engine.drift_ppm = static_cast<uint32_t>(w.drift_ppm);
  engine.session_ttl_min_ms = w.ttl_ms;
  engine.max_pending_commands = static_cast<size_t>(w.pending_commands);
  engine.history_events = static_cast<uint64_t>(w.history_events);
  engine.history_bytes = static_cast<uint64_t>(w.history_bytes);
  engine.snapshot_log_bytes = static_cast<uint64_t>(w.snapshot_bytes);
  engine.snapshot_interval = from_ms(w.snapshot_ms);
  engine.watch_reply_entries = static_cast<size_t>(w.reply_entries);
  engine.max_watches_per_session = static_cast<size_t>(w.watches_max);
  raft::Config& raft = engine.raft;
  raft.id = id_;
  raft.heartbeat_interval = from_ms(w.heartbeat_ms);
  raft.election_timeout_min = from_ms(w.election_min_ms);
  raft.election_timeout_max = from_ms(w.election_max_ms);
  raft.pre_vote = w.pre_vote != 0;
  raft.check_quorum = w.check_quorum != 0;
  raft.fast_failover = w.fast_failover != 0;
  raft.max_inflight_messages =
      static_cast<uint32_t>(std::max<uint64_t>(1, static_cast<uint64_t>(w.inflight) / n));
  raft.max_append_bytes = static_cast<size_t>(w.append_bytes);
  raft.max_catchup_bytes = static_cast<size_t>(std::max(w.append_bytes, w.catchup_bytes));
  raft.far_behind_bytes = 4 * raft.max_append_bytes;
  raft.paced_append_bytes = raft.max_append_bytes / 2 + 1;
  raft.catchup_bytes_per_second = 64 * raft.max_append_bytes;
  raft.max_committed_bytes = static_cast<size_t>(w.committed_bytes) / n + 1;
  raft.window_bytes = static_cast<size_t>(w.window_bytes);
  raft.max_uncommitted_bytes = static_cast<size_t>(w.uncommitted_bytes);
  raft.seed = entropy_.next_u64();
  return engine;
}

raft::InitialState SimNode::initial_state(const server::StoredState* state) const {
  server::StoredState nothing;
  if (state == nullptr) {
    nothing.machine = std::make_unique<rsm::StateMachine>(rsm::StateMachine::Options{});
    state = &nothing;
  }
  auto initial = server::initial_state_of(*state, genesis_.configuration, log_->recovered());
  if (!initial.ok()) throw Broken(Rule::kI8, name_ + ": " + initial.error().message);
  if (initial->configuration_index) world_.mark(Mark::kMembersFromSnapshot);
  return std::move(*initial);
}

void SimNode::run_engine(std::optional<server::StoredState> state,
                         std::optional<raft::InitialState> log) {
  rpc_ = std::make_unique<RpcServer>();
  server::EnginePorts ports{clock_,
                            entropy_,
                            *reader_,
                            *writer_,
                            *this,
                            *this,
                            [](const std::string&) {},
                            [this](const Error& error) { fatal_ = error; },
                            {}};
  if (snapshots_ != nullptr) ports.snapshots = snapshot_ports();
  ports.genesis = raft::encode_genesis(genesis_);
  ports.members = member_ports();
  ports.quarantine = quarantine_ports();
  ports.room = room_ports(state ? state->snapshot_room() : 0);
  raft::InitialState initial = log ? std::move(*log) : initial_state(state ? &*state : nullptr);
  server::EngineOptions options = engine_options();
  options.members =
      (initial.changes.empty() ? initial.configuration : initial.changes.back().configuration)
          .members;
  served_ = true;
  engine_ = state ? std::make_unique<server::Engine>(options, std::move(initial), std::move(ports),
                                                     std::move(*state))
                  : std::make_unique<server::Engine>(options, std::move(initial), std::move(ports));
  shown_.begin();
  began_at_ = engine_->host().applied;
  log_line("starts with entries to " + std::to_string(model_.last().value));
  watcher_.started(*this);
  if (!log) tell_peers_of_start();
  act([] {});
  if (world_.weather().spares != 0) dial_round();
}

void SimNode::tell_peers_of_start() {
  for (SimNode* peer : nodes_) {
    const bool runs = peer->up() || peer->loads();
    if (peer == this || !runs || net_.is_cut(number(), peer->number())) continue;
    if (unequal_ != peer->unequal_) {
      world_.mark(Mark::kUnequalRefused);
      peer->peer_event(id_, raft::PeerEvent::kMismatch);
      continue;
    }
    peer->peer_event(id_, raft::PeerEvent::kNewIncarnation);
    peer->peer_event(id_, raft::PeerEvent::kConnected);
    peer_event(peer->id_, raft::PeerEvent::kConnected);
  }
}

// ------------------------------------------------------------------------------------- the end

// SQLite would put a database in order when it is closed; nobody does that here.
void SimNode::drop_process() {
  disk_->halt();
  drop_engine();
  snapshots_.reset();
  vfs_.reset();
  log_.reset();
  directory_.reset();
  paused_ = io_errors_ = false;
}

void SimNode::drop_engine() {
  ++life_;
  background_.reset();
  seeker_.reset();
  voter_.reset();
  loaded_.reset();
  engine_.reset();
  room_.reset();
  rpc_.reset();
  person_.reset();
  span_writer_.reset();
  writer_.reset();
  reader_.reset();
  calls_.clear();
  polls_.clear();
  inputs_.clear();
  reach_ = {};
  told_levels_.clear();
  fatal_.reset();
  rebuild_asked_ = false;
  turn_coming_ = disk_busy_ = snapshot_busy_ = look_coming_ = background_busy_ = false;
  wakeup_at_ = 0ns;
}

void SimNode::die(Death death) {
  // One that waits to be added has nothing yet that it could lose.
  if (waits()) return;
  const bool ran = up() || loads();
  if (ran) log_line(death == Death::kPower ? "loses power" : "is killed");
  if (up()) watcher_.died(*this);
  if (loads()) watcher_.ended_voting(*this);
  drop_process();
  if (death == Death::kPower) {
    disk_->power_loss();
  } else {
    disk_->process_crash();
  }
  if (disk_full_) fill_disk(0);
  if (!ran) return;
  for (SimNode* peer : nodes_) {
    const bool runs = peer->up() || peer->loads();
    if (peer == this || !runs || net_.is_cut(number(), peer->number())) continue;
    peer->peer_event(id_, raft::PeerEvent::kLost);
    // A machine without power says nothing; a process that is gone has its host answer for it.
    if (death == Death::kProcess) peer->peer_event(id_, raft::PeerEvent::kRefused);
  }
}

void SimNode::exchange_program(int32_t feature_level) {
  if (retired_) return;
  die(Death::kProcess);
  log_line("has a program of feature level " + std::to_string(feature_level));
  feature_level_ = feature_level;
}

void SimNode::start_after(Duration delay) {
  world_.after(delay, [this] { start(); });
}

void SimNode::retire(const std::string& why) {
  log_line("stays away: " + why);
  retired_ = true;
  die(Death::kProcess);
}

// The process ended before it served anybody.
void SimNode::start_failed(const Error& error) {
  log_line("does not start: " + error.message);
  if (disk_->crashed()) {
    died_at_disk(Mark::kCrashInRecovery);
    return start_after(kRestart);
  }
  if (error.code == ErrorCode::kCorrupt && damaged_) {
    world_.mark(Mark::kDamageRefused);
    return retire("its log is damaged");
  }
  if (error.code == ErrorCode::kCorrupt && lost_current_) {
    world_.mark(Mark::kLostCurrentRefused);
    current_missed_ = true;
    return die(Death::kProcess);
  }
  if (error.code == ErrorCode::kCorrupt && removed_snapshot_) {
    world_.mark(Mark::kRemovedRefused);
    return retire("its snapshot was removed");
  }
  if (error.code == ErrorCode::kCorrupt && unmounted_ != nullptr) {
    world_.mark(Mark::kLostLogRefused);
    return die(Death::kProcess);
  }
  stopped(error);
}

void SimNode::stopped(const Error& error) {
  // A start takes room. One that runs waits for it (PROMISE 12).
  const bool no_space = error.code == ErrorCode::kNoSpace && disk_full_ && !up();
  const bool io = error.code == ErrorCode::kDiskFailed && io_errors_;
  const bool snapshot = error.message.find("/snapshot/") != std::string::npos;
  const bool damage = damaged_ && (error.code == ErrorCode::kCorrupt || io || snapshot);
  if (old_image_ && error.code == ErrorCode::kInternal) {
    world_.mark(Mark::kOldImageStopped);
    return retire("a peer remembers more than its disk: " + error.message);
  }
  if (damage) {
    world_.mark(Mark::kDamageRead);
    return retire("its log is damaged: " + error.message);
  }
  if (snapshot) world_.mark(Mark::kSnapshotFailed);
  if (!no_space && !io && !(snapshot && snapshot_damaged_))
    throw Broken(Rule::kStops, name_ + " stopped: " + error.message);
  world_.mark(no_space                                          ? Mark::kDiskFull
              : error.message.find("read") != std::string::npos ? Mark::kReadFailed
                                                                : Mark::kWriteFailed);
  was_full_ = was_full_ || no_space;
  log_line("stops: " + error.message);
  die(Death::kProcess);
  start_after(kRestart);
}

bool SimNode::died_at_disk(Mark mark) {
  if (!disk_->crashed()) return false;
  world_.mark(mark);
  die(armed_);
  return true;
}

void SimNode::crash_at(uint64_t operations_ahead, Death death) {
  armed_ = death;
  disk_->crash_at(disk_->operations() + operations_ahead);
}

void SimNode::fill_disk(uint64_t bytes_left) {
  disk_full_ = true;
  disk_->set_capacity(small_disk_.value_or(disk_->used() + bytes_left));
}

void SimNode::make_disk_small(uint64_t bytes_left) {
  small_disk_ = disk_->used() + bytes_left;
  fill_disk(bytes_left);
}

void SimNode::empty_disk() {
  if (small_disk_) return;
  disk_full_ = false;
  disk_->set_capacity(~uint64_t{0});
  // Else it is found by whoever watches the disk.
  if (room_ == nullptr && log_ != nullptr) log_->retry_preparation();
}

void SimNode::damage() { damaged_ = true; }

void SimNode::replace_disk(std::unique_ptr<raft::FakeFileSystem> disk, bool wiped) {
  unmounted_.reset();
  lost_current_.reset();
  removed_snapshot_.reset();
  if (!disk_operations_) disk_operations_ = disk_->operations();
  disk_ = std::move(disk);
  disk_->process_crash();
  if (!wiped) old_image_ = true;
  snapshot_durable_ = snapshot_given_ = LogIndex();
}

void SimNode::caught_up() {
  if (!old_image_) return;
  world_.mark(Mark::kOldImageCaughtUp);
  old_image_ = false;
}

void SimNode::pause() {
  if (!up() || paused_) return;
  log_line("is paused");
  paused_ = true;
  paused_at_ = clock_.now();
}

// What the loop does: the gap is told before anything that came in meanwhile is handled.
void SimNode::resume() {
  if (!up() || !paused_) return;
  log_line("runs again");
  paused_ = false;
  const Duration gap = clock_.now() - paused_at_;
  if (engine_->host().serving && gap > from_ms(world_.weather().election_max_ms)) {
    world_.mark(Mark::kLeaderPaused);
  }
  // Shorter interruptions are not reported by the loop (LoopOptions::gap_threshold).
  if (gap > 50ms) engine_->on_pause(gap);
  disk_busy_ = snapshot_busy_ = background_busy_ = false;
  missed_from_ = world_.now();
  // One turn at least: time went by.
  act([] {});
}

void SimNode::hiccup(Duration gap) {
  if (up()) act([this, gap] { engine_->on_pause(gap); });
}

void SimNode::hold_apply(bool held) {
  if (!up()) return;
  act([this, held] {
    const bool behind = core().handed_out() < core().commit();
    const bool leads = core().is_leader() && core().own_term_committed();
    if (!held && behind) world_.mark(Mark::kApplyHeld);
    if (!held && behind && leads && !engine_->host().serving) world_.mark(Mark::kNoOpHeld);
    engine_->hold_apply(held);
  });
}

}  // namespace holdfast::sim
