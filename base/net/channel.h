// Batches from the thread of one loop to the thread of another: a bounded queue with one sender and
// one receiver, without a lock. The sender fills the open batch during its turn and sends it at the
// end; the receiver handles one batch a turn, in order. Batches stay in their places and are used
// again, so that what they have allocated is allocated once.
//
// Wake-ups. A sent batch is announced by Loop::post(), which signals the other loop only if it
// sleeps (Mailbox), and only if no announcement is under way. A sender that finds no room is woken
// the same way, once there is some.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "base/net/loop.h"

namespace holdfast::net {

/// `kPlaces` batches, the open one among them. Destroyed on one of the two threads, when the other
/// has ended; what was sent and not received by then is dropped.
template <class Batch, size_t kPlaces = 4>
class Channel {
 public:
  /// `receive` handles a batch on `to`'s thread and leaves it as the sender shall find it.
  Channel(Loop& from, Loop& to, std::function<void(Batch&)> receive)
      : from_(from), to_(to), receive_(std::move(receive)) {
    to.keep(door_);
  }
  ~Channel() { door_->channel = nullptr; }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // The sender's thread.

  /// The batch being filled.
  Batch& open() { return places_[sent_.load(std::memory_order_relaxed) % kPlaces]; }
  /// Sends the open batch and opens the next. False if that one is not free, because the receiver
  /// is behind: the batch stays open and `from` turns again when there is room.
  bool send() {
    if (!room() && !wait_for_room()) return false;
    sent_.store(sent_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    announce();
    return true;
  }

 private:
  /// What an announcement finds, which may be under way when the channel goes and its loop turns
  /// on. As old as that loop becomes.
  struct Door {
    Channel* channel;  ///< null: it is gone
  };

  static_assert(kPlaces >= 2, "one batch is filled while another is read");

  bool room() const {
    // Acquire: what the receiver did to the batch that frees its place is seen before it is filled.
    return sent_.load(std::memory_order_relaxed) + 2 - taken_.load(std::memory_order_seq_cst) <=
           kPlaces;
  }

  // Sequentially consistent, as is its counterpart in take_one(): of the two stores one is first in
  // the order of all. Either the receiver sees that the sender starves, and posts; or its exchange
  // came before this store, so its count before that exchange is seen by the second look here.
  bool wait_for_room() {
    starved_.store(true, std::memory_order_seq_cst);
    return room();
  }

  // Both exchanges of announced_ stand in one order. If this one finds true, the receiver's comes
  // later; being an acquire of a chain of exchanges that this release is part of, it sees sent_ as
  // stored before. If this one finds false, a new announcement is posted. No batch is forgotten.
  void announce() {
    if (announced_.exchange(true, std::memory_order_acq_rel)) return;
    to_.post([door = door_.get()] {
      if (door->channel != nullptr) door->channel->take_one();
    });
  }

  void take_one() {
    announced_.exchange(false, std::memory_order_acq_rel);
    const uint64_t taken = taken_.load(std::memory_order_relaxed);
    if (sent_.load(std::memory_order_acquire) == taken) return;
    receive_(places_[taken % kPlaces]);
    taken_.store(taken + 1, std::memory_order_seq_cst);
    if (starved_.exchange(false, std::memory_order_seq_cst)) from_.post([] {});
    if (sent_.load(std::memory_order_acquire) != taken + 1) announce();
  }

  Loop& from_;
  Loop& to_;
  const std::function<void(Batch&)> receive_;
  const std::shared_ptr<Door> door_ = std::make_shared<Door>(Door{this});
  std::array<Batch, kPlaces> places_;
  // Each side's counters on lines of their own: a turn of one does not slow the other.
  alignas(64) std::atomic<uint64_t> sent_{0};
  alignas(64) std::atomic<uint64_t> taken_{0};
  alignas(64) std::atomic<bool> announced_{false};
  std::atomic<bool> starved_{false};
};

}  // namespace holdfast::net
