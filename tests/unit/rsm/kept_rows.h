// The rows of a state machine as a snapshot would have them, kept up to date from its row changes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "coordinator/rsm/state_machine.h"

namespace holdfast::rsm {

class KeptRows {
 public:
  using Key = std::pair<RowTable, uint64_t>;

  void take(const RowLog& changes) {
    for (size_t i = 0; i < changes.size(); ++i) {
      const RowLog::Change change = changes[i];
      if (change.erased) {
        HF_CHECK(rows_.erase({change.table, change.id}) == 1, "an erased row was there");
      } else {
        rows_[{change.table, change.id}] = std::string(change.row);
      }
    }
  }

  /// A machine loaded from these rows alone.
  std::unique_ptr<StateMachine> load() const {
    auto machine = std::make_unique<StateMachine>(StateMachine::Options{.hash_seed = 99});
    for (const auto& [key, row] : rows_) {
      HF_CHECK(machine->load(key.first, key.second, row).ok(), "a row that was written loads");
    }
    HF_CHECK(machine->finish_load().ok(), "rows that were written fit together");
    return machine;
  }

  const std::map<Key, std::string>& all() const { return rows_; }

 private:
  std::map<Key, std::string> rows_;
};

}  // namespace holdfast::rsm
