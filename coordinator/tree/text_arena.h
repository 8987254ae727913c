// Texts that live as long as an entry's effects: paths and values at stable addresses.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::tree {

class TextArena {
 public:
  /// Room for `size` bytes, valid until clear().
  char* allocate(size_t size) {
    while (at_ < blocks_.size() && blocks_[at_].size - used_ < size) next_block();
    if (at_ == blocks_.size()) add_block(size);
    return blocks_[at_].bytes.get() + std::exchange(used_, used_ + size);
  }

  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    char* const room = allocate(text.size());
    std::memcpy(room, text.data(), text.size());
    return {room, text.size()};
  }

  /// Forgets all texts. Blocks are used again, up to a few MiB of them.
  void clear() {
    if (total_ > kKeptBytes) {
      blocks_.clear();
      total_ = 0;
    }
    at_ = used_ = 0;
  }

 private:
  static constexpr size_t kBlockBytes = size_t{64} << 10;
  static constexpr size_t kKeptBytes = size_t{4} << 20;

  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };

  void next_block() {
    ++at_;
    used_ = 0;
  }
  void add_block(size_t size) {
    const size_t room = size < kBlockBytes ? kBlockBytes : size;
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(room), room});
    total_ += room;
  }

  std::vector<Block> blocks_;
  size_t at_ = 0;    ///< the block being filled
  size_t used_ = 0;  ///< of it
  size_t total_ = 0;
};

}  // namespace holdfast::tree
