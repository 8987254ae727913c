#include "coordinator/server/stored_state.h"

#include <utility>

#include "coordinator/loading/loaded_state.h"
#include "raft/core/configuration.h"

namespace holdfast::server {
namespace {

StoredState before_the_first_entry(const StoredStateQuestion& question) {
  return {std::make_unique<rsm::StateMachine>(rsm::StateMachine::Options{
              .hash_seed = question.hash_seed, .feature_level = question.feature_level}),
          Term{},
          0,
          false,
          {}};
}

Error corrupt(const std::string& path, const std::string& what) {
  return {ErrorCode::kCorrupt, path + ": " + what};
}

/// A line now and then, and one when it is over; and others' work in between.
class Progress {
 public:
  Progress(const StoredStateQuestion& question, std::string path)
      : question_(question), path_(std::move(path)) {}
  snapshot::LoadProgress reports() {
    return [this](uint64_t rows) {
      given_up_ = given_up_ || (question_.meanwhile && !question_.meanwhile());
      rows_ = rows;
      if (rows / kRowsPerLine != lines_) tell();
    };
  }
  /// What is wanted no more is not loaded to its end.
  snapshot::RowSink unless_given_up(snapshot::RowSink sink) const {
    return [this, sink = std::move(sink)](RowTable table, uint64_t id, std::string_view row) {
      if (given_up_) return Status(Error{ErrorCode::kOverloaded, "the loading was given up"});
      return sink(table, id, row);
    };
  }
  void tell() {
    lines_ = rows_ / kRowsPerLine;
    question_.log("loading " + path_ + ": " + std::to_string(rows_) + " rows");
  }

 private:
  static constexpr uint64_t kRowsPerLine = 100'000;
  const StoredStateQuestion& question_;
  const std::string path_;
  uint64_t rows_ = 0;
  uint64_t lines_ = 0;
  bool given_up_ = false;
};

Result<snapshot::SnapshotHead> load_rows(const StoredStateQuestion& question,
                                         snapshot::SnapshotStore& snapshots,
                                         rsm::StateMachine& machine) {
  Progress progress(question, snapshots.path());
  auto head =
      snapshots.load(progress.unless_given_up(loading::sink_of(machine)), progress.reports());
  if (!head.ok()) return head;
  progress.tell();
  if (Status whole = loading::check_whole(snapshots.path(), *head, machine); !whole.ok()) {
    return whole.error();
  }
  return head;
}

std::optional<Error> foreign(const StoredStateQuestion& question, const std::string& path,
                             const snapshot::SnapshotHead& head) {
  if (head.cluster == question.cluster) return std::nullopt;
  return Error{ErrorCode::kBadArgument,
               path + ": is of cluster " + std::to_string(head.cluster.value) +
                   ", but this is node " + std::to_string(question.node.value) + " of cluster " +
                   std::to_string(question.cluster.value)};
}

std::optional<Error> contradiction(const StoredStateQuestion& question,
                                   const snapshot::SnapshotStore& snapshots,
                                   const snapshot::SnapshotHead& head, const raft::LogStore& log) {
  if (auto other = foreign(question, snapshots.path(), head)) return other;
  if (log.term(head.applied) != head.applied_term) {
    return corrupt(snapshots.path(),
                   "it is the state after entry " + std::to_string(head.applied.value) +
                       " of term " + std::to_string(head.applied_term.value) +
                       ", which the log beside it does not hold: it ends with entry " +
                       std::to_string(log.last_index().value));
  }
  return std::nullopt;
}

Status read_membership(const std::string& path, const snapshot::SnapshotHead& head,
                       raft::PlacedConfiguration& membership) {
  if (!head.membership.index) return ok_status();
  auto configuration = raft::decode_configuration(head.membership.configuration);
  if (!configuration.ok()) {
    return corrupt(path, "its members: " + configuration.error().message);
  }
  if (head.membership.index > head.applied) {
    return corrupt(path, "its members are those of entry " +
                             std::to_string(head.membership.index.value) +
                             ", it is the state after entry " + std::to_string(head.applied.value));
  }
  membership = {head.membership.index, std::move(*configuration)};
  return ok_status();
}

}  // namespace

Result<StoredState> load_received_state(const StoredStateQuestion& question,
                                        const std::string& path, const std::string& vfs) {
  auto database = snapshot::Database::open(path, snapshot::Database::Mode::kModify, vfs);
  if (!database.ok()) return database.error();
  Progress progress(question, path);
  auto loaded = loading::load_state(
      *database, {.hash_seed = question.hash_seed, .feature_level = question.feature_level},
      progress.reports());
  if (!loaded.ok()) return loaded.error();
  progress.tell();
  if (auto other = foreign(question, path, loaded->head)) return std::move(*other);
  StoredState state{std::move(loaded->machine), loaded->head.applied_term, 0, false, {}};
  Status read = read_membership(path, loaded->head, state.membership);
  if (!read.ok()) return read.error();
  return state;
}

// One that another node wrote was received. What is wrong with a damaged one is said when it is
// loaded.
Status place_snapshot(const snapshot::SnapshotStore& snapshots, const StoredStateQuestion& question,
                      raft::LogOptions& options) {
  // One that was set aside before another server had sent the state.
  options.snapshot_lost = snapshots.empty() && snapshots.anything_set_aside();
  if (snapshots.empty()) return ok_status();
  const auto head = snapshots.head();
  if (!head.ok()) {
    const ErrorCode code = head.error().code;
    if (code != ErrorCode::kCorrupt && code != ErrorCode::kInternal) return head.error();
    options.snapshot_lost = true;
    return ok_status();
  }
  if (question.cluster) {
    if (auto other = foreign(question, snapshots.path(), *head)) return std::move(*other);
  }
  options.snapshot = {.last = {head->applied, head->applied_term},
                      .received = question.cluster && head->node != question.node};
  return ok_status();
}

Status check_log_goes_on(const StoredState& state, const raft::LogStore& log) {
  const LogIndex applied = state.machine->applied();
  if (log.term(applied) == state.applied_term) return ok_status();
  return Error{ErrorCode::kCorrupt, "the log holds entries " +
                                        std::to_string(log.first_index().value) + " to " +
                                        std::to_string(log.last_index().value) +
                                        " and does not go on behind the received state of " +
                                        "revision " + std::to_string(applied.value)};
}

Result<raft::InitialState> initial_state_of(const StoredState& state,
                                            const raft::Configuration& genesis,
                                            const raft::RecoveredLog& log) {
  return initial_state_at({state.machine->applied(), state.membership}, genesis, log);
}

Result<StatePlace> place_said(const StoredStateQuestion& question,
                              const snapshot::SnapshotStore& snapshots, const raft::LogStore& log) {
  const auto head = snapshots.head();
  if (!head.ok()) return head.error();
  if (auto wrong = contradiction(question, snapshots, *head, log)) return std::move(*wrong);
  StatePlace place{head->applied, {}};
  if (Status read = read_membership(snapshots.path(), *head, place.membership); !read.ok()) {
    return read.error();
  }
  return place;
}

Result<raft::InitialState> initial_state_at(const StatePlace& place,
                                            const raft::Configuration& genesis,
                                            const raft::RecoveredLog& log) {
  raft::InitialState initial;
  initial.applied = place.applied;
  initial.configuration_index = place.membership.index;
  initial.configuration = place.membership.index ? place.membership.configuration : genesis;
  if (!log.last_index) {  // entry 1 was written just now
    initial.hard_state = {Term(1), NodeId{}};
    initial.last_index = LogIndex(1);
    initial.term_runs = {{LogIndex(1), Term(1)}};
    return initial;
  }
  initial.hard_state = log.hard_state;
  initial.first_index = log.first_index;
  initial.last_index = log.last_index;
  initial.term_runs = log.term_runs;
  for (const raft::Entry& entry : log.configurations) {
    if (entry.index <= initial.configuration_index) continue;
    auto configuration = raft::decode_configuration(entry.data.view());
    if (!configuration.ok()) {
      return corrupt("entry " + std::to_string(entry.index.value) + " of the log",
                     configuration.error().message);
    }
    initial.changes.push_back({entry.index, std::move(*configuration)});
  }
  return initial;
}

namespace {

std::optional<snapshot::SnapshotHead> head_of(const snapshot::SnapshotStore& snapshots) {
  auto head = snapshots.head();
  return head.ok() ? std::optional(std::move(*head)) : std::nullopt;
}

}  // namespace

raft::Configuration last_known_members(const raft::Genesis& genesis,
                                       const snapshot::SnapshotStore& snapshots,
                                       const raft::RecoveredLog& log) {
  const auto decoded = [&](std::string_view bytes) {
    const auto configuration = raft::decode_configuration(bytes);
    return configuration.ok() ? *configuration : genesis.configuration;
  };
  if (!log.configurations.empty()) return decoded(log.configurations.back().data.view());
  const auto head = snapshots.empty() ? snapshots.head_set_aside() : head_of(snapshots);
  const bool tells = head && head->cluster == genesis.cluster && head->membership.index;
  return tells ? decoded(head->membership.configuration) : genesis.configuration;
}

Result<StoredState> load_stored_state(const StoredStateQuestion& question,
                                      snapshot::SnapshotStore& snapshots,
                                      const raft::LogStore& log) {
  StoredState state = before_the_first_entry(question);
  if (snapshots.empty()) {
    state.lost = log.first_index() > LogIndex(1);
    return state;
  }
  auto head = load_rows(question, snapshots, *state.machine);
  if (head.ok()) {
    Status read = read_membership(snapshots.path(), *head, state.membership);
    if (!read.ok()) head = read.error();
  }
  if (head.ok()) {
    if (auto wrong = contradiction(question, snapshots, *head, log)) return std::move(*wrong);
    state.applied_term = head->applied_term;
    state.snapshot_bytes = snapshots.database_bytes();
    state.wal_bytes = snapshots.wal_bytes_left();
    return state;
  }
  if (head.error().code != ErrorCode::kCorrupt) return head.error();
  if (Status aside = snapshots.set_aside(); !aside.ok()) return aside.error();
  state = before_the_first_entry(question);
  state.lost = log.first_index() > LogIndex(1);
  question.warn(head.error().message + "; it is set aside, " +
                (state.lost ? "another server is asked for the state, as the log begins at entry " +
                                  std::to_string(log.first_index().value)
                            : "the log is replayed from its beginning"));
  return state;
}

}  // namespace holdfast::server
