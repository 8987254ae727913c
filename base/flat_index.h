// A hash index without nodes: open addressing over (hash, value) pairs, where the values know their
// own keys. Nothing iterates over it, so its order cannot be observed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"

namespace holdfast {

/// T is cheap to copy (a pointer or a number), and its T{} is no value: that marks a free slot, so
/// that one of 16 bytes lies in one line of the cache. Callers hash their keys and tell values
/// apart by a predicate. Linear probing with backward-shift deletion (Knuth 6.4, algorithm R): no
/// tombstones.
template <class T>
class FlatIndex {
 public:
  /// The value with this hash for which `is_it(value)` holds; null if there is none. The pointer is
  /// valid until the next insert or erase.
  template <class Predicate>
  T* find(uint64_t hash, Predicate&& is_it) {
    const size_t at = locate(hash, std::forward<Predicate>(is_it));
    return at == kNone ? nullptr : &slots_[at].value;
  }
  template <class Predicate>
  const T* find(uint64_t hash, Predicate&& is_it) const {
    return const_cast<FlatIndex*>(this)->find(hash, std::forward<Predicate>(is_it));
  }

  /// The key must be absent, the value not T{}.
  void insert(uint64_t hash, T value) {
    HF_CHECK(value != T{}, "an index has no room for what marks its free slots");
    if ((size_ + 1) * 3 > slots_.size() * 2) grow();
    place(hash, value);
    ++size_;
  }

  template <class Predicate>
  bool erase(uint64_t hash, Predicate&& is_it) {
    const size_t at = locate(hash, std::forward<Predicate>(is_it));
    if (at == kNone) return false;
    close_gap(at);
    --size_;
    return true;
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t hash = 0;
    T value{};
    bool used() const { return value != T{}; }
  };

  static constexpr size_t kNone = SIZE_MAX;

  template <class Predicate>
  size_t locate(uint64_t hash, Predicate&& is_it) const {
    if (slots_.empty()) return kNone;
    for (size_t at = home(hash); slots_[at].used(); at = next(at)) {
      if (slots_[at].hash == hash && is_it(slots_[at].value)) return at;
    }
    return kNone;
  }

  size_t home(uint64_t hash) const { return hash & (slots_.size() - 1); }
  size_t next(size_t at) const { return (at + 1) & (slots_.size() - 1); }

  void place(uint64_t hash, T value) {
    size_t at = home(hash);
    while (slots_[at].used()) at = next(at);
    slots_[at] = {.hash = hash, .value = value};
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.used()) place(slot.hash, slot.value);
    }
  }

  /// Moves later members of the probe run into the gap wherever their home allows it.
  void close_gap(size_t gap) {
    for (size_t at = next(gap); slots_[at].used(); at = next(at)) {
      const size_t mask = slots_.size() - 1;
      if (((at - home(slots_[at].hash)) & mask) >= ((at - gap) & mask)) {
        slots_[gap] = slots_[at];
        gap = at;
      }
    }
    slots_[gap] = {};
  }

  std::vector<Slot> slots_;  ///< a power of two of them, or none
  size_t size_ = 0;
};

}  // namespace holdfast
