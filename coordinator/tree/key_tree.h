// The key tree: keys by path, their values and versions. Replicated state, pure and deterministic:
// driven by committed entries only, it reads no clock and calls nobody.
//
// One entry is applied as
//     begin(revision, ...)  ->  run_due(limit)  ->  commands  ->  settle()
// All that an entry changes has its revision. settle() writes the row changes and hands out the
// events.
//
// The order of keys is that of their segments, compared bytewise from the root on, a key before
// what is below it: "/a", "/a/z", "/a-b", "/b". It is that of the path bytes with '/' below all
// others.
//
// One thread. Errors are for the client and name the value and the limit; a broken call order is
// our own bug and stops the process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/rows.h"
#include "coordinator/tree/types.h"

namespace holdfast::tree {

/// Most keys that one entry's operations may create, and that they may remove.
inline constexpr uint64_t kMadePerEntryMax = 4'096;
inline constexpr uint64_t kRemovedPerEntryMax = 10'000;

struct Options {
  /// Seeds the hash indexes, whose order nothing can observe. A server passes a random number, so
  /// that nobody can choose paths that collide.
  uint64_t hash_seed = 0;
};

class KeyTree {
 public:
  /// Row changes go to `rows`, which must outlive the tree; its owner reads and clears it.
  explicit KeyTree(RowLog& rows, const Options& options = {});
  ~KeyTree();
  KeyTree(const KeyTree&) = delete;
  KeyTree& operator=(const KeyTree&) = delete;

  // ---- one entry ----------------------------------------------------------------------------

  /// Starts an entry. Revisions strictly ascend; `now_ms`, the entry's cluster time, never goes
  /// back. `unix_ms` is the leader's wall clock, stored for people and never compared. Views handed
  /// out before become invalid.
  void begin(Revision revision, int64_t now_ms, int64_t unix_ms);

  /// Removes keys whose end in cluster time has come, earliest first, at most `limit`; returns how
  /// many. What is left is seen by next_due_ms(). A container that lost its last child, and a TTL
  /// key that did so after its time, stay for a millisecond of cluster time: never removed in the
  /// entry that emptied them.
  size_t run_due(size_t limit = 1'000);

  /// Does all operations in order, or none and says which one failed and why; `outcomes` then is
  /// empty. Later ones see what earlier ones did. What is not said on the way:
  ///   BAD_ARGUMENT   the root, a child of an ephemeral key, a version below -1, a remove that
  ///                  expects version 0, an ephemeral key without session, a TTL out of place
  ///   NO_KEY         no such key, or no such parent
  ///   KEY_EXISTS     create, also of a sequential key whose next number is taken
  ///   BAD_VERSION    another version than expected
  ///   NOT_EMPTY      a remove that is not recursive, of a key with children
  ///   TOO_LARGE      value, or path with its number
  ///   LIMIT_EXCEEDED a quota of `limits`, kMadePerEntryMax, kRemovedPerEntryMax
  std::optional<Failure> apply(std::span<const Operation> operations, const Limits& limits,
                               std::vector<Outcome>& outcomes);

  /// Removes all ephemeral keys of these sessions (PROMISE 7), session by session, each one's in
  /// order of creation. Sessions without keys are ignored.
  void end_sessions(std::span<const SessionId> sessions);

  /// Writes the row changes. Nothing but reads may follow until the next begin().
  const Effects& settle();

  // ---- reads --------------------------------------------------------------------------------

  /// When the next tick is due, in cluster time; may be in the past. None if nothing is timed.
  std::optional<int64_t> next_due_ms() const;

  std::optional<KeyView> get(std::string_view path) const;

  /// Does the comparison hold now?
  bool holds(const Compare& compare) const;

  /// A page in the order of keys. It depends on the state and the request alone: pages stay in
  /// order however the tree changes between them, and a key that stays is in exactly one.
  /// NO_KEY if there is no `path`; BAD_ARGUMENT if `after` is not below it.
  Result<KeyPage> list(const ListRequest& request) const;

  uint64_t key_count() const;  ///< without the root
  uint64_t bytes() const;      ///< names and values
  uint64_t ephemeral_count() const;
  uint64_t ephemerals_of(SessionId session) const;
  /// Sessions with ephemeral keys, ascending. For checks; O(keys).
  std::vector<SessionId> sessions() const;

  // ---- rows ---------------------------------------------------------------------------------

  /// Sum of the hashes (row_hash) of all present rows of the tree's tables.
  const Digest& digest() const;

  /// Takes one row of an empty tree's future state; rows come in ascending order of table and id.
  /// CORRUPT names what does not fit. finish_load() ends it; nothing else may be called between.
  Status load(RowTable table, uint64_t id, std::string_view row);
  Status finish_load();

  /// The first broken invariant as a sentence, or empty: parents and children, owners, timers,
  /// counts, indexes and the digest equal to a recount. O(state).
  std::string check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::tree
