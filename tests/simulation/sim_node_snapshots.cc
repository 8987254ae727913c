// A simulated server's snapshot: written in steps of the event queue, loaded at a start, and held
// against what was called durable (I9).
#include <utility>

#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

namespace {

/// ThreadedSpanWriter waits so long before it tries again.
constexpr Duration kRetryEvery = 2s;

/// Much of a small database is empty: few of these are met.
constexpr int kFlips = 8;

std::string num(LogIndex index) { return std::to_string(index.value); }

}  // namespace

std::optional<Error> SimNode::open_snapshots() {
  if (world_.weather().snapshot_ms == 0) return std::nullopt;
  const auto directory = directory_->snapshot_directory(kDefaultGroup);
  if (!directory.ok()) return directory.error();
  vfs_ = std::make_unique<snapshot::FileSystemVfs>(*disk_, id_.value << 32 | life_);
  auto store = snapshot::SnapshotStore::open(*disk_, *directory, vfs_->name());
  if (!store.ok()) return store.error();
  snapshots_ = std::move(*store);
  span_writer_ = std::make_unique<StepSpanWriter>(*snapshots_);
  return std::nullopt;
}

Result<server::StoredState> SimNode::load_state() {
  bool set_aside = false;
  const server::StoredStateQuestion question{
      .cluster = genesis_.cluster,
      .node = id_,
      .hash_seed = entropy_.next_u64(),
      .log = [&](const std::string& line) {
        set_aside = set_aside || line.find("it is set aside") != std::string::npos;
        log_line(line);
      }};
  auto state = server::load_stored_state(question, *snapshots_, *log_);
  if (!state.ok() || disk_->crashed()) return state;
  judge_snapshot(state->machine->applied(), set_aside);
  return state;
}

void SimNode::judge_snapshot(LogIndex loaded, bool set_aside) {
  if (set_aside) {
    if (!snapshot_damaged_) throw Broken(Rule::kI9, name_ + " finds damage that nobody has done");
    world_.mark(Mark::kSnapshotSetAside);
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
  world_.trace(loaded.value);
}

void SimNode::schedule_snapshot() {
  if (span_writer_ == nullptr || snapshot_busy_ || !span_writer_->owes()) return;
  snapshot_busy_ = true;
  const Duration wait = span_writer_->obstacle() ? kRetryEvery : disk_delay(snapshot_draws_);
  world_.after(wait, [this, life = life_] {
    // resume() may have asked for the same step anew.
    if (life == life_ && !paused_ && span_writer_->owes()) snapshot_step();
  });
}

void SimNode::snapshot_step() {
  snapshot_busy_ = false;
  snapshot_given_ = *span_writer_->owes();
  if (snapshot_given_ > model_.last()) {
    throw Broken(Rule::kI9, name_ + " writes a snapshot of " + num(snapshot_given_) +
                                ", and its log is durable to " + num(model_.last()));
  }
  const auto& outcome = span_writer_->run_one();
  world_.trace(disk_->trace());
  if (died_at_disk(Mark::kCrashInSpan)) return start_after(kRestart);
  if (!outcome) {
    world_.mark(Mark::kSpanWaited);
  } else if (outcome->ok()) {
    const bool durable = (*outcome)->durable;
    if (durable) snapshot_durable_ = snapshot_given_;
    world_.mark(durable ? Mark::kSpanWritten : Mark::kSpanHeldUp);
  }
  act([] {});
}

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

void SimNode::read_snapshot(bool reads) {
  person_.reset();
  if (!reads || snapshots_ == nullptr || snapshots_->empty()) return;
  auto database =
      snapshot::Database::open(snapshots_->path(), snapshot::Database::Mode::kRead, vfs_->name());
  if (!database.ok() || !database->run("BEGIN; SELECT count(*) FROM key_rows").ok()) return;
  person_ = std::move(*database);
}

}  // namespace holdfast::sim
