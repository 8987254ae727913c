// Reads, and whatever else waits for this server to have applied a revision. All linearizable reads
// of a turn share one read index, hence one quorum round (dissertation 6.4). One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "coordinator/server/answer_time.h"
#include "coordinator/server/call_numbers.h"
#include "coordinator/server/deadlines.h"
#include "coordinator/server/fair_queue.h"
#include "coordinator/server/host.h"

namespace holdfast::server {

/// A read on its way: `run` answers the call from the state as it is then.
struct PendingRead {
  CallId call;
  int64_t sequence = 0;
  Instant deadline;
  LogIndex min_revision;
  std::function<void()> run;
  /// It waits to be judged, and may be a command: who sent one and left wants it done.
  bool outlives_client = false;
  size_t bytes = 0;    ///< that `run` keeps, about
  bool ready = false;  ///< it waits for nothing but time to be run
};

class Reads {
 public:
  explicit Reads(Host& host) : host_(host), time_(host) {}

  /// Runs it once this server has applied what a leader had committed when the read arrived.
  void linearizable(PendingRead read);
  /// Runs it once this server has applied `read.min_revision`: at once if it has, and the turn has
  /// time for it.
  void local(PendingRead read);

  /// End of a turn: asks for the read index of what gathered.
  void flush();
  void on_read(uint64_t context, LogIndex index);
  void on_read_failed(uint64_t context);
  /// Ends this call if it is a read that came for a revision still to come or had to wait for time:
  /// its client is gone. Other reads end once a quorum confirms them and this server has applied
  /// what it confirmed.
  void abandon(CallId call);
  /// Entries were applied: runs what waited for them.
  void on_applied();
  void sweep(Instant now);
  /// Reads are ready that this turn had no time for.
  bool more() const { return !ready_.empty(); }
  /// When sweep() next has something to look at; Instant::max() if never.
  Instant next_deadline() const { return deadlines_.next(); }
  size_t deadlines() const { return deadlines_.size(); }
  void shut_down();
  size_t size() const { return pending_.size(); }

 private:
  /// What keeps no more than this may take as much room again where others have used it up.
  static constexpr size_t kSmallBytes = 16 << 10;
  /// Reads that wait for time take a quarter of the room; so many of each connection may always.
  static constexpr size_t kReadyForAll = 16;

  /// Keeps it under a number of its own, or refuses it: as many wait as may.
  uint64_t keep(PendingRead&& read);
  std::optional<Refusal> no_room_for(const PendingRead& read) const;
  PendingRead take(uint64_t number);
  void wait_for_apply(uint64_t number, PendingRead& read);
  bool may_run(const PendingRead& read) {
    return read.outlives_client || (ready_.empty() && time_.left());
  }
  void run_in_turn(uint64_t number, PendingRead& read);
  void run_ready();
  void run(uint64_t number);
  void fail(uint64_t number, const Refusal& refusal);

  Host& host_;
  AnswerTime time_;
  uint64_t next_number_ = 0;
  std::unordered_map<uint64_t, PendingRead> pending_;  // by number; its order is never observed
  // Numbers of reads that have ended meanwhile may stand in these three: they find nobody.
  std::vector<uint64_t> gathered_;
  std::map<uint64_t, std::vector<uint64_t>> asked_;  // by read context
  uint64_t pending_bytes_ = 0;                       // of `pending_`
  FairQueue ready_;
  std::set<std::pair<LogIndex, uint64_t>> waiting_;  // for a revision
  CallNumbers left_with_client_;                     // what abandon() ends
  DeadlineQueue deadlines_;
};

}  // namespace holdfast::server
