// All rows of the lock tables as their changes left them: what a snapshot would hold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/rows.h"
#include "lockmgr/lock_table.h"

namespace holdfast::lockmgr {

class RowMirror {
 public:
  /// Carries out the changes and clears the log.
  void take(RowLog& log) {
    for (size_t i = 0; i < log.size(); ++i) {
      const RowLog::Change change = log[i];
      const auto key = std::pair(change.table, change.id);
      if (change.erased) {
        HF_CHECK(rows_.erase(key) == 1, "a row was erased that was not there");
      } else {
        rows_[key] = change.row;
      }
    }
    log.clear();
  }

  Status load_into(LockTable& table) const {
    for (const auto& [key, row] : rows_) {
      if (Status status = table.load(key.first, key.second, row); !status.ok()) return status;
    }
    return table.finish_load();
  }

  Digest digest() const {
    Digest sum;
    for (const auto& [key, row] : rows_) sum.add(row_hash(key.first, key.second, row));
    return sum;
  }

  size_t count(RowTable table) const {
    size_t rows = 0;
    for (const auto& [key, row] : rows_) rows += key.first == table ? 1 : 0;
    return rows;
  }

  std::map<std::pair<RowTable, uint64_t>, std::string>& rows() { return rows_; }

 private:
  std::map<std::pair<RowTable, uint64_t>, std::string> rows_;
};

}  // namespace holdfast::lockmgr
