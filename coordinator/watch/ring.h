// A queue in one block of memory, addressed from its front: in steady state it allocates nothing.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace holdfast::watch {

template <class T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& operator[](size_t index) { return slots_[slot(index)]; }
  const T& operator[](size_t index) const { return slots_[slot(index)]; }
  T& front() { return slots_[first_]; }
  const T& front() const { return slots_[first_]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

  T& push_back(T value) {
    if (size_ == slots_.size()) grow();
    ++size_;
    return back() = std::move(value);
  }
  T& push_front(T value) {
    if (size_ == slots_.size()) grow();
    first_ = (first_ + slots_.size() - 1) & (slots_.size() - 1);
    ++size_;
    return front() = std::move(value);
  }
  /// What the element owned is freed now.
  void pop_front() {
    front() = T{};
    first_ = slot(1);
    --size_;
  }

  /// Index of the first element for which `is_before` does not hold; those for which it does stand
  /// before all others. Searched from the back in doubling steps: readers are mostly there.
  template <class Predicate>
  size_t partition_point(Predicate&& is_before) const {
    size_t low = 0;
    size_t high = size_;
    for (size_t step = 1; step <= high; step *= 2) {
      if (is_before((*this)[size_ - step])) {
        low = size_ - step + 1;
        break;
      }
      high = size_ - step;
    }
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (is_before((*this)[middle])) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  size_t slot(size_t index) const { return (first_ + index) & (slots_.size() - 1); }

  void grow() {
    std::vector<T> larger(slots_.empty() ? 4 : slots_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> slots_;  ///< a power of two of them, or none
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace holdfast::watch
