// Reads, and whatever else waits for this server to have applied a revision. All linearizable reads
// of a turn share one read index, hence one quorum round (dissertation 6.4). One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "coordinator/server/host.h"

namespace holdfast::server {

/// A read on its way: `run` answers the call from the state as it is then.
struct PendingRead {
  CallId call;
  int64_t sequence = 0;
  Instant deadline;
  LogIndex min_revision;
  std::function<void()> run;
};

class Reads {
 public:
  explicit Reads(Host& host) : host_(host) {}

  /// Runs it once this server has applied what a leader had committed when the read arrived.
  void linearizable(PendingRead read);
  /// Runs it once this server has applied `read.min_revision`: at once if it has.
  void local(PendingRead read);

  /// End of a turn: asks for the read index of what gathered.
  void flush();
  void on_read(uint64_t context, LogIndex index);
  void on_read_failed(uint64_t context);
  /// Entries were applied: runs what waited for them.
  void on_applied();
  void sweep(Instant now);
  void shut_down();
  size_t size() const;

 private:
  void fail(const PendingRead& read, const Refusal& refusal);
  static void take_expired(std::vector<PendingRead>& from, Instant now,
                           std::vector<PendingRead>& expired);

  Host& host_;
  std::vector<PendingRead> gathered_;
  std::map<uint64_t, std::vector<PendingRead>> asked_;  // by read context
  std::multimap<LogIndex, PendingRead> waiting_;        // for a revision
  std::vector<PendingRead> runnable_;                   // reused by on_applied()
};

}  // namespace holdfast::server
