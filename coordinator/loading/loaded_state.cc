#include "coordinator/loading/loaded_state.h"

#include <string_view>
#include <utility>

namespace holdfast::loading {
namespace {

Error corrupt(const std::string& path, const std::string& what) {
  return {ErrorCode::kCorrupt, path + ": " + what};
}

}  // namespace

snapshot::RowSink sink_of(rsm::StateMachine& machine) {
  return [&machine](RowTable table, uint64_t id, std::string_view row) {
    return machine.load(table, id, row);
  };
}

Status check_whole(const std::string& path, const snapshot::SnapshotHead& head,
                   rsm::StateMachine& machine) {
  if (Status whole = machine.finish_load(); !whole.ok()) {
    return corrupt(path, whole.error().message);
  }
  if (machine.digest() == head.digest && machine.applied() == head.applied) return ok_status();
  return corrupt(path, "its rows are not the state that its head names: revision " +
                           std::to_string(head.applied.value) + " with digest " +
                           snapshot::to_text(head.digest) + " there, revision " +
                           std::to_string(machine.applied().value) + " with digest " +
                           snapshot::to_text(machine.digest()) + " by the rows");
}

Result<LoadedState> load_state(snapshot::Database& database,
                               const rsm::StateMachine::Options& options,
                               const snapshot::LoadProgress& progress) {
  auto machine = std::make_unique<rsm::StateMachine>(options);
  auto head = snapshot::load_database(database, sink_of(*machine), progress);
  if (!head.ok()) return head.error();
  if (Status whole = check_whole(database.path(), *head, *machine); !whole.ok()) {
    return whole.error();
  }
  return LoadedState{std::move(machine), std::move(*head)};
}

}  // namespace holdfast::loading
