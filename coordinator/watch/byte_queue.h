// Texts that go in the order in which they came, one behind the other in large blocks: none of them
// moves, and what is read together lies together.
#pragma once

#include <algorithm>
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
    if (blocks_.empty() || blocks_.back().size - blocks_.back().used < bytes) add_block(bytes);
    Block& block = blocks_.back();
    block.kept += bytes;
    return block.bytes.get() + std::exchange(block.used, block.used + bytes);
  }
  /// The first text, which has so many bytes, goes.
  void pop(size_t bytes) {
    HF_CHECK(!blocks_.empty() && blocks_.front().kept >= bytes, "a text that is not the first");
    Block& block = blocks_.front();
    block.kept -= bytes;
    if (block.kept > 0) return;
    if (block.size == kBlockBytes) spare_ = std::move(block);
    blocks_.pop_front();
  }

  static constexpr size_t kBlockBytes = 256 << 10;

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
    size_t used = 0;
    size_t kept = 0;  ///< of those used, what is not popped
  };
  void add_block(size_t bytes) {
    Block block = std::exchange(spare_, {});
    if (block.size < bytes) {
      block.size = std::max(kBlockBytes, bytes);
      block.bytes = std::make_unique_for_overwrite<char[]>(block.size);
    }
    block.used = 0;
    blocks_.push_back(std::move(block));
  }

  std::deque<Block> blocks_;
  Block spare_;  ///< of the usual size, or none
};

}  // namespace holdfast::watch
