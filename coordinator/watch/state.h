// The inside of Watches: owners, what is under way for them, and the queue of interests that fired.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "coordinator/watch/interests.h"
#include "coordinator/watch/watch.h"
#include "coordinator/watch/watches.h"

namespace holdfast::watch {

/// Watches that waking looks at before the next interest has its turn.
inline constexpr size_t kTurn = 256;
/// Objects of Busy kept for the next owners.
inline constexpr size_t kSpareMax = 1'024;
/// Watch::visited of one that has news from its registration on: looked at before all others.
inline constexpr Revision kNotVisited{UINT64_MAX};

/// Where a watch stood when the delivery under way was begun.
struct Told {
  Watch* watch = nullptr;
  Revision through;
  uint32_t part = 0;
  Mode mode = Mode::kLive;
};

/// How far a resync has walked.
struct Walker {
  Watch* watch = nullptr;
  Space space = Space::kKeys;
  std::string position;  ///< the last path walked; empty: none yet
  uint64_t part = 0;     ///< WalkItem::part of what was told there

  bool passed(const Event& event) const {
    if (event.space != space) return event.space < space;
    return !position.empty() && !tree_less(position, event.path());
  }
};
struct Walkers {
  Walker now;
  Walker acknowledged;
};

/// What an owner has only while there is something to tell it.
struct Busy {
  std::vector<Watch*> pending;  ///< watches with something to tell; who waits for a resync in order
  std::vector<Told> told;       ///< watches with a part in the delivery under way
  uint64_t delivery = 0;        ///< the delivery under way; 0: none
  bool resync_first = false;    ///< who has the first share of the next delivery
  std::unique_ptr<Walkers> walkers;

  bool walks(const Watch& watch) const { return walkers && walkers->now.watch == &watch; }
  void clear();
};

struct Owner {
  OwnerId id;
  WatchesOfOwner watches;
  std::unique_ptr<Busy> busy;
  uint32_t count = 0;
  bool awake = false;  ///< was named by take_woken(), or knows that there is more
};

/// The next group to tell of a watch, as an index into its interest's list.
struct NextGroup {
  Revision revision;
  Watch* watch = nullptr;
  size_t index = 0;

  /// For a heap with the first to tell on top.
  bool operator<(const NextGroup& other) const {
    return std::tuple(other.revision, other.watch->id) < std::tuple(revision, watch->id);
  }
};

struct Watches::State {
  explicit State(const WatchesOptions& options)
      : history(options.history, options.start, options.hash_seed),
        interests(history, options.hash_seed),
        newest_watch(options.last_id) {}

  // watches.cc
  void append(Revision revision, std::span<const NewEvent> events);
  void trim();
  Result<Registered> watch(OwnerId owner, const WatchSpec& spec, uint64_t watches_max);
  Watch* add_watch(OwnerId owner, const WatchSpec& spec, bool behind);
  void drop(Watch* watch);
  void drop_interest_of(Watch* watch);
  Owner* find_owner(OwnerId id);
  void commit(Owner& owner);
  void roll_back(Owner& owner);

  // waking.cc
  void fire(Interest& interest);
  void take_woken(size_t max, std::vector<OwnerId>& woken);
  size_t visit(Interest& interest, size_t portion, std::vector<OwnerId>& woken);
  void gather(Owner& owner);
  void make_pending(Watch& watch);
  Busy& busy_of(Owner& owner);
  void rest(Owner& owner);

  // invariants.cc
  std::string check(const Interest& interest, uint64_t& watches) const;
  /// Events after watch.through, those told of the next group too.
  size_t unseen(const Watch& watch) const;
  std::string check(const Watch& watch) const;
  std::string check(const Owner& owner) const;

  /// Something after the watch's cursor: not yet told, or lost, or a resync.
  static bool has_unseen(const Watch& watch) {
    return watch.mode != Mode::kLive || watch.interest->newest > watch.through;
  }
  /// The history dropped something that the watch has not been told. A walk that is told what its
  /// interest does not list cannot ask that, and takes it for lost if anything was dropped.
  bool has_lost(const Watch& watch) const {
    const bool listed_all = watch.mode != Mode::kWalking || watch.interest->types == kAllTypes;
    return (listed_all ? watch.interest->lost : history.floor()) > watch.through;
  }
  /// Where the changes after watch.through are that a walk is told: those of all types, for what it
  /// builds is the state, whatever events the watch wants besides.
  void find_changes(const Watch& watch, std::vector<uint64_t>& positions) const;
  /// Index in the interest's list of the first event after the cursor.
  size_t first_unseen(const Watch& watch) const;
  /// Index of the first event that is of a later revision than that at `index`.
  size_t group_end(const Interest& interest, size_t index) const;
  const Event& listed(const Interest& interest, size_t index) const {
    return history.at(interest.positions[index]);
  }

  std::deque<Watch> pool;  // first, for all that follows links its watches
  History history;
  Interests interests;
  FiredInterests fired;
  std::unordered_map<OwnerId, Owner> owners;
  std::vector<Watch*> free_watches;
  std::vector<std::unique_ptr<Busy>> spare;
  uint64_t watch_count = 0;
  WatchId newest_watch;
  std::vector<WalkItem> items;         // reused by collect()
  std::vector<NextGroup> next_groups;  // reused by collect()
  std::vector<uint64_t> walk_changes;  // reused by collect()
};

}  // namespace holdfast::watch
