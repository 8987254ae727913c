// A watch: a cursor in the list of its interest, and the links that find it. There may be 100,000
// of one key, so it has no member that could be derived.
#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <cstdint>

#include "coordinator/watch/types.h"

namespace holdfast::watch {

namespace bi = boost::intrusive;
using ListLink = bi::list_member_hook<>;
using SetLink = bi::set_member_hook<bi::optimize_size<true>>;

struct Interest;
struct Owner;

enum class Mode : uint8_t {
  kLive,     ///< is told events
  kBehind,   ///< must be resynchronised; RESYNC_BEGIN is not told yet
  kWalking,  ///< between RESYNC_BEGIN and RESYNC_END; the only one of its owner
};

struct Watch {
  WatchId id;
  Owner* owner = nullptr;
  Interest* interest = nullptr;
  /// All events up to this revision were handed out, and `part` matching ones of the next group.
  Revision through;
  uint32_t part = 0;
  Mode mode = Mode::kLive;
  bool with_values = false;
  bool pending = false;  ///< in Busy::pending
  bool told = false;     ///< in Busy::told
  Revision visited;      ///< waking has looked at it when its interest's newest event was this one
  ListLink interest_link;
  SetLink owner_link;
};

/// Watches of an owner by id; ids are compared with watches, so that looking one up makes none.
struct ByWatchId {
  static WatchId id_of(const Watch& watch) { return watch.id; }
  static WatchId id_of(WatchId id) { return id; }
  bool operator()(const auto& a, const auto& b) const { return id_of(a) < id_of(b); }
};

using WatchesOfInterest = bi::list<Watch, bi::member_hook<Watch, ListLink, &Watch::interest_link>>;
using WatchesOfOwner = bi::set<Watch, bi::member_hook<Watch, SetLink, &Watch::owner_link>,
                               bi::compare<ByWatchId>, bi::constant_time_size<false>>;

}  // namespace holdfast::watch
