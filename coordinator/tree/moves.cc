// Finding keys, linking them, and the three changes of a key: made, written, dropped.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/saturate.h"
#include "coordinator/tree/state.h"

namespace holdfast::tree {
namespace {

constexpr std::string_view kRootPath = "/";

/// Is `path` that of `key`? The hash said so.
bool has_path(const Key* key, std::string_view path) {
  for (; key->parent != nullptr; key = key->parent) {
    const std::string_view name = key->name();
    if (path.size() <= name.size() || !path.ends_with(name)) return false;
    path.remove_suffix(name.size());
    if (path.back() != '/') return false;
    path.remove_suffix(1);
  }
  return path.empty();
}

size_t path_size(const Key* key) {
  if (key->parent == nullptr) return kRootPath.size();
  size_t size = 0;
  for (; key->parent != nullptr; key = key->parent) size += 1 + key->name_size;
  return size;
}

/// Writes the path so that it ends at `end`.
void write_path(const Key* key, char* end) {
  if (key->parent == nullptr) *--end = '/';
  for (; key->parent != nullptr; key = key->parent) {
    end -= key->name_size;
    key->name().copy(end, key->name_size);
    *--end = '/';
  }
}

Key* first_leaf(Key* key) {
  while (key->has_children()) key = &*key->family->children.begin();
  return key;
}

}  // namespace

uint64_t hash_below(uint64_t parent_hash, std::string_view name) {
  return hash_text(name, parent_hash);
}

std::string path_of(const Key* key) {
  std::string path(path_size(key), '\0');
  write_path(key, path.data() + path.size());
  return path;
}

std::pair<std::string_view, std::string_view> split_last(std::string_view path) {
  const size_t slash = path.rfind('/');
  return {slash == 0 ? kRootPath : path.substr(0, slash), path.substr(slash + 1)};
}

std::string_view take_segment(std::string_view& rest) {
  const std::string_view segment = rest.substr(0, rest.find('/'));
  rest.remove_prefix(segment.size() < rest.size() ? segment.size() + 1 : segment.size());
  return segment;
}

std::optional<int64_t> due_of(const Key& key) {
  if (key.timer == nullptr || key.has_children()) return std::nullopt;
  const bool emptied = key.family != nullptr && key.family->counts.version > 0;
  const int64_t after_emptied = emptied ? add_saturating(key.family->counts.emptied_ms, 1) : 0;
  if (key.kind == KeyKind::kTtl) return std::max(key.timer->due_ms, after_emptied);
  return emptied ? std::optional(after_emptied) : std::nullopt;
}

// ---- finding --------------------------------------------------------------------------------

Key* KeyTree::State::find(std::string_view path) const {
  HF_CHECK(path.starts_with('/'), "paths are absolute: the caller judged them");
  if (path == kRootPath) return root;
  uint64_t hash = root->path_hash;
  for (std::string_view rest = path.substr(1); !rest.empty();) {
    hash = hash_below(hash, take_segment(rest));
  }
  Key* const* found = shard(hash).find(hash, [&](const Key* key) { return has_path(key, path); });
  return found == nullptr ? nullptr : *found;
}

Key* KeyTree::State::find_child(const Key* parent, std::string_view name) const {
  if (!parent->has_children()) return nullptr;
  const uint64_t hash = hash_below(parent->path_hash, name);
  Key* const* found = shard(hash).find(
      hash, [&](const Key* key) { return key->parent == parent && key->name() == name; });
  return found == nullptr ? nullptr : *found;
}

Owner* KeyTree::State::find_owner(SessionId session) const {
  Owner* const* found = owner_index.find(hash_pair(session.value, 0, hash_seed),
                                         [&](const Owner* o) { return o->session == session; });
  return found == nullptr ? nullptr : *found;
}

std::string_view KeyTree::State::kept_path(const Key* key) {
  const size_t size = path_size(key);
  char* const room = texts.allocate(size);
  write_path(key, room + size);
  return {room, size};
}

// ---- linking --------------------------------------------------------------------------------

Key* KeyTree::State::make_key(uint64_t id, Key* parent, const NewKey& fresh) {
  Key* const key = Key::make(fresh.name, fresh.value);
  key->id = id;
  key->parent = parent;
  key->path_hash = hash_below(parent->path_hash, fresh.name);
  key->kind = fresh.kind;
  if (fresh.kind == KeyKind::kEphemeral) {
    key->tie = tie_pool.take();
    key->tie->key = key;
    key->tie->session = fresh.session;
  }
  if (fresh.kind == KeyKind::kTtl || fresh.kind == KeyKind::kContainer) {
    key->timer = timer_pool.take();
    key->timer->key = key;
    key->timer->ttl_ms = fresh.ttl_ms;
    if (fresh.ttl_ms != 0) key->timer->due_ms = add_saturating(now_ms, fresh.ttl_ms);
  }
  return key;
}

void KeyTree::State::attach(Key* key) {
  Key* const parent = key->parent;
  if (parent->family == nullptr) {
    parent->family = family_pool.take();
    parent->family->key = parent;
  }
  parent->family->children.insert(*key);
  shard(key->path_hash).insert(key->path_hash, key);
  if (key->tie != nullptr) link_owner(key->tie);
  ++key_count;
  bytes += key->bytes();
  update_timer(key);
}

void KeyTree::State::detach(Key* key) {
  Children& siblings = key->parent->family->children;
  siblings.erase(siblings.iterator_to(*key));
  shard(key->path_hash).erase(key->path_hash, [&](const Key* other) { return other == key; });
  if (key->tie != nullptr) unlink_owner(key->tie);
  --key_count;
  bytes -= key->bytes();
  if (key->timer != nullptr) stop_timer(key->timer);
}

void KeyTree::State::link_owner(Tie* tie) {
  Owner* owner = find_owner(tie->session);
  if (owner == nullptr) {
    owner = owner_pool.take();
    owner->session = tie->session;
    owner_index.insert(hash_pair(tie->session.value, 0, hash_seed), owner);
  }
  owner->ties.insert(*tie);
  tie->owner = owner;
  ++ephemeral_count;
}

void KeyTree::State::unlink_owner(Tie* tie) {
  Owner* const owner = std::exchange(tie->owner, nullptr);
  owner->ties.erase(owner->ties.iterator_to(*tie));
  --ephemeral_count;
  if (!owner->ties.empty()) return;
  owner_index.erase(hash_pair(owner->session.value, 0, hash_seed),
                    [&](const Owner* other) { return other == owner; });
  owner_pool.give_back(owner);
}

void KeyTree::State::discard(Key* key) {
  if (key->family != nullptr) family_pool.give_back(key->family);
  if (key->tie != nullptr) tie_pool.give_back(key->tie);
  if (key->timer != nullptr) timer_pool.give_back(key->timer);
  Key::destroy(key);
}

void KeyTree::State::update_timer(Key* key) {
  if (key->timer == nullptr) return;
  const std::optional<int64_t> due = due_of(*key);
  stop_timer(key->timer);
  if (!due) return;
  key->timer->at_ms = *due;
  timers.insert(*key->timer);
}

void KeyTree::State::stop_timer(Timer* timer) {
  if (timer->link.is_linked()) timers.erase(timers.iterator_to(*timer));
}

void KeyTree::State::mark_dirty(Key* key) {
  if (std::exchange(key->dirty, true)) return;
  dirty_keys.push_back(key);
}

void KeyTree::State::mark_dirty(Family* family) {
  if (std::exchange(family->dirty, true)) return;
  dirty_families.push_back(family);
}

// ---- the three changes ----------------------------------------------------------------------

void KeyTree::State::count_child(Key* parent) {
  Family* const family = parent->family;
  ++family->counts.version;
  family->counts.revision = revision;
  family->counts.emptied_ms = family->children.empty() ? now_ms : 0;
  mark_dirty(family);
  update_timer(parent);
}

Key* KeyTree::State::add(Key* parent, const NewKey& fresh) {
  HF_CHECK(!fresh.name.empty(), "no segment is empty: the caller judged the path");
  HF_CHECK(made < kMadePerEntryMax, "more keys made than their numbers can tell apart");
  if (keeps_journal) {
    journal.push_back({.kind = Change::Kind::kMade, .parent = counts_of(parent)});
  }
  Key* const key = make_key(make_key_id(revision, made++), parent, fresh);
  if (keeps_journal) journal.back().key = key;
  key->modify_revision = revision;
  key->created_unix_ms = key->modified_unix_ms = unix_ms;
  attach(key);
  count_child(parent);
  mark_dirty(key);
  tell(EventKind::kCreated, key, RemoveReason::kNone);
  return key;
}

void KeyTree::State::write(Key* key, std::string_view value) {
  bytes -= key->bytes();
  if (keeps_journal) {
    ValueBlock block = key->take_block();
    journal.push_back({.kind = Change::Kind::kWritten,
                       .key = key,
                       .version = key->version,
                       .modify_revision = key->modify_revision,
                       .modified_unix_ms = key->modified_unix_ms,
                       .due_ms = key->timer == nullptr ? 0 : key->timer->due_ms,
                       .value = texts.keep(key->value()),
                       .block = std::move(block)});
  }
  key->set_value(value);
  bytes += key->bytes();
  ++key->version;
  key->modify_revision = revision;
  key->modified_unix_ms = unix_ms;
  if (key->kind == KeyKind::kTtl) {
    key->timer->due_ms = add_saturating(now_ms, key->timer->ttl_ms);
    update_timer(key);
  }
  mark_dirty(key);
  tell(EventKind::kChanged, key, RemoveReason::kNone);
}

void KeyTree::State::drop(Key* key, RemoveReason reason) {
  HF_CHECK(!key->has_children() && key != root, "a key is dropped after its children");
  if (keeps_journal) {
    journal.push_back(
        {.kind = Change::Kind::kDropped, .key = key, .parent = counts_of(key->parent)});
  }
  detach(key);
  count_child(key->parent);
  key->gone = true;
  gone_keys.push_back(key);
  mark_dirty(key);
  tell(EventKind::kRemoved, key, reason);
}

// Children before their parents, so that nobody is told of a key without a parent.
void KeyTree::State::drop_subtree(Key* top) {
  for (Key* key = first_leaf(top);;) {
    Key* const parent = key->parent;
    const bool done = key == top;
    drop(key, RemoveReason::kRemoved);
    ++removed;
    if (done) return;
    key = first_leaf(parent);
  }
}

void KeyTree::State::tell(EventKind kind, const Key* key, RemoveReason reason) {
  const bool is_removal = kind == EventKind::kRemoved;
  effects.events.push_back({.kind = kind,
                            .reason = reason,
                            .key_kind = key->kind,
                            .path = kept_path(key),
                            .value = is_removal ? std::string_view() : texts.keep(key->value()),
                            .version = key->version,
                            .revision = revision,
                            .create_revision = create_revision_of(key->id),
                            .ephemeral_owner = key->tie == nullptr ? SessionId{}  //
                                                                   : key->tie->session});
}

}  // namespace holdfast::tree
