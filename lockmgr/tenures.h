// The past holders of all locks in one bounded ring, findable by lock and by acquire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/flat_index.h"
#include "base/rows.h"
#include "lockmgr/rows.h"
#include "lockmgr/types.h"

namespace holdfast::lockmgr {

/// Tenures are numbered 1, 2, 3, ... as they end. The ring is never emptied once it holds one, so
/// the next number needs no row of its own. Row changes are written as they happen.
class TenureRing {
 public:
  TenureRing(RowLog& rows, Digest& digest, uint64_t hash_seed, uint64_t capacity);

  void record(const TenureRow& row);
  void set_capacity(uint64_t capacity);

  std::optional<TenureInfo> latest_of(SessionId session, Sequence sequence) const;
  /// Latest first, at most `count`, appended to `out`.
  void of_lock(std::string_view path, size_t count, std::vector<TenureInfo>& out) const;
  uint64_t size() const { return size_; }

  /// A row in ascending order of number; false if its number is not the next one. More rows than
  /// the capacity are no error: the capacity may be set after them.
  bool load(uint64_t number, const TenureRow& row, const Digest& hash);

  /// Sum of the hashes of all rows, encoded afresh.
  Digest recount() const;
  /// Numbers from first() to first() + size() - 1, with the texts still in place.
  bool indexes_hold() const;

 private:
  struct Tenure {
    TenureRow row;  ///< its views point to the texts below
    std::string path, session_name, owner, note;
    uint64_t previous = 0;  ///< number of the tenure of the same lock before it; 0 or gone = none
    Digest hash;
  };

  Tenure& at(uint64_t number) { return ring_[(start_ + (number - first_)) % ring_.size()]; }
  const Tenure& at(uint64_t number) const { return const_cast<TenureRing*>(this)->at(number); }
  bool present(uint64_t number) const { return number >= first_ && number < first_ + size_; }
  Tenure& append(const TenureRow& row);
  void evict_oldest();
  void resize(uint64_t slots);
  uint64_t hash_path(std::string_view path) const;
  uint64_t hash_acquire(SessionId session, Sequence sequence) const;
  void index(uint64_t number);
  void forget(uint64_t number);
  uint64_t* find_path(std::string_view path);
  uint64_t* find_acquire(SessionId session, Sequence sequence);
  static TenureInfo info(const Tenure& tenure);

  RowLog& rows_;
  Digest& digest_;
  const uint64_t hash_seed_;
  uint64_t capacity_;
  std::vector<Tenure> ring_;  ///< grows up to the capacity
  uint64_t start_ = 0;        ///< slot of the oldest
  uint64_t first_ = 1;        ///< number of the oldest, or of the first to come
  uint64_t size_ = 0;
  FlatIndex<uint64_t> by_path_;     ///< number of the lock's latest tenure
  FlatIndex<uint64_t> by_acquire_;  ///< number of the acquire's latest tenure
};

}  // namespace holdfast::lockmgr
