// Watches: who is told what, in which order, from where on (PROMISE 10, TESTING I19). One thread.
//
//   append(revision, events)   what an entry changed goes into the history and to the interests
//   take_woken(max, woken)     owners that have news and do not know it yet, in portions
//   collect(owner, ...)        their events, as one delivery; acknowledge(owner, delivery) or, if
//                              the reply was lost, rewind(owner)
//
// ORDER. A delivery has groups {watch, revision, events}: the matching events of one entry, in the
// order in which apply told them. Groups come in revision order over all watches of the owner (of
// one revision, in order of watch id); a watch registered with an older `since` begins there. A
// group that exceeds the budget alone is told in parts: `complete` is false for all but the last,
// the next delivery goes on with the very next event, and the client waits for the whole.
//
// DELIVERIES. An owner has at most one that is not acknowledged. A client acknowledges exactly the
// deliveries that it has taken up, and takes up none that comes after it has asked again. Cursors
// go forward when a delivery is made and back to the acknowledged place when it is rewound, which
// collect() does by itself. So a delivery may be sent twice, and is taken up once.
//
// PROGRESS. Collected::progress is a revision up to which the owner has been told everything, for
// all its watches with ids up to `newest_watch`; zero says nothing. Events, RESYNC_END and progress
// move the revision with which a client registers elsewhere; a part of a group does not.
//
// RESYNC. A watch whose next event the history has dropped is behind, as is one registered with a
// revision below the floor. It is resynchronised in the stream:
//   1. RESYNC_BEGIN(B). The client starts to build a new view beside the one it has, which takes
//   the
//      old one's place at RESYNC_END. (So what was removed while it was not told is not said one by
//      one. A client that registers again in between goes back to the old view and revision.)
//   2. A walk in tree order, keys first, then locks. Let `through` be the revision up to which
//      events were dealt with (at first B), and p the last path walked. Each delivery
//      a. deals with the events in (through, last]: those at or before p are told, those behind p
//         are passed over; then, through being last,
//      b. tells the next objects after p as snapshot items, as they are at last, and moves p.
//   3. RESYNC_END(R), R being last, when the walk is at its end. Events go on from R + 1.
// Nothing is missed, doubled or out of order: after each step the client's view of the paths up to
// p is the state at `through`. (b) keeps that, as it runs at through = last only, and the walk
// shows the state at last. (a) keeps it, as it applies exactly the changes in (through, last] to
// those paths. What is behind p has not been told at all, so no item is older than a change told
// before it, and a change passed over is contained in the item that comes later. At the end p is
// behind every path: the view is the state at R. Within a resync, and only there, a group may lack
// events of its entry (those behind p), and items and groups are of use only when RESYNC_END has
// come. If the history drops an event that (a) still needs, the resync begins again with
// RESYNC_BEGIN, after the other watches of the owner that wait for theirs. One watch of an owner
// walks at a time. It ends if the client takes more entries a delivery, n, than there are matching
// changes between two deliveries, c: a change costs one entry, as an event before p or as an item
// behind it, so n - c of the walk are gained each time and items / (n - c) deliveries suffice; and
// the history loses nothing as long as it holds the changes of one such interval. A client that is
// slower than that cannot be shown any complete state in bounded replies without a copy of its own.
// While an owner has events and a resync, they share each delivery.
//
// COST. An entry costs the depth of its paths and the interests that match, not their watches;
// those are looked at by take_woken(), `max` a call. A watch takes a cursor and its links.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "coordinator/watch/history.h"
#include "coordinator/watch/types.h"

namespace holdfast::watch {

struct WatchesOptions {
  HistoryBounds history;
  /// The revision at which this process begins to see entries.
  Revision start;
  /// Seeds the hash tables, whose order nothing can observe. A server passes a random number, so
  /// that nobody can choose paths that collide.
  uint64_t hash_seed = 0;
  /// Watches are numbered from the next one on. A server passes a random number, so that what names
  /// a watch of an earlier process names none of this one.
  uint64_t last_id = 0;
};

/// An object of the current state.
struct WalkItem {
  std::string_view path;
  std::string_view payload;  ///< the caller's; nothing here looks into it
  size_t bytes = 0;          ///< what telling it adds to a reply
  /// Not zero: the object goes on after this one with the next item, of the same path.
  uint64_t part = 0;
};

struct WalkRange {
  std::string_view path;
  Scope scope = Scope::kNode;
  Space space = Space::kKeys;
  bool with_values = false;
  std::string_view after;   ///< the last path walked; empty: none yet
  uint64_t after_part = 0;  ///< the part of the last item walked
};

/// The current state, as of the last appended revision.
class Walk {
 public:
  virtual ~Walk() = default;
  /// Appends at most `max` objects in `range.scope` of `range.path`, strictly after `range.after`,
  /// in tree order (see tree_less: depth first, children in byte order). True: there are no more.
  /// An object of many pieces may come in several items; a change of what was told of it in part is
  /// told as an event, so the next items show what else it has then. Views are valid until the next
  /// call.
  virtual bool next(const WalkRange& range, size_t max, std::vector<WalkItem>& out) = 0;
};

/// Takes up a delivery as collect() makes it; calls back into nothing.
class Sink {
 public:
  virtual ~Sink() = default;
  /// What telling the event adds to a reply; e.g. the size of its encoding, which is then made.
  virtual size_t size_of(const Event& event, bool with_value) = 0;
  /// A group; add() follows for each event, then end_group().
  virtual void begin_group(WatchId watch, Revision revision) = 0;
  virtual void add(const Event& event, bool with_value) = 0;
  virtual void end_group(bool complete) = 0;
  virtual void resync_begin(WatchId watch, Revision revision) = 0;
  virtual void snapshot_item(WatchId watch, Space space, const WalkItem& item) = 0;
  virtual void resync_end(WatchId watch, Revision revision) = 0;
};

struct CollectRequest {
  OwnerId owner;
  uint64_t delivery = 0;  ///< number of this delivery, not zero
  size_t bytes = size_t{1} << 20;
  size_t entries = 1'000;  ///< events, items and marks of a resync
};

struct Collected {
  size_t bytes = 0;  ///< as the sink and the walk count them
  size_t entries = 0;
  bool more = false;  ///< there is more to collect at once
  Revision progress;
  WatchId newest_watch;
};

struct Registered {
  WatchId id;
  Revision since;       ///< events after it are told
  bool resync = false;  ///< `since` lies before the history: begins with a resync
};

/// A watch as operators see it.
struct WatchView {
  OwnerId owner;
  WatchId id;
  std::string_view path;  ///< valid until the next call
  Scope scope = Scope::kNode;
  uint8_t spaces = kBothSpaces;
  uint32_t types = kAllTypes;
  bool with_values = false;
  bool behind = false;  ///< not all that it is to be told was handed out
  bool resyncing = false;
};

struct WatchList {
  std::vector<WatchView> watches;
  uint64_t next = 0;  ///< where to go on; 0: these were the last
};

class Watches {
 public:
  explicit Watches(const WatchesOptions& options);
  ~Watches();
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;

  // ---- what happened --------------------------------------------------------------------------

  /// The entry at `revision` was applied; revisions strictly ascend. One without events is to be
  /// appended too: it is what progress and `since` are measured by.
  void append(Revision revision, std::span<const NewEvent> events);

  void set_bounds(const HistoryBounds& bounds);

  /// For encodings, and what is covered.
  History& history();
  const History& history() const;

  // ---- who watches ----------------------------------------------------------------------------

  ///   LIMIT_EXCEEDED the owner has `watches_max` watches
  ///   BAD_ARGUMENT   a path that is not absolute, no or unknown spaces, no types
  /// O(log own watches); for the first watch of its kind that looks back to `since` also the later
  /// events of its paths, or all later events if it is a subtree.
  Result<Registered> watch(OwnerId owner, const WatchSpec& spec, uint64_t watches_max);
  /// False if the owner has no such watch. Of a delivery not yet acknowledged the rest stands.
  bool unwatch(OwnerId owner, WatchId id);
  /// With all its watches and what was under way. O(own watches).
  void remove_owner(OwnerId owner);

  // ---- who is to be told ----------------------------------------------------------------------

  /// Appends owners that have news: each once, however many of its watches fired, until a collect()
  /// that leaves nothing. Looks at `max` watches at most; what is left comes with the next calls,
  /// interests taking turns and, within one, those first that waited longest. Nobody is named who
  /// has nothing.
  void take_woken(size_t max, std::vector<OwnerId>& woken);
  /// take_woken() has more to do.
  bool waking() const;
  /// collect() would tell something.
  bool has_news(OwnerId owner);

  // ---- telling --------------------------------------------------------------------------------

  /// Makes the next delivery: at least one entry if there are any, then what fits. Rewinds one that
  /// was not acknowledged. Then drops what the history cannot hold, encodings counted.
  Collected collect(const CollectRequest& request, Walk& walk, Sink& sink);
  /// The client has taken up this delivery. False, and nothing changes, if it is not the one that
  /// is under way.
  bool acknowledge(OwnerId owner, uint64_t delivery);
  /// The client's call does not acknowledge the delivery under way: it was lost, and the next one
  /// begins again from the acknowledged place. (That its connection broke says nothing: it may have
  /// taken the delivery up.) The owner is not woken for that; has_news() tells its call.
  void rewind(OwnerId owner);

  // ---- for operators and checks ---------------------------------------------------------------

  uint64_t watch_count() const;
  uint64_t owner_count() const;
  uint64_t interest_count() const;
  uint64_t watches_of(OwnerId owner) const;
  /// Those in the next `max` places from `place` on, with `path_bytes` of paths at most but one at
  /// least. A watch has one place as long as it lives; there are empty ones. O(max).
  WatchList list(uint64_t place, size_t max, size_t path_bytes) const;

  /// The first broken invariant as a sentence, or empty: lists, counts, queues and cursors against
  /// a recount. O(interests * history + watches).
  std::string check_invariants() const;

 private:
  friend class Collector;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::watch
