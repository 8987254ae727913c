// What may go into the log (PROMISE 12): every entry is counted, before it is proposed or accepted,
// against the room that the log has in hand, so that a disk which fills up between two looks finds
// nothing admitted that has no room. What there is no room for now waits where it is; whether it is
// refused is decided by the state of the disk (room.h). Nothing is locked or allocated. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "raft/storage/batch_encoder.h"
#include "raft/storage/log_writer.h"

namespace holdfast::server {

class LogBudget {
 public:
  /// How much of the room in hand an entry may use.
  enum class Use : uint8_t {
    kAny,    ///< all but the reserve
    kFrees,  ///< the reserve too, but for what is kept
  };
  struct Limits {
    std::function<raft::LogRoom()> look;  ///< empty: everything fits
    uint64_t reserved = 0;                ///< bytes for what frees or keeps alive
    uint64_t kept = 0;                    ///< for terms, votes and what leaders write themselves
  };

  LogBudget() = default;
  explicit LogBudget(Limits limits) : limits_(std::move(limits)) {}

  /// Takes the room of an entry, if there is enough.
  bool take(uint64_t payload_bytes, Use use);
  /// All that was taken is in the writer's hands, or was given up.
  void handed_over();
  /// The disk is full, so what is in hand is all that there will be.
  void looked_at(bool full) {
    full_ = full;
    waited_for_ = false;
  }
  bool full() const { return full_; }
  /// What is left for this use. Who finds nothing waits for it.
  uint64_t left(Use use);
  /// What the log's batches have taken beside their entries since the start, at most.
  uint64_t padding_bytes();
  /// Something has not fitted since the disk was last looked at.
  bool waited_for() const { return waited_for_; }

 private:
  uint64_t keeps(Use use) const { return limits_.kept + (use == Use::kAny ? limits_.reserved : 0); }
  void look();
  bool fits(const raft::BatchSize& size, Use use) const;

  Limits limits_;
  bool full_ = false;
  bool waited_for_ = false;
  bool looked_ = false;    ///< `room_` is of this part of the turn
  raft::LogRoom room_;     ///< stays true until more is handed over
  raft::BatchSize taken_;  ///< it goes to the writer as one write
};

}  // namespace holdfast::server
