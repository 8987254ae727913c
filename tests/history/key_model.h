// Some keys as docs/keys.md describes them, a change at a time: the sequential model that histories
// are held against. Shares no code with coordinator/tree.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/history/timeline.h"

namespace holdfast::history {

/// A revision, or the first and last that it may be.
struct Span {
  uint64_t first = 0;
  uint64_t last = 0;

  bool holds(uint64_t revision) const { return first <= revision && revision <= last; }
  bool operator==(const Span&) const = default;
};

struct ModelKey {
  std::string value;
  uint64_t version = 1;
  Span created, modified;
  uint64_t owner = 0;
  bool container = false;
  bool had_child = false;  ///< container
  Span emptied;            ///< container: since when it has no child any more
  int64_t ttl_ms = 0;
  int64_t written = 0;  ///< its last write took effect after this moment
};

/// Why a write was refused.
enum class Refusal {
  kNone,
  kBadVersion,
  kKeyExists,
  kNoKey,
  kNotEmpty,
  kImpossible,  ///< it is never done: without a session, or below an ephemeral key
};

class KeyModel {
 public:
  /// `parents`: those whose children are all told, as in KeyHistory; it outlives this.
  explicit KeyModel(const std::set<std::string>& parents) : parents_(&parents) {}

  std::map<std::string, ModelKey> keys;
  std::set<uint64_t> ended;  ///< sessions

  /// What a write comes to, which is done only if nothing refuses it.
  struct Outcome {
    Refusal refusal = Refusal::kNone;
    bool succeeded = true;  ///< the conditions hold
    std::vector<KeyResult> results;
  };
  /// `holds`: what its conditions on locks come to.
  Outcome write(const KeyCommand& command, Span revision, bool holds);
  /// Its ephemeral keys go.
  void end_session(uint64_t session, Span revision);
  /// May a TTL key, or a container, have ended by itself at one of these revisions, which had been
  /// applied at `moment`?
  bool may_end(const std::string& path, Span revision, int64_t moment) const;
  void end(const std::string& path, Span revision);
  /// What is wrong with a read, or nothing. What it tells of a revision is remembered.
  std::optional<std::string> read(const KeyRead& read);
  /// The same of what it shows, in the entry that is to have created that.
  std::optional<std::string> made(const KeyRead& read);

  bool owns_any(uint64_t session) const;
  uint64_t hash() const;
  std::string describe() const;

 private:
  bool has_below(const std::string& path) const;
  Refusal make_way(const KeyWrite& write, const std::string& path, Span revision);
  void settle(Span revision);
  bool meets(const KeyCompare& compare, bool holds) const;
  Refusal step(const KeyCommand& command, const KeyWrite& write, size_t number, Span revision,
               KeyResult& result);
  Refusal put(const KeyCommand& command, const KeyWrite& write, Span revision, KeyResult& result);
  Refusal create(const KeyCommand& command, const KeyWrite& write, const std::string& path,
                 Span revision, KeyResult& result);
  Refusal remove(const KeyWrite& write, KeyResult& result);

  const std::set<std::string>* parents_;
};

}  // namespace holdfast::history
