// All rows of a table or tree as their changes left them: what a snapshot would hold.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/rows.h"

namespace holdfast {

/// Does no row stand twice among the changes of one entry?
inline bool each_row_once(const RowLog& log) {
  std::set<std::pair<RowTable, uint64_t>> seen;
  for (size_t i = 0; i < log.size(); ++i) {
    if (!seen.emplace(log[i].table, log[i].id).second) return false;
  }
  return true;
}

class RowMirror {
 public:
  using Key = std::pair<RowTable, uint64_t>;

  /// Carries out the changes and clears the log.
  void take(RowLog& log) {
    for (size_t i = 0; i < log.size(); ++i) {
      const RowLog::Change change = log[i];
      const Key key(change.table, change.id);
      if (change.erased) {
        HF_CHECK(rows_.erase(key) == 1, "a row was erased that was not there");
      } else {
        rows_[key] = change.row;
      }
    }
    log.clear();
  }

  /// Builds `table` from these rows alone.
  template <class Table>
  Status load_into(Table& table) const {
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

  std::map<Key, std::string>& rows() { return rows_; }

 private:
  std::map<Key, std::string> rows_;
};

}  // namespace holdfast
