#include "tests/support/connection_locks.h"

#include <algorithm>
#include <utility>

namespace holdfast::snapshot {
namespace {

uint32_t bits(int first, int count) { return ((uint32_t{1} << count) - 1) << first; }

}  // namespace

ConnectionLocks::Member::Member(std::shared_ptr<ConnectionLocks> locks) : locks_(std::move(locks)) {
  locks_->members_.push_back(this);
}

ConnectionLocks::Member::~Member() {
  leave_index();
  std::erase(locks_->members_, this);
}

bool ConnectionLocks::Member::anybody_else(int level) const {
  return std::any_of(locks_->members_.begin(), locks_->members_.end(),
                     [&](const Member* other) { return other != this && other->level_ >= level; });
}

bool ConnectionLocks::Member::lock(int level) {
  if (level <= level_) return true;
  if (anybody_else(level == kShared ? kPending : kReserved)) return false;
  if (level == kExclusive && anybody_else(kShared)) {
    level_ = kPending;
    return false;
  }
  level_ = level;
  return true;
}

bool ConnectionLocks::Member::reserved() const {
  return level_ >= kReserved || anybody_else(kReserved);
}

bool ConnectionLocks::Member::lock_index(int first, int count, bool exclusive) {
  const uint32_t wanted = bits(first, count);
  for (const Member* other : locks_->members_) {
    if (other == this) continue;
    const uint32_t in_the_way = exclusive ? other->shared_ | other->exclusive_ : other->exclusive_;
    if ((in_the_way & wanted) != 0) return false;
  }
  (exclusive ? exclusive_ : shared_) |= wanted;
  return true;
}

void ConnectionLocks::Member::unlock_index(int first, int count) {
  shared_ &= ~bits(first, count);
  exclusive_ &= ~bits(first, count);
}

void* ConnectionLocks::Member::region(size_t number, size_t bytes, bool make) {
  in_index_ = true;
  auto& regions = locks_->regions_;
  while (make && regions.size() <= number) regions.push_back(std::make_unique<std::byte[]>(bytes));
  return number < regions.size() ? regions[number].get() : nullptr;
}

void ConnectionLocks::Member::leave_index() {
  in_index_ = false;
  shared_ = exclusive_ = 0;
  const auto& members = locks_->members_;
  if (std::none_of(members.begin(), members.end(), [](const Member* m) { return m->in_index_; })) {
    locks_->regions_.clear();
  }
}

}  // namespace holdfast::snapshot
