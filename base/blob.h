// Immutable, reference-counted bytes: the payload of a log entry is allocated once and then shared
// by the log, the messages to every peer, the sync thread and apply.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace holdfast {

/// Copying costs one atomic increment. Safe to share between threads; the bytes never change.
class Blob {
 public:
  Blob() = default;
  /// Copies `bytes` into one new block (none if empty).
  explicit Blob(std::string_view bytes);
  Blob(const Blob& other) : block_(other.block_) { retain(); }
  Blob(Blob&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Blob& operator=(Blob other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Blob() { release(); }

  /// One block of `size` bytes that `fill(char*)` writes before anybody sees it.
  template <class Fill>
  static Blob make(size_t size, Fill&& fill) {
    Blob blob;
    if (size > 0) {
      blob.block_ = allocate(size);
      std::forward<Fill>(fill)(blob.block_->bytes());
    }
    return blob;
  }

  const char* data() const { return block_ == nullptr ? nullptr : block_->bytes(); }
  size_t size() const { return block_ == nullptr ? 0 : block_->size; }
  bool empty() const { return block_ == nullptr; }
  std::string_view view() const { return {data(), size()}; }
  friend bool operator==(const Blob& a, const Blob& b) { return a.view() == b.view(); }

 private:
  struct Block {
    std::atomic<uint32_t> references;
    uint32_t size;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  };

  static Block* allocate(size_t size);
  static void free_block(Block* block);
  void retain() {
    if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  void release() {
    if (block_ != nullptr && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      free_block(block_);
    }
  }

  Block* block_ = nullptr;
};

}  // namespace holdfast
