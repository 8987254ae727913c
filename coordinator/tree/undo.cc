// A transaction is all or nothing: what its operations did before one failed is undone from the
// journal, latest first. Events and marks of rows are cut back to where they stood.
#include <utility>

#include "coordinator/tree/state.h"

namespace holdfast::tree {

KeyTree::State::Mark KeyTree::State::mark() const {
  return {.events = effects.events.size(),
          .dirty_keys = dirty_keys.size(),
          .dirty_families = dirty_families.size(),
          .gone_keys = gone_keys.size(),
          .made = made,
          .removed = removed};
}

void KeyTree::State::roll_back(const Mark& to) {
  for (size_t i = to.dirty_keys; i < dirty_keys.size(); ++i) dirty_keys[i]->dirty = false;
  for (size_t i = to.dirty_families; i < dirty_families.size(); ++i) {
    dirty_families[i]->dirty = false;
  }
  dirty_keys.resize(to.dirty_keys);
  dirty_families.resize(to.dirty_families);
  for (size_t i = journal.size(); i > 0; --i) undo(journal[i - 1]);
  effects.events.resize(to.events);
  gone_keys.resize(to.gone_keys);
  made = to.made;
  removed = to.removed;
}

void KeyTree::State::undo(Change& change) {
  Key* const parent = change.key->parent;
  switch (change.kind) {
    case Change::Kind::kMade:
      detach(change.key);
      discard(change.key);
      return set_counts(parent, change.parent);
    case Change::Kind::kDropped:
      change.key->gone = false;
      attach(change.key);
      return set_counts(parent, change.parent);
    case Change::Kind::kWritten:
      return undo_write(change);
  }
}

void KeyTree::State::undo_write(Change& change) {
  Key* const key = change.key;
  bytes -= key->bytes();
  if (change.block.at != nullptr) {
    key->give_block(std::move(change.block));
  } else {
    key->set_value(change.value);
  }
  bytes += key->bytes();
  key->version = change.version;
  key->modify_revision = change.modify_revision;
  key->modified_unix_ms = change.modified_unix_ms;
  if (key->timer != nullptr) key->timer->due_ms = change.due_ms;
  update_timer(key);
}

ChildCounts KeyTree::State::counts_of(const Key* key) const {
  return key->family == nullptr ? ChildCounts{} : key->family->counts;
}

void KeyTree::State::set_counts(Key* parent, const ChildCounts& counts) {
  parent->family->counts = counts;
  if (counts.version == 0) {
    family_pool.give_back(parent->family);
    parent->family = nullptr;
  }
  update_timer(parent);
}

}  // namespace holdfast::tree
