// Deadlines of things that nearly always end before them: adding is appending to a bucket, ending
// early costs nothing, and what is still there when its bucket is due is looked at then.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "base/time.h"

namespace holdfast::server {

/// Keys may be stale or stand twice: the caller checks each expired one against what it keeps.
/// Fires up to kBucket late, never early.
class DeadlineQueue {
 public:
  static constexpr Duration kBucket = 16ms;
  static constexpr Duration kAhead = 5s;

  void add(uint64_t key, Instant deadline) {
    const int64_t bucket = bucket_after(deadline);
    // Deadlines of one length come in order: mostly it is the last bucket, or the next.
    const auto last = buckets_.empty() ? buckets_.end() : std::prev(buckets_.end());
    const bool in_last = last != buckets_.end() && last->first == bucket;
    (in_last ? last : at(bucket))->second.push_back(key);
  }

  /// The same of a deadline that a client chooses: one that is further ahead than kAhead fires
  /// then, and the caller adds it again. So what ends early is not kept for long, however far it is
  /// off.
  void add_in_steps(uint64_t key, Instant deadline, Instant now) {
    add(key, std::min(deadline, now + kAhead));
  }

  /// Keys that have not fired, those of what has ended among them.
  size_t size() const {
    size_t keys = 0;
    for (const auto& [bucket, in_it] : buckets_) keys += in_it.size();
    return keys;
  }

  /// Calls expired(key) for everything whose deadline has passed at `now`.
  template <class Expired>
  void take_due(Instant now, Expired&& expired) {
    while (!buckets_.empty() && Instant(buckets_.begin()->first * kBucket) <= now) {
      // Taken out first: `expired` may add.
      Buckets::node_type due = buckets_.extract(buckets_.begin());
      for (const uint64_t key : due.mapped()) expired(key);
      if (spare_.size() == kSpares) continue;
      due.mapped().clear();
      spare_.push_back(std::move(due));
    }
  }

  /// When take_due() next has something to look at; Instant::max() if never.
  Instant next() const {
    return buckets_.empty() ? Instant::max() : Instant(buckets_.begin()->first * kBucket);
  }

 private:
  using Buckets = std::map<int64_t, std::vector<uint64_t>>;
  /// Emptied buckets kept for reuse: in steady state adding allocates nothing.
  static constexpr size_t kSpares = 16;

  Buckets::iterator at(int64_t bucket) {
    if (spare_.empty()) return buckets_.try_emplace(buckets_.end(), bucket);
    const auto found = buckets_.find(bucket);
    if (found != buckets_.end()) return found;
    Buckets::node_type node = std::move(spare_.back());
    spare_.pop_back();
    node.key() = bucket;
    return buckets_.insert(buckets_.end(), std::move(node));
  }
  static int64_t bucket_after(Instant deadline) {
    return (deadline.time_since_epoch() + kBucket - 1ns) / kBucket;
  }

  Buckets buckets_;
  std::vector<Buckets::node_type> spare_;
};

}  // namespace holdfast::server
