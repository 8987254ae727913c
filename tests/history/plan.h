// The steps of one lock with their windows as positions, and which of them may come next.
//
// A position is 4 * revision + slot. What happens by itself in an entry (the end of a session or of
// a wait) has slot 0, several may share it; the entry's command has slot 1, alone; the grants of an
// entry without a command for this lock have slot 2; what reads the state after it has slot 3.
#pragma once

#include <vector>

#include "tests/history/model.h"

namespace holdfast::history {

constexpr uint64_t kSlots = 4;
constexpr uint64_t kEndless = kNoRevision;
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();

struct Planned {
  Step step;
  uint64_t slot = 0;
  uint64_t first = 0;  ///< first revision it may have
  uint64_t last = kEndless;
  int64_t invoked = 0;
  int64_t returned = kNever;
  bool mandatory = true;
  size_t after = kNoStep;  ///< the step that must come first
  std::string name;

  static constexpr size_t kNoStep = ~size_t{0};
  /// It stands at one position whenever it was asked: it may come once nothing else is as urgent.
  bool is_timeless() const { return invoked == kAlways && first == last; }
  uint64_t last_position() const { return last == kEndless ? kEndless : last * kSlots + slot; }
  /// The first revision at which it may stand behind what stands at `cursor`.
  uint64_t earliest(uint64_t cursor) const;
};

/// A grant or an end that is known to have come with a certain entry.
struct Pin {
  uint64_t revision = 0;
  size_t command = 0;
  bool is_end = false;
};

/// Some steps in one order, of which those taken are out: taking and putting back cost nothing.
class Chain {
 public:
  void build(const std::vector<size_t>& order, size_t steps);
  void take(size_t step);
  void put_back(size_t step);  ///< in the reverse order of taking
  size_t first() const { return next_.back(); }
  size_t next(size_t step) const { return next_[step]; }
  size_t end() const { return next_.size() - 1; }

 private:
  static constexpr size_t kAbsent = ~size_t{0};
  bool has(size_t step) const { return next_[step] != kAbsent; }

  std::vector<size_t> next_, previous_;  ///< the last element is the ring's own
};

class Plan {
 public:
  Plan(const LockHistory& lock, const std::map<uint64_t, Session>& sessions);

  const std::vector<Planned>& steps() const { return steps_; }
  const std::vector<Pin>& pins() const { return pins_; }
  size_t mandatory_left() const { return mandatory_left_; }
  uint64_t commands() const { return commands_; }

  /// Steps that real time and revisions allow next, the most urgent first.
  std::vector<size_t> candidates(uint64_t cursor) const;
  void take(size_t step);
  void put_back(size_t step);
  /// The mandatory step that must stand first of those left, Planned::kNoStep if none is left.
  size_t most_urgent() const { return least(by_last_); }

 private:
  static bool may_be_unseen(const Command& command);
  void add_command(const LockHistory& lock, size_t index);
  void add_sessions(const LockHistory& lock, const std::map<uint64_t, Session>& sessions);
  void add_pins(const LockHistory& lock);
  size_t least(const Chain& chain) const;
  bool may_come(size_t step, uint64_t cursor) const;

  std::vector<Planned> steps_;
  std::vector<bool> taken_;
  std::vector<Pin> pins_;
  Chain by_invoked_, by_returned_, by_last_;
  size_t mandatory_left_ = 0;
  uint64_t commands_ = 0;
};

}  // namespace holdfast::history
