// A simulated server's snapshot: written in steps of the event queue, loaded at a start, and held
// against what was called durable (I9).
#include <utility>

#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

namespace {

/// ThreadedSpanWriter waits so long before it tries again.
constexpr Duration kRetryEvery = 2s;
constexpr Duration kLookAfter = 1ms;
/// A look after five seconds at most, and a span that waits for the log and for a slow disk.
constexpr Duration kWrittenAnewWithin = 15s;

/// Much of a small database is empty: few of these are met.
constexpr int kFlips = 8;

std::string num(LogIndex index) { return std::to_string(index.value); }

std::string current_path() {
  return raft::snapshot_directory_path(kDataDirectory, kDefaultGroup) + "/CURRENT";
}

}  // namespace

std::optional<Error> SimNode::open_snapshots() {
  if (world_.weather().snapshot_ms == 0) return std::nullopt;
  const auto directory = directory_->snapshot_directory(kDefaultGroup);
  if (!directory.ok()) return directory.error();
  vfs_ = std::make_unique<snapshot::FileSystemVfs>(*disk_, id_.value << 32 | life_);
  auto store = snapshot::SnapshotStore::open(*disk_, *directory, vfs_->name());
  if (!store.ok()) return store.error();
  snapshots_ = std::move(*store);
  snapshots_->allow_slack(0);  // states are small: what they may leave is not
  return std::nullopt;
}

server::SnapshotPorts SimNode::snapshot_ports() {
  span_writer_ = std::make_unique<StepSpanWriter>(*snapshots_);
  background_ = std::make_unique<StepBackground>();
  return {span_writer_.get(),
          background_.get(),
          disk_.get(),
          snapshots_.get(),
          [this](LogIndex through) { return cut_log(through); },
          [this](const std::string& line) { log_line(line); },
          entropy_.next_u64()};
}

LogIndex SimNode::cut_log(LogIndex through) {
  if (quarantined_) throw Broken(Rule::kI23, name_ + " cuts its log, and is quarantined");
  if (through > snapshot_durable_) {
    throw Broken(Rule::kI9, name_ + " cuts its log to " + num(through) + ", and its snapshot of " +
                                num(snapshot_durable_) + " is durable");
  }
  const LogIndex before = log_->first_index();
  const LogIndex first = log_->cut(through);
  model_.cut(first);
  if (first > before) world_.mark(Mark::kLogCut);
  return first;
}

Result<server::StoredState> SimNode::load_state() {
  bool set_aside = false;
  const server::StoredStateQuestion question{
      .cluster = genesis_.cluster,
      .node = id_,
      .hash_seed = entropy_.next_u64(),
      .log = [this](const std::string& line) { log_line(line); },
      .warn =
          [&](const std::string& line) {
            set_aside = true;
            log_line(line);
          },
      .feature_level = feature_level_};
  auto state = server::load_stored_state(question, *snapshots_, *log_);
  if (!state.ok() || disk_->crashed()) return state;
  judge_snapshot(state->machine->applied(), set_aside);
  return state;
}

void SimNode::judge_snapshot(LogIndex loaded, bool set_aside) {
  if (set_aside) {
    if (!snapshot_damaged_) throw Broken(Rule::kI9, name_ + " finds damage that nobody has done");
    world_.mark(Mark::kSnapshotSetAside);
  } else if (lost_current_) {
    // Its log is whole: the state is built anew from that.
    if (log_->first_index() > LogIndex(1)) {
      throw Broken(Rule::kI9, name_ + " starts without its snapshot, and its log begins with " +
                                  num(log_->first_index()));
    }
    lost_current_.reset();
    world_.mark(Mark::kLostCurrentReplayed);
  } else if (loaded < snapshot_durable_ && !snapshot_damaged_) {
    throw Broken(Rule::kI9, name_ + " starts with a snapshot of " + num(loaded) +
                                ", after that of " + num(snapshot_durable_) + " was durable");
  }
  if (loaded > model_.last()) {
    throw Broken(Rule::kI9, name_ + " starts with a snapshot of " + num(loaded) +
                                ", and its log ends with " + num(model_.last()));
  }
  if (loaded.value > 0) world_.mark(Mark::kFromSnapshot);
  if (loaded.value > 0 && loaded < model_.last()) world_.mark(Mark::kReplayedBehind);
  if (snapshot_given_ > snapshot_durable_) {
    world_.mark(loaded == snapshot_given_ ? Mark::kSpanKept : Mark::kSpanLost);
  }
  snapshot_durable_ = snapshot_given_ = loaded;
  removed_snapshot_.reset();
  world_.trace(loaded.value);
}

void SimNode::schedule_snapshot() {
  if (span_writer_ == nullptr || snapshot_busy_ || !span_writer_->owes()) return;
  snapshot_busy_ = true;
  const Duration wait = span_writer_->obstacle() ? kRetryEvery : disk_delay(snapshot_draws_);
  world_.after(wait, [this, life = life_] {
    if (life != life_ || paused_) return;
    // resume() may have asked for the same step anew, or the span was taken back and is not yet
    // submitted again: it waits for the log.
    if (span_writer_->owes()) return snapshot_step();
    snapshot_busy_ = false;
  });
}

void SimNode::snapshot_step() {
  snapshot_busy_ = false;
  snapshot_given_ = *span_writer_->owes();
  if (snapshot_given_ > model_.last()) {
    throw Broken(Rule::kI9, name_ + " writes a snapshot of " + num(snapshot_given_) +
                                ", and its log is durable to " + num(model_.last()));
  }
  const std::string path = snapshots_->empty() ? std::string() : snapshots_->path();
  const auto& outcome = span_writer_->run_one();
  world_.trace(disk_->trace());
  if (died_at_disk(Mark::kCrashInSpan)) return start_after(kRestart);
  if (!outcome) {
    world_.mark(Mark::kSpanWaited);
  } else if (outcome->ok()) {
    const bool durable = (*outcome)->durable;
    if (durable) snapshot_durable_ = snapshot_given_;
    world_.mark(durable ? Mark::kSpanWritten : Mark::kSpanHeldUp);
    if (!path.empty() && snapshots_->path() != path) world_.mark(Mark::kWrittenAnew);
    judge_removed(**outcome);
  }
  act([] {});
}

// A look takes no time and reads no more than names: the disk draws nothing for it.
void SimNode::schedule_look() {
  if (span_writer_ == nullptr || look_coming_ || !span_writer_->is_to_look()) return;
  look_coming_ = true;
  world_.after(kLookAfter, [this, life = life_] {
    if (life != life_) return;
    look_coming_ = false;
    if (!paused_ && span_writer_->is_to_look()) look_step();
  });
}

/// SQLite removes the "-wal" of a database without pages.
bool SimNode::disk_lost_snapshot() const {
  const std::string path = snapshots_->incoming_path();
  return disk_->has_lied_about(path.substr(0, path.rfind('/')));
}

void SimNode::look_step() {
  const bool moved = span_writer_->look_now();
  if (moved && !removed_snapshot_ && !disk_lost_snapshot()) {
    throw Broken(Rule::kI9, name_ + " misses a database that nobody removed");
  }
  // After an obstacle the database is not open, and the next span finds it.
  if (!moved && removed_snapshot_ && !span_writer_->obstacle()) {
    throw Broken(Rule::kI9, name_ + " does not miss a database that was removed");
  }
  if (moved) act([] {});
}

/// What was removed is found with the next span, and all of it is durable under another name.
void SimNode::judge_removed(const snapshot::WrittenSpan& written) {
  if (!removed_snapshot_) {
    if (written.anew && !disk_lost_snapshot())
      throw Broken(Rule::kI9, name_ + " misses a database that nobody removed");
    return;
  }
  if (!written.anew || snapshots_->path() == *removed_snapshot_) {
    throw Broken(Rule::kI9, name_ + " writes on to a database that was removed");
  }
  world_.mark(written.rows == 0 ? Mark::kRemovedFoundIdle : Mark::kRemovedWrittenAnew);
  removed_snapshot_.reset();
}

/// Though nothing may change any more.
void SimNode::judge_missed() {
  const bool cannot = !removed_snapshot_ || span_writer_ == nullptr || span_writer_->obstacle() ||
                      writer_->out_of_room() || !engine_->quarantine().empty();
  if (cannot) missed_from_ = world_.now();
  if (world_.now() - missed_from_ <= kWrittenAnewWithin) return;
  throw Broken(Rule::kLive, name_ + " has not written its snapshot anew " +
                                std::to_string(to_ms(kWrittenAnewWithin)) +
                                " ms after somebody removed it");
}

// ------------------------------------------------------------------------------------- catch-up

void SimNode::schedule_background() {
  if (background_ == nullptr || background_busy_ || !background_->owes()) return;
  background_busy_ = true;
  world_.after(disk_delay(snapshot_draws_), [this, life = life_] {
    // resume() may have asked for the same step anew.
    if (life == life_ && !paused_ && background_->owes()) background_step();
  });
}

void SimNode::background_step() {
  background_busy_ = false;
  background_->run_one();
  world_.trace(disk_->trace());
  if (died_at_disk(Mark::kCrashInCatchUp)) return start_after(kRestart);
  act([] {});
}

// As the server does it: the snapshot is switched, the log opened anew, a new engine begun.
void SimNode::put_in_force(server::StoredState state) {
  const LogIndex last = state.machine->applied();
  log_line("puts the state of revision " + num(last) + " in force");
  world_.mark(seeks() ? Mark::kStateSought : Mark::kStateReceived);
  const auto& fetched = up() ? engine_->snapshot_fetch_stats() : seeker_->stats();
  if (fetched.resumed > 0) world_.mark(Mark::kStateResumed);
  if (up()) watcher_.died(*this);
  drop_engine();
  adopting_ = last;
  const auto failed = [this](const Error& error) {
    if (died_at_disk(Mark::kCrashInAdoption)) return start_after(kRestart);
    stopped(error);
  };
  const bool rebuilt = quarantined_.has_value();
  if (const auto error = end_quarantine()) return failed(*error);
  if (const Status adopted = snapshots_->adopt_incoming(); !adopted.ok()) {
    return failed(adopted.error());
  }
  log_.reset();
  snapshots_.reset();
  if (const auto error = open_snapshots()) return failed(*error);
  if (const auto error = open_log()) return failed(*error);
  if (died_at_disk(Mark::kCrashInAdoption)) return start_after(kRestart);
  if (const Status fits = server::check_log_goes_on(state, *log_); !fits.ok()) {
    // It was damaged after it had been loaded.
    if (!snapshot_damaged_) throw Broken(Rule::kI9, name_ + ": " + fits.error().message);
    log_line("stops: " + fits.error().message);
    die(Death::kProcess);
    return start_after(kRestart);
  }
  disk_->observe(true);
  judge_recovery();
  disk_->observe(false);
  if (retired_) return;
  if (rebuilt) world_.mark(Mark::kRebuilt);
  snapshot_damaged_ = altered_ = false;
  removed_snapshot_.reset();
  snapshot_durable_ = snapshot_given_ = last;
  run_engine(std::move(state));
}

void SimNode::seek_state() {
  log_line("asks the others for the state");
  background_ = std::make_unique<StepBackground>();
  seeker_ = std::make_unique<server::SnapshotFetch>(
      server::SnapshotFetchPorts{clock_,
                                 entropy_,
                                 *this,
                                 *background_,
                                 *disk_,
                                 snapshots_->incoming_path(),
                                 snapshots_->writers_vfs(),
                                 {.cluster = genesis_.cluster,
                                  .node = id_,
                                  .hash_seed = entropy_.next_u64(),
                                  .log = [this](const std::string& line) { log_line(line); },
                                  .feature_level = feature_level_}});
  act([] {});
}

void SimNode::seek_turn() {
  background_->deliver();
  seeker_->turn_end();
  if (auto state = seeker_->take()) return put_in_force(std::move(*state));
  std::vector<NodeId> sources;
  for (const SimNode* node : nodes_) {
    if (node != this) sources.push_back(node->id());
  }
  seeker_->begin_any(sources, log_->first_index().prev());
}

// --------------------------------------------------------------------------------------- faults

void SimNode::damage_snapshot(uint64_t seed) {
  std::vector<std::string> paths = disk_->paths();
  std::erase_if(paths, [&](const std::string& path) {
    return path.find("/snapshot/state-") == path.npos || disk_->content(path).empty();
  });
  if (paths.empty()) return;
  SplitMix draw(seed);
  const std::string& path = paths[draw.below(paths.size())];
  snapshot_damaged_ = true;
  for (int flip = 0; flip < kFlips; ++flip) {
    disk_->flip_bit(path, draw.below(disk_->content(path).size()), static_cast<int>(draw.below(8)));
  }
}

// Beside one that was set aside, what no file names is taken for a copy that was being received.
void SimNode::lose_current() {
  if (unmounted_ != nullptr) return;
  bool there = false;
  for (const std::string& path : disk_->paths()) {
    if (path.ends_with(".damaged") || path.ends_with(".removed")) return;
    there = there || path == current_path();
  }
  if (!there) return;
  lost_current_ = disk_->content(current_path());
  disk_->remove(current_path());
  current_missed_ = false;
}

bool SimNode::remove_snapshot() {
  if (snapshots_ == nullptr || snapshots_->empty() || removed_snapshot_) return false;
  removed_snapshot_ = snapshots_->path();
  disk_->remove(*removed_snapshot_);
  return true;
}

void SimNode::give_current_back() {
  if (!lost_current_ || !current_missed_) return;
  disk_->put(current_path(), *std::exchange(lost_current_, std::nullopt));
  start();
}

void SimNode::read_snapshot(bool reads) {
  person_.reset();
  if (!reads || snapshots_ == nullptr || snapshots_->empty()) return;
  auto database =
      snapshot::Database::open(snapshots_->path(), snapshot::Database::Mode::kRead, vfs_->name());
  if (!database.ok() || !database->run("BEGIN; SELECT count(*) FROM key_rows").ok()) return;
  person_ = std::move(*database);
}

}  // namespace holdfast::sim
