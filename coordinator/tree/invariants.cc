// What must hold between entries, recounted from the keys themselves.
#include <string>

#include "coordinator/tree/state.h"

namespace holdfast::tree {
namespace {

std::string of(const Key& key, const char* what) { return "key " + path_of(&key) + ": " + what; }

}  // namespace

std::string KeyTree::State::check_key(const Key& key) const {
  if (key.name_size == 0 || key.name().find('/') != std::string_view::npos) {
    return of(key, "its name is no segment");
  }
  if (key.id <= key.parent->id) return of(key, "made before its parent");
  if (key.path_hash != hash_below(key.parent->path_hash, key.name()) ||
      find_child(key.parent, key.name()) != &key) {
    return of(key, "the index does not find it");
  }
  if (key.version == 0) return of(key, "it has no version");
  if (key.modify_revision > revision) return of(key, "it was written in the future");
  if (key.modify_revision < create_revision_of(key.id)) {
    return of(key, "it was written before it was created");
  }
  if (key.gone || key.dirty || !key.has_row) return of(key, "left unsettled");
  if (key.parent->kind == KeyKind::kEphemeral) return of(key, "its parent is ephemeral");
  return check_ends(key);
}

std::string KeyTree::State::check_family(const Key& key) const {
  const Family* const family = key.family;
  if (family == nullptr) return {};
  if (family->key != &key) return of(key, "its children are another's");
  if (family->dirty) return of(key, "its children were left unsettled");
  for (const Key& child : family->children) {
    if (child.parent != &key) return of(child, "it stands among another's children");
  }
  return check_counts(*family);
}

std::string KeyTree::State::check_counts(const Family& family) const {
  const Key& key = *family.key;
  const ChildCounts& counts = family.counts;
  const uint64_t present = family.children.size();
  if (!family.has_row) return of(key, "nothing counts its children");
  if (counts.version < present) return of(key, "it has more children than were ever created");
  // Each creation and each removal counts one, so both are odd or both even.
  if ((counts.version - present) % 2 != 0) return of(key, "a child came or went uncounted");
  if (counts.revision > revision) return of(key, "a child came or went in the future");
  if (present > 0 && counts.emptied_ms != 0) return of(key, "emptied and not empty");
  return {};
}

std::string KeyTree::State::check_ends(const Key& key) const {
  if ((key.kind == KeyKind::kEphemeral) != (key.tie != nullptr)) {
    return of(key, "its tie to a session does not fit its kind");
  }
  const bool timed = key.kind == KeyKind::kTtl || key.kind == KeyKind::kContainer;
  if (timed != (key.timer != nullptr)) return of(key, "its timer does not fit its kind");
  if (key.tie != nullptr && (key.tie->key != &key || key.tie->owner == nullptr ||
                             key.tie->owner != find_owner(key.tie->session))) {
    return of(key, "its session does not own it");
  }
  if (key.timer == nullptr) return {};
  const std::optional<int64_t> due = due_of(key);
  if (key.timer->key != &key || due.has_value() != key.timer->link.is_linked() ||
      (due && *due != key.timer->at_ms)) {
    return of(key, "its timer has another time");
  }
  return {};
}

std::string KeyTree::State::check_structure() const {
  uint64_t keys = 0, sum = 0, ephemerals = 0, owners = 0, timed = 0, indexed = 0;
  for (const Key* key = root; key != nullptr; key = next_key(key, root)) {
    if (std::string broken = check_family(*key); !broken.empty()) return broken;
    if (key == root) continue;
    if (std::string broken = check_key(*key); !broken.empty()) return broken;
    ++keys;
    sum += key->bytes();
    ephemerals += key->tie != nullptr ? 1 : 0;
    timed += key->timer != nullptr && key->timer->link.is_linked() ? 1 : 0;
    // Each owner is counted at the first of its keys.
    owners += key->tie != nullptr && &*key->tie->owner->ties.begin() == key->tie ? 1 : 0;
  }
  for (const FlatIndex<Key*>& part : index) indexed += part.size();
  if (keys != key_count || sum != bytes) return "the counts of keys or bytes differ from a recount";
  if (ephemerals != ephemeral_count) return "the count of ephemeral keys differs from a recount";
  if (timed != timers.size()) return "a timer belongs to nothing";
  if (indexed != keys || owners != owner_index.size()) return "an index keeps what is gone";
  return {};
}

std::string KeyTree::State::check_digest() const {
  RowLog scratch;
  Digest sum;
  for (const Key* key = root; key != nullptr; key = next_key(key, root)) {
    scratch.clear();
    if (key != root) sum.add(write_key(scratch, *key));
    if (key->family != nullptr) sum.add(write_row(scratch, key->id, key->family->counts));
  }
  return sum == digest ? "" : "the digest differs from a recount";
}

std::string KeyTree::check_invariants() const {
  std::string broken = state_->check_structure();
  if (broken.empty()) broken = state_->check_digest();
  return broken;
}

}  // namespace holdfast::tree
