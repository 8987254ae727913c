// The tree as rows: what an entry changed is written once when it is settled, whatever happened to
// it in between; loading builds the same tree from the rows alone.
#include <algorithm>
#include <string>

#include "coordinator/tree/state.h"

namespace holdfast::tree {
namespace {

Error corrupt(RowTable table, uint64_t id, const std::string& what) {
  return {ErrorCode::kCorrupt, "row " + std::to_string(id) + " of table " +
                                   std::to_string(static_cast<int>(table)) + ": " + what};
}

Error corrupt_key(uint64_t id, const std::string& what) {
  return corrupt(RowTable::kKeys, id, what);
}

}  // namespace

void KeyTree::State::flush() {
  // Families first: that of a key that is gone is erased together with the key.
  for (Family* family : dirty_families) flush(family);
  for (Key* key : dirty_keys) flush(key);
  dirty_families.clear();
  dirty_keys.clear();
}

void KeyTree::State::flush(Family* family) {
  family->dirty = false;
  if (family->key->gone) return;
  if (family->has_row) digest.subtract(family->row_hash);
  family->row_hash = write_row(rows, family->key->id, family->counts);
  family->has_row = true;
  digest.add(family->row_hash);
}

void KeyTree::State::flush(Key* key) {
  key->dirty = false;
  if (key->has_row) digest.subtract(key->row_hash);
  if (!key->gone) {
    key->row_hash = write_key(rows, *key);
    key->has_row = true;
    digest.add(key->row_hash);
    return;
  }
  if (key->has_row) rows.erase(RowTable::kKeys, key->id);
  if (key->family != nullptr && key->family->has_row) {
    digest.subtract(key->family->row_hash);
    rows.erase(RowTable::kKeyChildren, key->id);
  }
}

Digest KeyTree::State::write_key(RowLog& log, const Key& key) const {
  return write_row(log, key.id,
                   KeyRow{.parent_id = key.parent->id,
                          .name = key.name(),
                          .value = key.value(),
                          .kind = key.kind,
                          .version = key.version,
                          .modify_revision = key.modify_revision,
                          .created_unix_ms = key.created_unix_ms,
                          .modified_unix_ms = key.modified_unix_ms,
                          .session = key.tie == nullptr ? SessionId{} : key.tie->session,
                          .ttl_ms = key.timer == nullptr ? 0 : key.timer->ttl_ms,
                          .due_ms = key.timer == nullptr ? 0 : key.timer->due_ms});
}

Status KeyTree::load(RowTable table, uint64_t id, std::string_view row) {
  State& s = *state_;
  if (std::pair(table, id) <= std::pair(s.loaded_table, s.loaded_id)) {
    return corrupt(table, id,
                   "rows must ascend, it stands behind row " + std::to_string(s.loaded_id) +
                       " of table " + std::to_string(static_cast<int>(s.loaded_table)));
  }
  s.loaded_table = table;
  s.loaded_id = id;
  if (table == RowTable::kKeys) return s.load_key(id, row);
  if (table == RowTable::kKeyChildren) return s.load_children(id, row);
  return corrupt(table, id, "the table is not one of keys");
}

Key* KeyTree::State::find_loaded(uint64_t id) const {
  if (id == kRootId) return root;
  const auto at =
      std::lower_bound(loaded.begin(), loaded.end(), id,
                       [](const auto& entry, uint64_t key) { return entry.first < key; });
  return at == loaded.end() || at->first != id ? nullptr : at->second;
}

// Rows ascend and a parent's number is below its children's, so the parent is there already.
Status KeyTree::State::load_key(uint64_t id, std::string_view bytes_of_row) {
  KeyRow row;
  if (!read_row(bytes_of_row, row)) return corrupt_key(id, "cannot be read");
  Key* const parent = find_loaded(row.parent_id);
  if (parent == nullptr) {
    return corrupt_key(id, "there is no parent " + std::to_string(row.parent_id));
  }
  if (parent->kind == KeyKind::kEphemeral) return corrupt_key(id, "its parent is ephemeral");
  if (row.name.empty() || row.name.size() > UINT16_MAX ||
      row.name.find('/') != std::string_view::npos || find_child(parent, row.name) != nullptr) {
    return corrupt_key(id, "its name is none, or taken");
  }
  if (id >> kMadeBits == 0 || row.modify_revision < create_revision_of(id)) {
    return corrupt_key(id, "it was written before it was created");
  }
  Key* const key = make_key(id, parent,
                            {.name = row.name,
                             .value = row.value,
                             .kind = row.kind,
                             .session = row.session,
                             .ttl_ms = row.ttl_ms});
  key->version = row.version;
  key->modify_revision = row.modify_revision;
  key->created_unix_ms = row.created_unix_ms;
  key->modified_unix_ms = row.modified_unix_ms;
  if (key->timer != nullptr) key->timer->due_ms = row.due_ms;
  key->has_row = true;
  key->row_hash = row_hash(RowTable::kKeys, id, bytes_of_row);
  digest.add(key->row_hash);
  attach(key);
  revision = std::max(revision, row.modify_revision);
  loaded.emplace_back(id, key);
  return ok_status();
}

Status KeyTree::State::load_children(uint64_t id, std::string_view bytes_of_row) {
  ChildrenRow row;
  Key* const key = find_loaded(id);
  if (!read_row(bytes_of_row, row)) {
    return corrupt(RowTable::kKeyChildren, id, "cannot be read");
  }
  if (key == nullptr || key->kind == KeyKind::kEphemeral) {
    return corrupt(RowTable::kKeyChildren, id, "there is no such key that may have children");
  }
  if (key->family == nullptr) {
    key->family = family_pool.take();
    key->family->key = key;
  }
  key->family->counts = row;
  key->family->has_row = true;
  key->family->row_hash = row_hash(RowTable::kKeyChildren, id, bytes_of_row);
  digest.add(key->family->row_hash);
  revision = std::max(revision, row.revision);
  return ok_status();
}

Status KeyTree::finish_load() {
  State& s = *state_;
  for (const Timer& timer : s.timer_pool.objects()) s.update_timer(timer.key);
  s.loaded = {};
  // What else check_structure() asks for load() has seen to, row by row.
  for (const Family& family : s.family_pool.objects()) {
    if (const std::string broken = s.check_counts(family); !broken.empty()) {
      return Error{ErrorCode::kCorrupt, "the loaded keys break a rule: " + broken};
    }
  }
  return ok_status();
}

}  // namespace holdfast::tree
