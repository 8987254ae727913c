// Calls of waitForChange that are parked here until their key changes. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "coordinator/server/answer_time.h"
#include "coordinator/server/call_numbers.h"
#include "coordinator/server/deadlines.h"
#include "coordinator/server/fair_queue.h"
#include "coordinator/server/host.h"
#include "coordinator/tree/types.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::server {

class KeyWaits {
 public:
  explicit KeyWaits(Host& host) : host_(host), time_(host) {}

  /// Holds the call until the key at `path` changes or the time is up. False: no room to park.
  bool park(CallId call, int64_t sequence, const std::string& path, Instant until);
  /// Answers with the key as it is now.
  void answer(CallId call, int64_t sequence, const std::string& path, bool changed);
  /// Ends the wait of this call, if it is parked here: its client is gone.
  void abandon(CallId call);

  void on_events(std::span<const tree::Event> events);
  /// Answers what has ended, as much of it as a turn may.
  void sweep(Instant now);
  /// sweep() has more to answer.
  bool more() const { return !ended_.empty(); }
  Instant next_deadline() const { return deadlines_.next(); }
  void shut_down();
  size_t parked() const { return waits_.size(); }

 private:
  struct Wait {
    CallId call;
    int64_t sequence = 0;
    std::string path;
    bool ended = false;
    bool changed = false;  ///< that is why
  };

  using Waits = std::unordered_map<uint64_t, Wait>;

  void leave_path(Waits::iterator at);
  void end(uint64_t number, Wait& wait, bool changed);
  Wait take(Waits::iterator at);
  void refuse(Waits::iterator at, const Refusal& refusal);

  Host& host_;
  AnswerTime time_;
  uint64_t next_number_ = 0;
  Waits waits_;  // by number; its order is never observed
  /// The numbers of those who wait for a path. Any of very many may be the next whose time is up.
  std::unordered_map<std::string, std::set<uint64_t>> by_path_;
  CallNumbers by_call_;
  FairQueue ended_;  ///< to be answered; some may be abandoned since
  DeadlineQueue deadlines_;
};

}  // namespace holdfast::server
