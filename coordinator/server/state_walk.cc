#include "coordinator/server/state_walk.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "base/bytes.h"
#include "coordinator/tree/key_tree.h"
#include "lockmgr/lock_table.h"

namespace holdfast::server {

namespace {

/// Holders of one lock that one item shows, so that items stay well below what a reply may have.
constexpr size_t kHoldersAnItem = 100;

int64_t number(Revision revision) { return static_cast<int64_t>(revision.value); }

/// Behind all that is below `path`, before what follows it: no path has such a byte.
std::string end_of_subtree(std::string_view path) { return std::string(path) + "/\xff"; }

/// The prefix of all that is below `path`.
std::string below(std::string_view path) { return path == "/" ? "/" : std::string(path) + "/"; }

bool is_child(std::string_view path, std::string_view prefix) {
  return path.find('/', prefix.size()) == std::string_view::npos;
}

}  // namespace

size_t StateItem::events() const { return load_le<uint32_t>(payload_.data()); }
std::string_view StateItem::wire() const { return payload_.substr(sizeof(uint32_t)); }

bool StateWalk::next(const watch::WalkRange& range, size_t max, std::vector<watch::WalkItem>& out) {
  kept_.clear();
  return range.space == watch::Space::kKeys ? next_keys(range, max, out)
                                            : next_locks(range, max, out);
}

void StateWalk::add(std::string_view path, std::vector<watch::WalkItem>& out) {
  Kept& kept = kept_.emplace_back();
  kept.path = path;
  append_le(kept.payload, static_cast<uint32_t>(events_.size()));
  encoder_.encode(events_, kept.payload);
  const WireEvents wire{Blob(StateItem(kept.payload).wire())};
  out.push_back({kept.path, kept.payload, wire.in(WireProtocol::kBinary).size()});
}

// ---------------------------------------------------------------------------------------- keys

void StateWalk::add_key(std::string_view path, const tree::Stat& stat, std::string_view value,
                        std::vector<watch::WalkItem>& out) {
  events_.resize(1);
  api::WatchEvent& event = events_.front();
  event = {};
  event.eventType = api::EventType::KEY_CREATED;
  event.path = path;
  event.version = static_cast<int64_t>(stat.version);
  event.createRevision = number(stat.create_revision);
  event.modifyRevision = number(stat.modify_revision);
  event.ephemeralOwner = static_cast<int64_t>(stat.ephemeral_owner.value);
  event.value = value;
  add(path, out);
}

bool StateWalk::next_keys(const watch::WalkRange& range, size_t max,
                          std::vector<watch::WalkItem>& out) {
  const tree::KeyTree& keys = machine_.keys();
  if (range.scope != watch::Scope::kChildren && range.after.empty() && range.path != "/") {
    const auto key = keys.get(range.path);
    if (!key) return true;
    add_key(range.path, key->stat, range.with_values ? key->value : std::string_view(), out);
    if (range.scope == watch::Scope::kNode) return true;
    if (--max == 0) return false;
  }
  if (range.scope == watch::Scope::kNode) return true;
  const auto page =
      keys.list({.path = range.path,
                 .scope = range.scope == watch::Scope::kChildren ? tree::ListScope::kChildren
                                                                 : tree::ListScope::kSubtree,
                 .after = range.after == range.path ? std::string_view() : range.after,
                 .with_values = range.with_values,
                 .count = max});
  if (!page.ok()) return true;  // the place is gone, and all below it
  for (const tree::ListedKey& key : page->keys) add_key(key.path, key.stat, key.value, out);
  return !page->more;
}

// --------------------------------------------------------------------------------------- locks

// A lock may have any number of holders: so many make an item, and the walk goes on within the lock
// by holder id, which does not change while the lock is held. False: there was no room for all.
bool StateWalk::add_lock(std::string_view path, uint64_t after_holder, size_t max,
                         std::vector<watch::WalkItem>& out) {
  std::vector<lockmgr::HolderInfo> holders =
      machine_.locks().describe(path, {.holders = SIZE_MAX, .waiters = 0, .tenures = 0}).holders;
  std::ranges::sort(holders, {}, &lockmgr::HolderInfo::holder_id);
  auto at = std::ranges::upper_bound(holders, Revision(after_holder), {},
                                     &lockmgr::HolderInfo::holder_id);
  while (at != holders.end() && out.size() < max) {
    events_.clear();
    for (; at != holders.end() && events_.size() < kHoldersAnItem; ++at) {
      api::WatchEvent& event = events_.emplace_back();
      event.eventType = api::EventType::LOCK_GRANTED;
      event.path = path;
      event.holderId = number(at->holder_id);
      event.token = number(at->token);
      event.sessionId = static_cast<int64_t>(at->session.value);
    }
    add(path, out);
    if (at != holders.end()) out.back().part = std::prev(at)->holder_id.value;
  }
  return at == holders.end();
}

// Locks that nobody holds are passed over; the walk looks at `max` locks a call or a few more.
bool StateWalk::next_locks(const watch::WalkRange& range, size_t max,
                           std::vector<watch::WalkItem>& out) {
  const lockmgr::LockTable& locks = machine_.locks();
  if (range.after_part != 0) {
    if (!add_lock(range.after, range.after_part, max, out)) return false;
  } else if (range.scope != watch::Scope::kChildren && range.after.empty()) {
    if (!add_lock(range.path, 0, max, out)) return false;
  }
  if (range.scope == watch::Scope::kNode) return true;
  const std::string prefix = below(range.path);
  std::string after(range.after);
  while (out.size() < max) {
    std::vector<lockmgr::LockInfo> page;
    const bool children = range.scope == watch::Scope::kChildren;
    locks.list(prefix, after, children ? 1 : max - out.size(), 0, page);
    if (page.empty()) return true;
    after = page.back().path;
    for (const lockmgr::LockInfo& lock : page) {
      const bool listed = !children || is_child(lock.path, prefix);
      if (listed && !add_lock(lock.path, 0, max, out)) return false;
    }
    if (children) after = end_of_subtree(after.substr(0, after.find('/', prefix.size())));
  }
  return false;
}

}  // namespace holdfast::server
