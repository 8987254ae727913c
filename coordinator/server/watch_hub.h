// Watches of the sessions that watch through this server: what apply changed goes in, what their
// polls carry comes out (PROMISE 10). Nothing of it is replicated or survives this process; a
// client registers again, here or elsewhere, with the last revision it was told. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "coordinator/rsm/effects.h"
#include "coordinator/server/host.h"
#include "coordinator/server/watch_codec.h"
#include "coordinator/watch/watches.h"

namespace holdfast::server {

class WatchHub {
 public:
  explicit WatchHub(Host& host);

  /// The entry at `revision` was applied; every entry is told, in order.
  void on_entry(LogIndex revision, std::span<const tree::Event> keys, const rsm::Effects& effects);

  /// BAD_ARGUMENT, UNSUPPORTED or LIMIT_EXCEEDED name the field and the limit.
  Result<watch::Registered> watch(SessionId session, const api::WatchRequest& request);
  void unwatch(SessionId session, int64_t watch_id);
  /// The session has ended. One that polls elsewhere keeps its watches here: serverEpoch, which is
  /// the same when it comes back, says that they are here.
  void forget(SessionId session) { watches_.remove_owner(owner_of(session)); }

  bool has_news(SessionId session) { return watches_.has_news(owner_of(session)); }
  /// The session's next poll has come and acknowledges this delivery; any other that is under way
  /// was lost and is told again.
  void take_acknowledgement(SessionId session, int64_t delivery);
  /// Fills in what the watches have to tell, and `more`, within what a reply may bear.
  void collect(SessionId session, PollReply& reply);
  /// Nothing of that, and `more`: it comes with the next poll.
  void leave_out(PollReply& reply) const;

  /// Calls wake(session) for sessions that have news and do not know it, so many at a time.
  template <class Wake>
  void wake(Wake&& wake) {
    woken_.clear();
    watches_.take_woken(kWokenPerTurn, woken_);
    for (const watch::OwnerId owner : woken_) wake(SessionId(owner.value));
  }
  /// wake() has more to do.
  bool waking() const { return watches_.waking(); }

  /// Who watches what here; names of sessions are left out.
  api::ListWatchesResult list(uint64_t place, size_t max, size_t path_bytes) const;

  /// Whether the key may have changed after `revision`: true also if that is before the history.
  bool may_have_changed(std::string_view path, LogIndex revision) const;

  /// Random number of this process: tells clients whether their watches are here.
  int64_t epoch() const { return epoch_; }
  const watch::Watches& watches() const { return watches_; }

 private:
  static constexpr size_t kWokenPerTurn = 500;

  void begin(PollReply& reply) const;
  static watch::OwnerId owner_of(SessionId session) { return watch::OwnerId(session.value); }

  Host& host_;
  const int64_t epoch_;
  watch::Watches watches_;
  EventBatch batch_;
  EventEncoder encoder_;
  std::vector<watch::OwnerId> woken_;
};

}  // namespace holdfast::server
