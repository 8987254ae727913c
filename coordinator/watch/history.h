// The events of the last revisions, each stored once and encoded at most once per form.
//
// A history covers the revisions in (floor, last]: it has every event of them, in the order in
// which apply told them, and of none before. It starts empty and is not kept over a restart. It is
// bounded by bytes and by a count of events; what goes first is the oldest revision, whole. The
// newest revision with events stays however large it is.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/blob.h"
#include "coordinator/watch/byte_queue.h"
#include "coordinator/watch/ring.h"
#include "coordinator/watch/types.h"

namespace holdfast::watch {

/// Protocols that may each have an encoding of their own.
inline constexpr size_t kProtocols = 2;

/// Ways to find the earlier events of a path without a walk over the history.
enum class Chain : uint8_t { kPath = 0, kParent = 1 };

/// A kept event. What follows `has_value` is the room's own.
struct Event {
  std::string_view path() const { return {bytes, path_size}; }
  std::string_view payload() const { return {bytes + path_size, payload_size}; }

  Revision revision;
  Space space = Space::kKeys;
  EventType type = EventType::kChanged;
  bool has_value = false;

  bool listed = false;  ///< some interest may list it
  uint32_t path_size = 0;
  uint32_t payload_size = 0;
  const char* bytes = nullptr;      ///< path and payload, in the history's blocks
  std::array<uint64_t, 2> older{};  ///< by Chain: 1 + position of an event before it; 0: none
  mutable std::array<Blob, kProtocols * 2> encodings;  ///< see History::encoded
};

struct HistoryBounds {
  /// Events with their encodings and all that is kept about them.
  uint64_t bytes = uint64_t{64} << 20;
  uint64_t events = 100'000;
};

class History {
 public:
  /// Nothing at or before `start` is covered. `hash_seed`: see WatchesOptions.
  History(const HistoryBounds& bounds, Revision start, uint64_t hash_seed);

  Revision floor() const { return floor_; }
  Revision last() const { return last_; }

  /// Revisions strictly ascend. One without events moves last() too. Nothing is dropped here.
  void append(Revision revision, std::span<const NewEvent> events);

  void set_bounds(const HistoryBounds& bounds) { bounds_ = bounds; }
  /// More is kept than the bounds allow, and there is a revision to drop.
  bool over_bounds() const;
  /// Drops the oldest revision that has events, after on_event(position, event) for each.
  template <class OnEvent>
  void drop_oldest(OnEvent&& on_event) {
    const Revision oldest = events_.front().revision;
    while (!events_.empty() && events_.front().revision == oldest) {
      on_event(first_position_, events_.front());
      drop_front();
    }
    floor_ = oldest;
  }

  /// Positions number the events of this process from 0 on; those kept are [first, end).
  uint64_t first_position() const { return first_position_; }
  uint64_t end_position() const { return first_position_ + events_.size(); }
  const Event& at(uint64_t position) const { return events_[position - first_position_]; }
  Event& at(uint64_t position) { return events_[position - first_position_]; }

  /// Position + 1 of the newest kept event that may have this path (or parent), and of the next
  /// older one; 0 when there is none. Others with an equal hash may come between.
  uint64_t newest_of(Chain chain, std::string_view path) const;
  uint64_t older(Chain chain, uint64_t position) const {
    return kept(at(position).older[index(chain)]);
  }
  /// Of the first event after `revision`; end_position() if there is none.
  uint64_t position_after(Revision revision) const;

  /// A path's mark is two of 64 bits; an event bears the marks of its path and of all above it. So
  /// most events that are not within a path are told from it without a look at them.
  uint64_t mark_of(std::string_view path) const;
  bool bears(uint64_t position, uint64_t mark) const {
    return (marks_[position - first_position_] & mark) == mark;
  }

  /// The event's bytes in the form of a protocol, with or without its value: made by
  /// encode(event, with_value, std::string& out) when first asked for, then shared. A blob held by
  /// the caller outlives the event. What this adds to bytes() is judged at the next trim.
  template <class Encode>
  const Blob& encoded(const Event& event, size_t protocol, bool with_value, Encode&& encode) {
    Blob& form = event.encodings[form_of(event, protocol, with_value)];
    if (form.empty()) {
      scratch_.clear();
      encode(event, with_value && event.has_value, scratch_);
      keep_encoding(form);
    }
    return form;
  }

  /// Interests list events by position; that is part of what an event costs.
  void count_listed(int64_t positions) { listed_ += static_cast<uint64_t>(positions); }

  uint64_t listed() const { return listed_; }

  /// Of all memory but blocks of texts that are begun or not yet free, three at most, and places
  /// for further events.
  uint64_t bytes() const { return event_bytes_ + texts_.unused() + listed_ * sizeof(uint64_t); }
  uint64_t size() const { return events_.size(); }

  /// The first broken invariant as a sentence, or empty.
  std::string check_invariants() const;

 private:
  static size_t index(Chain chain) { return static_cast<size_t>(chain); }
  static size_t form_of(const Event& event, size_t protocol, bool with_value);
  static uint64_t cost(const Event& event);
  uint64_t kept(uint64_t next_position) const {
    return next_position > first_position_ ? next_position : 0;
  }
  uint64_t& head(Chain chain, std::string_view path);
  void add(Revision revision, const NewEvent& event);
  void drop_front();
  void keep_encoding(Blob& form);

  HistoryBounds bounds_;
  uint64_t hash_seed_;
  Revision floor_;
  Revision last_;
  Ring<Event> events_;
  Ring<uint64_t> marks_;  ///< beside events_
  ByteQueue texts_;       ///< their bytes
  uint64_t first_position_ = 0;
  uint64_t event_bytes_ = 0;
  uint64_t listed_ = 0;
  std::array<std::vector<uint64_t>, 2> heads_;  ///< by Chain and hash: position + 1
  std::string scratch_;
};

}  // namespace holdfast::watch
