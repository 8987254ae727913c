#include "coordinator/watch/history.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/checksum.h"
#include "coordinator/watch/paths.h"

namespace holdfast::watch {

namespace {

/// Heads of chains: as many as events, within reason.
size_t heads_for(uint64_t events) {
  return std::bit_ceil(std::clamp<uint64_t>(events, 64, uint64_t{1} << 16));
}

size_t text_bytes(const Event& event) { return size_t{event.path_size} + event.payload_size; }

uint64_t block_bytes(const Blob& blob) { return blob.empty() ? 0 : 8 + blob.size(); }

}  // namespace

History::History(const HistoryBounds& bounds, Revision start, uint64_t hash_seed)
    : bounds_(bounds), hash_seed_(hash_seed), floor_(start), last_(start) {
  for (auto& heads : heads_) heads.resize(heads_for(bounds.events));
}

void History::append(Revision revision, std::span<const NewEvent> events) {
  HF_CHECK(revision > last_, "a revision that is not after the last one");
  last_ = revision;
  for (const NewEvent& event : events) add(revision, event);
}

void History::add(Revision revision, const NewEvent& event) {
  HF_CHECK(event.path.starts_with('/'), "an event without an absolute path");
  const uint64_t next = end_position() + 1;
  Event& added = events_.push_back({});
  added.revision = revision;
  added.space = event.space;
  added.type = event.type;
  added.has_value = event.has_value;
  added.path_size = static_cast<uint32_t>(event.path.size());
  added.payload_size = static_cast<uint32_t>(event.payload.size());
  char* const text = texts_.push(text_bytes(added));
  std::ranges::copy(event.payload, std::ranges::copy(event.path, text).out);
  added.bytes = text;
  added.older[index(Chain::kPath)] = std::exchange(head(Chain::kPath, event.path), next);
  added.older[index(Chain::kParent)] =
      std::exchange(head(Chain::kParent, parent_of(event.path)), next);
  uint64_t marks = 0;
  for_each_prefix(event.path, [&](std::string_view prefix) { marks |= mark_of(prefix); });
  marks_.push_back(marks);
  event_bytes_ += cost(added);
}

bool History::over_bounds() const {
  if (events_.empty() || events_.front().revision == events_.back().revision) return false;
  return events_.size() > bounds_.events || bytes() > bounds_.bytes;
}

void History::drop_front() {
  event_bytes_ -= cost(events_.front());
  texts_.pop(text_bytes(events_.front()));
  events_.pop_front();
  marks_.pop_front();
  ++first_position_;
}

uint64_t& History::head(Chain chain, std::string_view path) {
  auto& heads = heads_[index(chain)];
  return heads[checksum64(path, hash_seed_) & (heads.size() - 1)];
}

uint64_t History::mark_of(std::string_view path) const {
  const uint64_t hash = checksum64(path, hash_seed_);
  return uint64_t{1} << (hash >> 58) | uint64_t{1} << (hash >> 52 & 63);
}

uint64_t History::newest_of(Chain chain, std::string_view path) const {
  return kept(const_cast<History*>(this)->head(chain, path));
}

uint64_t History::position_after(Revision revision) const {
  return first_position_ + events_.partition_point([revision](const Event& event) {
    return event.revision <= revision;
  });
}

// Without a value there is nothing to leave out: both forms are one.
size_t History::form_of(const Event& event, size_t protocol, bool with_value) {
  HF_CHECK(protocol < kProtocols, "an unknown protocol");
  return protocol * 2 + (with_value && event.has_value ? 1 : 0);
}

void History::keep_encoding(Blob& form) {
  HF_CHECK(!scratch_.empty(), "an encoding without bytes");
  form = Blob(scratch_);
  event_bytes_ += block_bytes(form);
}

uint64_t History::cost(const Event& event) {
  uint64_t bytes = sizeof(Event) + sizeof(uint64_t) + text_bytes(event);
  for (const Blob& form : event.encodings) bytes += block_bytes(form);
  return bytes;
}

std::string History::check_invariants() const {
  uint64_t bytes = 0;
  Revision before = floor_;
  for (size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    bytes += cost(event);
    if (event.revision <= floor_) return "history: an event at or below the floor";
    if (event.revision < before) return "history: revisions go back";
    before = event.revision;
    const uint64_t next = first_position_ + i + 1;
    for (const uint64_t older : event.older) {
      if (older >= next) return "history: a chain leads forward";
    }
  }
  if (before > last_) return "history: an event after the last revision";
  if (bytes != event_bytes_) return "history: bytes differ from a recount";
  return over_bounds() ? "history: over its bounds" : "";
}

}  // namespace holdfast::watch
