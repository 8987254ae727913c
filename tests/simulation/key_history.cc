#include "tests/simulation/key_history.h"

#include <algorithm>

#include "lockmgr/types.h"
#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

constexpr char kRoot[] = "/";

int64_t number(uint64_t value) { return static_cast<int64_t>(value); }
template <class Tag>
int64_t number(const Tag& id) {
  return static_cast<int64_t>(id.value);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

int64_t bytes_of(const std::string& path, const std::string& value) {
  return static_cast<int64_t>(name_of(path).size() + value.size());
}

/// Which kind of key may end so.
bool may_end(api::KeyKind::type kind, tree::RemoveReason reason) {
  switch (reason) {
    case tree::RemoveReason::kRemoved:
      return true;
    case tree::RemoveReason::kSessionEnded:
      return kind == api::KeyKind::EPHEMERAL;
    case tree::RemoveReason::kTtl:
      return kind == api::KeyKind::TTL;
    case tree::RemoveReason::kContainer:
      return kind == api::KeyKind::CONTAINER;
    case tree::RemoveReason::kNone:
      return false;
  }
  return false;
}

const KeyHistory::Version& nothing() {
  static const KeyHistory::Version kNothing;
  return kNothing;
}

}  // namespace

bool TreeOrder::operator()(const std::string& a, const std::string& b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto rank = [](char c) { return c == '/' ? 0 : 1 + int{static_cast<uint8_t>(c)}; };
    return rank(x) < rank(y);
  });
}

bool is_below(const std::string& path, const std::string& top) {
  if (top == kRoot) return path != kRoot;
  return path.rfind(top + "/", 0) == 0;
}

bool is_child(const std::string& path, const std::string& top) {
  return path != kRoot && parent_of(path) == top;
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? kRoot : path.substr(0, slash);
}

KeyHistory::KeyHistory() {
  Version root;
  root.present = true;
  keys_[kRoot] = {root};
}

void KeyHistory::refuse(const std::string& path, const std::string& what) const {
  throw Broken(Rule::kI15, "key " + path + " at " + std::to_string(last_) + " " + what);
}

// ---------------------------------------------------------------------------------- one entry

void KeyHistory::take(int64_t revision, std::span<const tree::Event> keys,
                      const rsm::Effects& effects, const tree::KeyTree& tree) {
  last_ = revision;
  entries_.push_back({revision, {}});
  for (const tree::Event& event : keys) take_key(event);
  for (const rsm::Effect& effect : effects) take_lock(effect);
  for (const tree::Event& event : keys) check_present(std::string(event.path), tree);
  if (entries_.back().events.empty()) entries_.pop_back();
  for (const rsm::Effect& effect : effects) {
    if (effect.kind != rsm::EffectKind::kSessionEnded) continue;
    const auto owned = owned_.find(number(effect.session));
    if (owned == owned_.end() || owned->second.empty()) continue;
    throw Broken(Rule::kI12, "session " + std::to_string(effect.session.value) + " ended at " +
                                 std::to_string(revision) + " and still owns " +
                                 *owned->second.begin());
  }
}

void KeyHistory::take_key(const tree::Event& event) {
  Version& key = edit(std::string(event.path));
  api::WatchEvent told;
  switch (event.kind) {
    case tree::EventKind::kCreated:
      told.eventType = api::EventType::KEY_CREATED;
      create(event, key);
      break;
    case tree::EventKind::kChanged:
      told.eventType = api::EventType::KEY_CHANGED;
      change(event, key);
      break;
    case tree::EventKind::kRemoved:
      told.eventType = api::EventType::KEY_REMOVED;
      told.removal = static_cast<api::RemovalReason::type>(event.reason);
      remove(event, key);
      break;
  }
  told.path = event.path;
  told.version = number(event.version);
  told.createRevision = number(event.create_revision);
  told.ephemeralOwner = number(event.ephemeral_owner);
  told.modifyRevision = last_;
  told.value = event.value;
  entries_.back().events.push_back(std::move(told));
}

void KeyHistory::take_lock(const rsm::Effect& effect) {
  const bool granted = effect.kind == rsm::EffectKind::kGranted;
  if (!granted && effect.kind != rsm::EffectKind::kTenureEnded) return;
  api::WatchEvent told;
  told.eventType = granted ? api::EventType::LOCK_GRANTED : api::EventType::LOCK_ENDED;
  told.path = effect.path;
  told.holderId = number(effect.holder_id);
  told.token = number(effect.token);
  told.sessionId = number(effect.session);
  if (!granted) told.endReason = static_cast<int32_t>(effect.end_reason);
  entries_.back().events.push_back(std::move(told));
}

/// The key's version at this entry, to be changed.
KeyHistory::Version& KeyHistory::edit(const std::string& path) {
  std::vector<Version>& versions = keys_[path];
  if (versions.empty()) versions.emplace_back();
  if (versions.back().from != last_) versions.push_back(versions.back());
  versions.back().from = last_;
  return versions.back();
}

void KeyHistory::create(const tree::Event& event, Version& key) {
  const std::string path(event.path);
  const Version& parent = at(parent_of(path), last_);
  if (key.present) refuse(path, "is created and was there");
  if (!parent.present) refuse(path, "is created without a parent");
  if (parent.kind == api::KeyKind::EPHEMERAL) refuse(path, "is created below an ephemeral key");
  if (event.version != 1 || number(event.create_revision) != last_) {
    refuse(path, "is created with another version than 1 or revision than its entry's");
  }
  key = Version{.from = last_,
                .present = true,
                .kind = static_cast<api::KeyKind::type>(event.key_kind),
                .version = 1,
                .create_revision = last_,
                .modify_revision = last_,
                .owner = number(event.ephemeral_owner),
                .value = std::string(event.value)};
  if ((key.owner != 0) != (key.kind == api::KeyKind::EPHEMERAL)) {
    refuse(path, "is ephemeral without an owner, or has one without being ephemeral");
  }
  if (key.owner != 0) owned_[key.owner].insert(path);
  ++present_;
  bytes_ += bytes_of(path, key.value);
  count_child(parent_of(path), 1);
}

void KeyHistory::change(const tree::Event& event, Version& key) {
  const std::string path(event.path);
  if (!key.present) refuse(path, "is written and is not there");
  if (number(event.version) != key.version + 1) refuse(path, "does not count its writes");
  if (number(event.create_revision) != key.create_revision ||
      number(event.ephemeral_owner) != key.owner ||
      static_cast<api::KeyKind::type>(event.key_kind) != key.kind) {
    refuse(path, "is another key after a write");
  }
  bytes_ += static_cast<int64_t>(event.value.size()) - static_cast<int64_t>(key.value.size());
  ++key.version;
  key.modify_revision = last_;
  key.value = event.value;
}

void KeyHistory::remove(const tree::Event& event, Version& key) {
  const std::string path(event.path);
  if (!key.present) refuse(path, "is removed and is not there");
  if (key.child_count != 0) refuse(path, "is removed before its children");
  if (number(event.version) != key.version) refuse(path, "is removed with another version");
  if (!may_end(key.kind, event.reason)) refuse(path, "ends in a way that its kind does not know");
  if (key.owner != 0) owned_[key.owner].erase(path);
  --present_;
  bytes_ -= bytes_of(path, key.value);
  key = Version{.from = last_};
  count_child(parent_of(path), -1);
}

void KeyHistory::count_child(const std::string& parent, int change) {
  Version& key = edit(parent);
  key.child_count += change;
  ++key.children_version;
  key.children_revision = last_;
}

// ------------------------------------------------------------------------------------- checks

void KeyHistory::check_present(const std::string& path, const tree::KeyTree& tree) const {
  const Version& was = at(path, last_);
  const auto is = tree.get(path);
  if (is.has_value() != was.present) refuse(path, "is there, or is not, unlike its events say");
  if (!is) return;
  const bool alike = number(is->stat.version) == was.version &&
                     number(is->stat.create_revision) == was.create_revision &&
                     number(is->stat.modify_revision) == was.modify_revision &&
                     number(is->stat.ephemeral_owner) == was.owner &&
                     static_cast<api::KeyKind::type>(is->stat.kind) == was.kind &&
                     is->value == was.value;
  if (!alike) refuse(path, "is not what its events made of it");
  const bool counted = number(is->stat.child_count) == was.child_count &&
                       number(is->stat.children_version) == was.children_version &&
                       number(is->stat.children_revision) == was.children_revision;
  if (!counted) refuse(path, "does not count its children as they came and went");
}

void KeyHistory::recount(const tree::KeyTree& tree, const std::set<int64_t>& live_sessions) const {
  for (const auto& [path, versions] : keys_) {
    if (path != kRoot) check_present(path, tree);
  }
  if (number(tree.key_count()) != present_ || number(tree.bytes()) != bytes_) {
    refuse(kRoot, "and all below it are " + std::to_string(tree.key_count()) + " keys of " +
                      std::to_string(tree.bytes()) + " bytes; a recount says " +
                      std::to_string(present_) + " and " + std::to_string(bytes_));
  }
  for (const auto& [session, paths] : owned_) {
    if (paths.empty() || live_sessions.contains(session)) continue;
    refuse(*paths.begin(), "belongs to a session that is not live");
  }
}

// -------------------------------------------------------------------------------------- reads

const KeyHistory::Version& KeyHistory::at(const std::string& path, int64_t revision) const {
  const auto key = keys_.find(path);
  if (key == keys_.end()) return nothing();
  const auto later =
      std::upper_bound(key->second.begin(), key->second.end(), revision,
                       [](int64_t wanted, const Version& each) { return wanted < each.from; });
  return later == key->second.begin() ? nothing() : *std::prev(later);
}

std::vector<std::string> KeyHistory::below(const std::string& top, bool children,
                                           int64_t revision) const {
  std::vector<std::string> paths;
  for (const auto& [path, versions] : keys_) {
    const bool meant = children ? is_child(path, top) : is_below(path, top);
    if (meant && at(path, revision).present) paths.push_back(path);
  }
  return paths;
}

std::span<const KeyHistory::Entry> KeyHistory::after(int64_t revision) const {
  const auto first =
      std::upper_bound(entries_.begin(), entries_.end(), revision,
                       [](int64_t wanted, const Entry& each) { return wanted < each.revision; });
  return {first, entries_.end()};
}

const KeyHistory::Entry* KeyHistory::entry(int64_t revision) const {
  const auto rest = after(revision - 1);
  return rest.empty() || rest.front().revision != revision ? nullptr : &rest.front();
}

void KeyHistory::judge_read(const std::string& who, const std::string& path, bool found,
                            const api::KeyEntry& key, int64_t revision) const {
  const Version& was = at(path, revision);
  const api::KeyStat& stat = key.stat;
  const bool alike =
      found == was.present &&
      (!found ||
       (key.path == path && key.value == was.value && stat.kind == was.kind &&
        stat.version == was.version && stat.createRevision == was.create_revision &&
        stat.modifyRevision == was.modify_revision && stat.ephemeralOwner == was.owner &&
        stat.childCount == was.child_count && stat.childrenVersion == was.children_version &&
        stat.childrenRevision == was.children_revision &&
        stat.valueBytes == static_cast<int64_t>(was.value.size())));
  if (alike) return;
  throw Broken(Rule::kI20, who + " was shown " + path + " at revision " + std::to_string(revision) +
                               " with version " + std::to_string(found ? stat.version : 0) +
                               "; the log says " + std::to_string(was.version) +
                               ", or differs elsewhere");
}

}  // namespace holdfast::sim
