// A server in the simulated world: the real engine, node, core, state machine and log store, on a
// fake disk, a drifting clock and the world's network. It can die at any point, lose what was not
// synced, be paused, and start again. Split over sim_node.cc (life), sim_node_ports.cc (what goes
// in and out while it runs), sim_node_entry.cc, sim_node_loading.cc, sim_node_room.cc,
// sim_node_snapshots.cc and sim_node_quarantine.cc.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/loading/quarantine_file.h"
#include "coordinator/server/engine.h"
#include "coordinator/server/voter.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_store.h"
#include "raft/storage/room.h"
#include "raft/transport/genesis.h"
#include "tests/simulation/disk_model.h"
#include "tests/simulation/net.h"
#include "tests/simulation/poll_places.h"
#include "tests/simulation/rpc.h"
#include "tests/simulation/shown_difference.h"
#include "tests/simulation/step_background.h"
#include "tests/simulation/step_span_writer.h"
#include "tests/simulation/world.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"

namespace holdfast::sim {

class SimNode;

/// Looks at nodes as they go.
class NodeWatcher {
 public:
  /// After every turn.
  virtual void turned(SimNode& node) = 0;
  /// A new life began; nothing has come in yet.
  virtual void started(SimNode& node) = 0;
  /// A life ends; its core can still be looked at.
  virtual void died(SimNode& node) = 0;
  /// It began to vote with a core of its own, while its state is loaded; after every turn of that;
  /// and it ends, for an engine or with the node.
  virtual void began_to_vote(SimNode& node) = 0;
  virtual void voted(SimNode& node) = 0;
  virtual void ended_voting(SimNode& node) = 0;
  /// Its state is known to be another than the others'.
  virtual bool differs(SimNode& node) = 0;

 protected:
  ~NodeWatcher() = default;
};

/// Of every server, on a disk of its own.
inline constexpr char kDataDirectory[] = "/data";
/// A supervisor starts a server again that ended of itself.
inline constexpr Duration kRestart = 500ms;

/// How a node dies.
enum class Death { kProcess, kPower };

class SimNode final : raft::Transport, server::ReplySink {
 public:
  SimNode(World& world, Net& net, NodeId id, std::vector<SimNode*>& nodes, NodeWatcher& watcher);
  ~SimNode();

  // --- Life.

  /// Opens the data directory for the first time; says who this node is.
  raft::Member introduce();
  /// Takes entry 1, and part in the cluster from now on, unless it dies meanwhile.
  void form(const raft::Genesis& genesis);
  /// Is no member yet, and waits until one that has it as a member gives it entry 1.
  bool waits() const { return !formed_ && !retired_; }
  std::string address() const { return "node-" + std::to_string(id_.value) + ":1"; }
  /// Whom it dials, and whom it refuses for good.
  const server::Reach& reach() const { return reach_; }
  /// Starts the process if it is not running; what it may not survive makes it stay away.
  void start();
  void die(Death death);
  /// Ends it; at its next start it runs a program that knows this feature level.
  void exchange_program(int32_t feature_level);
  int32_t feature_level() const { return feature_level_; }
  /// Starts it after `delay`, unless it runs then.
  void start_after(Duration delay);
  /// Never starts again.
  void retire(const std::string& why);
  void pause();
  void resume();

  bool up() const { return engine_ != nullptr; }
  /// It runs, but takes no part: nothing is left of its state, and it asks the others for theirs.
  bool seeks() const { return seeker_ != nullptr; }
  /// It runs, and is a voter, but serves nobody: its state is being loaded.
  bool loads() const { return voter_ != nullptr; }
  bool paused() const { return paused_; }
  bool retired() const { return retired_; }
  /// Its disk has less than it promised: it counts as down until it has caught up.
  bool behind_its_word() const { return old_image_; }
  server::Engine& engine() { return *engine_; }
  const raft::Raft& core() const { return loads() ? voter_->core() : engine_->node().core(); }
  bool has_applied(int64_t revision) const {
    return static_cast<int64_t>(engine_->host().applied.value) >= revision;
  }
  /// How far back its history for watches reaches.
  int64_t history_floor() const {
    return static_cast<int64_t>(engine_->watches().history().floor().value);
  }
  /// The log holds what was acknowledged. Throws Broken (I10).
  void check_log();
  /// Entry `index` as it is on the disk.
  raft::Entry read_back(LogIndex index);
  LogIndex durable_to() const { return model_.last(); }
  /// Also of one that is down.
  Term durable_term() const { return model_.term(); }
  NodeId id() const { return id_; }
  int number() const { return static_cast<int>(id_.value); }
  uint64_t life() const { return life_; }
  SimClock& clock() { return clock_; }
  const std::string& name() const { return name_; }

  // --- Faults of its disk and flags.

  raft::FakeFileSystem& disk() { return *disk_; }
  /// The operation of that number from now on is the last: the node dies around it.
  void crash_at(uint64_t operations_ahead, Death death);
  /// Of the disk that it was introduced with, from then on.
  uint64_t disk_operations() const {
    return disk_operations_.value_or(disk_->operations()) - operations_before_;
  }
  /// Operations may fail in this life.
  void expect_io_errors() { io_errors_ = true; }
  void fill_disk(uint64_t bytes_left);
  void empty_disk();
  /// It is not small any more: there may be no room for a copy of the state on any of them.
  void enlarge_disk() { small_disk_.reset(); }
  /// That many bytes are left on it, until it is replaced.
  void make_disk_small(uint64_t bytes_left);
  /// Only while it is down: the file system with its log is not mounted; of the directories that it
  /// hides all are missing too, or none.
  void unmount(bool with_directories);
  void mount();
  void slow_disk(int64_t us) { slow_us_ = us; }
  /// Something on its disk is not what was written.
  void damage();
  bool damaged() const { return damaged_; }
  bool snapshot_damaged() const { return snapshot_damaged_; }
  /// Bits of its snapshot are others, if it has one.
  void damage_snapshot(uint64_t seed);
  /// At its next start its snapshot, if it has one, is that of another state and whole in itself.
  void alter_state(uint64_t seed) { alter_ = seed; }
  /// Its state need not be the others'.
  bool altered() const { return altered_; }
  /// And it does not know it.
  bool odd() const { return altered_ && !quarantined_; }
  /// A person begins to read its snapshot, if it has one, or is done with it.
  void read_snapshot(bool reads);
  std::unique_ptr<raft::FakeFileSystem> image(uint64_t seed) const { return disk_->clone(seed); }
  /// Only while it is down: the file that names its snapshot is gone, if there was one.
  void lose_current();
  /// False: it has none.
  bool remove_snapshot();
  /// It is there again, if the node refused to start without it.
  void give_current_back();
  /// Only while it is down.
  void replace_disk(std::unique_ptr<raft::FakeFileSystem> disk, bool wiped);
  void caught_up();
  void set_unequal(bool unequal) { unequal_ = unequal; }
  bool unequal() const { return unequal_; }

  // --- Inputs.

  /// A client's call has arrived; it is answered through `taker`, unless the node dies first.
  void call(const Call& call, const AnswerTaker& taker);
  /// The connections of those calls of a client are gone.
  void hang_up(int client, uint64_t first, uint64_t last);
  void peer_event(NodeId peer, raft::PeerEvent event);
  /// What the loop says after it did not run.
  void hiccup(Duration gap);
  /// Applies nothing until told otherwise, or until it starts anew.
  void hold_apply(bool held);

 private:
  struct OpenCall {
    AnswerTaker taker;
    int client = 0;
    uint64_t number = 0;
  };
  // raft::Transport
  bool send(const raft::Message& message) override;
  bool send_app(NodeId to, raft::Lane lane, uint8_t kind, std::string_view payload) override;
  // server::ReplySink
  void complete(server::CallId call, const server::ReplyView& reply) override;
  void fail(server::CallId call, const api::HoldfastError& error) override;
  uint64_t client_of(server::CallId call) const override;

  std::optional<Error> open_storage();
  std::optional<Error> open_log();
  /// Its directory is that of the cluster; false: it died, or has nothing of a cluster.
  bool find_genesis();
  bool keep_genesis();
  void judge_recovery();
  void judge_discarded(const raft::RecoveredLog& recovered);
  bool takes_time_to_load(const std::optional<server::StoredState>& state);
  void vote_meanwhile(server::StoredState state);
  void loading_turn();
  void go_on_from_loaded();
  void mark_voter(const raft::Message& message);
  void take_message(raft::Message&& message);
  void run_engine(std::optional<server::StoredState> state,
                  std::optional<raft::InitialState> log = std::nullopt);
  server::EngineOptions engine_options();
  raft::InitialState initial_state(const server::StoredState* state) const;
  std::optional<Error> open_snapshots();
  Result<server::StoredState> load_state();
  void judge_snapshot(LogIndex loaded, bool set_aside);
  void judge_removed(const snapshot::WrittenSpan& written);
  void judge_missed();
  server::SnapshotPorts snapshot_ports();
  LogIndex cut_log(LogIndex through);
  loading::QuarantineFile quarantine_file();
  server::QuarantinePorts quarantine_ports();
  std::optional<Error> alter_stored_state();
  std::optional<Error> end_quarantine();
  /// Throws Broken (I23).
  void judge_quarantine();
  /// It is about to give a piece of its state. Throws Broken (I23).
  void judge_giving();
  /// What comes to it from one whose state is good.
  void hear(NodeId from, uint8_t kind, std::string_view bytes);
  void put_in_force(server::StoredState state);
  void seek_state();
  void seek_turn();
  /// Closes what the engine stands on; the disk is left as it is then.
  void drop_engine();
  void tell_peers_of_start();
  void start_failed(const Error& error);
  void stopped(const Error& error);
  /// The disk crashed under the node: it dies there. False: it did not.
  bool died_at_disk(Mark mark);
  void drop_process();

  // The members, as they change (sim_node_members.cc).
  server::MemberPorts member_ports();
  void identify(const std::string& address, const server::MemberPorts::Identified& done);
  raft::IdentityReply identity() const;
  void dial_round();
  void dial(SimNode& target);
  bool talks_to(const SimNode& target) const;
  bool refuses(const SimNode& dialler) const;
  void offered(const raft::Genesis& genesis, const raft::Member* named);
  void told_removed(const std::string& how);

  using Input = std::function<void(SimNode&)>;
  void deliver(NodeId to, int lane, bool core, Input arrival);
  /// Handles `input` in the next turn; dropped if the process dies first.
  void act(std::function<void()> input);
  void handle_inputs();
  void turn();
  void schedule_wakeup();
  void schedule_disk();
  void disk_step();
  Duration disk_delay(Stream& draws) const;
  server::RoomPorts room_ports(uint64_t snapshot_bytes);
  void look_at_disk();
  void mark_room();
  /// Throws Broken (LIVE).
  void judge_small_disk(bool refuses);
  void schedule_snapshot();
  void snapshot_step();
  void schedule_look();
  void look_step();
  bool disk_lost_snapshot() const;
  void schedule_background();
  void background_step();
  void prepare();
  Instant next_wakeup() const;
  void judge_polls();
  void answered(uint32_t slot, Answer answer);
  void log_line(const std::string& what) {
    if (world_.listens()) world_.tell(name_, what);
  }

  World& world_;
  Net& net_;
  const NodeId id_;
  const std::string name_;
  std::vector<SimNode*>& nodes_;
  NodeWatcher& watcher_;
  int32_t feature_level_;  ///< that its program knows
  Stream& disk_draws_;
  Stream& snapshot_draws_;
  Stream& draws_;
  Stream& loading_draws_;
  SimClock clock_;
  SimEntropy entropy_;
  std::unique_ptr<raft::FakeFileSystem> disk_;
  std::unique_ptr<raft::FakeFileSystem> unmounted_;  ///< its real one, while disk_ stands for it
  raft::Genesis genesis_;
  StoreId member_store_;
  std::map<NodeId, uint32_t> told_levels_;  ///< by those that it was connected to in this life
  server::Reach reach_;
  std::string removed_;  ///< how it is no member any more
  DiskModel model_;
  LogIndex snapshot_durable_;  ///< what its snapshot must hold
  LogIndex snapshot_given_;    ///< what was last to be written to it
  LogIndex adopting_;          ///< of another's state, if it is being put in force

  uint64_t life_ = 0;
  bool retired_ = false;
  bool unequal_ = false;
  bool damaged_ = false;
  bool snapshot_damaged_ = false;
  std::optional<std::string> lost_current_;  ///< what the file said, until it has done without it
  std::optional<std::string> removed_snapshot_;  ///< its path, until another is in force
  Duration missed_from_{0};      ///< last when there was nothing to miss, or no way to mend it
  bool current_missed_ = false;  ///< a start was refused for that
  std::optional<uint64_t> alter_;
  bool altered_ = false;
  ShownDifference shown_;
  LogIndex began_at_;  ///< with a state after that entry, in this life
  std::optional<std::string> quarantined_;
  bool rebuild_asked_ = false;
  std::optional<LogIndex> last_span_;  ///< under way when it was quarantined
  bool old_image_ = false;
  bool formed_ = false;
  bool served_ = false;  ///< since it was formed
  bool wiped_ = false;
  bool disk_full_ = false;
  Instant room_at_;             ///< the disk is looked at next
  bool refused_room_ = false;   ///< as a leader, in this life
  uint64_t proposed_full_ = 0;  ///< commands proposed when that began
  bool was_full_ = false;
  std::optional<uint64_t> small_disk_;  ///< bytes that it has
  Duration gave_back_at_{0};            ///< last without both a want of room and no key in the way
  bool io_errors_ = false;
  uint64_t operations_before_ = 0;
  std::optional<uint64_t> disk_operations_;  ///< of the first disk, if this is another
  Death armed_ = Death::kProcess;
  int64_t slow_us_ = 0;

  bool paused_ = false;
  Instant paused_at_;
  std::vector<std::function<void()>> inputs_;  ///< not handled yet
  bool turn_coming_ = false;
  bool disk_busy_ = false;
  bool snapshot_busy_ = false;
  bool look_coming_ = false;
  bool background_busy_ = false;
  Duration wakeup_at_{0};  ///< true time; zero: none
  uint64_t wakeup_ = 0;
  std::optional<Error> fatal_;
  uint32_t next_call_ = 1;
  std::map<uint32_t, OpenCall> calls_;
  PollPlaces polls_;

  std::unique_ptr<raft::DataDirectory> directory_;
  std::unique_ptr<raft::LogStore> log_;
  std::unique_ptr<raft::StoredLogReader> reader_;
  std::unique_ptr<WatchedWriter> writer_;
  std::unique_ptr<raft::RoomKeeper> room_;
  std::unique_ptr<snapshot::FileSystemVfs> vfs_;
  std::unique_ptr<snapshot::SnapshotStore> snapshots_;
  std::unique_ptr<StepSpanWriter> span_writer_;
  std::unique_ptr<StepBackground> background_;
  std::optional<snapshot::Database> person_;
  std::unique_ptr<server::SnapshotFetch> seeker_;
  std::optional<server::StoredState> loaded_;  ///< as it will be, once it is loaded
  std::unique_ptr<server::Voter> voter_;
  std::unique_ptr<RpcServer> rpc_;
  std::unique_ptr<server::Engine> engine_;
};

}  // namespace holdfast::sim
