// What changed in the replicated state over a span of log entries: gathered as entries are applied,
// handed to the snapshot thread as a value. Of a row that changes again and again one change is
// kept, as a rule, in its place; nothing is sorted.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/rows.h"

namespace holdfast::snapshot {

/// By how much a database grows for a new row, at most, but for what splitting its pages adds.
uint64_t growth_of(std::string_view row);

/// Movable: what was moved from is assigned to or destroyed. One thread at a time.
class RowSpan {
 public:
  RowSpan() = default;
  RowSpan(RowSpan&&) = default;
  RowSpan& operator=(RowSpan&&) = default;
  RowSpan(const RowSpan&) = delete;
  RowSpan& operator=(const RowSpan&) = delete;

  /// The row changes of entry `entry`, behind those added before. A row whose number says that this
  /// entry made it is new to the database: if it is erased within the span as well, nothing is
  /// written of it. Results of commands are such, and what is held for a moment.
  void add(const RowLog& changes, LogIndex entry);
  /// Likewise of rows that may have stood before, whatever their numbers are.
  void add(const RowLog& changes) { add(changes, LogIndex()); }
  void add(const RowLog::Change& change) { add(change, LogIndex()); }
  /// The changes that a later span gathered.
  void append(RowSpan&& later);
  /// Forgets all changes of a row but the last, and reckons anew: a span that goes with later ones
  /// again and again stays as large as what it has to write. Sorts and copies: not for the loop.
  void keep_latest();

  /// The last change of every row that changed, ascending by table and id, at most one a row. Valid
  /// until the span is changed or gone.
  std::vector<RowLog::Change> latest() const;

  /// By how much a database grows for them, at most: as if all were new to it. A row that changes
  /// again soon is counted once.
  uint64_t growth_bytes() const { return growth_bytes_; }
  bool empty() const { return records_.empty() && meta_.empty(); }

  /// Changes and rows lie in blocks of this size, so that growing moves none, and so that the
  /// system has them back at once when the span is written (process_limits.h): small pieces of
  /// memory would be left as holes between what the keys have taken meanwhile.
  static constexpr size_t kBlockBytes = 1 << 20;

 private:
  /// A change of a row, and the place of its bytes.
  struct Record {
    uint64_t id = 0;
    char* bytes = nullptr;
    uint32_t size = 0;
    uint32_t room = 0;
    RowTable table{};
    bool erased = false;
    bool born = false;     ///< the row is new to the database
    bool dropped = false;  ///< born and erased: nothing is to be written
  };
  /// Where the newest changes of one table's rows stand. A place takes one row: what lost it to
  /// another is recorded once more when it changes again. None of them is dropped.
  class Recent {
   public:
    Record* find(uint64_t id) const;
    /// The change that this takes the place of.
    const Record* note(Record& record);
    void drop(const Record& record);
    void forget() { *this = {}; }

   private:
    size_t slot_of(uint64_t id) const;
    void grow();

    std::vector<Record*> slots_;
    size_t taken_ = 0;
    unsigned bits_ = 0;  ///< of a slot's number
  };
  static constexpr size_t kTables = static_cast<size_t>(RowTable::kKeyChildren) + 1;

  void add(const RowLog::Change& change, LogIndex entry);
  void put(Record& record, std::string_view row);
  void erase(Record& record);
  Record& new_record(const RowLog::Change& change, bool born);
  bool is_new(const RowLog::Change& change, LogIndex entry) const;
  char* take(size_t bytes);
  Recent& recent(RowTable table) { return recent_[static_cast<size_t>(table)]; }

  std::deque<std::vector<Record>> records_;  ///< none of them empty
  std::vector<Record*> spare_;               ///< dropped ones, with their room
  std::deque<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;  ///< of the last one
  char* block_next_ = nullptr;
  std::string meta_;  ///< every entry changes this one row: only its last content is kept
  uint64_t meta_id_ = 0;
  uint64_t growth_bytes_ = 0;
  std::array<Recent, kTables> recent_;
  LogIndex forgotten_;  ///< the last entry that made a row which lost its place to another
};

}  // namespace holdfast::snapshot
