#include "coordinator/tree/key.h"

#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace holdfast::tree {
namespace {

/// The next size that a heap with grains of 16 bytes and 8 of its own a block hands out whole.
size_t block_size(size_t wanted) { return ((wanted + 8 + 15) & ~size_t{15}) - 8; }

void copy(char* to, std::string_view from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

}  // namespace

Key* Key::make(std::string_view name, std::string_view value) {
  HF_CHECK(name.size() <= UINT16_MAX, "a segment is longer than any path may be");
  const bool is_short = value.size() <= kInlineValueMax;
  const size_t needed = sizeof(Key) + name.size() + (is_short ? value.size() : 0);
  const size_t size = block_size(needed);
  // With the brackets zeroes come first: a hook keeps its colour in bits of an unset pointer.
  Key* const key = new (::operator new(size)) Key();
  key->name_size = static_cast<uint16_t>(name.size());
  key->inline_room = static_cast<uint16_t>(size - sizeof(Key) - name.size());
  copy(reinterpret_cast<char*>(key + 1), name);
  key->value_at = key->inline_at();
  key->value_room = key->inline_room;
  key->set_value(value);
  return key;
}

void Key::destroy(Key* key) {
  if (!key->value_is_inline()) ::operator delete(key->value_at);
  key->~Key();
  ::operator delete(key);
}

void Key::set_value(std::string_view value) {
  const bool is_short = value_is_inline();
  const bool fits = value.size() <= value_room && (is_short || value.size() * 2 > value_room);
  char* const old_block = fits || is_short ? nullptr : value_at;
  if (!fits) {
    const bool to_inline = value.size() <= inline_room;
    const size_t room = to_inline ? inline_room : block_size(value.size());
    value_at = to_inline ? inline_at() : static_cast<char*>(::operator new(room));
    value_room = static_cast<uint32_t>(room);
  }
  copy(value_at, value);
  value_size = static_cast<uint32_t>(value.size());
  ::operator delete(old_block);
}

ValueBlock Key::take_block() {
  if (value_is_inline()) return {};
  ValueBlock block;
  block.at.reset(value_at);
  block.size = std::exchange(value_size, 0);
  block.room = std::exchange(value_room, inline_room);
  value_at = inline_at();
  return block;
}

void Key::give_block(ValueBlock block) {
  if (!value_is_inline()) ::operator delete(value_at);
  value_at = block.at.release();
  value_size = block.size;
  value_room = block.room;
}

}  // namespace holdfast::tree
