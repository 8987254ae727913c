#include "raft/core/entry_window.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::raft {

const Entry& EntryWindow::at(LogIndex index) const {
  HF_CHECK(contains(index), "entry is not in the window");
  return slots_[slot(index)].entry;
}

uint64_t EntryWindow::bytes_before(LogIndex index) const {
  return index <= begin_ ? bytes_below_begin_ : slots_[slot(index.prev())].bytes_through;
}

uint64_t EntryWindow::bytes(LogIndex low, LogIndex high) const {
  if (low >= high) return 0;
  return bytes_before(std::min(high, end_)) - bytes_before(std::min(low, end_));
}

void EntryWindow::push(Entry entry) {
  HF_CHECK(entry.index == end_, "entries are contiguous");
  if (end_ - begin_ == slots_.size()) grow();
  const uint64_t through = bytes_before(end_) + entry_bytes(entry);
  slots_[slot(end_)] = Slot{std::move(entry), through};
  ++end_;
}

void EntryWindow::grow() {
  std::vector<Slot> larger(std::max<size_t>(64, slots_.size() * 2));
  for (LogIndex i = begin_; i < end_; ++i) {
    larger[i.value & (larger.size() - 1)] = std::move(slots_[slot(i)]);
  }
  slots_ = std::move(larger);
}

void EntryWindow::drop_from(LogIndex index) {
  HF_CHECK(index >= begin_, "cannot drop what is not kept");
  while (end_ > index) {
    end_ = end_.prev();
    slots_[slot(end_)].entry.data = Blob();
  }
}

void EntryWindow::drop_below(LogIndex index) {
  while (begin_ < index && begin_ < end_) {
    Slot& dropped = slots_[slot(begin_)];
    bytes_below_begin_ = dropped.bytes_through;
    dropped.entry.data = Blob();
    ++begin_;
  }
}

}  // namespace holdfast::raft
