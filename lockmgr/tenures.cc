#include "lockmgr/tenures.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/hash.h"

namespace holdfast::lockmgr {
namespace {
constexpr uint64_t kFirstSlots = 64;
}  // namespace

TenureRing::TenureRing(RowLog& rows, Digest& digest, uint64_t hash_seed, uint64_t capacity)
    : rows_(rows), digest_(digest), hash_seed_(hash_seed), capacity_(capacity) {
  HF_CHECK(capacity >= 1, "the ring of tenures keeps at least one");
}

void TenureRing::record(const TenureRow& row) {
  while (size_ >= capacity_) evict_oldest();
  const uint64_t number = first_ + size_;
  Tenure& tenure = append(row);
  tenure.hash = write_row(rows_, number, tenure.row);
  digest_.add(tenure.hash);
}

TenureRing::Tenure& TenureRing::append(const TenureRow& row) {
  if (size_ == ring_.size()) resize(std::max(kFirstSlots, size_ * 2));
  const uint64_t number = first_ + size_++;
  Tenure& tenure = at(number);
  tenure.row = row;
  tenure.row.path = tenure.path.assign(row.path);
  tenure.row.session_name = tenure.session_name.assign(row.session_name);
  tenure.row.owner = tenure.owner.assign(row.owner);
  tenure.row.note = tenure.note.assign(row.note);
  index(number);
  return tenure;
}

void TenureRing::evict_oldest() {
  digest_.subtract(at(first_).hash);
  rows_.erase(RowTable::kLockTenures, first_);
  forget(first_);
  start_ = (start_ + 1) % ring_.size();
  ++first_;
  --size_;
}

void TenureRing::set_capacity(uint64_t capacity) {
  HF_CHECK(capacity >= 1, "the ring of tenures keeps at least one");
  capacity_ = capacity;
  while (size_ > capacity_) evict_oldest();
  if (ring_.size() > std::max(kFirstSlots, 2 * size_)) resize(std::max(kFirstSlots, size_));
}

void TenureRing::resize(uint64_t slots) {
  std::vector<Tenure> ring(slots);
  for (uint64_t i = 0; i < size_; ++i) {
    Tenure& to = ring[i];
    to = std::move(at(first_ + i));
    // Short texts live inside the string object, so the views have to follow them.
    to.row.path = to.path;
    to.row.session_name = to.session_name;
    to.row.owner = to.owner;
    to.row.note = to.note;
  }
  ring_.swap(ring);
  start_ = 0;
}

uint64_t TenureRing::hash_path(std::string_view path) const { return hash_text(path, hash_seed_); }
uint64_t TenureRing::hash_acquire(SessionId session, Sequence sequence) const {
  return hash_pair(session.value, sequence.value, hash_seed_);
}

uint64_t* TenureRing::find_path(std::string_view path) {
  return by_path_.find(hash_path(path), [&](uint64_t n) { return at(n).path == path; });
}

uint64_t* TenureRing::find_acquire(SessionId session, Sequence sequence) {
  return by_acquire_.find(hash_acquire(session, sequence), [&](uint64_t n) {
    return at(n).row.session == session && at(n).row.sequence == sequence;
  });
}

void TenureRing::index(uint64_t number) {
  Tenure& tenure = at(number);
  tenure.previous = 0;
  if (uint64_t* latest = find_path(tenure.path)) {
    tenure.previous = std::exchange(*latest, number);
  } else {
    by_path_.insert(hash_path(tenure.path), number);
  }
  const TenureRow& row = tenure.row;
  if (uint64_t* latest = find_acquire(row.session, row.sequence)) {
    *latest = number;
  } else {
    by_acquire_.insert(hash_acquire(row.session, row.sequence), number);
  }
}

void TenureRing::forget(uint64_t number) {
  const Tenure& tenure = at(number);
  const auto is_it = [number](uint64_t n) { return n == number; };
  by_path_.erase(hash_path(tenure.path), is_it);
  by_acquire_.erase(hash_acquire(tenure.row.session, tenure.row.sequence), is_it);
}

TenureInfo TenureRing::info(const Tenure& tenure) {
  const TenureRow& row = tenure.row;
  return {.holder_id = holder_id_of(row.place_id),
          .token = row.token,
          .session = row.session,
          .sequence = row.sequence,
          .session_name = row.session_name,
          .owner = row.owner,
          .path = row.path,
          .since_unix_ms = row.since_unix_ms,
          .ended_unix_ms = row.ended_unix_ms,
          .end_revision = row.end_revision,
          .reason = row.reason,
          .note = row.note};
}

std::optional<TenureInfo> TenureRing::latest_of(SessionId session, Sequence sequence) const {
  const uint64_t* number = const_cast<TenureRing*>(this)->find_acquire(session, sequence);
  if (number == nullptr) return std::nullopt;
  return info(at(*number));
}

void TenureRing::of_lock(std::string_view path, size_t count, std::vector<TenureInfo>& out) const {
  const uint64_t* latest = const_cast<TenureRing*>(this)->find_path(path);
  for (uint64_t n = latest == nullptr ? 0 : *latest; count > 0 && present(n); --count) {
    out.push_back(info(at(n)));
    n = at(n).previous;
  }
}

bool TenureRing::load(uint64_t number, const TenureRow& row, const Digest& hash) {
  if (size_ == 0) first_ = number;
  if (number == 0 || number != first_ + size_) return false;
  append(row).hash = hash;
  digest_.add(hash);
  return true;
}

Digest TenureRing::recount() const {
  RowLog scratch;
  Digest sum;
  for (uint64_t n = first_; present(n); ++n) {
    scratch.clear();
    sum.add(write_row(scratch, n, at(n).row));
  }
  return sum;
}

bool TenureRing::indexes_hold() const {
  uint64_t heads = 0, acquires = 0;
  for (uint64_t n = first_; present(n); ++n) {
    const TenureRow& row = at(n).row;
    const uint64_t* latest = const_cast<TenureRing*>(this)->find_path(row.path);
    const uint64_t* acquire =
        const_cast<TenureRing*>(this)->find_acquire(row.session, row.sequence);
    if (latest == nullptr || *latest < n || acquire == nullptr || *acquire < n) return false;
    heads += *latest == n ? 1 : 0;
    acquires += *acquire == n ? 1 : 0;
  }
  return heads == by_path_.size() && acquires == by_acquire_.size();
}

}  // namespace holdfast::lockmgr
