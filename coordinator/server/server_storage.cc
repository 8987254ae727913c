// The server's state on disk, and the engine that stands on it: how a start finds both, and how a
// state that another server sent comes in force. Both ways are one: the snapshot is switched, the
// log is opened as a start opens it, and a new engine begins, so a crash between any two steps
// leaves what a start knows how to go on from.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "base/byte_text.h"
#include "base/count_text.h"
#include "coordinator/server/alarms.h"
#include "coordinator/server/initial_cluster.h"
#include "coordinator/server/server.h"

namespace holdfast::server {
namespace {

void log_info(const std::string& line) { LOG(INFO) << line; }
void log_warning(const std::string& line) { LOG(WARNING) << line; }

/// What a log takes before anything is written, and which flags say so.
Error with_room_of_log(Error error, const ServerOptions& options) {
  if (error.code != ErrorCode::kNoSpace) return error;
  const auto segments = static_cast<uint64_t>(1 + options.reserve_segments);
  error.message += "; a log begins with " + std::to_string(segments) +
                   " segments (1 + --reserve_segments=" + std::to_string(options.reserve_segments) +
                   ") of " + byte_text(options.segment_bytes) +
                   " (--segment_bytes=" + std::to_string(options.segment_bytes) +
                   "): make room, or lower these";
  return error;
}

const raft::Configuration& latest_of(const raft::InitialState& initial) {
  return initial.changes.empty() ? initial.configuration : initial.changes.back().configuration;
}

std::string log_text(const raft::LogView& log) {
  if (log.last() < log.first()) return "nothing behind it in the log";
  return "log from " + std::to_string(log.first().value) + " to " +
         std::to_string(log.last().value);
}

/// Between two parts of the loading, and while it waits.
constexpr Duration kLoadTurn = 1ms;

}  // namespace

Failure failure_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kCorrupt:
      return {ExitCode::kCorrupt, error.message};
    case ErrorCode::kNoSpace:
      return {ExitCode::kDiskFull, error.message};
    case ErrorCode::kBadArgument:
    case ErrorCode::kUnsupported:
      return {ExitCode::kWrongDirectory, error.message};
    case ErrorCode::kDiskFailed:
      return {ExitCode::kDiskFailed, error.message};
    default:
      return {ExitCode::kInternal, error.message};
  }
}

// ------------------------------------------------------------------------------------ opening

std::optional<Failure> Server::open_storage() {
  auto directory = raft::DataDirectory::open(files_, entropy_, options_.data_dir, options_.node_id);
  if (!directory.ok()) return failure_of(directory.error());
  directory_ = std::move(*directory);
  const Status room = raft::RoomKeeper::make_room_to_start(files_, options_.data_dir);
  if (!room.ok()) return failure_of(room.error());
  if (auto failed = open_snapshots()) return failed;
  return open_log();
}

std::optional<Failure> Server::open_snapshots() {
  const auto directory = directory_->snapshot_directory(kDefaultGroup);
  if (!directory.ok()) return failure_of(directory.error());
  auto snapshots = snapshot::SnapshotStore::open(files_, *directory, {}, paced_vfs_.name());
  if (!snapshots.ok()) return failure_of(snapshots.error());
  snapshots_ = std::move(*snapshots);
  return std::nullopt;
}

/// Before the log is opened; zero: not known.
Result<ClusterId> Server::known_cluster() const {
  const auto kept = directory_->kept_genesis(kDefaultGroup);
  if (!kept.ok()) return kept.error();
  if (!*kept) return ClusterId();
  const auto genesis = raft::decode_genesis(**kept);
  if (!genesis.ok()) return genesis.error();
  return genesis->cluster;
}

std::optional<Failure> Server::open_log() {
  const auto directory = directory_->log_directory(kDefaultGroup);
  if (!directory.ok()) return failure_of(directory.error());
  raft::LogOptions log_options;
  log_options.directory = *directory;
  log_options.store = directory_->store();
  log_options.segment_bytes = options_.segment_bytes;
  log_options.segments_ahead = 1 + static_cast<size_t>(options_.reserve_segments);
  auto cluster = known_cluster();
  if (!cluster.ok()) return failure_of(cluster.error());
  const StoredStateQuestion question{.cluster = *cluster, .node = options_.node_id};
  if (const Status placed = place_snapshot(*snapshots_, question, log_options); !placed.ok()) {
    return failure_of(placed.error());
  }
  auto log = raft::LogStore::open(files_, entropy_, log_options);
  if (!log.ok()) return failure_of(with_room_of_log(log.error(), options_));
  log_ = std::move(*log);
  if (const Status removed = snapshots_->remove_unnamed(); !removed.ok()) {
    return failure_of(removed.error());
  }
  const raft::RecoveredLog& recovered = log_->recovered();
  if (const Status terms = recovered.check_terms(); !terms.ok()) {
    return failure_of({terms.error().code, *directory + ": " + terms.error().message});
  }
  if (!recovered.torn_tail.empty()) LOG(WARNING) << recovered.torn_tail;
  if (!recovered.discarded.empty()) LOG(INFO) << recovered.discarded;
  reader_ = std::make_unique<raft::StoredLogReader>(*log_);
  return std::nullopt;
}

// ------------------------------------------------------------------------------------ serving

// One that joined later is not named by entry 1, nor by its log before it has come that far: that
// its directory has entry 1 at all says that the cluster gave it (handshake.h, refuse_genesis()).
std::optional<Failure> Server::check_belonging(const raft::Configuration& latest) const {
  for (const raft::Configuration* known : {&genesis_.configuration, &latest}) {
    const raft::Member* self = raft::find_member(*known, options_.node_id);
    if (self == nullptr || self->store == directory_->store()) continue;
    return Failure{ExitCode::kWrongDirectory,
                   "cluster " + std::to_string(genesis_.cluster.value) + " has node " +
                       std::to_string(options_.node_id.value) + " under store id " +
                       std::to_string(self->store.value) + ", not under " +
                       std::to_string(directory_->store().value) + " of " + options_.data_dir};
  }
  if (const auto above = level_above(latest, rsm::kFeatureLevel)) {
    return Failure{ExitCode::kWrongDirectory, "--data_dir=" + options_.data_dir + ": " + *above};
  }
  if (const auto other = contradiction(options_, genesis_, latest)) {
    return Failure{ExitCode::kWrongDirectory,
                   "--data_dir=" + options_.data_dir + " belongs to " + *other +
                       ": after a restore or recover leave --initial_cluster out; else this is the "
                       "wrong directory, or the wrong list"};
  }
  return std::nullopt;
}

std::optional<Failure> Server::know_genesis(const std::string& bytes) {
  auto genesis = raft::decode_genesis(bytes);
  if (!genesis.ok()) return failure_of(genesis.error());
  genesis_ = std::move(*genesis);
  genesis_bytes_ = bytes;
  return std::nullopt;
}

std::optional<Failure> Server::begin_serving(const std::string& bytes) {
  if (auto failed = know_genesis(bytes)) return failed;
  return load_and_serve();
}

std::optional<Failure> Server::load_and_serve() {
  // Before there is an engine that votes and acknowledges.
  const Status kept = directory_->keep_genesis(kDefaultGroup, genesis_.cluster, genesis_bytes_);
  if (!kept.ok()) return failure_of(kept.error());
  auto quarantined = quarantine_file().read();
  if (!quarantined.ok()) return failure_of(quarantined.error());
  quarantined_ = std::move(*quarantined);
  if (snapshots_->empty()) return begin_with(load_stored_state(question(), *snapshots_, *log_));
  load_wanted_ = true;
  loop_.stop();
  return std::nullopt;
}

StoredStateQuestion Server::question() {
  return {.cluster = genesis_.cluster,
          .node = options_.node_id,
          .hash_seed = entropy_.next_u64(),
          .log = log_info,
          .warn = log_warning};
}

// By this thread, in parts, between which it does all else that a server does: so that what is
// loaded lies where it will be changed, in one arena of memory.
std::optional<Failure> Server::load() {
  StoredStateQuestion asked = question();
  const auto place = place_said(asked, *snapshots_, *log_);
  if (place.ok()) {
    if (auto failed = vote_meanwhile(*place)) return failed;
  }
  // Without a voter nobody may take this server for one that is new.
  if (voter_) asked.meanwhile = [this] { return turn_while_loading(); };
  asked.log = [this](const std::string& line) {
    log_info(line);
    waits_because(line);
  };
  waits_because("loading " + snapshots_->path());
  pace_.hurry(true);
  auto state = load_stored_state(asked, *snapshots_, *log_);
  pace_.hurry(false);
  if (failure_ || ends_) return failure_;
  if (!voter_) return begin_with(std::move(state));
  voter_->finish();
  while (!voter_->at_rest() && !failure_ && !ends_) loop_.turn(kLoadTurn);
  if (failure_ || ends_) return failure_;
  if (!state.ok()) return failure_of(state.error());
  return go_on_from(std::move(*state), *place);
}

/// False: nothing comes of what is loaded.
bool Server::turn_while_loading() {
  const Instant now = clock_.now();
  if (now < load_turned_at_ + kLoadTurn) return true;
  load_turned_at_ = now;
  loop_.turn(Duration{0});
  return !failure_ && !ends_;
}

// By the members that the snapshot names, and the log: what they are does not change by the
// loading.
std::optional<Failure> Server::vote_meanwhile(const StatePlace& place) {
  auto initial = initial_state_at(place, genesis_.configuration, log_->recovered());
  if (!initial.ok()) return failure_of(initial.error());
  const raft::Configuration latest = latest_of(*initial);
  if (auto failed = check_belonging(latest)) return failed;
  raft::Config config = engine_options(latest).raft;
  config.seed = entropy_.next_u64();
  const auto snapshot_bytes = snapshots_->bytes_at_rest();
  if (!snapshot_bytes.ok()) return failure_of(snapshot_bytes.error());
  if (auto failed = begin_log_threads(*snapshot_bytes)) return failed;
  voter_ = std::make_unique<Voter>(
      config, std::move(*initial),
      VoterPorts{{clock_, *reader_, *writer_, *transport_},
                 log_room(),
                 [this](const Reach& known) { reach(known); },
                 [this](const Error& error) { stop_with(failure_of(error)); }});
  join();
  return std::nullopt;
}

// If the snapshot was not what it said, the log is opened as by a start: it is to be judged
// without.
std::optional<Failure> Server::go_on_from(StoredState state, const StatePlace& place) {
  const bool as_said = !state.lost && state.machine->applied() == place.applied;
  raft::PlacedConfiguration membership = state.membership;
  if (!membership.index) membership.configuration = genesis_.configuration;
  raft::InitialState initial = voter_->log_behind(place.applied, membership);
  std::vector<raft::Message> late = voter_->take_late();
  voter_.reset();
  writer_.reset();
  room_keeper_.reset();
  if (!as_said) {
    if (auto failed = reopen_log()) return failed;
    return begin_with(std::move(state));
  }
  if (auto failed = serve(std::move(state), std::move(initial))) return failed;
  for (raft::Message& message : late) engine_->on_message(std::move(message));
  return std::nullopt;
}

std::optional<Failure> Server::begin_with(Result<StoredState> state) {
  if (!state.ok()) return failure_of(state.error());
  if (state->lost) return seek_state();
  auto initial = initial_state_of(*state, genesis_.configuration, log_->recovered());
  return serve(std::move(*state), std::move(initial));
}

std::optional<Failure> Server::reopen_log() {
  reader_.reset();
  log_.reset();
  return open_log();
}

void Server::join() {
  if (!std::exchange(joined_, true)) transport_->form(genesis_.cluster, genesis_bytes_);
}

SnapshotPorts Server::snapshot_ports() {
  return {span_writer_.get(),
          background_.get(),
          &files_,
          snapshots_.get(),
          [this](LogIndex through) { return log_->cut(through); },
          log_info,
          entropy_.next_u64()};
}

// What the log may take of the disk is the keeper's to say (PROMISE 12), so no log is written
// without one.
std::optional<Failure> Server::begin_log_threads(uint64_t snapshot_bytes) {
  const auto wake = [this] { loop_.post([] {}); };
  return with_threads([&] {
    room_keeper_ = std::make_unique<raft::ThreadedRoomKeeper>(
        files_, *log_, clock_,
        raft::RoomOptions{options_.data_dir, static_cast<uint64_t>(options_.reserve_mib) << 20,
                          static_cast<uint64_t>(options_.min_free_mib) << 20, snapshot_bytes},
        raft::ThreadedRoomKeeper::Hooks{wake, [](const std::string& why) {
                                          LOG(ERROR) << "no reserve for a full disk: " << why;
                                        }});
    writer_ = std::make_unique<raft::ThreadedLogWriter>(*log_, clock_, wake);
  });
}

LogBudget::Limits Server::log_room() const {
  return {[this] { return writer_->room(); },
          static_cast<uint64_t>(options_.reserve_segments) * options_.segment_bytes,
          options_.segment_bytes / 4};
}

std::optional<Failure> Server::begin_threads(uint64_t snapshot_bytes) {
  const auto wake = [this] { loop_.post([] {}); };
  if (auto failed = begin_log_threads(snapshot_bytes)) return failed;
  return with_threads([&] {
    span_writer_ = std::make_unique<snapshot::ThreadedSpanWriter>(*snapshots_, wake, &pace_);
    background_ = std::make_unique<snapshot::BackgroundThread>(wake);
  });
}

RoomPorts Server::room_ports() {
  const LogBudget::Limits log = log_room();
  return {[this] { return room_keeper_->room(); },
          [this](bool lent) { room_keeper_->lend(lent); },
          [this](const raft::SnapshotRoom& room) { room_keeper_->note_snapshot(room); },
          log.look,
          log.reserved,
          log.kept};
}

std::optional<Failure> Server::serve(StoredState state, Result<raft::InitialState> initial) {
  if (!initial.ok()) return failure_of(initial.error());
  const LogIndex applied = initial->applied;
  const raft::Configuration latest = latest_of(*initial);
  if (auto failed = check_belonging(latest)) return failed;
  EngineOptions options = engine_options(latest);
  options.raft.seed = entropy_.next_u64();
  if (auto failed = begin_threads(state.snapshot_room())) return failed;
  engine_ = std::make_unique<Engine>(
      options, std::move(*initial),
      EnginePorts{clock_, entropy_, *reader_, *writer_, *transport_, *this,
                  [](const std::string& act) { LOG(INFO) << "audit: " << act; },
                  [this](const Error& error) { stop_with(failure_of(error)); },
                  [this] { return connections(); }, [this] { return alarms(); },
                  [this] { return disk_status(engine_->room().disk(), writer_->stats()); },
                  snapshot_ports(), member_ports(), genesis_bytes_, quarantine_ports(),
                  room_ports()},
      std::move(state));
  serving_since_ = clock_.now();
  join();
  client_port_->serve(*engine_);
  admin_port_->serve(*engine_);
  loop_.again();  // the end of a turn arms the engine's first timer: no turn may sleep before it
  LOG(INFO) << "node " << options_.node_id << " of cluster " << genesis_.cluster << ", "
            << count_text(latest.voters.size(), "voter", "voters") << "; clients on port "
            << client_port_->port() << ", peers on " << transport_->port() << ", administration on "
            << admin_port_->port() << ", http on " << http_->port() << "; state of revision "
            << applied << " from the snapshot, " << log_text(engine_->node().core().log());
  return std::nullopt;
}

// What works in the background speaks to the engine, and that to the transport and the writers:
// they go in the reverse of the order in which they were made. This thread waits for what they have
// begun, so that is not paced any more.
void Server::drop_engine() {
  pace_.hurry(true);
  background_.reset();
  voter_.reset();
  seeker_.reset();
  identity_calls_.clear();
  engine_.reset();
  span_writer_.reset();
  writer_.reset();
  room_keeper_.reset();
  pace_.hurry(false);
}

// ------------------------------------------------------------------- a state from another server

void Server::put_in_force(StoredState state) {
  if (auto failed = replace_state(std::move(state))) stop_with(std::move(*failed));
}

// Clients find their connections closed, as after a crash: what they had asked for is unknown here.
std::optional<Failure> Server::replace_state(StoredState state) {
  LOG(INFO) << "the state of revision " << state.machine->applied()
            << " was received and is put in force";
  drop_engine();
  const net::Address client{options_.client_listen.host, client_port_->port()};
  const net::Address admin{options_.admin_listen.host, admin_port_->port()};
  client_port_.reset();
  admin_port_.reset();
  if (const Status ended = end_quarantine(); !ended.ok()) return failure_of(ended.error());
  if (const Status adopted = snapshots_->adopt_incoming(); !adopted.ok()) {
    return failure_of(adopted.error());
  }
  if (auto failed = open_snapshots()) return failed;
  if (auto failed = reopen_log()) return failed;
  if (const Status fits = check_log_goes_on(state, *log_); !fits.ok()) {
    return failure_of(fits.error());
  }
  if (auto failed = open_ports(client, admin)) return failed;
  ++states_received_;
  return begin_with(std::move(state));
}

std::optional<Failure> Server::seek_state() {
  const raft::Configuration latest = last_known_members(genesis_, *snapshots_, log_->recovered());
  if (auto failed = check_belonging(latest)) return failed;
  const bool alone =
      std::all_of(latest.members.begin(), latest.members.end(),
                  [this](const raft::Member& member) { return member.id == options_.node_id; });
  if (alone) {
    return Failure{ExitCode::kCorrupt, options_.data_dir +
                                           ": the snapshot is damaged, the log begins at entry " +
                                           std::to_string(log_->first_index().value) +
                                           ", and no other server has the state"};
  }
  auto no_thread = with_threads([this] {
    background_ = std::make_unique<snapshot::BackgroundThread>([this] { loop_.post([] {}); });
  });
  if (no_thread) return no_thread;
  seeker_ = std::make_unique<SnapshotFetch>(
      SnapshotFetchPorts{clock_, entropy_, *transport_, *background_, files_,
                         snapshots_->incoming_path(), snapshots_->writers_vfs(), question()});
  join();
  transport_->set_peers(peers_of(options_, latest.members), latest.removed, latest.level);
  loop_.again();
  return std::nullopt;
}

// Any server will do: what it has applied is committed. Nothing is known of who leads.
void Server::seek_turn() {
  if (!removed_.empty()) return retire();
  background_->deliver();
  seeker_->turn_end();
  if (auto state = seeker_->take()) return put_in_force(std::move(*state));
  std::vector<NodeId> sources;
  for (const raft::PeerLink& peer : transport_->peers()) sources.push_back(peer.id);
  seeker_->begin_any(sources, log_->first_index().prev());
  arm_wakeup(seeker_->next_wakeup());
}

}  // namespace holdfast::server
