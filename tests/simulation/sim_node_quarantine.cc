// A simulated server whose state is not the others': how it comes to that, what it must not do when
// it knows, and its way out (I23).
#include <utility>

#include "tests/altering/altered_snapshot.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

namespace {

/// When a session was opened, in wall time: nothing is decided by it, and no client is told.
constexpr size_t kOpenedAt = 8;

}  // namespace

loading::QuarantineFile SimNode::quarantine_file() {
  return {*disk_, kDataDirectory, kDefaultGroup};
}

server::QuarantinePorts SimNode::quarantine_ports() {
  if (snapshots_ == nullptr) return {};
  if (quarantined_) world_.mark(Mark::kQuarantineKept);
  return {quarantined_,
          [this](const std::string& why) {
            world_.mark(Mark::kQuarantined);
            if (core().is_leader()) world_.mark(Mark::kOddLeader);
            quarantined_ = why;
            const Status written = quarantine_file().write(why);
            // Who dies there does so when the turn ends.
            return disk_->crashed() ? ok_status() : written;
          },
          [this](const std::string& line) { log_line(line); }};
}

// Before the server reads it, as if it had always been so.
std::optional<Error> SimNode::alter_stored_state() {
  if (const auto seed = std::exchange(alter_, std::nullopt); seed && !snapshots_->empty()) {
    SplitMix draw(*seed);
    const auto change = [&](RowTable table, uint64_t, std::string_view row) {
      const bool chosen = table == RowTable::kSessions && draw.below(2) == 0;
      if (!chosen) return std::optional<std::string>();
      std::string other(row);
      other[kOpenedAt] = static_cast<char>(other[kOpenedAt] ^ 1);
      return std::optional<std::string>(std::move(other));
    };
    const bool before = std::exchange(altered_, true);
    const auto done = altering::alter(*snapshots_, change);
    if (!done.ok()) return done.error();  // and it may be written
    altered_ = before || *done;
    if (*done) world_.mark(Mark::kStateAltered);
  }
  auto why = quarantine_file().read();
  if (!why.ok()) return why.error();
  quarantined_ = std::move(*why);
  return std::nullopt;
}

// As the server does it.
std::optional<Error> SimNode::end_quarantine() {
  if (!quarantined_) return std::nullopt;
  if (!snapshots_->empty()) {
    snapshot_damaged_ = true;  // a crash leaves nothing but the log, or less
    if (Status aside = snapshots_->set_aside(); !aside.ok()) return aside.error();
  }
  if (Status removed = quarantine_file().remove(); !removed.ok()) return removed.error();
  quarantined_.reset();
  return std::nullopt;
}

// Whoever is shown a difference need not know whose state is the good one.
void SimNode::hear(NodeId from, uint8_t kind, std::string_view bytes) {
  if (kind == static_cast<uint8_t>(server::PeerKind::kSnapshotAsk)) {
    if (shown_.open(clock_.now()) && watcher_.differs(*this)) world_.mark(Mark::kStateWithheld);
    return;
  }
  if (kind != static_cast<uint8_t>(server::PeerKind::kDigestReport)) return;
  if (!raft::is_member(core().configuration(), from)) return;
  shown_.reported(from, bytes,
                  {.now = clock_.now(),
                   .term = core().term(),
                   .leads = core().is_leader(),
                   .loaded = began_at_,
                   .applied = engine_->host().applied});
  if (shown_.open(clock_.now())) world_.mark(Mark::kOddLeaderShown);
}

void SimNode::judge_giving() {
  if (quarantined_) throw Broken(Rule::kI23, name_ + " gives its state, and is quarantined");
  if (shown_.open(clock_.now()) && watcher_.differs(*this)) {
    throw Broken(Rule::kI23, name_ + " gives its state, and was shown that it is not the others'");
  }
  world_.mark(Mark::kOddStateGiven);
}

// And an operator, some time later, has it rebuilt.
void SimNode::judge_quarantine() {
  if (engine_->digests().mismatch()) world_.mark(Mark::kMismatchSeen);
  if (engine_->quarantine().empty()) return;
  if (!altered_) {
    throw Broken(Rule::kI23, name_ + " is quarantined, and its state was never altered: " +
                                 engine_->quarantine());
  }
  if (core().role() == raft::Role::kCandidate || core().role() == raft::Role::kPreCandidate) {
    throw Broken(Rule::kI23, name_ + " stands for election, and is quarantined");
  }
  if (rebuild_asked_ && span_writer_->owes() && span_writer_->owes() != last_span_) {
    throw Broken(Rule::kI23, name_ + " begins a snapshot, and is quarantined");
  }
  if (std::exchange(rebuild_asked_, true)) return;
  last_span_ = span_writer_->owes();
  const Duration wait = std::chrono::milliseconds(draws_.between(100, 15'000));
  world_.after(wait, [this, life = life_] {
    if (life != life_ || !up()) return;
    act([this] { engine_->rebuild_state({0, 0, 0}, {}, {}); });
  });
}

}  // namespace holdfast::sim
