// One call of collect(): fills a delivery from the owner's pending watches within its budget.
#pragma once

#include <algorithm>
#include <span>

#include "coordinator/watch/state.h"

namespace holdfast::watch {

/// What may still be told. The first entry fits however large it is.
struct Budget {
  size_t bytes = 0;
  size_t entries = 0;
  bool first = false;

  bool fits(size_t size) const { return first || (entries > 0 && size <= bytes); }
  void take(size_t size) {
    bytes -= std::min(bytes, size);
    entries -= std::min<size_t>(entries, 1);
    first = false;
  }
};

class Collector {
 public:
  Collector(Watches::State& state, Owner& owner, const CollectRequest& request, Walk& walk,
            Sink& sink)
      : state_(state), owner_(owner), request_(request), walk_(walk), sink_(sink) {}

  Collected run();

 private:
  enum class Handed : uint8_t { kWhole, kPart, kNothing };

  void find_behind();
  void begin_pass(bool share);
  void take(size_t size);
  void tell(Watch& watch);
  void pass_by(Watch& watch, Revision revision);
  void finish();

  // Events.
  void tell_events(bool share);
  void push_next(Watch* watch, size_t index);
  Handed hand_group(const NextGroup& next, size_t end);

  // Resyncs, one after the other (resync.cc).
  void resync(bool share);
  Watch* next_resync();
  bool begin_walk(Watch& watch);
  bool tell_passed(Watch& watch);
  bool hand_passed(Watch& watch, std::span<const uint64_t> group);
  bool walk_on(Watch& watch);
  bool walk_chunk(Watch& watch, bool& at_end);
  bool end_walk(Watch& watch);

  Watches::State& state_;
  Owner& owner_;
  const CollectRequest& request_;
  Walk& walk_;
  Sink& sink_;
  Budget budget_;  ///< of the pass
  Collected result_;
  Revision next_revision_;  ///< of the events left over; zero: none are
  size_t resyncs_ = 0;      ///< watches that are behind or walk
};

}  // namespace holdfast::watch
