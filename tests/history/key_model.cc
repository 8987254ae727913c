#include "tests/history/key_model.h"

#include <algorithm>

#include "tests/history/model.h"

namespace holdfast::history {
namespace {

template <class T>
bool compare(Relation relation, const T& there, const T& named) {
  switch (relation) {
    case Relation::kEqual:
      return there == named;
    case Relation::kNotEqual:
      return there != named;
    case Relation::kLess:
      return there < named;
    case Relation::kGreater:
      return there > named;
  }
  return false;
}

/// The keys above a path, from the first whose children are judged on.
std::vector<std::string> judged_above(const std::set<std::string>& parents,
                                      const std::string& path) {
  std::vector<std::string> above;
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    std::string prefix = path.substr(0, slash);
    if (!above.empty() || parents.contains(prefix)) above.push_back(std::move(prefix));
  }
  return above;
}

uint64_t hash_of(uint64_t seed, const std::string& text) {
  for (const char c : text) seed = mix(seed, static_cast<unsigned char>(c));
  return mix(seed, text.size());
}

std::string text(const ModelKey& key) {
  const auto span = [](const Span& s) {
    return std::to_string(s.first) + (s.first == s.last ? "" : "+");
  };
  return "'" + key.value + "', version " + std::to_string(key.version) + ", created at " +
         span(key.created) + ", written at " + span(key.modified) +
         (key.owner == 0 ? "" : ", of session " + std::to_string(key.owner)) +
         (key.container ? ", a container" : "") +
         (key.ttl_ms == 0 ? "" : ", TTL " + std::to_string(key.ttl_ms) + " ms");
}

std::string text(const SeenKey& seen) {
  return text(ModelKey{.value = seen.value,
                       .version = seen.version,
                       .created = {seen.create_revision, seen.create_revision},
                       .modified = {seen.modify_revision, seen.modify_revision},
                       .owner = seen.owner});
}

}  // namespace

KeyModel::Outcome KeyModel::write(const KeyCommand& command, Span revision, bool holds) {
  const Arguments& asked = command.asked();
  Outcome outcome;
  outcome.succeeded = std::ranges::all_of(
      asked.compares, [&](const KeyCompare& each) { return meets(each, holds); });
  if (asked.session == 0 && command.asks_lock()) {
    outcome.refusal = Refusal::kImpossible;
    return outcome;
  }
  const auto before = keys;
  const auto& steps = outcome.succeeded ? asked.writes : asked.otherwise;
  for (size_t i = 0; i < steps.size(); ++i) {
    outcome.refusal = step(command, steps[i], i, revision, outcome.results.emplace_back());
    if (outcome.refusal == Refusal::kNone) continue;
    keys = before;
    outcome.results.clear();
    return outcome;
  }
  settle(revision);
  return outcome;
}

bool KeyModel::meets(const KeyCompare& named, bool holds) const {
  const auto at = keys.find(named.path);
  const ModelKey* key = at == keys.end() ? nullptr : &at->second;
  const auto number = [&](uint64_t there) {
    return compare(named.relation, static_cast<int64_t>(there), named.number);
  };
  switch (named.target) {
    case Target::kExists:
      return number(key != nullptr ? 1 : 0);
    case Target::kVersion:
      return number(key != nullptr ? key->version : 0);
    case Target::kValue:
      return key != nullptr && compare(named.relation, key->value, named.value);
    case Target::kModifyRevision:
      return number(key != nullptr ? key->modified.first : 0);
    case Target::kCreateRevision:
      return number(key != nullptr ? key->created.first : 0);
    case Target::kHolds:
      return holds;
  }
  return false;
}

Refusal KeyModel::step(const KeyCommand& command, const KeyWrite& write, size_t number,
                       Span revision, KeyResult& result) {
  const bool needs_session = write.ephemeral || !write.guard_path.empty();
  if (needs_session && command.asked().session == 0) return Refusal::kImpossible;
  switch (write.act) {
    case KeyAct::kPut:
      return put(command, write, revision, result);
    case KeyAct::kCreate:
      return create(command, write, command.path_of(write, number), revision, result);
    case KeyAct::kRemove:
      return remove(write, result);
  }
  return Refusal::kNone;
}

/// What is above a key that is made: it is there, or is made with it (docs/keys.md, Writing).
Refusal KeyModel::make_way(const KeyWrite& write, const std::string& path, Span revision) {
  const std::vector<std::string> above = judged_above(*parents_, path);
  const bool whole =
      std::ranges::all_of(above, [&](const auto& each) { return keys.contains(each); });
  if (!whole && !write.make_parents) return Refusal::kNoKey;
  for (const std::string& each : above) {
    const auto [at, fresh] = keys.try_emplace(each);
    if (fresh) at->second = {.created = revision, .modified = revision};
    // A session's end could not take it away with children.
    if (at->second.owner != 0) return Refusal::kImpossible;
  }
  for (const std::string& each : above) {
    ModelKey& key = keys.at(each);
    key.had_child = true;
    key.emptied = {};
  }
  return Refusal::kNone;
}

Refusal KeyModel::put(const KeyCommand& command, const KeyWrite& write, Span revision,
                      KeyResult& result) {
  const auto at = keys.find(write.path);
  const uint64_t version = at == keys.end() ? 0 : at->second.version;
  if (write.expected_version == -1 && version != 0) return Refusal::kBadVersion;
  if (write.expected_version > 0 && version == 0) return Refusal::kNoKey;
  if (write.expected_version > 0 && version != static_cast<uint64_t>(write.expected_version)) {
    return Refusal::kBadVersion;
  }
  const Refusal refusal = version == 0 ? make_way(write, write.path, revision) : Refusal::kNone;
  if (refusal != Refusal::kNone) return refusal;
  result.version = version + 1;
  ModelKey& key = keys[write.path];
  if (version == 0) key.created = revision;
  key.modified = revision;
  key.version = version + 1;
  key.value = write.value;
  key.written = command.first->invoked;
  return Refusal::kNone;
}

Refusal KeyModel::create(const KeyCommand& command, const KeyWrite& write, const std::string& path,
                         Span revision, KeyResult& result) {
  const Refusal refusal = make_way(write, path.empty() ? write.path : path, revision);
  if (refusal != Refusal::kNone) return refusal;
  // Of a sequential key whose name nobody was told nothing more is known.
  if (path.empty()) return Refusal::kNone;
  if (keys.contains(path)) return Refusal::kKeyExists;
  keys[path] = {.value = write.value,
                .created = revision,
                .modified = revision,
                .owner = write.ephemeral ? command.asked().session : 0,
                .container = write.container,
                .ttl_ms = write.ttl_ms,
                .written = command.first->invoked};
  result.path = path;
  result.version = 1;
  return Refusal::kNone;
}

Refusal KeyModel::remove(const KeyWrite& write, KeyResult& result) {
  const auto at = keys.find(write.path);
  if (at == keys.end()) return Refusal::kNoKey;
  if (write.expected_version > 0 &&
      at->second.version != static_cast<uint64_t>(write.expected_version)) {
    return Refusal::kBadVersion;
  }
  if (!write.recursive && has_below(write.path)) return Refusal::kNotEmpty;
  const std::string below = write.path + "/";
  result.removed = std::erase_if(keys, [&](const auto& each) {
    return each.first == write.path || each.first.starts_with(below);
  });
  return Refusal::kNone;
}

bool KeyModel::has_below(const std::string& path) const {
  const std::string below = path + "/";
  const auto at = keys.lower_bound(below);
  return at != keys.end() && at->first.starts_with(below);
}

/// An entry is over: which containers have lost their last child in it?
void KeyModel::settle(Span revision) {
  for (auto& [path, key] : keys) {
    const bool emptied = key.container && key.had_child && key.emptied.first == 0;
    if (emptied && !has_below(path)) key.emptied = revision;
  }
}

void KeyModel::end_session(uint64_t session, Span revision) {
  ended.insert(session);
  std::erase_if(keys, [&](const auto& each) { return each.second.owner == session; });
  settle(revision);
}

/// A TTL key ends when it was not written for so long, a container in an entry after that in which
/// it lost its last child; neither while it has children (docs/keys.md, Kinds).
bool KeyModel::may_end(const std::string& path, Span revision, int64_t moment) const {
  const auto at = keys.find(path);
  if (at == keys.end() || has_below(path)) return false;
  const ModelKey& key = at->second;
  if (key.container) return key.emptied.first != 0 && revision.last > key.emptied.first;
  return key.ttl_ms > 0 && (moment == kNever || moment - key.written >= least_ns(key.ttl_ms));
}

void KeyModel::end(const std::string& path, Span revision) {
  const uint64_t emptied = keys.at(path).emptied.first;
  keys.erase(path);
  settle({std::max(revision.first, emptied + 1), revision.last});
}

bool KeyModel::owns_any(uint64_t session) const {
  return std::ranges::any_of(keys, [&](const auto& each) { return each.second.owner == session; });
}

std::optional<std::string> KeyModel::read(const KeyRead& read) {
  const auto at = keys.find(read.path);
  const SeenKey* seen = read.seen;
  if (at == keys.end() && seen == nullptr) return std::nullopt;
  if (at == keys.end()) return "it shows " + text(*seen) + ", but there is no such key";
  ModelKey& key = at->second;
  if (seen == nullptr) return "it shows no key, but there is " + text(key);
  const bool same_value = read.op->arguments.stat_only || seen->value == key.value;
  if (!same_value || seen->version != key.version || seen->owner != key.owner ||
      !key.created.holds(seen->create_revision) || !key.modified.holds(seen->modify_revision)) {
    return "it shows " + text(*seen) + ", but there is " + text(key);
  }
  key.created = {seen->create_revision, seen->create_revision};
  key.modified = {seen->modify_revision, seen->modify_revision};
  return std::nullopt;
}

std::optional<std::string> KeyModel::made(const KeyRead& read) {
  const auto at = keys.find(read.path);
  const uint64_t revision = read.seen->create_revision;
  if (at == keys.end()) return "it shows " + text(*read.seen) + ", but nothing created it then";
  ModelKey& key = at->second;
  if (!key.created.holds(revision) || key.owner != read.seen->owner) {
    return "it shows " + text(*read.seen) + ", but then there was " + text(key);
  }
  key.created = {revision, revision};
  return std::nullopt;
}

uint64_t KeyModel::hash() const {
  uint64_t hash = 7;
  for (const auto& [path, key] : keys) {
    hash = mix(hash_of(hash_of(hash, path), key.value), key.version);
    for (const Span& span : {key.created, key.modified}) {
      hash = mix(mix(hash, span.first), span.last);
    }
    hash = mix(mix(hash, key.owner), static_cast<uint64_t>(key.written));
    hash = mix(mix(hash, key.had_child ? 1 : 0), key.emptied.first);
  }
  for (const uint64_t session : ended) hash = mix(hash, session);
  return hash;
}

std::string KeyHistory::top_of(const std::string& path) const {
  const std::vector<std::string> above = judged_above(parents, path);
  return above.empty() ? std::string() : above.front();
}

std::string KeyModel::describe() const {
  std::string all;
  for (const auto& [path, key] : keys) all += (all.empty() ? "" : "; ") + path + " " + text(key);
  return all.empty() ? "no key" : all;
}

}  // namespace holdfast::history
