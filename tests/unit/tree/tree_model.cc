#include "tests/unit/tree/tree_model.h"

#include <algorithm>

#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_below(std::string_view path, std::string_view top) {
  if (top == "/") return path != "/";
  return path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/';
}

template <class T>
bool stands(const T& present, Relation relation, const T& given) {
  return relation == Relation::kEqual      ? present == given
         : relation == Relation::kNotEqual ? !(present == given)
         : relation == Relation::kLess     ? present < given
                                           : given < present;
}

}  // namespace

bool PathOrder::operator()(std::string_view a, std::string_view b) const {
  const auto rank = [](char byte) { return byte == '/' ? -1 : static_cast<uint8_t>(byte); };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

TreeModel::TreeModel() {
  keys["/"].id = 1;
  keys["/"].stat.version = 1;
}

void TreeModel::begin(uint64_t revision, int64_t now_ms, int64_t unix_ms) {
  revision_ = revision;
  now_ms_ = now_ms;
  unix_ms_ = unix_ms;
  made_ = 0;
  events.clear();
}

std::optional<int64_t> TreeModel::due_of(const ModelKey& key) const {
  if (key.stat.child_count > 0) return std::nullopt;
  const bool emptied = key.stat.children_version > 0;
  if (key.stat.kind == KeyKind::kContainer && emptied) return key.emptied_ms + 1;
  if (key.stat.kind != KeyKind::kTtl) return std::nullopt;
  return emptied ? std::max(key.due_ms, key.emptied_ms + 1) : key.due_ms;
}

std::optional<int64_t> TreeModel::next_due_ms() const {
  std::optional<int64_t> next;
  for (const auto& [path, key] : keys) {
    const auto due = due_of(key);
    if (due && (!next || *due < *next)) next = due;
  }
  return next;
}

size_t TreeModel::run_due(size_t limit) {
  size_t done = 0;
  for (; done < limit; ++done) {
    std::optional<std::pair<int64_t, uint64_t>> first;
    std::string chosen;
    for (const auto& [path, key] : keys) {
      const auto due = due_of(key);
      if (!due || *due > now_ms_ || (first && std::pair(*due, key.id) > *first)) continue;
      first = std::pair(*due, key.id);
      chosen = path;
    }
    if (!first) break;
    const bool ttl = keys[chosen].stat.kind == KeyKind::kTtl;
    drop(chosen, ttl ? RemoveReason::kTtl : RemoveReason::kContainer);
  }
  return done;
}

void TreeModel::end_sessions(const std::vector<SessionId>& sessions) {
  for (SessionId session : sessions) {
    std::vector<std::pair<uint64_t, std::string>> owned;
    for (const auto& [path, key] : keys) {
      if (key.stat.ephemeral_owner == session) owned.emplace_back(key.id, path);
    }
    std::sort(owned.begin(), owned.end());
    for (const auto& [id, path] : owned) drop(path, RemoveReason::kSessionEnded);
  }
}

std::optional<std::pair<size_t, ErrorCode>> TreeModel::apply(
    const std::vector<Operation>& operations, const Limits& limits) {
  const TreeModel before = *this;
  outcomes.clear();
  for (size_t i = 0; i < operations.size(); ++i) {
    const ErrorCode code = run(operations[i], limits);
    if (code == ErrorCode::kOk) continue;
    *this = before;
    outcomes.clear();
    return std::pair(i, code);
  }
  return std::nullopt;
}

ErrorCode TreeModel::run(const Operation& operation, const Limits& limits) {
  if (operation.path == "/") return ErrorCode::kBadArgument;
  if (operation.kind == OperationKind::kRemove) return remove(operation);
  if (operation.kind == OperationKind::kPut) return put(operation, limits);
  const bool ephemeral = operation.key_kind == KeyKind::kEphemeral;
  if (ephemeral && !operation.session) return ErrorCode::kBadArgument;
  const bool timed = operation.key_kind == KeyKind::kTtl;
  if (timed ? operation.ttl_ms <= 0 : operation.ttl_ms != 0) return ErrorCode::kBadArgument;
  return create(operation, std::string(operation.path), limits);
}

ErrorCode TreeModel::put(const Operation& operation, const Limits& limits) {
  if (operation.expected_version < -1) return ErrorCode::kBadArgument;
  const auto found = keys.find(operation.path);
  if (found == keys.end()) {
    if (operation.value.size() > limits.value_bytes) return ErrorCode::kTooLarge;
    if (operation.expected_version > 0) return ErrorCode::kNoKey;
    if (operation.path.size() > limits.path_bytes) return ErrorCode::kTooLarge;
    Operation plain = operation;
    plain.key_kind = KeyKind::kPersistent;
    return create(plain, std::string(operation.path), limits);
  }
  ModelKey& key = found->second;
  if (operation.value.size() > std::max(limits.value_bytes, key.value.size())) {
    return ErrorCode::kTooLarge;
  }
  if (operation.expected_version != kAnyVersion &&
      operation.expected_version != static_cast<int64_t>(key.stat.version)) {
    return ErrorCode::kBadVersion;
  }
  if (operation.value.size() > key.value.size() &&
      bytes() + operation.value.size() - key.value.size() > limits.bytes) {
    return ErrorCode::kLimitExceeded;
  }
  key.value = operation.value;
  key.stat.value_bytes = key.value.size();
  ++key.stat.version;
  key.stat.modify_revision = Revision(revision_);
  key.stat.modified_unix_ms = unix_ms_;
  if (key.stat.kind == KeyKind::kTtl) key.due_ms = now_ms_ + key.stat.ttl_ms;
  events.push_back("changed " + found->first + " v" + std::to_string(key.stat.version) +
                   (key.value.empty() ? "" : " = " + key.value));
  outcomes.push_back({.path = found->first, .version = key.stat.version});
  return ErrorCode::kOk;
}

/// Parents of `path` that are not there, the topmost first.
std::vector<std::string> TreeModel::missing_parents(const std::string& path) const {
  std::vector<std::string> missing;
  for (std::string at = parent_of(path); !keys.contains(at); at = parent_of(at)) {
    missing.insert(missing.begin(), at);
  }
  return missing;
}

ErrorCode TreeModel::create(const Operation& operation, std::string path, const Limits& limits) {
  if (operation.value.size() > limits.value_bytes) return ErrorCode::kTooLarge;
  const std::vector<std::string> missing = missing_parents(path);
  if (!missing.empty() && !operation.make_parents) return ErrorCode::kNoKey;
  const std::string above = missing.empty() ? parent_of(path) : parent_of(missing.front());
  if (keys[above].stat.kind == KeyKind::kEphemeral) return ErrorCode::kBadArgument;
  if (operation.sequential) {
    const uint64_t parent_id =
        missing.empty() ? keys[above].id : revision_ * 4'096 + made_ + missing.size() - 1;
    const uint64_t number = parent_id + (missing.empty() ? keys[above].numbered : 0);
    const std::string digits = std::to_string(number);
    path += std::string(20 - digits.size(), '0') + digits;
    if (path.size() > limits.path_bytes) return ErrorCode::kTooLarge;
  }
  if (keys.contains(path)) return ErrorCode::kKeyExists;
  uint64_t more = name_of(path).size() + operation.value.size();
  for (const std::string& parent : missing) more += name_of(parent).size();
  const uint64_t count = missing.size() + 1;
  if (made_ + count > 4'096 || keys.size() - 1 + count > limits.keys ||
      bytes() + more > limits.bytes) {
    return ErrorCode::kLimitExceeded;
  }
  if (operation.key_kind == KeyKind::kEphemeral &&
      ephemerals_of(operation.session) >= limits.ephemerals_of_a_session) {
    return ErrorCode::kLimitExceeded;
  }
  for (const std::string& parent : missing) add(parent, {});
  add(path, operation);
  if (operation.sequential) ++keys[parent_of(path)].numbered;
  outcomes.push_back({.path = path, .version = 1, .created = true, .keys = count});
  return ErrorCode::kOk;
}

void TreeModel::add(const std::string& path, const Operation& operation) {
  const bool ephemeral = operation.key_kind == KeyKind::kEphemeral;
  const bool timed = operation.key_kind == KeyKind::kTtl;
  ModelKey& key = keys[path];
  key.id = revision_ * 4'096 + made_++;
  key.value = operation.value;
  key.due_ms = timed ? now_ms_ + operation.ttl_ms : 0;
  key.stat = {.version = 1,
              .create_revision = Revision(revision_),
              .modify_revision = Revision(revision_),
              .ephemeral_owner = ephemeral ? operation.session : SessionId{},
              .created_unix_ms = unix_ms_,
              .modified_unix_ms = unix_ms_,
              .value_bytes = key.value.size(),
              .kind = operation.key_kind,
              .ttl_ms = timed ? operation.ttl_ms : 0};
  touch_parent(path, 1);
  events.push_back("created " + path + " v1" + (key.value.empty() ? "" : " = " + key.value));
}

void TreeModel::touch_parent(const std::string& path, int step) {
  ModelKey& parent = keys[parent_of(path)];
  ++parent.stat.children_version;
  parent.stat.children_revision = Revision(revision_);
  parent.stat.child_count += static_cast<uint64_t>(step);
  parent.emptied_ms = parent.stat.child_count == 0 ? now_ms_ : 0;
}

void TreeModel::drop(const std::string& path, RemoveReason reason) {
  const Event event{.kind = EventKind::kRemoved,
                    .reason = reason,
                    .path = path,
                    .version = keys[path].stat.version};
  events.push_back(in_words(event));
  touch_parent(path, -1);
  keys.erase(path);
}

void TreeModel::drop_all(const std::string& path) {
  for (const std::string& child : list(path, ListScope::kChildren, "")) drop_all(child);
  drop(path, RemoveReason::kRemoved);
}

ErrorCode TreeModel::remove(const Operation& operation) {
  if (operation.expected_version < -1 || operation.expected_version == 0) {
    return ErrorCode::kBadArgument;
  }
  const auto found = keys.find(operation.path);
  if (found == keys.end()) return ErrorCode::kNoKey;
  const Stat stat = found->second.stat;
  if (operation.expected_version > 0 &&
      static_cast<uint64_t>(operation.expected_version) != stat.version) {
    return ErrorCode::kBadVersion;
  }
  if (stat.child_count > 0 && !operation.recursive) return ErrorCode::kNotEmpty;
  const std::string path = found->first;
  const uint64_t before = keys.size();
  drop_all(path);
  outcomes.push_back({.path = path, .version = stat.version, .keys = before - keys.size()});
  return ErrorCode::kOk;
}

bool TreeModel::holds(const Compare& compare) const {
  const auto found = keys.find(compare.path);
  const bool there = found != keys.end();
  if (compare.target == CompareTarget::kValue) {
    return there && stands(std::string_view(found->second.value), compare.relation, compare.value);
  }
  const Stat stat = there ? found->second.stat : Stat{};
  uint64_t number = there ? 1 : 0;
  if (compare.target == CompareTarget::kVersion) number = stat.version;
  if (compare.target == CompareTarget::kModifyRevision) number = stat.modify_revision.value;
  if (compare.target == CompareTarget::kCreateRevision) number = stat.create_revision.value;
  return stands(number, compare.relation, compare.number);
}

std::vector<std::string> TreeModel::list(std::string_view path, ListScope scope,
                                         std::string_view after) const {
  std::vector<std::string> found;
  for (const auto& [at, key] : keys) {
    const bool wanted =
        scope == ListScope::kSubtree ? is_below(at, path) : at != "/" && parent_of(at) == path;
    if (wanted && (after.empty() || PathOrder{}(after, at))) found.push_back(at);
  }
  return found;
}

uint64_t TreeModel::bytes() const {
  uint64_t sum = 0;
  for (const auto& [path, key] : keys) {
    sum += path == "/" ? 0 : name_of(path).size() + key.value.size();
  }
  return sum;
}

uint64_t TreeModel::ephemerals_of(SessionId session) const {
  return static_cast<uint64_t>(std::count_if(keys.begin(), keys.end(), [&](const auto& entry) {
    return entry.second.stat.ephemeral_owner == session;
  }));
}

}  // namespace holdfast::tree
