#include "base/blob.h"

#include <cstring>
#include <limits>
#include <new>

#include "base/check.h"

namespace holdfast {

Blob::Blob(std::string_view bytes) {
  if (bytes.empty()) return;
  block_ = allocate(bytes.size());
  std::memcpy(block_->bytes(), bytes.data(), bytes.size());
}

Blob::Block* Blob::allocate(size_t size) {
  HF_CHECK(size <= std::numeric_limits<uint32_t>::max(), "blob over 4 GiB");
  auto* block = static_cast<Block*>(::operator new(sizeof(Block) + size));
  new (&block->references) std::atomic<uint32_t>(1);
  block->size = static_cast<uint32_t>(size);
  return block;
}

void Blob::free_block(Block* block) {
  const size_t size = sizeof(Block) + block->size;
  ::operator delete(static_cast<void*>(block), size);
}

}  // namespace holdfast
