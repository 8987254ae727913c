// Reads: one key, a comparison, pages of keys in order.
#include <algorithm>

#include "coordinator/tree/state.h"

namespace holdfast::tree {
namespace {

template <class T>
bool stands(const T& present, Relation relation, const T& given) {
  switch (relation) {
    case Relation::kEqual:
      return present == given;
    case Relation::kNotEqual:
      return present != given;
    case Relation::kLess:
      return present < given;
    case Relation::kGreater:
      return present > given;
  }
  return false;
}

uint64_t number_of(const Key* key, CompareTarget target) {
  if (key == nullptr) return 0;
  if (target == CompareTarget::kVersion) return key->version;
  if (target == CompareTarget::kModifyRevision) return key->modify_revision.value;
  if (target == CompareTarget::kCreateRevision) return create_revision_of(key->id).value;
  return 1;
}

const Key* first_child(const Key* key) {
  return key->has_children() ? &*key->family->children.begin() : nullptr;
}

const Key* next_sibling(const Key* key) {
  const Children& siblings = key->parent->family->children;
  const auto next = std::next(siblings.iterator_to(*key));
  return next == siblings.end() ? nullptr : &*next;
}

/// What follows `path` and its '/' in `below`, if it is below it.
std::optional<std::string_view> rest_below(std::string_view path, std::string_view below) {
  const size_t slash = path == "/" ? 0 : path.size();
  if (below.size() <= slash + 1 || !below.starts_with(path) || below[slash] != '/') return {};
  return below.substr(slash + 1);
}

}  // namespace

const Key* next_beside(const Key* at, const Key* top) {
  for (; at != top; at = at->parent) {
    if (const Key* const next = next_sibling(at)) return next;
  }
  return nullptr;
}

const Key* next_key(const Key* at, const Key* top) {
  const Key* const child = first_child(at);
  return child != nullptr ? child : next_beside(at, top);
}

Stat KeyTree::State::stat_of(const Key& key) const {
  const ChildCounts counts = counts_of(&key);
  return {.version = key.version,
          .children_version = counts.version,
          .create_revision = create_revision_of(key.id),
          .modify_revision = key.modify_revision,
          .children_revision = counts.revision,
          .ephemeral_owner = key.tie == nullptr ? SessionId{} : key.tie->session,
          .created_unix_ms = key.created_unix_ms,
          .modified_unix_ms = key.modified_unix_ms,
          .value_bytes = key.value_size,
          .child_count = key.family == nullptr ? 0 : key.family->children.size(),
          .kind = key.kind,
          .ttl_ms = key.timer == nullptr ? 0 : key.timer->ttl_ms};
}

std::optional<KeyView> KeyTree::get(std::string_view path) const {
  const Key* const key = state_->find(path);
  if (key == nullptr) return std::nullopt;
  return KeyView{.stat = state_->stat_of(*key), .value = key->value()};
}

bool KeyTree::holds(const Compare& compare) const {
  const Key* const key = state_->find(compare.path);
  if (compare.target != CompareTarget::kValue) {
    return stands(number_of(key, compare.target), compare.relation, compare.number);
  }
  return key != nullptr && stands(key->value(), compare.relation, compare.value);
}

// The names of `after` are followed as far as they exist; where one is missing, what would come
// behind it is next.
const Key* KeyTree::State::first_after(const Key* top, const ListRequest& request) const {
  if (request.after.empty()) return first_child(top);
  const bool flat = request.scope == ListScope::kChildren;
  const Key* at = top;
  for (std::string_view rest = *rest_below(request.path, request.after); !rest.empty();) {
    const std::string_view name = take_segment(rest);
    if (!at->has_children()) return flat ? nullptr : next_beside(at, top);
    const Children& children = at->family->children;
    const auto found = children.lower_bound(name);
    if (found == children.end()) return flat ? nullptr : next_beside(at, top);
    if (found->name() != name) return &*found;
    at = &*found;
    if (flat) return next_sibling(at);
  }
  return next_key(at, top);
}

Result<KeyPage> KeyTree::list(const ListRequest& request) const {
  const Key* const top = state_->find(request.path);
  if (top == nullptr) {
    return Error{ErrorCode::kNoKey, "key " + std::string(request.path) + " does not exist"};
  }
  if (!request.after.empty() && !rest_below(request.path, request.after)) {
    return Error{ErrorCode::kBadArgument, "a page of the keys below " + std::string(request.path) +
                                              " cannot begin after " + std::string(request.after)};
  }
  const bool flat = request.scope == ListScope::kChildren;
  KeyPage page;
  size_t bytes = 0;
  const Key* key = state_->first_after(top, request);
  for (; key != nullptr; key = flat ? next_sibling(key) : next_key(key, top)) {
    std::string path = path_of(key);
    bytes += kStatBytes + path.size() + (request.with_values ? key->value_size : 0);
    if (!page.keys.empty() && (page.keys.size() >= request.count || bytes > request.bytes)) break;
    page.keys.push_back({.path = std::move(path),
                         .stat = state_->stat_of(*key),
                         .value = request.with_values ? key->value() : std::string_view()});
  }
  page.more = key != nullptr;
  return page;
}

uint64_t KeyTree::key_count() const { return state_->key_count; }
uint64_t KeyTree::bytes() const { return state_->bytes; }
uint64_t KeyTree::ephemeral_count() const { return state_->ephemeral_count; }

uint64_t KeyTree::ephemerals_of(SessionId session) const {
  const Owner* const owner = state_->find_owner(session);
  return owner == nullptr ? 0 : owner->ties.size();
}

std::vector<SessionId> KeyTree::sessions() const {
  std::vector<SessionId> ids;
  for (const Owner& owner : state_->owner_pool.objects()) {
    if (!owner.ties.empty()) ids.push_back(owner.session);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

const Digest& KeyTree::digest() const { return state_->digest; }

}  // namespace holdfast::tree
