// The command numbers whose results a client has, as ranges: what RequestContext.acknowledged says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::client {

/// A set of positive numbers, cheap while its members lie close together.
class SequenceSet {
 public:
  /// Inclusive.
  struct Range {
    int64_t first;
    int64_t last;
    friend bool operator==(const Range&, const Range&) = default;
  };

  /// Adding a member again changes nothing.
  void add(int64_t sequence);
  bool contains(int64_t sequence) const;
  /// Sorted, disjoint, none touching the next.
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

}  // namespace holdfast::client
