// How fast a leader lets writes into the log when the snapshots of a quorum do not keep up with it
// (ARCHITECTURE, "Durability"): what waits for the snapshot is memory and log, and would grow until
// the disk is full. What frees or keeps alive is not slowed (PROMISE 12); nothing is refused that
// would not be without. Nothing is locked or allocated. One thread.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace holdfast::server {

class WritePace {
 public:
  /// Writes are slowed when so much of the cap waits for the snapshot: half of the last of three
  /// spans (Snapshots::behind()).
  static constexpr double kSlowedFrom = 5.0 / 6;
  /// Never less a second, however far behind: that somebody holds the database must not stop the
  /// cluster. What goes on growing then ends where the disk is full.
  static constexpr double kLeastBytes = 1 << 20;
  /// That go through before the first span tells how many do, as behind a start.
  static constexpr double kUnknownBytes = 8 << 20;
  static constexpr double kPatienceSeconds = 1;

  /// Begins a turn. `behind`: how much waits for the snapshot, as part of the cap; `drained`: how
  /// many bytes of the log a second the snapshot takes, zero: not known.
  void turn(Instant now, double behind, double drained);
  /// An entry may go now. If not, it waits, and others behind it.
  bool open();
  /// It went.
  void charge(uint64_t bytes) {
    if (slowed_) left_ -= static_cast<double>(bytes);
  }
  /// So much may wait: it goes within a second. More is refused, and comes again when there is room
  /// (PROMISE 13).
  double patience_bytes() const { return rate_ * kPatienceSeconds; }

  bool slowed() const { return slowed_; }
  /// That are let in; while slowed.
  double bytes_per_second() const { return rate_; }
  /// When what waits may go on; the end of time if nothing does.
  Instant next_wakeup() const;

 private:
  bool slowed_ = false;
  bool waits_ = false;
  double rate_ = 0;
  double left_ = 0;  ///< bytes that may go now; below zero after a large entry
  Instant at_;
};

}  // namespace holdfast::server
