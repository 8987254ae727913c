// Whether this server has what its leader had when the two met: until it has, its local reads may
// be of any age, and whoever replaces or upgrades servers one by one must not go on. It asks for
// the read index as a linearizable read does (dissertation 6.4), once for each leader. One thread.
#pragma once

#include <cstdint>
#include <optional>

#include "coordinator/server/host.h"

namespace holdfast::server {

class CaughtUp {
 public:
  explicit CaughtUp(Host& host) : host_(host) {}

  /// Another leader, or the same in another term: what an earlier one had says nothing of it.
  void on_leader_changed() { asked_ = 0, index_.reset(); }
  /// End of a turn: asks, if it has to.
  void flush() {
    if (!wants_to_ask() || host_.clock.now() < ask_again_) return;
    asked_ = host_.new_read_context(ReadPurpose::kCaughtUp);
    host_.node->read_index(asked_);
  }
  void on_read(uint64_t context, LogIndex index) {
    if (context == asked_) index_ = index;
  }
  void on_read_failed(uint64_t context) {
    if (context != asked_) return;
    asked_ = 0;
    ask_again_ = host_.clock.now() + kPause;
  }
  /// When flush() next has something to do; Instant::max() if nothing by itself.
  Instant next_wakeup() const { return wants_to_ask() ? ask_again_ : Instant::max(); }
  bool yes() const { return index_ && host_.applied >= *index_; }

 private:
  /// After a refusal: who leads may still be open.
  static constexpr Duration kPause = 20ms;

  bool wants_to_ask() const { return asked_ == 0 && host_.may_read_index(); }

  Host& host_;
  uint64_t asked_ = 0;  ///< context of what was asked of this leader; 0: nothing yet
  Instant ask_again_{};
  std::optional<LogIndex> index_;
};

}  // namespace holdfast::server
