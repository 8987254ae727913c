// Acquire calls that are held here while their place waits in its queue. The place itself is
// replicated; only the call is here. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "coordinator/server/deadlines.h"
#include "coordinator/server/host.h"

namespace holdfast::server {

class Waits {
 public:
  explicit Waits(Host& host) : host_(host) {}

  /// Holds the call until its wait ends, or min(TTL/4, 60 s) or `until` passes; an earlier call for
  /// the same place is answered WAITING. False if there is no room: the caller answers WAITING.
  bool park(CallId call, SessionId session, Sequence sequence, Instant until);
  void on_effect(const rsm::Effect& effect);
  void sweep(Instant now);
  Instant next_deadline() const { return deadlines_.next(); }
  void shut_down();
  size_t parked() const { return parked_.size(); }

 private:
  using Key = std::pair<SessionId, Sequence>;
  struct Parked {
    CallId call;
    Instant until;
    uint64_t number = 0;  ///< its key in deadlines_
  };
  using Map = std::map<Key, Parked>;

  Parked take(Map::iterator at);
  void end(Map::iterator at, const rsm::CommandResult& result, std::string_view path);
  void answer_waiting(const Key& key, CallId call);
  void end_session(SessionId session);
  void fail_ended(SessionId session, Sequence sequence, CallId call);

  Host& host_;
  Map parked_;
  std::map<uint64_t, Key> numbers_;
  uint64_t next_number_ = 0;
  DeadlineQueue deadlines_;
};

/// Answers an acquire or acquireAll: a result, or the error it came to. `path` is the (first)
/// lock's.
void answer_acquire(Host& host, CallId call, Sequence sequence, std::string_view path,
                    const rsm::CommandResult& result);

}  // namespace holdfast::server
