// Texts that go in the order in which they came, one behind the other in large blocks: none of them
// moves, and what is read together lies together. A large one has a block of its own, so that its
// size does not leave much of another unused; what is unused all the same is told.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

#include "base/check.h"

namespace holdfast::watch {

class ByteQueue {
 public:
  /// Room for a text of so many bytes, at least one, behind the others. Valid until it is popped.
  char* push(size_t bytes) {
    if (bytes > kSharedMax) {
      return large_.emplace_back(std::make_unique_for_overwrite<char[]>(bytes)).get();
    }
    if (blocks_.empty() || rest_of(blocks_.back()) < bytes) add_block();
    Block& block = blocks_.back();
    block.kept += bytes;
    return block.bytes.get() + std::exchange(block.used, block.used + bytes);
  }
  /// The first text, which has so many bytes, goes.
  void pop(size_t bytes) {
    if (bytes > kSharedMax) {
      HF_CHECK(!large_.empty(), "a text that is not the first");
      return large_.pop_front();
    }
    HF_CHECK(!blocks_.empty() && blocks_.front().kept >= bytes, "a text that is not the first");
    Block& block = blocks_.front();
    block.kept -= bytes;
    if (block.kept > 0) return;
    if (blocks_.size() > 1) unused_ -= rest_of(block);
    spare_ = std::move(block.bytes);
    blocks_.pop_front();
  }
  /// What no text came to use of the blocks before the last.
  size_t unused() const { return unused_; }

  static constexpr size_t kBlockBytes = 256 << 10;
  static constexpr size_t kSharedMax = kBlockBytes / 16;

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t used = 0;
    size_t kept = 0;  ///< of those used, what is not popped
  };
  static size_t rest_of(const Block& block) { return kBlockBytes - block.used; }
  void add_block() {
    if (!blocks_.empty()) unused_ += rest_of(blocks_.back());
    Block block{.bytes = std::move(spare_)};
    if (!block.bytes) block.bytes = std::make_unique_for_overwrite<char[]>(kBlockBytes);
    blocks_.push_back(std::move(block));
  }

  std::deque<Block> blocks_;
  std::deque<std::unique_ptr<char[]>> large_;
  std::unique_ptr<char[]> spare_;  ///< a block's, or none
  size_t unused_ = 0;
};

}  // namespace holdfast::watch
