#include "coordinator/server/stored_state.h"

#include <utility>

namespace holdfast::server {
namespace {

StoredState before_the_first_entry(const StoredStateQuestion& question) {
  return {std::make_unique<rsm::StateMachine>(
              rsm::StateMachine::Options{.hash_seed = question.hash_seed}),
          Term{}, 0};
}

Error corrupt(const snapshot::SnapshotStore& snapshots, const std::string& what) {
  return {ErrorCode::kCorrupt, snapshots.path() + ": " + what};
}

Result<snapshot::SnapshotHead> load_rows(const StoredStateQuestion& question,
                                         snapshot::SnapshotStore& snapshots,
                                         rsm::StateMachine& machine) {
  auto head = snapshots.load(
      [&](RowTable table, uint64_t id, std::string_view row) {
        return machine.load(table, id, row);
      },
      [&](uint64_t rows) {
        question.log("loading " + snapshots.path() + ": " + std::to_string(rows) + " rows");
      });
  if (!head.ok()) return head;
  if (Status whole = machine.finish_load(); !whole.ok()) {
    return corrupt(snapshots, whole.error().message);
  }
  if (machine.digest() != head->digest || machine.applied() != head->applied) {
    return corrupt(snapshots, "its rows are not the state that its head names: revision " +
                                  std::to_string(head->applied.value) + " with digest " +
                                  snapshot::to_text(head->digest) + " there, revision " +
                                  std::to_string(machine.applied().value) + " with digest " +
                                  snapshot::to_text(machine.digest()) + " by the rows");
  }
  return head;
}

std::optional<Error> contradiction(const StoredStateQuestion& question,
                                   const snapshot::SnapshotStore& snapshots,
                                   const snapshot::SnapshotHead& head, const raft::LogStore& log) {
  if (head.cluster != question.cluster || head.node != question.node) {
    return Error{ErrorCode::kBadArgument,
                 snapshots.path() + ": written by node " + std::to_string(head.node.value) +
                     " of cluster " + std::to_string(head.cluster.value) + ", but this is node " +
                     std::to_string(question.node.value) + " of cluster " +
                     std::to_string(question.cluster.value)};
  }
  // A snapshot never passes the synced log: if it does, the log has lost what it had.
  if (log.term(head.applied) != head.applied_term) {
    return corrupt(snapshots, "it is the state after entry " + std::to_string(head.applied.value) +
                                  " of term " + std::to_string(head.applied_term.value) +
                                  ", which the log beside it does not hold: it ends with entry " +
                                  std::to_string(log.last_index().value));
  }
  return std::nullopt;
}

}  // namespace

Result<StoredState> load_stored_state(const StoredStateQuestion& question,
                                      snapshot::SnapshotStore& snapshots,
                                      const raft::LogStore& log) {
  StoredState state = before_the_first_entry(question);
  if (snapshots.empty()) return state;
  const auto head = load_rows(question, snapshots, *state.machine);
  if (head.ok()) {
    if (auto wrong = contradiction(question, snapshots, *head, log)) return std::move(*wrong);
    state.applied_term = head->applied_term;
    state.snapshot_bytes = snapshots.database_bytes();
    return state;
  }
  if (head.error().code != ErrorCode::kCorrupt) return head.error();
  question.log(head.error().message + "; it is set aside, the log is replayed from its beginning");
  if (Status aside = snapshots.set_aside(); !aside.ok()) return aside.error();
  return before_the_first_entry(question);
}

}  // namespace holdfast::server
