// Put, create, remove. Each judges everything before it changes anything, so that one that fails
// leaves nothing to be undone.
#include <algorithm>
#include <string>

#include "base/check.h"
#include "coordinator/tree/state.h"

namespace holdfast::tree {
namespace {

constexpr size_t kDigits = 20;  ///< of any 64-bit number

bool begins_character(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; }

/// A path for a message: its end, if it is long.
std::string shown(std::string_view path) {
  constexpr size_t kShownMax = 120;
  if (path.size() <= kShownMax) return std::string(path);
  path.remove_prefix(path.size() - kShownMax);
  while (!path.empty() && !begins_character(path.front())) path.remove_prefix(1);
  return "..." + std::string(path);
}

std::string key_at(std::string_view path) { return "key " + shown(path); }

Error bad_argument(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

Error no_key(std::string_view path) {
  return {ErrorCode::kNoKey, key_at(path) + " does not exist"};
}

Error over_limit(const std::string& what, uint64_t number, uint64_t limit) {
  return {ErrorCode::kLimitExceeded,
          what + ": " + std::to_string(number) + ", the limit is " + std::to_string(limit)};
}

Status check_not_root(std::string_view path) {
  if (path != "/") return ok_status();
  return bad_argument("the root / is always there: it has no value and is not created or removed");
}

Status check_expected(int64_t expected) {
  if (expected >= kAnyVersion) return ok_status();
  return bad_argument("an expected version cannot be " + std::to_string(expected) +
                      ": -1 stands for any, 0 for none");
}

Status check_version(const Operation& operation, const Key& key) {
  if (operation.expected_version == kAnyVersion ||
      static_cast<uint64_t>(operation.expected_version) == key.version) {
    return ok_status();
  }
  return Error{ErrorCode::kBadVersion, key_at(operation.path) + " has version " +
                                           std::to_string(key.version) + ", expected " +
                                           std::to_string(operation.expected_version)};
}

/// What a key has already may exceed a lowered limit.
Status check_value(const Operation& operation, uint64_t present, const Limits& limits) {
  if (operation.value.size() <= std::max(limits.value_bytes, present)) return ok_status();
  return Error{ErrorCode::kTooLarge, "the value of " + key_at(operation.path) + " has " +
                                         std::to_string(operation.value.size()) +
                                         " bytes, the limit is " +
                                         std::to_string(limits.value_bytes)};
}

/// Of a key that is to be created: one that is there may have been made before a limit was lowered.
Status check_place(std::string_view path, const Limits& limits) {
  const auto depth = static_cast<uint64_t>(std::ranges::count(path, '/'));
  const bool deep = depth > limits.path_depth;
  if (!deep && path.size() <= limits.path_bytes) return ok_status();
  const std::string what =
      deep ? std::to_string(depth) + " segments, the limit is " + std::to_string(limits.path_depth)
           : std::to_string(path.size()) + " bytes, the limit is " +
                 std::to_string(limits.path_bytes);
  return Error{ErrorCode::kTooLarge, "path " + shown(path) + " has " + what};
}

/// Does what the kind needs stand there, and nothing else?
Status check_kind(const Operation& operation) {
  if (operation.key_kind == KeyKind::kEphemeral && !operation.session) {
    return bad_argument("ephemeral " + key_at(operation.path) + " needs a session");
  }
  if ((operation.key_kind == KeyKind::kTtl) == (operation.ttl_ms > 0) && operation.ttl_ms >= 0) {
    return ok_status();
  }
  return bad_argument(key_at(operation.path) + " cannot have a TTL of " +
                      std::to_string(operation.ttl_ms) +
                      " ms: a TTL key has one above 0, others have none");
}

/// Keys at and below `top`, counted as far as `limit`.
uint64_t count_subtree(const Key* top, uint64_t limit) {
  uint64_t count = 1;
  for (const Key* key = next_key(top, top); key != nullptr && count < limit; ++count) {
    key = next_key(key, top);
  }
  return count;
}

}  // namespace

Result<Outcome> KeyTree::State::run(const Operation& operation, const Limits& limits) {
  if (const Status status = check_not_root(operation.path); !status.ok()) return status.error();
  switch (operation.kind) {
    case OperationKind::kPut:
      return put(operation, limits);
    case OperationKind::kCreate:
      return create(operation, limits);
    case OperationKind::kRemove:
      return remove(operation);
  }
  HF_CHECK(false, "there is no such operation");
}

// ---- put ------------------------------------------------------------------------------------

Result<Outcome> KeyTree::State::put(const Operation& operation, const Limits& limits) {
  Status status = check_expected(operation.expected_version);
  Key* const key = find(operation.path);
  if (status.ok()) status = check_value(operation, key == nullptr ? 0 : key->value_size, limits);
  if (!status.ok()) return status.error();
  if (key == nullptr) {
    if (operation.expected_version > 0) return no_key(operation.path);
    status = check_place(operation.path, limits);
    if (!status.ok()) return status.error();
    Result<Site> site = find_site(operation.path, operation.make_parents);
    if (!site.ok()) return site.error();
    return create_at(*site, operation.path, {.value = operation.value}, limits);
  }
  status = check_version(operation, *key);
  if (status.ok() && operation.value.size() > key->value_size) {
    status = check_growth(0, operation.value.size() - key->value_size, limits);
  }
  if (!status.ok()) return status.error();
  write(key, operation.value);
  return Outcome{.path = effects.events.back().path, .version = key->version};
}

// ---- create ---------------------------------------------------------------------------------

Result<Site> KeyTree::State::find_site(std::string_view path, bool make_parents) const {
  const std::string_view parent_path = split_last(path).first;
  Site site{.at = find(parent_path)};
  if (site.at == nullptr && !make_parents) {
    return Error{ErrorCode::kNoKey,
                 key_at(parent_path) + " does not exist, the parent of " + shown(path)};
  }
  if (site.at == nullptr) {
    site.at = root;
    site.missing = parent_path.substr(1);
    for (std::string_view rest = site.missing;;) {
      Key* const next = find_child(site.at, take_segment(rest));
      if (next == nullptr) break;
      site.at = next;
      site.missing = rest;
    }
    site.missing_count = 1 + static_cast<uint64_t>(std::ranges::count(site.missing, '/'));
    site.missing_bytes = site.missing.size() + 1 - site.missing_count;
  }
  if (site.at->kind == KeyKind::kEphemeral) {
    return bad_argument(key_at(path_of(site.at)) + " is ephemeral: it has no children");
  }
  return site;
}

// The numbers of a parent's children begin with the parent's own number. That is greater than any
// number below an earlier key of the same path: a parent that was removed and made again does not
// hand out a name twice.
std::string_view KeyTree::State::numbered_path(const Site& site, std::string_view path) {
  const uint64_t parent_id =
      site.missing_count == 0 ? site.at->id : make_key_id(revision, made + site.missing_count - 1);
  const uint64_t given = site.missing_count == 0 ? counts_of(site.at).numbered : 0;
  char* const room = texts.allocate(path.size() + kDigits);
  path.copy(room, path.size());
  uint64_t number = parent_id + given;
  for (size_t i = kDigits; i > 0; --i, number /= 10) {
    room[path.size() + i - 1] = static_cast<char>('0' + number % 10);
  }
  return {room, path.size() + kDigits};
}

Result<Outcome> KeyTree::State::create(const Operation& operation, const Limits& limits) {
  Status status = check_kind(operation);
  if (status.ok()) status = check_value(operation, 0, limits);
  if (!status.ok()) return status.error();
  Result<Site> site = find_site(operation.path, operation.make_parents);
  if (!site.ok()) return site.error();
  std::string_view path = operation.path;
  if (operation.sequential) {
    path = numbered_path(*site, path);
    if (path.size() > limits.path_bytes) {
      return Error{ErrorCode::kTooLarge,
                   "path " + shown(path) + " has " + std::to_string(path.size()) +
                       " bytes with its number, the limit is " + std::to_string(limits.path_bytes)};
    }
  }
  if (site->missing_count == 0 && find_child(site->at, split_last(path).second) != nullptr) {
    return Error{ErrorCode::kKeyExists, key_at(path) + " exists"};
  }
  Result<Outcome> outcome = create_at(*site, path,
                                      {.value = operation.value,
                                       .kind = operation.key_kind,
                                       .session = operation.session,
                                       .ttl_ms = operation.ttl_ms},
                                      limits);
  if (outcome.ok() && operation.sequential) ++find(path)->parent->family->counts.numbered;
  return outcome;
}

Status KeyTree::State::check_growth(uint64_t keys, uint64_t more_bytes,
                                    const Limits& limits) const {
  if (made + keys > kMadePerEntryMax) {
    return over_limit("keys created by one entry", made + keys, kMadePerEntryMax);
  }
  if (keys > 0 && key_count + keys > limits.keys) {
    return over_limit("keys in existence", key_count + keys, limits.keys);
  }
  if (bytes + more_bytes > limits.bytes) {
    return over_limit("bytes of all names and values", bytes + more_bytes, limits.bytes);
  }
  return ok_status();
}

Status KeyTree::State::check_owner(SessionId session, const Limits& limits) const {
  const Owner* const owner = find_owner(session);
  const uint64_t count = 1 + (owner == nullptr ? 0 : owner->ties.size());
  if (count <= limits.ephemerals_of_a_session) return ok_status();
  return over_limit("ephemeral keys of session " + std::to_string(session.value), count,
                    limits.ephemerals_of_a_session);
}

Result<Outcome> KeyTree::State::create_at(const Site& site, std::string_view path,
                                          const NewKey& fresh, const Limits& limits) {
  NewKey named = fresh;
  named.name = split_last(path).second;
  const uint64_t keys = site.missing_count + 1;
  const uint64_t more_bytes = site.missing_bytes + named.name.size() + named.value.size();
  Status status = check_growth(keys, more_bytes, limits);
  if (status.ok() && fresh.kind == KeyKind::kEphemeral) status = check_owner(fresh.session, limits);
  if (!status.ok()) return status.error();
  Key* at = site.at;
  for (std::string_view rest = site.missing; !rest.empty();) {
    at = add(at, {.name = take_segment(rest)});
  }
  const Key* const key = add(at, named);
  return Outcome{
      .path = effects.events.back().path, .version = key->version, .created = true, .keys = keys};
}

// ---- remove ---------------------------------------------------------------------------------

Result<Outcome> KeyTree::State::remove(const Operation& operation) {
  if (const Status status = check_expected(operation.expected_version); !status.ok()) {
    return status.error();
  }
  if (operation.expected_version == 0) {
    return bad_argument("a remove of " + key_at(operation.path) +
                        " cannot expect version 0, that it does not exist");
  }
  Key* const key = find(operation.path);
  if (key == nullptr) return no_key(operation.path);
  if (const Status status = check_version(operation, *key); !status.ok()) return status.error();
  if (key->has_children() && !operation.recursive) {
    return Error{ErrorCode::kNotEmpty, key_at(operation.path) + " has " +
                                           std::to_string(key->family->children.size()) +
                                           " children"};
  }
  const uint64_t allowed = kRemovedPerEntryMax - removed;
  const uint64_t keys = count_subtree(key, allowed + 1);
  if (keys > allowed) {
    return over_limit(
        "keys removed by one entry, with those below " + shown(operation.path) + " at least",
        removed + keys, kRemovedPerEntryMax);
  }
  const uint64_t version = key->version;
  drop_subtree(key);
  return Outcome{.path = effects.events.back().path, .version = version, .keys = keys};
}

}  // namespace holdfast::tree
