// What a follower takes of its leader's entries (PROMISE 12): no more than its log has room for, so
// that terms and votes always find some. Raft stands on a network that loses and delays messages:
// what finds no room on a full disk counts as lost, and the leader sends it again; while segments
// are merely not ready yet it waits here. A part of a message is as good a message. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "coordinator/server/log_budget.h"
#include "raft/core/types.h"

namespace holdfast::server {

class AppendGate {
 public:
  using Deliver = std::function<void(raft::Message&&)>;
  /// At most so many bytes of entries wait, and so many messages; more count as lost.
  struct Limits {
    uint64_t bytes = 0;
    size_t messages = 256;
  };

  /// `budget` outlives the gate.
  AppendGate(LogBudget& budget, Limits limits, Deliver deliver);

  /// Delivers what there is room for, at once or in later turns; appends in order.
  void receive(raft::Message&& message);
  /// Begins a turn: there may be room by now for what waits.
  void turn();

  size_t waiting() const { return waiting_.size(); }
  /// Messages that lost entries for want of room.
  uint64_t lost() const { return lost_; }

 private:
  bool pass(raft::Message& message);

  LogBudget& budget_;
  const Limits limits_;
  const Deliver deliver_;
  std::deque<raft::Message> waiting_;
  uint64_t waiting_bytes_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace holdfast::server
