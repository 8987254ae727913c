// The sequences whose results a client has: everything up to a floor, and a few ranges above it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace holdfast::session {

/// Inclusive at both ends.
struct SequenceRange {
  Sequence first;
  Sequence last;
  friend bool operator==(const SequenceRange&, const SequenceRange&) = default;
};

/// A client that acknowledges in order costs one number. Sequence 0 is always a member.
class SequenceSet {
 public:
  bool contains(Sequence sequence) const;
  enum class Added : uint8_t {
    kNew,      ///< at least one sequence of the range was not a member
    kPresent,  ///< all were members already
    kTooMany,  ///< nothing changed: it would leave more ranges than allowed
  };
  /// Adds a range, merging it with its neighbours, unless that would leave more than `ranges_max`
  /// ranges above the floor.
  Added add(SequenceRange range, size_t ranges_max);

  /// All sequences up to here are members.
  Sequence floor() const { return floor_; }
  /// Disjoint, not adjacent, ascending, all above floor() + 1.
  const std::vector<SequenceRange>& ranges() const { return ranges_; }

  /// Takes the place of the contents; false if they are not in the form that ranges() promises.
  bool assign(Sequence floor, std::vector<SequenceRange> ranges);

  friend bool operator==(const SequenceSet&, const SequenceSet&) = default;

 private:
  Sequence floor_;
  std::vector<SequenceRange> ranges_;
};

}  // namespace holdfast::session
