// The inside of the key tree: the containers that link its keys, and the few moves of which every
// operation is made. Split over
//   key_tree.cc    one entry from begin() to settle(), what ends by itself
//   operations.cc  put, create, remove: all is judged before anything is changed
//   moves.cc       finding, linking, and the three changes of a key
//   undo.cc        the way back, for a transaction that fails in its middle
//   reading.cc     get, compare, list
//   persist.cc     rows and load; invariants.cc  checks
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/flat_index.h"
#include "base/pool.h"
#include "coordinator/tree/key.h"
#include "coordinator/tree/key_tree.h"
#include "coordinator/tree/rows.h"
#include "coordinator/tree/text_arena.h"

namespace holdfast::tree {

/// What a new key is made of.
struct NewKey {
  std::string_view name;
  std::string_view value;
  KeyKind kind = KeyKind::kPersistent;
  SessionId session;   ///< ephemeral
  int64_t ttl_ms = 0;  ///< TTL
};

/// Where a key will stand: its parent, or the last key on the way to it and the names between.
struct Site {
  Key* at = nullptr;
  std::string_view missing;  ///< segments of parents to be made, "a/b"; empty if `at` is the parent
  uint64_t missing_count = 0;
  uint64_t missing_bytes = 0;
};

/// One change of one key, as it has to be undone.
struct Change {
  enum class Kind : uint8_t { kMade, kWritten, kDropped };
  Kind kind = Kind::kMade;
  Key* key = nullptr;
  ChildCounts parent;  ///< made, dropped: what the parent counted before
  // Written: what the key was before.
  uint64_t version = 0;
  Revision modify_revision;
  int64_t modified_unix_ms = 0;
  int64_t due_ms = 0;
  std::string_view value;  ///< a short one
  ValueBlock block;        ///< a long one
};

struct KeyTree::State {
  State(RowLog& rows, const Options& options);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Pools stand first: they are destroyed after the containers that link their objects.
  Pool<Family> family_pool;
  Pool<Tie> tie_pool;
  Pool<Timer> timer_pool;
  Pool<Owner> owner_pool;

  RowLog& rows;
  const uint64_t hash_seed;
  Digest digest;
  /// Keys by the hash of their paths. Many small indexes, so that none is long to grow.
  std::array<FlatIndex<Key*>, 64> index;
  FlatIndex<Owner*> owner_index;
  Timers timers;
  Key* root = nullptr;
  uint64_t key_count = 0;
  uint64_t bytes = 0;
  uint64_t ephemeral_count = 0;

  // The entry in progress, or the last one; after loading the largest revision in any row.
  Revision revision;
  int64_t now_ms = 0;
  int64_t unix_ms = 0;
  bool in_entry = false;
  uint64_t made = 0;     ///< keys that the entry's operations created
  uint64_t removed = 0;  ///< and removed
  Effects effects;
  TextArena texts;  ///< of effects and outcomes, and values that may have to come back
  std::vector<Key*> dirty_keys;
  std::vector<Family*> dirty_families;
  std::vector<Key*> gone_keys;  ///< destroyed when the entry is settled
  std::vector<Change> journal;  ///< of the transaction in progress
  bool keeps_journal = false;

  // What is being loaded.
  std::vector<std::pair<uint64_t, Key*>> loaded;  ///< ascending
  RowTable loaded_table{};
  uint64_t loaded_id = 0;

  // Finding (moves.cc).
  FlatIndex<Key*>& shard(uint64_t path_hash) { return index[path_hash >> 58]; }
  const FlatIndex<Key*>& shard(uint64_t path_hash) const { return index[path_hash >> 58]; }
  Key* find(std::string_view path) const;
  Key* find_child(const Key* parent, std::string_view name) const;
  Owner* find_owner(SessionId session) const;
  std::string_view kept_path(const Key* key);

  // Changing (moves.cc). Limits and rules were judged before.
  Key* make_key(uint64_t id, Key* parent, const NewKey& fresh);
  /// Puts a key into its parent, the indexes and counts, and takes it out of them. What the parent
  /// counts is another matter: see count_child().
  void attach(Key* key);
  void detach(Key* key);
  void link_owner(Tie* tie);
  void unlink_owner(Tie* tie);
  /// Destroys a key that is not linked.
  void discard(Key* key);
  void count_child(Key* parent);
  void set_counts(Key* parent, const ChildCounts& counts);
  void mark_dirty(Key* key);
  void mark_dirty(Family* family);
  /// Sets the timer to what `due_of` says.
  void update_timer(Key* key);
  void stop_timer(Timer* timer);
  Key* add(Key* parent, const NewKey& fresh);
  void write(Key* key, std::string_view value);
  void drop(Key* key, RemoveReason reason);
  void drop_subtree(Key* top);
  void tell(EventKind kind, const Key* key, RemoveReason reason);

  // Operations (operations.cc).
  Result<Outcome> run(const Operation& operation, const Limits& limits);
  Result<Outcome> put(const Operation& operation, const Limits& limits);
  Result<Outcome> create(const Operation& operation, const Limits& limits);
  Result<Outcome> remove(const Operation& operation);
  /// Creates a key whose path is `path` and that is not there yet.
  Result<Outcome> create_at(const Site& site, std::string_view path, const NewKey& fresh,
                            const Limits& limits);
  Result<Site> find_site(std::string_view path, bool make_parents) const;
  std::string_view numbered_path(const Site& site, std::string_view path);
  Status check_growth(uint64_t keys, uint64_t more_bytes, const Limits& limits) const;
  Status check_owner(SessionId session, const Limits& limits) const;

  // Undoing (undo.cc).
  struct Mark {
    size_t events, dirty_keys, dirty_families, gone_keys;
    uint64_t made, removed;
  };
  Mark mark() const;
  void roll_back(const Mark& to);
  void undo(Change& change);
  void undo_write(Change& change);
  ChildCounts counts_of(const Key* key) const;

  // Reading (reading.cc).
  Stat stat_of(const Key& key) const;
  const Key* first_after(const Key* top, const ListRequest& request) const;

  // Rows (persist.cc).
  void flush();
  void flush(Key* key);
  void flush(Family* family);
  Digest write_key(RowLog& log, const Key& key) const;
  Status load_key(uint64_t id, std::string_view row);
  Status load_children(uint64_t id, std::string_view row);
  Key* find_loaded(uint64_t id) const;

  // Checks (invariants.cc): the first broken one as a sentence, or empty.
  std::string check_key(const Key& key) const;
  std::string check_family(const Key& key) const;
  std::string check_counts(const Family& family) const;
  std::string check_ends(const Key& key) const;
  std::string check_structure() const;
  std::string check_digest() const;
};

/// When a key ends by itself in cluster time, as things stand; none if it does not.
std::optional<int64_t> due_of(const Key& key);

/// The key after `at` in the order of keys below `top`, all that is below `at` left out; null at
/// the end.
const Key* next_beside(const Key* at, const Key* top);
/// The same with what is below `at`.
const Key* next_key(const Key* at, const Key* top);

/// The path of a key, "/" for the root.
std::string path_of(const Key* key);

/// A path cut into what is above its last segment, "/" at least, and that segment.
std::pair<std::string_view, std::string_view> split_last(std::string_view path);

/// Takes the first segment off "a/b/c".
std::string_view take_segment(std::string_view& rest);

/// The hash of a path from that of its parent's.
uint64_t hash_below(uint64_t parent_hash, std::string_view name);

}  // namespace holdfast::tree
