// Positions in a queue whose members leave from anywhere: one bit for each arrival, so that "how
// many are before me" is a count of bits and not a walk over 10,000 waiters.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace holdfast::lockmgr {

class Arrivals {
 public:
  /// A newcomer's ticket, greater than all before it.
  uint64_t add() {
    const uint64_t ticket = next_++;
    if (ticket / 64 >= words_.size()) words_.push_back(0);
    words_[ticket / 64] |= bit(ticket);
    ++size_;
    return ticket;
  }

  void remove(uint64_t ticket) {
    words_[ticket / 64] &= ~bit(ticket);
    if (--size_ == 0) return clear();
    while (words_[first_] == 0) ++first_;
  }

  /// Members with a smaller ticket.
  uint64_t before(uint64_t ticket) const {
    uint64_t count = 0;
    for (uint64_t word = first_; word < ticket / 64; ++word) count += std::popcount(words_[word]);
    return count + std::popcount(words_[ticket / 64] & (bit(ticket) - 1));
  }

  /// So many tickets were returned that the owner should clear() and add() all members again in
  /// their order. It pays: at least three leave for each one that is numbered anew.
  bool sparse() const { return next_ > 256 && next_ > 4 * size_; }

  void clear() {
    words_.clear();
    next_ = first_ = size_ = 0;
  }

  uint64_t size() const { return size_; }

 private:
  static uint64_t bit(uint64_t ticket) { return uint64_t{1} << (ticket % 64); }

  std::vector<uint64_t> words_;
  uint64_t next_ = 0;
  uint64_t first_ = 0;  ///< no bit is set in the words before this one
  uint64_t size_ = 0;
};

}  // namespace holdfast::lockmgr
