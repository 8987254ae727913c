// A key in memory. What every key has is one block: these fields, its name and a short value. What
// only some have stands beside it: children, the tie to a session, a timer, a long value. The node
// never moves, so that whatever links it may stay as it is when the value grows.
#pragma once

#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

#include "base/checksum.h"
#include "base/ids.h"
#include "coordinator/tree/rows.h"
#include "coordinator/tree/types.h"

namespace holdfast::tree {

namespace bi = boost::intrusive;

struct Family;
struct Key;
struct Owner;

using SetLink = bi::set_member_hook<bi::optimize_size<true>>;

/// An ephemeral key's tie to its session.
struct Tie {
  Key* key = nullptr;
  SessionId session;
  Owner* owner = nullptr;  ///< while the key is in the tree
  SetLink link;
  void clear() { owner = nullptr; }
};

/// The end of a TTL key, or of a container, in cluster time.
struct Timer {
  Key* key = nullptr;
  int64_t ttl_ms = 0;  ///< zero: a container
  int64_t due_ms = 0;  ///< TTL key: last write + TTL
  int64_t at_ms = 0;   ///< when it fires, while it is linked
  SetLink link;
  void clear() { ttl_ms = due_ms = at_ms = 0; }
};

/// Longest value that is kept inside of the node's block when the key is created.
inline constexpr size_t kInlineValueMax = 512;

/// A long value, without its key.
struct ValueBlock {
  struct Free {
    void operator()(char* bytes) const { ::operator delete(bytes); }
  };
  std::unique_ptr<char, Free> at;
  uint32_t size = 0;
  uint32_t room = 0;
};

struct Key {
  /// A key with a block of its own, in no tree yet. Name and value are copied.
  static Key* make(std::string_view name, std::string_view value);
  /// Gives back its blocks; what stands beside it belongs to pools.
  static void destroy(Key* key);

  std::string_view name() const { return {name_at(), name_size}; }
  std::string_view value() const { return {value_at, value_size}; }
  /// Allocates only if the value outgrew its room, or fills less than half of a block of its own.
  void set_value(std::string_view value);
  /// A value that has a block of its own leaves with it, and none is there then; else nothing
  /// comes.
  ValueBlock take_block();
  /// The value is what take_block() gave.
  void give_block(ValueBlock block);
  bool has_children() const;
  uint64_t bytes() const { return name_size + value_size; }

  uint64_t id = 0;
  uint64_t path_hash = 0;
  Key* parent = nullptr;
  Family* family = nullptr;  ///< once it had a child
  Tie* tie = nullptr;        ///< ephemeral
  Timer* timer = nullptr;    ///< TTL, container
  uint64_t version = 1;
  Revision modify_revision;
  int64_t created_unix_ms = 0;
  int64_t modified_unix_ms = 0;
  Digest row_hash;
  SetLink sibling_link;
  char* value_at = nullptr;
  uint32_t value_size = 0;
  uint32_t value_room = 0;
  uint16_t name_size = 0;
  uint16_t inline_room = 0;  ///< behind the name
  KeyKind kind = KeyKind::kPersistent;
  bool dirty = false;  ///< its row is written when the entry is settled
  bool has_row = false;
  bool gone = false;

 private:
  const char* name_at() const { return reinterpret_cast<const char*>(this + 1); }
  char* inline_at() { return reinterpret_cast<char*>(this + 1) + name_size; }
  bool value_is_inline() const { return value_at == name_at() + name_size; }
};

/// Siblings in bytewise order of their names.
struct NameOf {
  using type = std::string_view;
  std::string_view operator()(const Key& key) const { return key.name(); }
};
using Children = bi::set<Key, bi::member_hook<Key, SetLink, &Key::sibling_link>,
                         bi::key_of_value<NameOf>, bi::constant_time_size<true>>;

/// What a key has once it had a child.
struct Family {
  Key* key = nullptr;
  Children children;
  ChildCounts counts;
  Digest row_hash;
  bool dirty = false;
  bool has_row = false;
  void clear() {
    counts = {};
    row_hash = {};
    dirty = has_row = false;
  }
};

inline bool Key::has_children() const { return family != nullptr && !family->children.empty(); }

struct TieOrder {
  bool operator()(const Tie& a, const Tie& b) const { return a.key->id < b.key->id; }
};
using Ties = bi::set<Tie, bi::member_hook<Tie, SetLink, &Tie::link>, bi::compare<TieOrder>,
                     bi::constant_time_size<true>>;

/// A session as far as keys are concerned: present while it has an ephemeral one.
struct Owner {
  SessionId session;
  Ties ties;  ///< in order of creation
  void clear() {}
};

struct TimerOrder {
  bool operator()(const Timer& a, const Timer& b) const {
    return a.at_ms != b.at_ms ? a.at_ms < b.at_ms : a.key->id < b.key->id;
  }
};
using Timers = bi::set<Timer, bi::member_hook<Timer, SetLink, &Timer::link>,
                       bi::compare<TimerOrder>, bi::constant_time_size<true>>;

}  // namespace holdfast::tree
